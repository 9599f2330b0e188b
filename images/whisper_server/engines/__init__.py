"""Speech engines behind the `Engine` protocol; no HTTP."""
