"""How many pages of a document may be read in one request. They are counted before it waits for its turn."""

import os
import sys
import time
from http import HTTPStatus
from typing import IO
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread

from ocr.documents.document import open_document, page_ranges
from ocr.errors import OCRError
from ocr.faces.gateway.refusals import Refusal
from ocr.settings import Settings

AT_ONCE = 4  # documents whose pages are counted, one of each client
COUNT_S = 10.0  # for counting; who takes longer is left to a Cog server's own limits
COUNTED = Settings(max_pages=sys.maxsize)


class PageLimit:
    """Refuses documents of which more than so many pages would be read."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._all = anyio.CapacityLimiter(AT_ONCE)
        self._of_client: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    async def check(self, document: IO[bytes], selection: str, client: str) -> None:
        """Raise Refusal for too many pages. What cannot be opened passes: a Cog server says what is wrong with it."""
        if self._must_fit(selection):
            return
        lock = self._of_client.setdefault(client, anyio.Lock())
        async with lock:
            count = await anyio.to_thread.run_sync(_count, document, selection, limiter=self._all)
        if count > self._most:
            message = (
                f"{count:,} pages are to be read; at most {self._most:,} are read in one request. Select fewer, like "
                f"1-{self._most}, or raise OCR_GATEWAY_MAX_PAGES at the gateway."
            )
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message, param="pages", code="too_many_pages")

    def _must_fit(self, selection: str) -> bool:
        """Whether a selection names too few pages for any document to have too many of them; or names none at all."""
        try:
            ranges = list(page_ranges(selection))
        except OCRError:
            return True
        return bool(ranges) and sum(last - first + 1 for _, first, last in ranges) <= self._most


def _count(document: IO[bytes], selection: str) -> int:
    """How many pages would be read of a document; 0 where that cannot be told."""
    deadline = time.monotonic() + COUNT_S

    def stop() -> None:
        if time.monotonic() > deadline:
            raise TimeoutError

    document.flush()
    copy = os.fdopen(os.dup(document.fileno()), "rb")  # which the opened document closes
    try:
        with open_document(copy, selection, COUNTED, stop=stop) as opened:
            return len(opened.numbers)
    except (OCRError, TimeoutError):
        return 0
