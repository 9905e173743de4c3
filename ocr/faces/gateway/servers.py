"""One Cog server of this package, over HTTP: its health, and one prediction whose text comes as it is written."""

import base64
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import anyio.to_thread
import httpx
from httpx_sse import EventSource

from ocr.faces.failures import failure
from ocr.faces.gateway.refusals import Refusal, lost, of_error, wrong

READY, BUSY, STARTING, DOWN = "READY", "BUSY", "STARTING", "DOWN"  # the first three in Cog's words
HEALTH_S = 2.0  # for a word on its health
CONNECT_S = 5.0
SILENCE_S = 600.0  # between two events: a model's first look at a page on a slow machine takes minutes
PIECE = 3 << 18  # bytes of a document that are sent in one piece; a multiple of 3, as base64 counts


@dataclass(frozen=True)
class Chunk:
    """Some more of a prediction's output."""

    text: str


@dataclass(frozen=True)
class Done:
    """The prediction has succeeded; the figures are those that predict() records."""

    metrics: Mapping[str, Any]


class NotTakenError(Exception):
    """The server did not take the prediction; another one may."""


class CogServer:
    """A Cog server. `state` is what it last said of itself, `in_hand` how many predictions of ours it has."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url = url.rstrip("/")
        self.state = STARTING
        self.in_hand = 0
        self.inputs: frozenset[str] = frozenset()  # the names of its inputs, once it was ready
        self._http = http

    @property
    def is_up(self) -> bool:
        """Whether it can read, now or when it has a slot free."""
        return self.state in (READY, BUSY)

    async def look(self) -> str:
        """Ask it for its state, and the first time also for its inputs."""
        try:
            answer = await self._http.get(f"{self.url}/health-check", timeout=HEALTH_S)
            self.state = str(answer.raise_for_status().json()["status"])
            if self.is_up and not self.inputs:
                schema = await self._http.get(f"{self.url}/openapi.json", timeout=HEALTH_S)
                self.inputs = frozenset(schema.json()["components"]["schemas"]["Input"]["properties"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            self.state = DOWN
        return self.state

    @contextlib.asynccontextmanager
    async def prediction(
        self, id_: str, inputs: Mapping[str, Any], document: IO[bytes]
    ) -> AsyncIterator[AsyncIterator[Chunk | Done]]:
        """One prediction, accepted when the block begins; leaving the block before its end cancels it.

        Raises NotTakenError where the server has no slot or cannot be reached, Refusal for everything else that
        goes wrong, on entering or while the output comes.
        """
        try:
            async with self._http.stream(
                "PUT",
                f"{self.url}/predictions/{id_}",
                content=_body(inputs, document),
                headers={"Accept": "text/event-stream", "Content-Type": "application/json"},
                timeout=httpx.Timeout(CONNECT_S, read=SILENCE_S, write=CONNECT_S * 6),
            ) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise _refused(answer.status_code, (await answer.aread()).decode(errors="replace"))
                async with contextlib.aclosing(_output(answer)) as output:
                    yield output
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            self.state = DOWN
            raise NotTakenError from error
        except httpx.HTTPError as error:
            raise lost(str(error) or type(error).__name__) from error


async def _body(inputs: Mapping[str, Any], document: IO[bytes]) -> AsyncIterator[bytes]:
    """The request as Cog takes it, the document as a data: URL, never whole in memory."""
    head = json.dumps({"input": {**inputs, "image": "data:application/octet-stream;base64,"}})
    yield head[: -len('"}}')].encode()
    document.seek(0)
    while piece := await anyio.to_thread.run_sync(document.read, PIECE):
        yield base64.b64encode(piece)
    yield b'"}}'


def _refused(status: int, text: str) -> Exception:
    """What an answer other than 200 means: no room or not up; wrong inputs; or that the server is broken."""
    if status in (httpx.codes.CONFLICT, httpx.codes.SERVICE_UNAVAILABLE):
        return NotTakenError(text)
    with contextlib.suppress(ValueError, KeyError, TypeError, IndexError):
        details = json.loads(text)["detail"]
        return wrong("; ".join(f"{it['loc'][-1]}: {it['msg']}" for it in details), str(details[0]["loc"][-1]))
    return lost(f"it answered {status}")


async def _output(answer: httpx.Response) -> AsyncGenerator[Chunk | Done]:
    """The stream to its very end, so that its connection can serve the next."""
    end = None
    async with contextlib.aclosing(EventSource(answer).aiter_sse()) as events:
        async for event in events:
            if event.event == "output":
                yield Chunk(json.loads(event.data)["chunk"])
            elif event.event == "completed":
                end = json.loads(event.data)
    if end is None:
        raise lost("its stream ended before the prediction did")
    yield _end(end)


def _end(told: Mapping[str, Any]) -> Done:
    if told["status"] != "succeeded":
        raise _failed(str(told.get("error") or f"The prediction ended as {told['status']}."))
    return Done(told.get("metrics") or {})


def _failed(told: str) -> Refusal:
    return of_error(failure(told))
