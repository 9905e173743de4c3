"""What the routes share: the settings and the parts made of them, and how a request's JSON is taken."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from starlette.requests import Request

from ocr.faces.gateway.answers import Answer
from ocr.faces.gateway.documents import Documents
from ocr.faces.gateway.drawing import Drawing
from ocr.faces.gateway.figures import Figures
from ocr.faces.gateway.files import Files
from ocr.faces.gateway.reader import Reader
from ocr.faces.gateway.refusals import wrong
from ocr.faces.gateway.settings import GatewaySettings


@dataclass(frozen=True)
class Service:
    """The parts of one gateway."""

    settings: GatewaySettings
    reader: Reader
    files: Files
    documents: Documents
    figures: Figures
    drawing: Drawing

    @staticmethod
    def of(request: Request) -> "Service":
        """The service that a request came to."""
        service: Service = request.app.state.service
        return service

    def answer(self, request: Request, documents: Sequence[IO[bytes]], inputs: Mapping[str, Any]) -> Answer:
        """What will be read of these documents, for the client of a request, with its figures in the request's log."""
        return Answer(self.reader, documents, inputs, client_of(request), request.state.figures)


def client_of(request: Request) -> str:
    """Who asks, as the door has found."""
    return str(request.state.client)


async def payload_of(request: Request) -> dict[str, Any]:
    """The JSON object that a request's body is. Raises Refusal for anything else."""
    try:
        payload = json.loads(b"".join([piece async for piece in request.stream()]))
    except (ValueError, RecursionError):
        raise wrong("The body is no JSON.") from None
    if not isinstance(payload, dict):
        raise wrong("The body must be a JSON object.")
    return payload


def field(payload: Mapping[str, Any], name: str, kind: type, param: str = "") -> Any:
    """A field of a request, or None where it is missing or null. Raises Refusal for one of another type."""
    value = payload.get(name)
    if value is not None and not isinstance(value, kind):
        raise wrong(f"{param or name} must be {_KINDS[kind]}.", param or name)
    return value


_KINDS: Mapping[type, str] = {
    str: "a string",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    int: "a number",
}
