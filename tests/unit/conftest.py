"""For all unit tests."""

from hypothesis import settings

# Hypothesis gives each example 0.2 s by default: on a busy machine that would be a test of the machine.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
