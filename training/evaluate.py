"""Reads pages that training never saw, through the package's own engine: `python -m training.evaluate`.

The character error rate is the edit distance to the truth over the truth's length, added up over the pages of a row.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from rapidfuzz.distance import Levenshtein

from ocr.models.tasks import FREE_OCR, LOCATE, MARKDOWN, OCR_WITH_BOXES
from ocr.reading.reader import Reader, read_pages
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Decoding, PageResult
from training.answers import MODEL, Answer, locate
from training.fonts import HELD_OUT, KNOWN, Family
from training.pages import Box, Page, Style, draw_page
from training.train import STATE

SEED = "held out"
VIEW = 640  # px
PITCHES = ((35, 43), (43, 55), (55, 80))  # px of the view from line to line: of one of 512, 28 to 34, 44 and 64
LENGTHS = (100, 250, 420)  # most characters of a page
BATCH = 8


@dataclass(frozen=True)
class Sample:
    """A page as it was drawn and as it was read."""

    page: Page
    style: Style
    result: PageResult

    @property
    def errors(self) -> int:
        return Levenshtein.distance(plain(self.result.markdown), plain(self.page.text))


def plain(text: str) -> str:
    """Text as it is compared: headings without their marks, every run of white space one blank."""
    return " ".join(line.lstrip("# ") for line in text.split("\n")).replace("  ", " ").strip()


def error_rate(samples: Iterable[Sample]) -> float:
    """Wrong characters of a hundred."""
    samples = list(samples)
    return (
        100 * sum(sample.errors for sample in samples) / max(1, sum(len(plain(sample.page.text)) for sample in samples))
    )


def draw(families: Sequence[Family], count: int) -> list[tuple[Page, Style]]:
    """Pages of every size and length, as many of each family."""
    random = Random(f"{SEED} {families[0].name}")
    pages = []
    for index in range(count):
        style = Style(
            VIEW,
            max_characters=LENGTHS[index % len(LENGTHS)],
            pitches=PITCHES[index // len(LENGTHS) % len(PITCHES)],
            families=(families[index % len(families)],),
        )
        pages.append((draw_page(random, style), style))
    return pages


def read(reader: Reader, pages: Sequence[tuple[Page, Style]], task: str) -> list[Sample]:
    """All pages, several at a time."""
    request = Request(model=MODEL, task=task)
    numbered = [(number, page.image) for number, (page, _) in enumerate(pages, start=1)]
    events = read_pages(reader.engine(MODEL), request, numbered, Decoding(max_new_tokens=1500, together=BATCH))
    results = [event for event in events if isinstance(event, PageResult)]
    return [Sample(page, style, result) for (page, style), result in zip(pages, results, strict=True)]


def table(title: str, samples: Sequence[Sample], key: Callable[[Sample], str]) -> str:
    """The error rate by some quality of the pages."""
    rows = [f"| {title} | pages | characters | CER |", "|---|---|---|---|"]
    for name in sorted({key(sample) for sample in samples}):
        some = [sample for sample in samples if key(sample) == name]
        rows.append(
            f"| {name} | {len(some)} | {sum(len(plain(s.page.text)) for s in some)} | {error_rate(some):.2f}% |"
        )
    return "\n".join(rows)


def share_of_boxes(samples: Sequence[Sample]) -> float:
    """Of a hundred elements of the truth, those that are found with every side within 3% of the page."""
    found = whole = 0
    for sample in samples:
        boxes = [element.bbox for element in sample.result.elements if element.bbox]
        for block in sample.page.blocks:
            whole += 1
            found += any(is_near(box, block.box, sample.page.image.size) for box in boxes)
    return 100 * found / max(1, whole)


def is_near(box: Box, truth: Box, size: tuple[int, int]) -> bool:
    """Whether each side of a box is within 3% of the page of where it ought to be."""
    return all(abs(a - b) <= 0.03 * side for a, b, side in zip(box, truth, (*size, *size), strict=True))


def locating(reader: Reader, pages: Sequence[tuple[Page, Style]]) -> float:
    """Of a hundred references, those whose box is found to within 3% of the page."""
    random, found, asked = Random(SEED), 0, 0
    for page, _ in pages:
        if (target := locate(page, random)) is None:
            continue
        words, answer = target
        truth = box_in(answer, page)
        request = Request(model=MODEL, task=LOCATE, reference=words)
        events = read_pages(reader.engine(MODEL), request, [(1, page.image)], Decoding(max_new_tokens=200))
        (result,) = (event for event in events if isinstance(event, PageResult))
        asked += 1
        found += any(element.bbox and is_near(element.bbox, truth, page.image.size) for element in result.elements)
    return 100 * found / max(1, asked)


def box_in(answer: Answer, page: Page) -> Box:
    """The box that an answer names, in px of the page."""
    text = "".join(sign.text for sign in answer)
    x1, y1, x2, y2 = (float(number) for number in text.partition("[[")[2].partition("]]")[0].split(","))
    width, height = page.image.size
    return x1 / 999 * width, y1 / 999 * height, x2 / 999 * width, y2 / 999 * height


# How the pages are told apart in the tables: a title, and what a page goes by.
TABLES: Mapping[str, Callable[[Sample], str]] = {
    "font": lambda sample: sample.page.family,
    "px from line to line": lambda sample: "{:g} to {:g}".format(*sample.style.pitches),
    "characters at most": lambda sample: f"{sample.style.max_characters:3}",
}


def report(reader: Reader, count: int, name: str, families: Sequence[Family]) -> str:
    """The evaluation on some fonts, as markdown."""
    pages = draw(families, count)
    readings = {task: read(reader, pages, task) for task in (FREE_OCR, MARKDOWN, OCR_WITH_BOXES)}
    rates = ", ".join(f"{task} {error_rate(samples):.2f}%" for task, samples in readings.items())
    boxes, located = share_of_boxes(readings[MARKDOWN]), locating(reader, pages)
    head = (
        f"## {name}\n\n{count} pages. CER: {rates}. "
        f"Within 3% of the page: the boxes of {boxes:.1f}% of the blocks, {located:.1f}% of what was to be located."
    )
    return "\n\n".join([head, *(table(title, readings[FREE_OCR], key) for title, key in TABLES.items())])


def main() -> None:
    """Print the tables, as markdown."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("--checkpoints", type=Path, default=STATE, help="a folder with a checkpoint in it")
    parser.add_argument("--pages", type=int, default=90, help="for each kind of font")
    arguments = parser.parse_args()
    reader = Reader(replace(Settings(), checkpoints=arguments.checkpoints.resolve(), device="cpu", dtype="float32"))
    for name, families in (("Known fonts", KNOWN), ("Held-out fonts", HELD_OUT)):
        print(report(reader, arguments.pages, name, families), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
