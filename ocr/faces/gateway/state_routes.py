"""`GET /health` and `GET /metrics`: how the gateway and the Cog servers behind it are."""

from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ocr.faces.gateway.service import Service


async def health(request: Request) -> JSONResponse:
    """200 where a Cog server can read, else 503; each server by its number, in the order of the settings."""
    turns = Service.of(request).reader.turns
    is_up = any(server.is_up for server in turns.servers)
    servers = [{"server": number, "status": it.state} for number, it in enumerate(turns.servers, 1)]
    body = {"status": "READY" if is_up else "NOT_READY", "servers": servers, "waiting": turns.waiting}
    return JSONResponse(body, HTTPStatus.OK if is_up else HTTPStatus.SERVICE_UNAVAILABLE)


async def metrics(request: Request) -> Response:
    """Counts and times for Prometheus."""
    service = Service.of(request)
    text = service.figures.shown(service.reader.turns.servers, service.reader.turns.waiting)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
