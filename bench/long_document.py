"""The memory that documents of many pages take: PDFs of 10 to 1,000 pages, each gone through by a process of its own.

    python -m bench.long_document

Each page is a scan like no other, so that whatever was kept from one page to the next would show. Two processes are
looked at: the one that goes through the pages, and the one that draws them for it (see `ocr/documents/drawing.py`).
"""

import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2 as pdfium
from PIL import Image, ImageDraw

from ocr.documents.document import open_document
from ocr.documents.page import DrawnPage
from ocr.settings import Settings

PAGES = (10, 100, 1000)
WIDTH, HEIGHT = 595, 842  # points; A4


def scan(number: int) -> io.BytesIO:
    """A page as a scanner sends it, a JPEG at 72 dpi: lines of print that name the page, and grain of its own."""
    grain = np.random.default_rng(number).normal(240, 3, (HEIGHT, WIDTH))
    page = Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(page)
    for line in range(40):
        draw.text((60, 60 + 18 * line), f"Page {number}, line {line} of a document of many pages", font_size=12)
    file = io.BytesIO()
    page.save(file, "JPEG", quality=60)
    return file


def write_pdf(path: Path, pages: int) -> None:
    """A PDF of this many scans."""
    document = pdfium.PdfDocument.new()
    for number in range(1, pages + 1):
        image = pdfium.PdfImage.new(document)
        image.load_jpeg(scan(number), inline=True)
        image.set_matrix(pdfium.PdfMatrix().scale(WIDTH, HEIGHT))
        page = document.new_page(WIDTH, HEIGHT)
        page.insert_obj(image)
        page.gen_content()
        page.close()
    document.save(path)


def peak(process: str) -> float:
    """The most memory that a process has had resident so far, in MB, as Linux tells it."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def go_through(path: Path, _pages: int) -> dict[str, float]:
    """Draw every page at 200 dpi and look at its pixels; the peaks of both processes, asked for after each page."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    pages, draws = 0, 0.0
    with open_document(path, "", Settings()) as document:
        for _, page in document:
            pages += isinstance(page, DrawnPage) and not page.is_blank
            draws = max([draws, *map(peak, children.read_text().split())])
    return {"pages": pages, "reads": peak("self"), "draws": draws}


STEPS = {"write": write_pdf, "go through": go_through}


def apart(step: str, path: Path, pages: int) -> Any:
    """What a step gives, done by a process of its own."""
    command = [sys.executable, "-m", "bench.long_document", step, str(path), str(pages)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    if len(sys.argv) > 1:
        step, path, pages = sys.argv[1:]
        print(json.dumps(STEPS[step](Path(path), int(pages))))
        return
    print("| pages | file MB | peak MB of the process that reads | peak MB of the one that draws |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for pages in PAGES:
            path = Path(folder) / f"{pages}.pdf"
            apart("write", path, pages)
            seen = apart("go through", path, pages)
            size = path.stat().st_size / 1e6
            print(f"| {seen['pages']} | {size:.1f} | {seen['reads']:.0f} | {seen['draws']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
