"""GET /docs: Swagger UI, served without a CDN, at URLs that work behind any proxy."""

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from whisper_server.speech.engine import Engine

# The proxy checks credentials; the schema documents which ones it accepts.
_SECURITY_SCHEMES = {
    "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "basic": {"type": "http", "scheme": "basic", "description": "A user's name and password."},
}

# Any number up to 1 is a valid threshold; the pattern is for documentation and need not cover all of them.
_CHUNKING_STRATEGY = r'^(auto|\{"type": ?"server_vad"(, ?"threshold": ?0\.\d)?(, ?"silence_duration_ms": ?\d{1,4})?\})$'


def add_docs(app: FastAPI, engine: Engine) -> None:
    """Adds /docs and completes /openapi.json; the application must have been created with `docs_url=None`."""

    @app.get("/docs", include_in_schema=False)
    async def swagger_ui(request: Request) -> HTMLResponse:
        # Relative URLs are resolved against the page's own, which some clients request with a trailing slash.
        up = "../" if request.scope.get("raw_path", b"").endswith(b"/") else ""
        page = get_swagger_ui_html(
            openapi_url=f"{up}openapi.json",
            title=app.title,
            swagger_js_url=f"{up}docs/assets/swagger-ui-bundle.js",
            swagger_css_url=f"{up}docs/assets/swagger-ui.css",
            swagger_favicon_url=f"{up}docs/assets/favicon-32x32.png",
            # Without this, Swagger UI loads a badge from its authors' server.
            swagger_ui_parameters={"validatorUrl": None, "tryItOutEnabled": True},
        )
        page.headers["Content-Security-Policy"] = _policy(bytes(page.body).decode())
        return page

    app.mount("/docs/assets", StaticFiles(packages=[("fastapi_swagger", "resources")]), name="swagger-ui")

    generate = app.openapi

    def openapi() -> dict[str, Any]:
        schema = generate()
        schema.setdefault("components", {})["securitySchemes"] = _SECURITY_SCHEMES
        schema["security"] = [{name: []} for name in _SECURITY_SCHEMES]
        for operation in _operations(schema):
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "model":
                    parameter["example"] = engine.default_model
        for form in schema["components"]["schemas"].values():
            if "file" in form.get("properties", {}):
                _complete(form, engine)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the schema


def _policy(page: str) -> str:
    """The Content-Security-Policy of the Swagger UI page: this server's files, and the page's own inline script."""
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self'; connect-src 'self'; "
        # Swagger UI's style sheet embeds images as data: URLs.
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _operations(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in schema["paths"].values():
        yield from path.values()


def _complete(form: dict[str, Any], engine: Engine) -> None:
    """Adds to a form's schema what Python's types do not express, so that Swagger UI offers what the server accepts."""
    fields = form["properties"]
    # FastAPI cannot hide form fields: alternative spellings are recognized by their missing description.
    for name in [name for name, field in fields.items() if "description" not in field]:
        del fields[name]
    # OpenAPI 3.0's type of a file, the only one that Swagger UI supports.
    fields["file"]["format"] = "binary"
    fields["model"]["examples"] = ["whisper-1"]
    # A form has no null: an empty field counts as absent. Otherwise Swagger UI would fill in a 1.
    for field in fields.values():
        if {"type": "null"} in field.get("anyOf", ()):
            field["anyOf"].remove({"type": "null"})
            field["anyOf"].append({"type": "string", "const": ""})
            field["default"] = ""
    if "language" in fields:
        fields["language"]["enum"] = ["", *sorted(engine.languages)]
    if "chunking_strategy" in fields:
        fields["chunking_strategy"]["pattern"] = _CHUNKING_STRATEGY
    if "stream" in fields:
        unstreamed = sorted(set(fields["response_format"]["enum"]) - {"json", "text"})
        form["not"] = {
            "required": ["stream", "response_format"],
            "properties": {"stream": {"const": True}, "response_format": {"enum": unstreamed}},
        }
