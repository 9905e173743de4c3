"""One document through whichever Cog server has room: its output as it comes, its figures at the end."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from http import HTTPStatus
from typing import IO, Any

from ocr.errors import choices
from ocr.faces.gateway.asking import OWN_FIELDS
from ocr.faces.gateway.figures import Figures
from ocr.faces.gateway.page_limit import PageLimit
from ocr.faces.gateway.refusals import Refusal, full, wrong
from ocr.faces.gateway.servers import Chunk, CogServer, Done, NotTakenError
from ocr.faces.gateway.turns import KNOCK_S, Turns

AHEAD = 1 << 20  # bytes that are taken from Cog before a slow client takes them, so that its slot is free early
CHUNK = 200  # bytes of a chunk beside its text


class _Output:
    """What has come of a prediction and was not taken yet: so much that its text takes about AHEAD."""

    def __init__(self) -> None:
        self._items: asyncio.Queue[Chunk | Done | Exception] = asyncio.Queue()
        self._bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    async def put(self, item: Chunk | Done | Exception) -> None:
        await self._room.wait()
        self._items.put_nowait(item)
        self._count(item, 1)

    async def get(self) -> Chunk | Done | Exception:
        item = await self._items.get()
        self._count(item, -1)
        return item

    def _count(self, item: Chunk | Done | Exception, sign: int) -> None:
        self._bytes += sign * (CHUNK + (len(item.text) if isinstance(item, Chunk) else 0))
        if self._bytes < AHEAD:
            self._room.set()
        else:
            self._room.clear()


class Reader:
    """Reads documents with the servers behind some Turns."""

    def __init__(self, turns: Turns, figures: Figures, pages: PageLimit, *, limit_s: float) -> None:
        self.turns = turns
        self._pages = pages
        self._figures = figures
        self._limit_s = limit_s

    async def read(self, document: IO[bytes], inputs: Mapping[str, Any], client: str) -> AsyncGenerator[Chunk | Done]:
        """The output of one prediction, and its figures as the last; closing the generator cancels it.

        Raises Refusal where it has too many pages, is not taken, fails, or takes longer than the limit, its wait not
        counted.
        """
        await self._pages.check(document, str(inputs.get("pages", "")), client)
        output = _Output()
        reading = asyncio.create_task(self._until_taken(document, inputs, client, output))
        try:
            while not isinstance(item := await output.get(), Done):
                if isinstance(item, Exception):
                    raise item
                yield item
            self._figures.read(item.metrics)
            yield item
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading

    async def _until_taken(self, document: IO[bytes], inputs: Mapping[str, Any], client: str, output: _Output) -> None:
        """The prediction into the queue, as fast as it comes; what ends it early goes the same way."""
        began = time.monotonic()
        again = False
        try:
            while True:
                with contextlib.suppress(NotTakenError):
                    return await self._turn(document, inputs, client, output, again)
                if time.monotonic() - began > self.turns.patience_s:
                    raise full("The Cog servers had no free slot. Try again later.")
                await asyncio.sleep(KNOCK_S)  # another caller of theirs was quicker, or one is about to be free
                again = True
        except Exception as error:
            await output.put(error)

    async def _turn(
        self, document: IO[bytes], inputs: Mapping[str, Any], client: str, output: _Output, again: bool
    ) -> None:
        came = time.monotonic()
        async with self.turns.turn(client, again=again) as (ticket, server):
            self._figures.waited(time.monotonic() - came)
            _check_names(inputs, server)
            try:
                async with (
                    asyncio.timeout(self._limit_s),
                    server.prediction(uuid.uuid4().hex, inputs, document) as items,
                ):
                    self.turns.accepted(ticket)
                    async for item in items:
                        await output.put(item)
            except TimeoutError:
                message = f"The document was not read within {self._limit_s:g} s. Ask for fewer pages."
                raise Refusal(HTTPStatus.GATEWAY_TIMEOUT, message, code="timeout") from None


def _check_names(inputs: Mapping[str, Any], server: CogServer) -> None:
    """Raise Refusal for an input that the server lacks: Cog would drop it without a word."""
    if unknown := [name for name in inputs if name not in server.inputs]:
        allowed = choices(sorted(server.inputs - OWN_FIELDS))
        raise wrong(f"{unknown[0]!r} is no option; there are: {allowed}.", f"ocr.{unknown[0]}")
