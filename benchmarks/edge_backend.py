"""`uvicorn edge_backend:app`: receives uploads with the libraries with which the services do, and does no more.

Every answer is 200 and says how many bytes of file came: `{"bytes": 2000}`.
"""

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def receive(request: Request) -> JSONResponse:
    size = 0
    if request.method == "POST":
        async with request.form() as form:
            size = sum(file.size or 0 for file in form.values() if isinstance(file, UploadFile))
    return JSONResponse({"bytes": size})


app = Starlette(routes=[Route("/{path:path}", receive, methods=["GET", "POST"])])
