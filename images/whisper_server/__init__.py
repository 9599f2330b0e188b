"""The speech-to-text servers: one package, installed whole into both images; see docs/architecture.md."""
