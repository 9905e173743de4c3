"""Gateways on this machine for tests, before Cog servers that answer what a test tells them to: the HTTP is real."""

import asyncio
import base64
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from ocr.faces.cog.schema import PROJECT, openapi
from ocr.faces.gateway.app import application
from ocr.faces.gateway.documents import Fetch
from ocr.faces.gateway.listening import PromptProtocol
from ocr.faces.gateway.settings import GatewaySettings
from ocr.output.writers import WRITERS, metrics
from ocr.types import Element, FinishReason, Markdown, PageEvent, PageResult, PageStart, Raw

SCHEMA = openapi((PROJECT / "predict.py").read_text(encoding="utf-8"))
RESULT = PageResult(1, 640, 480, "deepseek-ocr", "", "", (), FinishReason.STOP, 100, 20, 73, 0.5, 2.0)


def page_events(text: str, number: int = 1, elements: Sequence[Element] = (), **more: Any) -> list[PageEvent]:
    """The events of a page whose markdown comes a word at a time."""
    result = replace(RESULT, page=number, text=text, markdown=text, elements=tuple(elements), **more)
    words = [Markdown(word) for word in text.replace(" ", " \0").split("\0") if word]
    start = PageStart(number, result.width, result.height, result.turned)
    return [start, Raw(text), *words, *elements, result]


@dataclass
class FakeCog:
    """What a Cog server of this package answers over HTTP, its events made by the package's own writers."""

    events: Sequence[PageEvent] = tuple(page_events("Hello world"))
    status: str = "READY"
    slots: int = 1
    pause_s: float = 0.0  # before each event
    is_held: bool = False  # whether predictions wait before their first event
    error: str = ""  # that the prediction fails with, after its events
    dies_after: int | None = None  # so many events: the connection breaks then
    inputs: list[dict[str, Any]] = field(default_factory=list)  # of each prediction that was taken
    documents: list[bytes] = field(default_factory=list)  # likewise
    refused: int = 0  # with 409
    running: int = 0
    cancelled: int = 0
    ids: list[str] = field(default_factory=list)

    @property
    def app(self) -> ASGIApp:
        predictions = Route("/predictions/{id}", self._predict, methods=["PUT"])
        return Starlette(
            routes=[Route("/health-check", self._health), Route("/openapi.json", self._schema), predictions]
        )

    async def _health(self, _request: Request) -> Response:
        is_full = self.status == "READY" and self.running >= self.slots
        return JSONResponse({"status": "BUSY" if is_full else self.status})

    async def _schema(self, _request: Request) -> Response:
        return JSONResponse(SCHEMA)

    async def _predict(self, request: Request) -> Response:
        inputs = json.loads(await request.body())["input"]
        if self.running >= self.slots:
            self.refused += 1
            return JSONResponse({"error": "At capacity - all prediction slots busy"}, 409)
        if inputs.get("task_type", "Free OCR") not in SCHEMA["components"]["schemas"]["task_type"]["enum"]:
            detail = [
                {"loc": ["body", "input", "task_type"], "msg": "is not one of the choices", "type": "value_error"}
            ]
            return JSONResponse({"detail": detail}, 422)
        self.running += 1
        self.ids.append(request.path_params["id"])
        self.documents.append(base64.b64decode(inputs.pop("image").partition(",")[2]))
        self.inputs.append(inputs)
        return StreamingResponse(self._stream(inputs), media_type="text/event-stream")

    async def _stream(self, inputs: dict[str, Any]) -> AsyncIterator[str]:
        try:
            async for name, data in self._told(inputs):
                yield f"event: {name}\ndata: {json.dumps(data)}\n\n"
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def _told(self, inputs: dict[str, Any]) -> AsyncIterator[tuple[str, Any]]:
        yield "start", {"id": self.ids[-1], "status": "processing"}
        while self.is_held:
            await asyncio.sleep(0.01)
        writer = WRITERS[inputs.get("output_format", "markdown")]()
        for number, event in enumerate(self.events):
            await asyncio.sleep(self.pause_s)
            if number == self.dies_after:
                raise ConnectionError("as if the process had been killed")
            if text := writer.write(event):
                yield "output", {"chunk": text}
        if self.error:
            yield "completed", {"status": "failed", "error": f"Prediction failed: {self.error}"}
            return
        yield "output", {"chunk": writer.close()}
        results = [event for event in self.events if isinstance(event, PageResult)]
        yield "completed", {"status": "succeeded", "metrics": {**metrics(results), "predict_time": 2.0}}


@contextlib.contextmanager
def listening(app: ASGIApp, **config: Any) -> Iterator[str]:
    """An application on a free port of this machine, in a thread of its own; gives its URL."""
    server = uvicorn.Server(
        uvicorn.Config(
            app, port=0, http=PromptProtocol, ws="none", log_config=None, timeout_graceful_shutdown=1, **config
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started or not thread.is_alive())
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def gateway(*cogs: FakeCog, fetch: Fetch | None = None, **settings: Any) -> Iterator[str]:
    """A gateway before these servers; gives its URL."""
    with contextlib.ExitStack() as opened:
        urls = [opened.enter_context(listening(cog.app)) for cog in cogs]
        app = application(GatewaySettings(servers=tuple(urls), **settings), fetch)
        yield opened.enter_context(listening(app))


def wait_until(is_so: Any, seconds: float = 30.0) -> None:
    """Wait for something to become true, and fail where it does not."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.01)


def data_url(content: bytes = b"a picture", kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def web(url: str = "") -> httpx.Client:
    """A client that loads no certificates, which takes longer than a request."""
    return httpx.Client(base_url=url, timeout=60, verify=False, trust_env=False)


def request(method: str, url: str, **more: Any) -> httpx.Response:
    with web() as client:
        return client.request(method, url, **more)


get, post, delete, options = (partial(request, method) for method in ("GET", "POST", "DELETE", "OPTIONS"))
