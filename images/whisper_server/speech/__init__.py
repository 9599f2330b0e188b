"""Recordings, options, transcripts, and what an engine is; no HTTP and no engine."""
