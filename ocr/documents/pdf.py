"""The pages of a PDF, drawn by PDFium in a process of its own. Knows no selection of pages and no other format."""

import contextlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

from PIL import Image

from ocr.documents.decoding import check_size
from ocr.documents.page import DrawnPage
from ocr.errors import InputError, SetupError

MARK, MARK_WITHIN = b"%PDF-", 1024  # bytes from the start, as readers of damaged files allow
END, END_WITHIN = b"startxref", 4096  # bytes from the end; where PDFium finds none it guesses what the file holds
MIN_DPI, MAX_DPI = 72, 600
MEMORY = 2 * 2**30  # bytes for what a page is drawn from, its pixels not counted
SECONDS = 60  # of processor time to open the file, and for each page
PAGES = 100  # that one process draws: PDFium keeps what it has read of the file

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
        _check_end(file)
        self._file = file
        self._dpi = dpi
        self._max_pixels = max_pixels
        self._process: _Process | None = None
        self._drawn = 0
        self.count = 0
        self._open()

    def draw(self, number: int) -> DrawnPage:
        """A page, from 1. Raises InputError for one that is damaged or exceeds a limit."""
        width, height = self._ask("size", number)[0]["size"]
        what, advice = f"Page {number} at {self._dpi} dpi", self._advice(width, height)
        check_size((width, height), self._max_pixels, what, advice)
        answer, pixels = self._ask("draw", number)
        self._drawn += 1
        if self._drawn % PAGES == 0:
            self.close()
        return DrawnPage(Image.frombytes("RGB", answer["size"], pixels, "raw", "BGR"))

    def close(self) -> None:
        """End the process; the file is its opener's to close."""
        if self._process is not None:
            self._process.close()
        self._process = None

    def _advice(self, width: int, height: int) -> str:
        for dpi in range(self._dpi - 1, MIN_DPI - 1, -1):
            if math.ceil(width * dpi / self._dpi) * math.ceil(height * dpi / self._dpi) <= self._max_pixels:
                return f"Set dpi to {dpi} or less"
        return "Send a smaller one"

    def _open(self) -> "_Process":
        """A process that has the file open; how many pages it found is the count."""
        self._process = _Process(self._file.fileno(), self._dpi, MEMORY + 3 * self._max_pixels)
        answer, _ = self._answer(self._process, "", "The PDF cannot be opened")
        if "refusal" in answer:
            self.close()
            damaged = f"The PDF is damaged and cannot be opened: {answer['problem']}"
            raise InputError(_REFUSALS.get(answer["refusal"], damaged))
        self.count = int(answer["pages"])
        return self._process

    def _ask(self, verb: str, number: int) -> tuple[dict[str, Any], bytes]:
        page = f"Page {number} of the PDF"
        process = self._process or self._open()
        answer, pixels = self._answer(process, f"{verb} {number}\n", f"{page} cannot be drawn")
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
    """One process that draws one PDF: `ocr.documents.pdf_process`, with `memory` bytes at most."""

    def __init__(self, descriptor: int, dpi: int, memory: int) -> None:
        self._process = subprocess.Popen(  # noqa: S603  our own interpreter and module
            [sys.executable, "-m", "ocr.documents.pdf_process", *map(str, (descriptor, dpi, memory, SECONDS))],
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


def _check_end(file: IO[bytes]) -> None:
    """Raise InputError for a file that is cut off.

    PDFium would put together what it finds, and the missing pages, or parts of pages, would be lost in silence.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - END_WITHIN))
    if END not in file.read():
        raise InputError("The PDF is damaged: its end is missing, and pages may be too. Send it again, whole.")
