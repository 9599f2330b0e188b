"""The process and the container that it runs in: settings, limits, log."""
