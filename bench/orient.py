"""Whether pages are turned upright, from all four sides, and what it costs of processor time.

    python -m bench.orient [--images ../shared/images]

The pages are those of bench.check and the other pictures of `images`, among them photographs. Each is turned by 0, 90,
180 and 270 degrees; of each turn the table has what became of the page: upright, left as it lay, or turned wrongly.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from bench.check import pages
from ocr.documents.page import DrawnPage
from ocr.lines.networks import CHECKPOINT
from ocr.lines.reader import LineReader
from ocr.reading.turning import upright
from ocr.weights.installation import CHECKPOINTS

TURNS = (0, 90, 180, 270)


def pictures(images: Path) -> Iterator[tuple[str, Image.Image]]:
    """Pages by their names, then pictures that are none or hardly any."""
    for page in pages(images):
        yield page.name, page.image.convert("RGB")
    for path in sorted(images.glob("*.*g")) if images.is_dir() else ():
        if not path.name.startswith("paper"):
            yield path.name, Image.open(path).convert("RGB")


def outcome(image: Image.Image, turned: int, reader: LineReader) -> tuple[str, float]:
    """What becomes of a page that is turned by so many degrees, and the processor seconds that it takes."""
    page = DrawnPage(image.rotate(-turned, expand=True), found_blank=False)
    began = time.process_time()
    found = upright(page, "auto", reader).turned
    took = time.process_time() - began
    is_upright = (turned + found) % 360 == 0
    return ("upright" if is_upright else "as it lay" if not found else f"turned by {found}"), took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, default=Path("../shared/images"))
    given = parser.parse_args()
    reader = LineReader.load(CHECKPOINTS / CHECKPOINT, threads=1)
    print(f"| page | {' | '.join(map(str, TURNS))} | s at 0 | s turned |\n|---|{'---|' * (len(TURNS) + 2)}")
    for name, image in pictures(given.images):
        found = [outcome(image, turned, reader) for turned in TURNS]
        turning = sum(took for _, took in found[1:]) / 3
        print(f"| {name} | {' | '.join(says for says, _ in found)} | {found[0][1]:.3f} | {turning:.2f} |", flush=True)


if __name__ == "__main__":
    main()
