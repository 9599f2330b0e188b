"""Runs in a service's image, in the folder of its `server.py`: describe.py URL DESCRIPTION FOLDER.

Writes the OpenAPI document of `server.app`, called at URL, to the file DESCRIPTION, and Swagger UI's files to FOLDER.
"""

import importlib
import json
import sys
from importlib import resources
from pathlib import Path


def put(path: Path, content: bytes) -> None:
    """Whole or not at all: the web server reads it meanwhile."""
    draft = path.with_name(f".{path.name}")
    draft.write_bytes(content)
    draft.chmod(0o644)
    draft.replace(path)


def main(url: str, description: str, folder: str) -> None:
    sys.path.insert(0, "")
    server = importlib.import_module("server")  # of the image
    document = server.app.openapi() | {"servers": [{"url": url}]}
    put(Path(description), json.dumps(document).encode())
    for asset in (resources.files("fastapi_swagger") / "resources").iterdir():
        if asset.name.endswith((".js", ".css", ".png")):
            put(Path(folder) / asset.name, asset.read_bytes())


main(*sys.argv[1:])
