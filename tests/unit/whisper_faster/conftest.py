"""What runs without models."""

import os

# huggingface_hub reads its environment when it is first imported: no model is here, and no hub is asked.
os.environ["HF_HOME"] = "/nonexistent"
os.environ["HF_HUB_OFFLINE"] = "1"
