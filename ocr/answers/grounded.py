"""Answers with marks, `<|ref|>LABEL<|/ref|><|det|>BOXES<|/det|>TEXT`, into elements in page pixels as they stream."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ocr.answers.boxes import Scale, enclosing
from ocr.answers.text import Pieces, begun, held_back, shown
from ocr.types import AnswerEvent, Box, Opened, Text

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
_MARK = re.compile(f"({'|'.join(map(re.escape, MARKS))})")
_NUMBER = r"\s*(-?\d{1,9}(?:\.\d{1,9})?)\s*"
_BOX = re.compile(rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]")
_SIGNS = re.compile(r"[\s\d.,\[\]-]*")  # what lists of boxes are made of
_LIST = re.compile(r"\s*\[(?:\s*\[[\s\d.,-]*\](?:\s*,)?)+\s*\]|\s*\[[\s\d.,-]+\](?!\s*[,\[\]])")
_INNER_LABEL = re.compile(r"\s{0,9}([^\W\d][^\[\]]{0,60})(?=\[)")  # a label that stands with its box inside DET
_MAX_SPACE = 8  # characters; no fence is indented further
MAX_MARK = 4000  # characters; a label and its boxes that are longer than this are no mark but a model gone astray


class Grounded:
    """DeepSeek-OCR's answers: `<|ref|>LABEL<|/ref|><|det|>[[x1, y1, x2, y2], …]<|/det|>`, then the element's text.

    Unlimited-OCR's have the label inside, `<|det|>LABEL [x1, y1, x2, y2]<|/det|>`; it is always a label.
    An element in several boxes gets the one that holds them all. A label outside the models' vocabulary with no text
    after it is itself what was read ("OCR with Boxes") or found ("Locate"), and each of its boxes is an element of its
    own with that text. Where a mark lacks its end, what cannot belong to it is text.
    """

    def __init__(self, scale: Scale, heads: Mapping[str, str] | None = None) -> None:
        """`heads` are put before the text of elements, by label, where the model's own text does not begin like it."""
        self.problems: list[str] = []
        self._scale, self._heads = scale, heads or {}
        self._pieces = Pieces()
        self._pending = ""  # the end of the text, while it may be half of a mark
        self._inside: str | None = None  # the mark that waits for its end: REF, REF_END (for its boxes) or DET
        self._label = ""
        self._is_inner = False  # whether that stands inside DET
        self._box_list = ""
        self._is_junk = False  # whether it holds what no boxes are made of
        self._found: tuple[str, list[Box]] | None = None  # a label that may turn out to be text, and its boxes
        self._opened = ""  # the label of the element opened last
        self._is_open = False  # whether an element is open for text to belong to
        self._space = ""  # the end of the white space before its text
        self._is_fresh = False  # whether that element has had no text yet

    def feed(self, text: str) -> Iterable[AnswerEvent]:
        return self._take(piece) if (piece := self._pieces.take(text)) else ()

    def _take(self, piece: str) -> Iterator[AnswerEvent]:
        text = self._pending + piece
        certain = len(text) - held_back(text, MARKS)
        self._pending = text[certain:]
        for part in _MARK.split(text[:certain]):
            yield from self._mark(part) if part in MARKS else self._plain(part)

    def close(self) -> Iterator[AnswerEvent]:
        yield from self._take(self._pieces.rest())
        yield from self._plain(self._pending)
        self._pending = ""
        if self._inside is not None:
            yield from self._give_up("The answer ends inside a mark", is_end=True)
        yield from self._settle()

    def _mark(self, mark: str) -> Iterator[AnswerEvent]:
        if mark == DET_END and self._inside == DET:
            self._inside = None
            boxes, leftover = self._boxes(self._box_list), _BOX.sub("", self._box_list)
            if not boxes or leftover.strip(" \t\r\n,[]"):
                self.problems.append(f"Boxes that are not lists of four numbers: {self._box_list!r}")
            yield from self._open(self._label.strip(), boxes)
        elif mark == REF_END and self._inside == REF:
            self._inside = REF_END
        elif mark in (REF, DET):
            if self._inside == REF and mark == DET:
                self.problems.append(f"A mark without an end: {shown(self._label)}")
            elif self._inside is not None and (self._inside, mark) != (REF_END, DET):
                yield from self._give_up("A mark without an end")
            self._label = "" if self._inside is None else self._label
            self._box_list, self._is_junk, self._is_inner = "", False, False
            self._inside = mark

    def _plain(self, text: str) -> Iterator[AnswerEvent]:
        """Text between marks: a label, a list of boxes, or what the page says."""
        if self._inside == REF or (self._inside == REF_END and not text.strip()):
            self._label += text
        elif self._inside == DET:
            self._box_list += text
            if not self._label and (label := _INNER_LABEL.match(self._box_list)):
                self._label, self._is_inner = label[1], True
                self._box_list = text = self._box_list[label.end() :]
                self._is_junk = False
            if not (self._is_junk or _SIGNS.fullmatch(text)):
                yield from self._end_list()
        elif self._inside == REF_END:
            yield from self._give_up("A label without a box")
            yield from self._text(text)
        else:
            yield from self._text(text)
        if self._inside is not None and len(self._label) + len(self._box_list) > MAX_MARK:
            yield from self._give_up("A mark without an end")

    def _end_list(self) -> Iterator[AnswerEvent]:
        """Something else than boxes came: text after a list that lacks its mark, or boxes that are none."""
        signs = _SIGNS.match(self._box_list)
        if _LIST.match(self._box_list) or (signs and signs[0].rstrip().endswith("]")):
            yield from self._give_up("A mark without an end")
        else:
            self._is_junk = True

    def _give_up(self, problem: str, *, is_end: bool = False) -> Iterator[AnswerEvent]:
        """The open mark has no end. What no boxes are made of is the element's text; where there are no boxes, what
        stands as a label is text too, unless it is (or was to be) a known one."""
        label, inside = self._label.strip(), self._inside
        end = _end_of_boxes(self._box_list)
        self.problems.append(f"{problem}: {shown(label or self._box_list[:end])}")
        boxes, text = self._boxes(self._box_list[:end]), self._box_list[end:]
        is_known = label in GROUNDED_TYPES
        self._label, self._box_list, raw_label = "", "", self._label
        self._inside = None
        if inside == DET and (boxes or (is_known and text.strip())):
            yield from self._open(label, boxes)
            yield from self._text(text)
            return
        is_label = is_known if inside == DET else is_end and any(known.startswith(label) for known in GROUNDED_TYPES)
        if not is_label:
            yield from self._settle()
            self._is_open = False
            yield from self._text(raw_label + text)

    def _open(self, label: str, boxes: list[Box]) -> Iterator[AnswerEvent]:
        yield from self._settle()
        self._space = ""
        if not label or label in GROUNDED_TYPES or self._is_inner:
            yield from self._begin(GROUNDED_TYPES.get(label, "other"), label, boxes)
        else:
            self._found = (label, boxes)

    def _begin(self, type_: str, label: str, boxes: list[Box]) -> Iterator[AnswerEvent]:
        self._is_open = self._is_fresh = True
        self._opened = label
        yield Opened(type_, label, enclosing(boxes) if boxes else None)

    def _settle(self) -> Iterator[AnswerEvent]:
        """A label that no text followed was itself the text, once for each of its boxes."""
        if self._found is None:
            return
        label, boxes = self._found
        self._found = None
        places: Sequence[Box | None] = boxes or [None]
        for box in places:
            yield Opened("text", "", box)
            yield Text(label)
        self._is_open = False

    def _text(self, text: str) -> Iterator[AnswerEvent]:
        if self._found is not None:
            if not text.strip():
                self._space = (self._space + text)[-_MAX_SPACE:]
                return
            label, boxes = self._found
            self._found = None
            yield from self._begin("other", label, boxes)
        if self._is_fresh or not self._is_open:
            text = self._space + text
            self._space = text[-_MAX_SPACE:] if text.isspace() else ""
            text = begun(text)
        if not text:
            return
        if not self._is_open:
            yield from self._begin("text", "", [])
        if self._is_fresh:
            text = self._with_head(text)
        self._is_fresh = False
        yield Text(text)

    def _with_head(self, text: str) -> str:
        head = self._heads.get(self._opened, "")
        return text if text.startswith(head[:1]) else head + text

    def _boxes(self, text: str) -> list[Box]:
        found = [tuple(map(float, match.groups())) for match in _BOX.finditer(text)]
        return [self._scale.to_page(box) for box in found]  # type: ignore[arg-type]


def _end_of_boxes(text: str) -> int:
    """How many first characters of a list of boxes that lacks its mark are boxes."""
    if match := _LIST.match(text):
        return match.end()
    signs = _SIGNS.match(text)
    found = signs[0] if signs else ""
    return found.rfind("]") + 1 or len(found)
