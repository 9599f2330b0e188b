"""The HTTP API: it knows the `Engine` protocol and no engine."""
