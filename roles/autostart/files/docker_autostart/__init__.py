"""A reverse proxy that starts Compose stacks when a request arrives, and stops idle ones."""

__version__ = "0.2.0"
