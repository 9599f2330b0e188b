"""WhisperX's API: form, response format, route."""
