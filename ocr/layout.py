"""A model's text into elements in page pixels, as it streams. Model text is data: parsed strictly, never evaluated,
and whatever it holds, what came whole is kept, what cannot be understood is reported, and nothing raises."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from ocr.types import Box, Element, Text

ELEMENT_TYPES = (
    "title",
    "heading",
    "text",
    "list_item",
    "table",
    "formula",
    "picture",
    "caption",
    "footnote",
    "header",
    "footer",
    "page_number",
    "other",
)

LayoutEvent = Element | Text


class Parser(Protocol):
    """Turns one page's answer into events: an Element opens, the Texts after it are what it says."""

    problems: list[str]  # what could not be understood, one sentence each

    def feed(self, text: str) -> Iterator[LayoutEvent]:
        """Take in more of the answer; what is certain comes out at once."""
        ...

    def close(self) -> Iterator[LayoutEvent]:
        """The answer is over: what was held back comes out as it stands."""
        ...


class PlainText:
    """An answer that is text and nothing else."""

    def __init__(self, page_size: tuple[int, int], extent: tuple[float, float]) -> None:
        self.problems: list[str] = []

    def feed(self, text: str) -> Iterator[LayoutEvent]:
        if text:
            yield Text(text)

    def close(self) -> Iterator[LayoutEvent]:
        return iter(())


# DeepSeek-OCR's labels; a label that is not here is kept and typed "other".
GROUNDED_TYPES: Mapping[str, str] = {
    "title": "title",
    "sub_title": "heading",
    "text": "text",
    "list": "list_item",
    "table": "table",
    "equation": "formula",
    "formula": "formula",
    "image": "picture",
    "figure": "picture",
    "chart": "picture",
    "table_caption": "caption",
    "image_caption": "caption",
    "figure_caption": "caption",
    "table_footnote": "footnote",
    "image_footnote": "footnote",
    "footnote": "footnote",
    "header": "header",
    "footer": "footer",
    "page_number": "page_number",
}
REF, REF_END, DET, DET_END = "<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>"
MARKS = (REF, REF_END, DET, DET_END, "<|grounding|>")
_MARK = re.compile("|".join(map(re.escape, MARKS)))
_NUMBER = r"\s*(-?\d{1,9}(?:\.\d{1,9})?)\s*"
_BOX = re.compile(rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]")
MAX_MARK = 4000  # characters; a label and its boxes that are longer than this are no mark but a model gone astray


class Grounded:
    """DeepSeek-OCR's answers: `<|ref|>LABEL<|/ref|><|det|>[[x1, y1, x2, y2], …]<|/det|>`, then the element's text.

    Coordinates run from 0 to `extent` over the page as it was given. An element in several boxes gets the one that
    holds them all. A label outside the models' vocabulary with no text after it is itself what was read ("OCR with
    Boxes") or found ("Locate"), and each of its boxes is an element of its own with that text.
    """

    def __init__(self, page_size: tuple[int, int], extent: tuple[float, float]) -> None:
        self.problems: list[str] = []
        self._page_size = page_size
        self._extent = extent
        self._pending = ""  # from the first character that may yet belong to a mark
        self._found: tuple[str, list[Box]] | None = None  # a label that may turn out to be text, and its boxes
        self._is_open = False  # whether an element is open for text to belong to
        self._is_fresh = False  # whether that element has had no text yet

    def feed(self, text: str) -> Iterator[LayoutEvent]:
        self._pending += text
        while match := _MARK.search(self._pending):
            yield from self._text(self._pending[: match.start()])
            self._pending = self._pending[match.start() :]
            end = self._mark_end()
            if end is None:
                return
            mark, self._pending = self._pending[:end], self._pending[end:]
            yield from self._mark(mark)
        safe = len(self._pending) - held_back(self._pending, MARKS)
        yield from self._text(self._pending[:safe])
        self._pending = self._pending[safe:]

    def close(self) -> Iterator[LayoutEvent]:
        if _MARK.match(self._pending):
            self.problems.append(f"The answer ends inside a mark: {_shown(self._pending)}")
            self._pending = "" if DET in self._pending else _MARK.sub("", self._pending)
        yield from self._text(self._pending)
        self._pending = ""
        yield from self._settle()

    def _mark_end(self) -> int | None:
        """Where the mark at the start of what is pending ends; None while more text may complete it."""
        pending = self._pending
        position = 0
        if pending.startswith(REF):
            position = pending.find(REF_END)
            if position < 0:
                return self._give_up(REF)
            position += len(REF_END)
            rest = pending[position:].lstrip()
            if not rest.startswith(DET):
                return None if DET.startswith(rest) and len(pending) < MAX_MARK else position
        elif not pending.startswith(DET):
            return _MARK.match(pending).end()  # type: ignore[union-attr]  # a mark without a beginning
        end = pending.find(DET_END, position)
        return end + len(DET_END) if end >= 0 else self._give_up(DET)

    def _give_up(self, mark: str) -> int | None:
        """The end of a mark that cannot be whole any more: too long, or another one begins inside."""
        is_broken = self._pending.count(REF) > 1 or len(self._pending) > MAX_MARK
        return len(mark) if is_broken else None

    def _mark(self, mark: str) -> Iterator[LayoutEvent]:
        label, _, boxes = mark.removeprefix(REF).partition(REF_END)
        if mark.startswith(REF) and DET in mark:
            yield from self._open(label.strip(), self._boxes(boxes.strip()))
        elif mark.startswith(DET) and mark.endswith(DET_END):
            yield from self._open("", self._boxes(mark))
        elif mark.startswith(REF) and REF_END in mark:
            self.problems.append(f"A label without a box: {_shown(mark)}")
            yield from self._text(label)
        elif mark in (REF, DET):
            self.problems.append(f"A mark without an end: {_shown(mark)}")

    def _open(self, label: str, boxes: list[Box]) -> Iterator[LayoutEvent]:
        yield from self._settle()
        if not label or label in GROUNDED_TYPES:
            yield from self._begin(GROUNDED_TYPES.get(label, "other"), label, boxes)
        else:
            self._found = (label, boxes)

    def _begin(self, type_: str, label: str, boxes: list[Box]) -> Iterator[LayoutEvent]:
        self._is_open = self._is_fresh = True
        yield Element(type_, label, enclosing(boxes) if boxes else None)

    def _settle(self) -> Iterator[LayoutEvent]:
        """A label that no text followed was itself the text, once for each of its boxes."""
        if self._found is None:
            return
        label, boxes = self._found
        self._found = None
        places: Sequence[Box | None] = boxes or [None]
        for box in places:
            yield Element("text", "", box)
            yield Text(label)
        self._is_open = False

    def _text(self, text: str) -> Iterator[LayoutEvent]:
        if self._found is not None and text.strip():
            label, boxes = self._found
            self._found = None
            yield from self._begin("other", label, boxes)
        if self._is_fresh or not self._is_open:
            text = text.lstrip()
        if not text:
            return
        if not self._is_open:
            yield from self._begin("text", "", [])
        self._is_fresh = False
        yield Text(text)

    def _boxes(self, mark: str) -> list[Box]:
        inner = mark.removeprefix(DET).removesuffix(DET_END)
        found = [tuple(map(float, match.groups())) for match in _BOX.finditer(inner)]
        leftover = _BOX.sub("", inner)
        if not found or leftover.strip(" \t\r\n,[]"):
            self.problems.append(f"Boxes that are not lists of four numbers: {_shown(inner)}")
        return [to_page(box, self._extent, self._page_size) for box in found]  # type: ignore[arg-type]


PARSERS: Mapping[str, Callable[[tuple[int, int], tuple[float, float]], Parser]] = {
    "plain": PlainText,
    "grounded": Grounded,
}


def to_page(box: Box, extent: tuple[float, float], page_size: tuple[int, int]) -> Box:
    """A box in a model's coordinates (0 to `extent`) in page pixels, corners in order, inside the page."""
    x_scale, y_scale = page_size[0] / extent[0], page_size[1] / extent[1]
    xs = sorted(min(max(x * x_scale, 0.0), float(page_size[0])) for x in (box[0], box[2]))
    ys = sorted(min(max(y * y_scale, 0.0), float(page_size[1])) for y in (box[1], box[3]))
    return xs[0], ys[0], xs[1], ys[1]


def enclosing(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds all of these."""
    x1, y1, x2, y2 = zip(*boxes, strict=True)
    return min(x1), min(y1), max(x2), max(y2)


def held_back(text: str, markers: Sequence[str]) -> int:
    """How many last characters of the text may be the beginning of a marker, and must wait."""
    longest = min(len(text), max(map(len, markers)) - 1)
    for length in range(longest, 0, -1):
        if any(marker.startswith(text[-length:]) for marker in markers):
            return length
    return 0


def _shown(text: str) -> str:
    """A piece of model text as it stands in a message."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def gather(events: Sequence[LayoutEvent]) -> tuple[Element, ...]:
    """The whole elements that a stream of events makes; text outside of any element is not among them."""
    elements: list[Element] = []
    for event in events:
        if isinstance(event, Element):
            elements.append(event)
        elif elements:
            last = elements[-1]
            elements[-1] = Element(last.type, last.label, last.bbox, last.text + event.text)
    return tuple(Element(e.type, e.label, e.bbox, e.text.strip()) for e in elements)
