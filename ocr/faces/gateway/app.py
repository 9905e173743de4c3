"""The application: the routes, what they share, and the door in front of them."""

import contextlib
import tempfile
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ocr.faces.gateway import chat, dropins, file_routes, mistral, models, page_routes, responses, state_routes
from ocr.faces.gateway.documents import Documents, Fetch
from ocr.faces.gateway.door import Door
from ocr.faces.gateway.drawing import Drawing
from ocr.faces.gateway.figures import Figures
from ocr.faces.gateway.files import Files
from ocr.faces.gateway.page_limit import PageLimit
from ocr.faces.gateway.reader import Reader
from ocr.faces.gateway.refusals import Refusal
from ocr.faces.gateway.servers import CogServer
from ocr.faces.gateway.service import Service
from ocr.faces.gateway.settings import GatewaySettings
from ocr.faces.gateway.turns import Turns

KEPT = 20  # connections to Cog servers that wait for the next prediction
ROUTES = (
    Route("/", page_routes.index),
    Route("/page/choices.json", page_routes.choices),
    Route("/page/{name}", page_routes.part),
    Route("/health", state_routes.health),
    Route("/metrics", state_routes.metrics),
    Route("/v1/models", models.every),
    Route("/v1/models/{name:path}", models.one),
    Route("/v1/chat/completions", chat.complete, methods=["POST"]),
    Route("/v1/responses", responses.create, methods=["POST"]),
    Route("/v1/ocr", mistral.ocr, methods=["POST"]),
    Route("/process", dropins.process, methods=["PUT"]),
    Route("/v1/convert/file", dropins.convert, methods=["POST"]),
    Route("/v1/files", file_routes.upload, methods=["POST"]),
    Route("/v1/files", file_routes.every),
    Route("/v1/files/{id}", file_routes.one),
    Route("/v1/files/{id}", file_routes.delete, methods=["DELETE"]),
    Route("/v1/files/{id}/url", file_routes.signed_url),
    Route("/v1/files/{id}/content", file_routes.content),
    Route("/v1/files/{id}/pages/{number:int}", file_routes.page),
    Route("/v1/files/{id}/searchable-pdf", file_routes.searchable_pdf, methods=["POST"]),
)


def application(settings: GatewaySettings, fetch: Fetch | None = None) -> ASGIApp:
    """The gateway as an ASGI application; it looks after its servers while its lifespan lasts."""
    figures = Figures()

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        with tempfile.TemporaryDirectory(prefix="ocr-gateway-") as folder:
            async with httpx.AsyncClient(
                trust_env=False, limits=httpx.Limits(max_connections=None, max_keepalive_connections=KEPT)
            ) as http:
                servers = [CogServer(url, http) for url in settings.servers]
                turns = Turns(servers, most=settings.max_waiting, patience_s=settings.patience_s)
                reader = Reader(turns, figures, PageLimit(settings.max_pages), limit_s=settings.limit_s)
                files = Files(Path(folder), max_mb=settings.files_mb, keep_s=settings.files_hours * 3600)
                documents = Documents(files, fetch, max_mb=settings.max_file_mb)
                app.state.service = Service(settings, reader, files, documents, figures, Drawing())
                async with turns.at_work():
                    yield

    routes = Starlette(routes=ROUTES, lifespan=lifespan, exception_handlers={Refusal: _refused, HTTPException: _lost})
    door = Door(routes, settings, figures.answered)
    if not settings.origins:
        return door
    return CORSMiddleware(door, allow_origins=settings.origins, allow_methods=["*"], allow_headers=["*"])


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101
    return JSONResponse(error.json(), error.status, error.headers)


async def _lost(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: a path or a method that there is not, a form that is none."""
    assert isinstance(error, HTTPException)  # noqa: S101
    message = (
        f"There is no {request.method} {request.url.path[:200]} here."
        if error.status_code in (404, 405)
        else error.detail
    )
    return await _refused(request, Refusal(HTTPStatus(error.status_code), message))
