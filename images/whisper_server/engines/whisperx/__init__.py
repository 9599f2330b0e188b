"""WhisperX: alignment and speaker diarization of faster-whisper's text."""
