"""What the second opinion costs beside a full-size model: one page read with `check` and without, in turns.

    python -m bench.check_cost [--folder DIR] [--tokens N] [--rounds N] IMAGE …     makes the checkpoint if need be

The model has random weights (bench/full_size.py) and ends each page at the same number of tokens, so both readings do
the same work but for the check. Printed are medians and their ratio, of time on the clock and of the processor's.
"""

import argparse
import shutil
import statistics
import time
from pathlib import Path

from PIL import Image

from bench.full_size import need_checkpoint
from ocr.lines.networks import CHECKPOINT
from ocr.reading.reader import Reader
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Decoding, PageResult
from ocr.weights.installation import CHECKPOINTS

MODEL = "deepseek-ocr"


def seconds(reader: Reader, image: Image.Image, tokens: int, check: bool) -> tuple[float, float]:
    """How long the page takes on the clock and on the processor."""
    request = Request(model=MODEL, task="Convert to Markdown", resolution="Base", orient="off", check=check)
    clock, processor = time.perf_counter(), time.process_time()
    (page,) = (event for event in reader.read(request, [(1, image)], Decoding(tokens)) if isinstance(event, PageResult))
    taken = time.perf_counter() - clock, time.process_time() - processor
    if page.completion_tokens != tokens or (page.check is None) == check or (page.check and page.check.failure):
        raise RuntimeError(f"not the work that was to be measured: {page.completion_tokens} tokens, {page.check}")
    return taken


def row(reader: Reader, path: Path, tokens: int, rounds: int) -> str:
    """A row of the table: a page's medians, and what the check adds."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    seconds(reader, image, 2, check=True)  # what the first page of a process takes beside
    taken: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for _ in range(rounds):
        for check, times in taken.items():
            times.append(seconds(reader, image, tokens, check))
    clock, processor = zip(
        *([statistics.median(column) for column in zip(*times, strict=True)] for times in taken.values()), strict=True
    )
    cells = [path.name, tokens]
    for without, with_check in (clock, processor):
        cells += [f"{without:.1f}", f"{with_check:.1f}", f"{with_check / without:.2f}"]
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what the check adds to the reading of a page.")
    parser.add_argument("images", metavar="IMAGE", type=Path, nargs="+")
    parser.add_argument("--folder", type=Path, default=Path("bench/.full_size"))
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    need_checkpoint(arguments.folder, MODEL)
    shutil.copytree(CHECKPOINTS / CHECKPOINT, arguments.folder / CHECKPOINT, dirs_exist_ok=True)
    reader = Reader(Settings(checkpoints=arguments.folder, device="cpu"))
    print("| page | tokens | clock s | with check | ratio | processor s | with check | ratio |\n|" + "---|" * 8)
    for path in arguments.images:
        print(row(reader, path, arguments.tokens, arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
