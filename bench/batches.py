"""Pages of one document decoded together: pages a minute at batch 1, 2, 4 and 8, side by side in one process.

    python -m bench.batches [--folder DIR] [--model NAME …]     makes full-size checkpoints there if they are not

Full-size models with random weights (bench/full_size.py) read pages that are drawn here, through the reader that every
face uses, on the processor. Time is the process's own on one thread, which hardly depends on what else the machine
does, and only ratios are printed: absolute figures would say more of the machine than of batches.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench.full_size import MODELS, need_checkpoint
from ocr.reading.reader import Reader
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Decoding, PageResult, Raw

BATCHES = (1, 2, 4, 8)
PAGES, NEW_TOKENS = 8, 64
SIZE = (850, 1100)  # px, letter at 100 dpi; the preset makes the same of larger ones


def drawn(number: int) -> Image.Image:
    """A page of black bars like no other: rows of equal pages would ask the same experts, and batches do too well."""
    image, random = Image.new("RGB", SIZE, "white"), np.random.default_rng(number)
    for x, y, width in random.integers(0, (SIZE[0], SIZE[1], SIZE[0] // 2), (80, 3)).tolist():
        image.paste("black", (x, y, x + width, y + 8))
    return image


def seconds(reader: Reader, model: str, batch: int) -> tuple[float, float]:
    """How long the pages take in such batches, and when the first text comes."""
    request = Request(model=model, task="Free OCR", resolution="Tiny")
    pages = [(number, drawn(number)) for number in range(1, PAGES + 1)]
    started = time.process_time()
    events = reader.read(request, pages, Decoding(max_new_tokens=NEW_TOKENS, together=batch))
    next(event for event in events if isinstance(event, Raw))
    first = time.process_time() - started
    results = [event for event in events if isinstance(event, PageResult)]
    if [result.completion_tokens for result in results] != [NEW_TOKENS] * PAGES:
        raise RuntimeError("the random model ended a page early; the batches did not do the same work")
    whole = time.process_time() - started
    print(f"{model}, batch {batch}: {whole:.0f} s", file=sys.stderr, flush=True)
    return whole, first


def rows(reader: Reader, model: str) -> Iterator[tuple[object, ...]]:
    """A row of the table for each batch, against pages one by one."""
    taken = {batch: seconds(reader, model, batch) for batch in BATCHES}
    alone, alone_first = taken[1]
    for batch, (whole, first) in taken.items():
        yield model, batch, f"{alone / whole:.2f}", f"{first / alone_first:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare batches of pages on full-size models with random weights.")
    parser.add_argument("--folder", type=Path, default=Path("bench/.full_size"))
    parser.add_argument("--model", choices=MODELS, action="append", help="deepseek-ocr unless told otherwise")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| model | batch | pages a minute, against batch 1 | first text after, against batch 1 |\n|---|---|---|---|")
    for model in arguments.model or ["deepseek-ocr"]:
        need_checkpoint(arguments.folder, model)
        reader = Reader(Settings(checkpoints=arguments.folder, device="cpu"))
        reader.engine(model)
        for row in rows(reader, model):
            print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main()
