"""A reverse proxy that starts Compose stacks when they are asked for and stops them when they are not."""

__version__ = "0.2.0"
