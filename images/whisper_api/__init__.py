"""HTTP side of the speech-to-text servers: it knows the `Engine` protocol and no engine."""
