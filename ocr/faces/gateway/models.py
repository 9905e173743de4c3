"""`GET /v1/models`: the names that requests may ask for."""

from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from ocr.errors import choices
from ocr.faces.gateway.asking import NAMES
from ocr.faces.gateway.refusals import Refusal


async def every(_request: Request) -> JSONResponse:
    """All of them; whether a model's weights are there, its Cog server says when it is asked."""
    return JSONResponse({"object": "list", "data": [_model(name) for name in NAMES]})


async def one(request: Request) -> JSONResponse:
    """One of them."""
    name = request.path_params["name"]
    if name not in NAMES:
        message = f"The model {name[:100]!r} does not exist; there are: {choices(NAMES)}."
        raise Refusal(HTTPStatus.NOT_FOUND, message, param="model", code="model_not_found")
    return JSONResponse(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "document-ocr"}
