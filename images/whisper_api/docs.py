"""GET /docs: Swagger UI whose files the container serves itself, at addresses that hold behind any proxy."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

# The proxy checks them, not this server; the schema tells clients which ones it takes.
_SECURITY_SCHEMES = {
    "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "basic": {"type": "http", "scheme": "basic", "description": "A user's name and password."},
}


def add_docs(app: FastAPI) -> None:
    """Adds /docs and completes /openapi.json; the application must have been made with `docs_url=None`."""

    @app.get("/docs", include_in_schema=False)
    async def swagger_ui() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=app.title,
            swagger_js_url="docs/assets/swagger-ui-bundle.js",
            swagger_css_url="docs/assets/swagger-ui.css",
            swagger_favicon_url="docs/assets/favicon-32x32.png",
            # Swagger UI would have its badge made by a server of its makers.
            swagger_ui_parameters={"validatorUrl": None, "tryItOutEnabled": True},
        )

    app.mount("/docs/assets", StaticFiles(packages=[("fastapi_swagger", "resources")]), name="swagger-ui")

    generate = app.openapi

    def openapi() -> dict[str, Any]:
        schema = generate()
        schema.setdefault("components", {})["securitySchemes"] = _SECURITY_SCHEMES
        schema["security"] = [{name: []} for name in _SECURITY_SCHEMES]
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the schema
