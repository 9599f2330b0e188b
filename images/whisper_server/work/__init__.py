"""Schedules transcriptions: the queue and jobs; no HTTP and no engine."""
