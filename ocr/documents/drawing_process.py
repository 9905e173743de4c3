"""Draws the pages of one document after another, as the process that `processes.py` starts and `drawing.py` explains.

    python -m ocr.documents.drawing_process SOCKET MAILBOX

Both are open descriptors. Whoever started the process asks over the socket, one question at a time, and the first
answer says that it can; questions and answers are lines of JSON. A question's `verb` is one of these:

    open     a file, whose descriptor comes along, with these limits and this password: how many pages it has
    draw     a page by its number, from 1: its size and what is known of it; its first area is in the mailbox
    put      another area of that page into the mailbox
    text     of a page by its number: the text that the file has of it
    close    the file: by how many bytes the process has grown since it started

All but `put` and `close` grant `seconds` of processor time, and each answer says how many were used, or the error that
was made. The process ends where they are not enough, where it is refused memory, and when its standard input closes.
"""

import contextlib
import fcntl
import json
import math
import os
import resource
import select
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ocr.documents import blank  # noqa: F401  what every page needs is imported before the first is asked for
from ocr.documents.mailbox import Area, Mailbox, areas
from ocr.documents.page import DrawnPage
from ocr.documents.pages import Pages, open_pages
from ocr.documents.processes import OUT_OF_MEMORY
from ocr.errors import InputError

Answer = dict[str, Any]
MOST_SAID = 2000  # characters of an error: what is damaged may be quoted in it at any length


def main() -> None:
    end_with_standard_input()
    connection, mailbox = map(int, sys.argv[1:])
    limit(resource.RLIMIT_CORE, 0)
    with socket.socket(fileno=connection) as asked:
        process = DrawingProcess(Mailbox(mailbox))
        tell(asked, {})
        hush()
        while question := heard(asked):
            tell(asked, process.answer(*question))


def end_with_standard_input() -> None:
    """Have the system end this process when the other end of its standard input closes, whatever it is doing."""
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)  # from here on SIGIO, which ends it
    if select.select([0], [], [], 0)[0]:  # closed before
        sys.exit()


def limit(what: int, most: int) -> None:
    """Limit what this process may use, as far as the system lets it."""
    _, hard = resource.getrlimit(what)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def hush() -> None:
    """Close standard error: what decoders say of a damaged file belongs in no log, and may be endless."""
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  a name, not a path
        os.dup2(nowhere.fileno(), 2)


def heard(asked: socket.socket) -> tuple[Answer, list[int]] | None:
    """The next question, and the descriptor that came along; None at the end."""
    line, descriptors, _, _ = socket.recv_fds(asked, 2**16, 1)
    return (json.loads(line), descriptors) if line else None


def tell(asked: socket.socket, answer: Answer) -> None:
    asked.sendall(json.dumps(answer).encode() + b"\n")


def used_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory_in_use() -> int:
    """Bytes of this process's address space; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return 0


class DrawingProcess:
    """The document that is open, and the page of it that was drawn last."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._pages: Pages | None = None
        self._opened = contextlib.ExitStack()
        self._page: DrawnPage | None = None
        self._used = 0.0  # seconds, up to the last answer
        self._start = memory_in_use()

    def answer(self, question: Answer, descriptors: list[int]) -> Answer:
        """The answer to a question."""
        if "seconds" in question:
            limit(resource.RLIMIT_CPU, math.ceil(used_seconds()) + question.pop("seconds"))
        verb = self.VERBS[question.pop("verb")]
        try:
            answer = verb(self, *descriptors, **question)
        except InputError as error:
            answer = {"error": str(error)[:MOST_SAID]}
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        except Exception as error:  # whatever is wrong with this page, the next one may be well
            answer = {"error": f"It breaks its decoder: {type(error).__name__}: {error}"[:MOST_SAID]}
        before, self._used = self._used, used_seconds()
        return {**answer, "seconds": self._used - before}

    def open(self, descriptor: int, *, dpi: int, max_pixels: int, memory: int, password: str) -> Answer:
        """Open a document in the place of the one before."""
        self.close()
        file = self._opened.enter_context(os.fdopen(descriptor, "rb"))
        limit(resource.RLIMIT_AS, memory_in_use() + memory)
        self._pages = open_pages(file, dpi=dpi, max_pixels=max_pixels, password=password)
        self._opened.callback(self._pages.close)
        return {"pages": self._pages.count}

    def draw(self, *, number: int) -> Answer:
        """Draw a page and look whether it is blank; where something is missing in it, that may be why it looks so."""
        assert self._pages is not None  # noqa: S101
        self._page = None
        page = self._pages.draw(number)
        is_blank = not page.problems and page.is_blank
        self._page = page
        self.put(area=next(areas(page.image.size)))
        return {"size": page.image.size, "problems": page.problems, "is_blank": is_blank}

    def put(self, *, area: Area) -> Answer:
        """Put an area of the page into the mailbox; after its last one the page is forgotten."""
        assert self._page is not None  # noqa: S101
        image = self._page.image
        self._mailbox.put(image, area)
        if tuple(area[2:]) == image.size:
            self._page = None
        return {}

    def text(self, *, number: int) -> Answer:
        """What the file has of a page's text, for `text_layer.text_layer`."""
        assert self._pages is not None  # noqa: S101
        return {"text": self._pages.text(number)}

    def close(self) -> Answer:
        """Close the document."""
        self._pages = self._page = None
        self._opened.close()
        return {"kept": memory_in_use() - self._start}

    VERBS: Mapping[str, Callable[..., Answer]] = {
        "open": open,
        "draw": draw,
        "put": put,
        "text": text,
        "close": close,
    }


if __name__ == "__main__":
    main()
