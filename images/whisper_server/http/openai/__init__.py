"""OpenAI's API of transcriptions and translations: forms, response formats, routes."""
