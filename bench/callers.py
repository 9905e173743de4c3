"""Callers of one page each: pages a second of processor time alone, as one document, and all callers at once.

    python -m bench.callers [--callers 12]

The embedded model (the real one's whole path, small) reads pages that are drawn here, through the reader that every
face uses, on one thread of the processor. Time is the process's own, which hardly depends on what else the machine
does. A text that differs from the page's own alone ends the run.
"""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from PIL import Image, ImageDraw, ImageFont

from ocr.reading.reader import Reader
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Decoding, PageResult

REQUEST = Request(model="deepseek-ocr-tiny", task="Free OCR", orient="off")
Texts = list[str]


def drawn(number: int) -> Image.Image:
    """A page of eight lines like no other."""
    image = Image.new("RGB", (640, 640), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(28)
    for line in range(8):
        draw.text((30, 30 + 70 * line), f"Page {number} line {line} of {number * line + 7}", font=font, fill="black")
    return image


def texts(reader: Reader, pages: list[Image.Image], decoding: Decoding) -> Texts:
    """What is read of the pages of one document."""
    events = reader.read(REQUEST, list(enumerate(pages, start=1)), decoding)
    return [event.text for event in events if isinstance(event, PageResult)]


def measured(read: Callable[[], Texts]) -> tuple[float, Texts]:
    """Seconds of processor time, and what was read."""
    started = time.process_time()
    found = read()
    return time.process_time() - started, found


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare callers one by one with callers at once.")
    parser.add_argument("--callers", type=int, default=12)
    count = parser.parse_args().callers
    torch.set_num_threads(1)
    reader = Reader(Settings(device="cpu", dtype="float32", threads=1))
    reader.engine(REQUEST.model)
    pages, alone, any_ = [drawn(number) for number in range(1, count + 1)], Decoding(together=1), Decoding()
    texts(reader, pages[:1], alone)  # what the first page of a process takes beside

    def at_once() -> Texts:
        with ThreadPoolExecutor(count) as callers:
            return [text for found in callers.map(lambda page: texts(reader, [page], any_), pages) for text in found]

    ways: dict[str, Callable[[], Texts]] = {
        "one page after the other": lambda: [text for page in pages for text in texts(reader, [page], alone)],
        "a document of all, 4 together": lambda: texts(reader, pages, Decoding(together=4)),
        "a document of all": lambda: texts(reader, pages, any_),
        "callers of one page each, at once": at_once,
    }
    runs = {name: measured(read) for name, read in ways.items()}
    base, wanted = runs["one page after the other"]
    print(f"| {count} pages | pages a second | against one by one |\n|---|---|---|")
    for name, (seconds, found) in runs.items():
        if found != wanted:
            raise RuntimeError(f"{name}: a text differs from the page's own alone")
        print(f"| {name} | {count / seconds:.2f} | {base / seconds:.2f} |")


if __name__ == "__main__":
    main()
