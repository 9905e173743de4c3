"""Draws the pages of one PDF, as the process of its own that `pdf.py` starts and explains. Knows PDFium alone.

    python -m ocr.documents.pdf_process DESCRIPTOR DPI MEMORY SECONDS

The file is an open descriptor. Whoever started the process asks on its standard input, a line `size PAGE` or
`draw PAGE` at a time, pages counted from 1; each answer, like the first one on the file itself, is a line of JSON on
standard output, and a drawing's is followed by its pixels.
"""

import contextlib
import json
import math
import os
import resource
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pypdfium2 as pdfium

POINTS_PER_INCH = 72  # a PDF's unit
REFUSALS: Mapping[int, str] = {
    pdfium.raw.FPDF_ERR_PASSWORD: "password",
    pdfium.raw.FPDF_ERR_SECURITY: "security",
    pdfium.raw.FPDF_ERR_SUCCESS: "empty",  # a document that was understood and has no page
}


def main() -> None:
    descriptor, dpi, memory, seconds = map(int, sys.argv[1:])
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, memory)
    _allow(seconds)
    try:
        document = pdfium.PdfDocument(os.fdopen(descriptor, "rb"))
    except pdfium.PdfiumError as error:
        _answer({"refusal": REFUSALS.get(error.err_code, "damaged"), "problem": str(error)})
        return
    with contextlib.suppress(pdfium.PdfiumError):
        document.init_forms()  # what was filled into a form is drawn only then; no script is run for it
    _answer({"pages": len(document)})
    for line in sys.stdin:
        verb, number = line.split()
        _allow(seconds)
        try:
            _answer(*VERBS[verb](document, int(number) - 1, dpi / POINTS_PER_INCH))
        except Exception as error:  # whatever is wrong with this page, the next one may be well
            _answer({"problem": str(error) or type(error).__name__})


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _allow(seconds: int) -> None:
    """Grant that many more seconds of processor time; the system ends the process after them."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime) + seconds)


def _answer(values: dict[str, Any], pixels: bytes | memoryview = b"") -> None:
    sys.stdout.buffer.write(json.dumps({**values, "bytes": len(pixels)}).encode() + b"\n")
    sys.stdout.buffer.write(pixels)
    sys.stdout.buffer.flush()


def _size(document: pdfium.PdfDocument, index: int, scale: float) -> tuple[dict[str, Any]]:
    width, height = document.get_page_size(index)  # points, as the page is turned; nothing of it is drawn for this
    return ({"size": [math.ceil(width * scale), math.ceil(height * scale)]},)


def _draw(document: pdfium.PdfDocument, index: int, scale: float) -> tuple[dict[str, Any], memoryview]:
    with contextlib.closing(document[index]) as page:
        bitmap = page.render(scale=scale)  # rows without padding, blue, green and red a pixel
        return {"size": [bitmap.width, bitmap.height]}, memoryview(bitmap.buffer).cast("B")


VERBS: Mapping[str, Callable[[pdfium.PdfDocument, int, float], tuple[Any, ...]]] = {"size": _size, "draw": _draw}


if __name__ == "__main__":
    main()
