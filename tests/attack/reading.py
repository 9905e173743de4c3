"""Reads files that come on standard input, as a process of its own that its parent watches.

Each file is a line with its length and then its bytes; each answer a line of JSON: what came of it, and what this
process holds.
"""

import json
import os
import sys
import time

from ocr.documents.document import open_document
from ocr.documents.page import DrawnPage
from ocr.errors import InputError
from ocr.settings import Settings
from tests.attack.processes import Use, family, peak_mb, start_peak

SETTINGS = Settings(max_pixels=50_000_000, max_pages=20)


def read(data: bytes) -> str:
    """`read`, `refused` for a file or all its pages, or the sentence of what should not have been raised."""
    try:
        with open_document(data, "", SETTINGS) as document:
            pages = [page for _, page in document]
            drawn = [page for page in pages if isinstance(page, DrawnPage)]
            for page in drawn:
                assert page.image.mode == "RGB"
                page.is_blank  # noqa: B018  it looks at every pixel
            return "read" if drawn else "refused"
    except InputError as error:
        return "refused" if str(error) else "refused without a reason"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def main() -> None:
    while line := sys.stdin.buffer.readline():
        data = sys.stdin.buffer.read(int(line))
        start_peak(family(os.getpid()))
        started = time.monotonic()
        outcome = read(data)
        seconds = time.monotonic() - started
        pids = family(os.getpid())
        answer = {"outcome": outcome, "seconds": seconds, "mb": peak_mb(pids), "use": Use.of(pids).fields()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
