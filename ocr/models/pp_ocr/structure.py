"""Lines of print as the elements of a page, in reading order. Knows no networks and no pixels: places and texts alone.

Nothing is invented: where columns, tables, headings and lists do not show in the places of the lines, the text comes
as paragraphs. Every line that was read is in exactly one element.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from ocr.models.pp_ocr.layout import Block, laid_out
from ocr.models.pp_ocr.lists import items
from ocr.models.pp_ocr.paragraphs import Paragraph, paragraphs
from ocr.models.pp_ocr.spans import Span, usual
from ocr.models.pp_ocr.tables import CAPTION
from ocr.types import Element, Line

HEADING = 1.2  # times the size of the page's type that a heading's has at least
HEADING_LINES, HEADING_WEIGHT = 3, 120  # at most
TITLE = 0.9  # of the size of the largest heading's type that the page's title has at least
_COMPOUND = re.compile(r"[^\W\d_]+-[^\W\d_]+")


@dataclass(frozen=True)
class Part:
    """An element while its place is still that of its spans."""

    type: str  # as in Element
    text: str
    spans: tuple[Span, ...]

    def element(self) -> Element:
        x1, y1, x2, y2 = zip(*(line.bbox for span in self.spans for line in span.lines), strict=True)
        return Element(self.type, self.type, (min(x1), min(y1), max(x2), max(y2)), self.text)


def blocks(lines: Sequence[Line], size: tuple[int, int]) -> list[Element]:
    """The elements of a page of this (width, height): tables as HTML, other texts as markdown, boxes in page pixels.

    Lines without text are left out: whoever found them reports them.
    """
    found = laid_out(lines, size)
    spans = [span for block in found for span in block.spans]
    compounds = {word for span in spans for word in _COMPOUND.findall(span.text)}
    parts: list[Part] = []
    for is_text, run in groupby(found, key=lambda block: not (block.table or block.furniture)):
        if is_text:
            texts = [paragraph for block in run for paragraph in paragraphs(block.spans)]
            parts += _texts(texts, compounds)
        else:
            parts += map(_fixed, run)
    return [part.element() for part in _named(parts, usual(spans, lambda span: span.size))]


def text(lines: Sequence[Line], size: tuple[int, int]) -> str:
    """The page as it stands, in reading order: a line of print a line, with tabs between the cells of a table and
    whatever else stands side by side."""
    found = laid_out(lines, size)
    parts = [block.table.text() if block.table else "\n".join(span.text for span in block.spans) for block in found]
    between = [_between(upper, lower) for upper, lower in pairwise(found)]
    return "".join(part + after for part, after in zip(parts, [*between, ""], strict=True)) if parts else ""


def _between(before: Block, after: Block) -> str:
    """What parts the texts of two blocks."""
    if len(before.spans) == len(after.spans) == 1:
        one, other = before.spans[0], after.spans[0]
        if one.x2 <= other.x1 and abs(one.middle - other.middle) < min(one.height, other.height) / 2:
            return "\t"
    return "\n\n"


def _fixed(block: Block) -> Part:
    if block.table:
        return Part("table", block.table.html(), block.spans)
    return Part(block.furniture, block.spans[0].text, block.spans)


def _texts(found: Sequence[Paragraph], compounds: Collection[str]) -> Iterator[Part]:
    """Paragraphs that follow each other, an item with all that are deeper in it as one."""
    listed = items(found)
    current: Part | None = None
    for n, paragraph in enumerate(found):
        said, item = paragraph.text(compounds), listed.get(n)
        if item and item.depth and current:
            current = Part("list_item", f"{current.text}\n{item.text(said)}", (*current.spans, *paragraph.spans))
            continue
        if current:
            yield current
        current = Part("list_item" if item else "text", item.text(said) if item else said, paragraph.spans)
    if current:
        yield current


def _named(parts: Sequence[Part], size: float) -> Iterator[Part]:
    """The parts, those texts that are headings or captions named so; `size` is that of the page's type."""
    sizes = {n: _size(part) for n, part in enumerate(parts) if part.type == "text" and _is_heading(part, size)}
    first = min(sizes, default=0)
    for n, part in enumerate(parts):
        if n in sizes:
            is_title = n == first and sizes[n] >= TITLE * max(sizes.values())
            said = part.text.replace("\n", " ")
            yield Part("title", f"# {said}", part.spans) if is_title else Part("heading", f"## {said}", part.spans)
        elif (
            part.type == "text"
            and CAPTION.match(part.text)
            and "table" in (p.type for p in parts[max(0, n - 1) : n + 2])
        ):
            yield Part("caption", part.text, part.spans)
        else:
            yield part


def _size(part: Part) -> float:
    return usual(part.spans, lambda span: span.size)


def _is_heading(part: Part, size: float) -> bool:
    """Whether it is set in larger type than the page's text, and neither long nor without a word."""
    return (
        _size(part) >= HEADING * size
        and len(part.spans) <= HEADING_LINES
        and sum(span.weight for span in part.spans) <= HEADING_WEIGHT
        and sum(map(str.isalpha, part.text)) > 1
    )
