"""faster-whisper."""
