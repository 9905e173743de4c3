"""The pages of a PDF, drawn by PDFium in a process of its own. Knows no selection of pages and no other format."""

import contextlib
import json
import math
import mmap
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from PIL import Image

from ocr.documents.decoding import check_size
from ocr.documents.page import DrawnPage
from ocr.errors import InputError, SetupError, choices

MARK, MARK_WITHIN = b"%PDF-", 1024  # bytes from the start, as readers of damaged files allow
TABLE, END = b"startxref", b"%%EOF"  # at the end of what counts; where PDFium finds none it guesses what there is
_OBJECT = re.compile(rb"\d\s+\d+\s+obj\b|endobj|endstream")
MIN_DPI, MAX_DPI = 72, 600
MEMORY = 2 * 2**30  # bytes for what a page is drawn from, its pixels not counted
SECONDS = 60  # of processor time to open the file, and for each page
PAGES = 100  # that one process draws: PDFium keeps what it has read of the file

POINTS_PER_INCH = 72  # a PDF's unit
EMBED = "Send a PDF with its fonts embedded, or install fonts with these letters on the server."

_PROJECT = Path(__file__).resolve().parents[2]
_REFUSALS = {
    "password": "The PDF is protected with a password; send a copy without one.",
    "security": "The PDF is protected in a way that cannot be opened; send a copy without protection.",
    "empty": "The PDF has no pages.",
}


class Pdf:
    """One PDF: the number of its pages, and each of them drawn when it is asked for.

    A PDF says how it is to be drawn, and one of a few hundred bytes can ask for all the memory there is: a form that
    contains itself twice does. So PDFium has a process of its own with limits. A page that breaks them, or PDFium,
    ends that process and is an error; the next page gets another process, as do the pages after every PAGES ones.

    Raises InputError for a file that cannot be opened: damaged, protected and empty ones are told apart.
    """

    def __init__(self, file: IO[bytes], *, dpi: int, max_pixels: int) -> None:
        self._file = file
        self._length = _length(file)
        self._dpi = dpi
        self._max_pixels = max_pixels
        self._process: _Process | None = None
        self._drawn = 0
        self.count = 0
        self._open()

    def draw(self, number: int) -> DrawnPage:
        """A page, from 1. Raises InputError for one that is damaged or exceeds a limit."""
        points = self._ask("size", number)[0]["size"]
        if min(points) <= 0:
            raise InputError(
                f"Page {number} of the PDF shows nothing: its crop box lies outside its media box. "
                "Send a PDF whose boxes overlap."
            )
        dpi = _fitting_dpi(points, self._dpi, self._max_pixels)
        check_size(_pixels(points, dpi), self._max_pixels, f"Page {number} at {dpi:g} dpi")
        problems = [_coarser(number, points, self._dpi, dpi, self._max_pixels)] if dpi < self._dpi else []
        page = self._drawn_page(number, dpi, problems)
        if page.is_blank and (fonts := self._ask("text", number)[0]["fonts"]):
            raise InputError(
                f"Page {number} of the PDF has text, but nothing of it shows: it is as light as the page, or its "
                f"letters cannot be drawn. Its fonts are: {choices(fonts)}. {EMBED}"
            )
        self._drawn += 1
        if self._drawn % PAGES == 0:
            self.close()
        return page

    def _drawn_page(self, number: int, dpi: float, problems: Sequence[str]) -> DrawnPage:
        answer, pixels = self._ask("draw", number, f"{dpi}")
        image = Image.frombytes("RGB", answer["size"], pixels, "raw", "BGR")
        return DrawnPage(image, (*problems, *_problems(number, answer)))

    def close(self) -> None:
        """End the process; the file is its opener's to close."""
        if self._process is not None:
            self._process.close()
        self._process = None

    def _open(self) -> "_Process":
        """A process that has the file open; how many pages it found is the count."""
        self._process = _Process(self._file.fileno(), self._length, MEMORY + 3 * self._max_pixels)
        answer, _ = self._answer(self._process, "", "The PDF cannot be opened")
        if "refusal" in answer:
            self.close()
            damaged = f"The PDF is damaged and cannot be opened: {answer['problem']}"
            raise InputError(_REFUSALS.get(answer["refusal"], damaged))
        self.count = int(answer["pages"])
        return self._process

    def _ask(self, verb: str, number: int, *more: str) -> tuple[dict[str, Any], bytes]:
        page = f"Page {number} of the PDF"
        process = self._process or self._open()
        answer, pixels = self._answer(process, " ".join((verb, str(number), *more)) + "\n", f"{page} cannot be drawn")
        if "problem" in answer:
            raise InputError(f"{page} is damaged and cannot be drawn: {answer['problem']}")
        return answer, pixels

    def _answer(self, process: "_Process", question: str, failure: str) -> tuple[dict[str, Any], bytes]:
        try:
            return process.ask(question)
        except _EndedError:
            self._process = None
            raise InputError(
                f"{failure}: it takes more than {SECONDS} s or {MEMORY / 2**30:g} GiB, or breaks the PDF reader."
            ) from None


class _EndedError(Exception):
    """The system, or PDFium, ended the process over what it was asked."""


class _Process:
    """One process that draws one PDF: `ocr.documents.pdf_drawing`, with `memory` bytes at most."""

    def __init__(self, descriptor: int, length: int, memory: int) -> None:
        self._process = subprocess.Popen(  # noqa: S603  our own interpreter and module
            [sys.executable, "-m", "ocr.documents.pdf_drawing", *map(str, (descriptor, length, memory, SECONDS))],
            cwd=_PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(descriptor,),
            start_new_session=True,  # Ctrl-C is for this program, which then ends the process itself
        )

    def ask(self, question: str) -> tuple[dict[str, Any], bytes]:
        """The answer, with its pixels. Raises _EndedError for none, SetupError where there never could be one."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None  # noqa: S101
        try:
            process.stdin.write(question.encode())
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            return answer, _exactly(answer["bytes"], process.stdout)
        except (OSError, EOFError, json.JSONDecodeError):  # no answer, or half of one
            status = process.wait()
            self.close()
            if status > 0:
                raise SetupError("The process that draws PDFs cannot run; its standard error says why.") from None
            raise _EndedError from None

    def close(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        with contextlib.suppress(OSError):  # of a question that was never read
            self._process.communicate()


def _exactly(count: int, stream: IO[bytes]) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _length(file: IO[bytes]) -> int:
    """How many bytes of a file are the PDF: what comes after its end is none of it.

    Raises InputError for a file that is cut off. PDFium would put together what it finds, and the missing pages, or
    parts of pages, would be lost in silence.
    """
    file.flush()  # nothing may be left between this file and its descriptor, which the process is handed
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        table = data.rfind(TABLE)
        end = data.find(END, table) + len(END)
        if table < 0 or _OBJECT.search(data, table):  # the end of an earlier version, with a part of the next one
            raise InputError("The PDF is damaged: its end is missing, and pages may be too. Send it again, whole.")
        return end if end > table else len(data)


def _pixels(points: tuple[float, float], dpi: float) -> tuple[int, int]:
    """Width and height in pixels, from those in points."""
    width, height = (math.ceil(side * dpi / POINTS_PER_INCH) for side in points)
    return width, height


def _fitting_dpi(points: tuple[float, float], wanted: int, max_pixels: int) -> float:
    """The wanted dpi, or the finest one below it at which a page has no more than `max_pixels`."""
    if math.prod(_pixels(points, wanted)) <= max_pixels:
        return wanted
    dpi = POINTS_PER_INCH * math.sqrt(max_pixels / math.prod(points))
    dpi = math.floor(dpi) if dpi > 10 else dpi
    while math.prod(_pixels(points, dpi)) > max_pixels:
        dpi *= 0.999
    return dpi


def _coarser(number: int, points: tuple[float, float], wanted: int, dpi: float, max_pixels: int) -> str:
    width, height = points[0] / POINTS_PER_INCH, points[1] / POINTS_PER_INCH
    count = math.prod(_pixels(points, wanted))
    return (
        f"Page {number} is {width:.4g} x {height:.4g} inches and would have {count:,} pixels at {wanted} dpi; at most "
        f"{max_pixels:,} are read. It is drawn at {dpi:.3g} dpi: small print may be lost. "
        "OCR_MAX_PIXELS on the server can be raised."
    )


def _problems(number: int, answer: Mapping[str, Any]) -> Iterator[str]:
    """What of a page is not in its drawing."""
    if answer["is_placeholder"]:
        yield (
            f"Page {number} is the placeholder of an XFA form, whose own pages are not drawn. "
            "Print the form into a PDF and send that."
        )
    for font, letters in answer.get("lost", {}).items():
        yield (
            f"Page {number} has {len(letters)} different letters that are not drawn ({letters[:10]}): the font "
            f"{font or 'of a form field'} is not embedded, and no font on the server has them. {EMBED}"
        )
    for font in answer.get("unknown", ()):
        yield (
            f"Page {number} has text in the font {font}, which is not embedded, and does not say which letters it is: "
            "it may be drawn wrong. Send a PDF with its fonts embedded."
        )
