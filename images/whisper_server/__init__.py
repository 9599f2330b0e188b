"""The speech-to-text servers: one package, installed whole into both images; docs/architecture.md shows its parts.

Start-up: a server imports what every request needs. What only some requests need (torch and all that imports it,
clients of the Hugging Face Hub) is imported in the function that needs it; tests/unit/whisper_server/test_imports.py
checks that. The engine is imported before FastAPI, so that the default model is loaded while the rest is imported.
Importing a module changes nothing else in the process: `process.startup` does what a server needs.
"""
