"""Recordings, options, transcripts, and the protocol of engines; no HTTP and no engine."""
