"""One document, drawn by a process within limits of time and memory. Knows no format."""

import contextlib
import math
import signal
import time
from collections.abc import Iterator, Mapping
from typing import IO, Any

from PIL import Image

from ocr.documents.page import DrawnPage
from ocr.documents.processes import OUT_OF_MEMORY, POOL, EndedError, Process, Stop
from ocr.documents.text_layer import TextLayer, text_layer
from ocr.errors import InputError
from ocr.settings import Settings

SECONDS = 60  # of processor time to open a file, and for each page
TEXT_SECONDS = 10  # for the text of a page; one of 50,000 characters takes 2
MEMORY = 2 * 2**30  # bytes to open a file and draw a page; more only where OCR_MAX_PIXELS is above its default
PAGES = 100  # after which a document is opened anew: PDFium keeps what it has read of a file


class Drawing:
    """The pages of one file, each drawn when it is asked for.

    A file says how it is to be drawn, and one of a few hundred bytes can ask for all the memory there is, or for
    hours. So a process does it that has limits. A page that breaks them, or its decoder, ends that process and is an
    error; the next page gets another process. All pages together have the time that OCR_DRAWING_S says.

    Raises InputError for a file that cannot be read.
    """

    def __init__(
        self,
        file: IO[bytes],
        dpi: int,
        settings: Settings,
        stop: Stop,
        *,
        has_layers: bool = False,
        password: str = "",
    ) -> None:
        """`has_layers` is whether the text layers of pages are wanted too; `password` opens a protected PDF."""
        file.flush()  # nothing may be left between this file and its descriptor, which the process is handed
        self._descriptor = file.fileno()
        self._dpi, self._settings, self._stop, self._has_layers = dpi, settings, stop, has_layers
        self._password = password  # told over the socket alone: what is in arguments or the environment others can see
        self._memory = round(MEMORY * max(1.0, settings.max_pixels / Settings.max_pixels))
        self._left = float(settings.drawing_s)
        self._process: Process | None = None
        self._is_open = False
        self._drawn = 0
        try:
            self.count = self._open("The file cannot be opened")
        except BaseException:
            self.close()
            raise

    def draw(self, number: int) -> DrawnPage:
        """A page, from 1. Raises InputError for one that cannot be read or exceeds a limit."""
        failure = f"Page {number} cannot be drawn"
        if not self._is_open:
            self._open(failure)
        with self._limited(failure) as (process, seconds):
            answer = process.ask({"verb": "draw", "number": number, "seconds": seconds}, self._stop)
            self._account(answer)
            image = process.pixels(answer["size"], self._stop)
        self._drawn += 1
        self._is_open = self._drawn % PAGES > 0
        layer = self._layer(number, image) if self._has_layers and not answer["is_blank"] else None
        return DrawnPage(image, tuple(answer["problems"]), answer["is_blank"], layer=layer)

    def _layer(self, number: int, image: Image.Image) -> TextLayer | None:
        """The text layer of a page that is drawn; where it cannot be read, one without text that says why."""
        try:
            with self._limited("Its text cannot be read", TEXT_SECONDS) as (process, seconds):
                answer = process.ask({"verb": "text", "number": number, "seconds": seconds}, self._stop)
                self._account(answer)
        except InputError as error:
            return TextLayer(doubt=str(error))
        return text_layer(answer["text"], image) if answer["text"] else None

    def close(self) -> None:
        """Let go of the process; the file is its opener's to close."""
        process, self._process, self._is_open = self._process, None, False
        if process is not None:
            POOL.give(process)

    def _open(self, failure: str) -> int:
        """Have the file opened in a process; how many pages it has."""
        limits = {"dpi": self._dpi, "max_pixels": self._settings.max_pixels, "memory": self._memory}
        with self._limited(failure) as (process, seconds):
            question = {"verb": "open", "seconds": seconds, "password": self._password, **limits}
            answer = process.ask(question, self._stop, self._descriptor)
            self._account(answer)
        self._is_open = True
        return int(answer["pages"])

    @contextlib.contextmanager
    def _limited(self, failure: str, most: int | None = None) -> Iterator[tuple[Process, int]]:
        """A block with a process and the seconds that it may take. Raises InputError where it breaks a limit in it."""
        if self._left <= 0:
            raise InputError(
                f"{failure}: the document has used up its {self._settings.drawing_s} s of processor time. "
                "Send fewer pages at a time, or raise OCR_DRAWING_S on the server."
            )
        seconds = min(SECONDS if most is None else most, math.ceil(self._left))
        began = time.monotonic()
        self._process = self._process or POOL.take(self._stop)
        try:
            yield self._process, seconds
        except EndedError as ended:
            self._process, self._is_open = None, False
            self._left -= min(seconds, time.monotonic() - began)
            raise InputError(f"{failure}: {self._reason(ended, seconds)}.") from None

    def _account(self, answer: Mapping[str, Any]) -> None:
        """Count the time that an answer took. Raises InputError for one that says what cannot be read."""
        self._left -= answer["seconds"]
        if "error" in answer:
            raise InputError(answer["error"])

    def _reason(self, ended: EndedError, seconds: int) -> str:
        if ended.status == -signal.SIGXCPU:
            return f"it takes more than {seconds} s of processor time"
        memory = f"takes more than {self._memory / 2**30:.3g} GiB of memory"
        return f"it {memory}" if ended.status == OUT_OF_MEMORY else f"it breaks its decoder, or {memory}"
