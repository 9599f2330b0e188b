"""Transcriptions in their order: the queue, and jobs; no HTTP and no engine."""
