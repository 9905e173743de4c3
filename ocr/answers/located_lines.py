"""PaddleOCR-VL's answers on where text stands, `text<|LOC_x|><|LOC_y|>…` on each line, into elements."""

import re
from collections.abc import Iterator

from ocr.answers.boxes import Scale, enclosing
from ocr.answers.text import Marks, shown
from ocr.types import AnswerEvent, Box, Opened, Text

_MARK = re.compile(r"<\|LOC_(\d{1,4})\|>|<\|(?:TEXT_START|TEXT_END|LOC_BEGIN|LOC_END|LOC_SEP)\|>|\n")
_MAYBE_MARK = re.compile(r"<(?:\|\w{0,10}\|?)?\Z")
_LONGEST_MARK = 14  # characters
MAX_LINE = 4000  # characters; a longer line is a model gone astray and is not waited for


class LocatedLines:
    """A line of text, then the four corners of what may stand at any angle; the element gets the box around them.

    Lines without a place are elements too. A place of other than four corners is reported.
    """

    def __init__(self, scale: Scale) -> None:
        self.problems: list[str] = []
        self._scale = scale
        self._marks = Marks(_MARK, _MAYBE_MARK, _LONGEST_MARK)
        self._line: list[str] = []  # what the line says so far
        self._length = 0  # characters in it
        self._place: list[float] = []  # what came of its corners, x and y in turn

    def feed(self, text: str) -> Iterator[AnswerEvent]:
        for part in self._marks.feed(text):
            yield from self._take(part)

    def close(self) -> Iterator[AnswerEvent]:
        for part in (*self._marks.close(), self._marks.rest):
            yield from self._take(part)
        yield from self._end_line()

    def _take(self, part: str | re.Match[str]) -> Iterator[AnswerEvent]:
        if isinstance(part, str):
            yield from self._say(part)
        elif part[1]:
            yield from self._locate(float(part[1]))
        elif part[0] == "\n":
            yield from self._end_line()

    def _say(self, text: str) -> Iterator[AnswerEvent]:
        if self._place and text.strip():
            yield from self._end_line()
        self._line.append(text)
        self._length += len(text)
        if self._length > MAX_LINE:
            yield from self._end_line()

    def _locate(self, number: float) -> Iterator[AnswerEvent]:
        self._place.append(number)
        if len(self._place) == 8:
            corners = zip(self._place[::2], self._place[1::2], strict=True)
            self._place = []
            yield from self._element(self._scale.to_page(enclosing([(x, y, x, y) for x, y in corners])))

    def _end_line(self) -> Iterator[AnswerEvent]:
        """The line is over, and has no place or half of one."""
        text = "".join(self._line).strip()
        if self._place:
            self.problems.append(f"A place that is not four corners: {shown(text)}")
            self._place = []
        if text:
            yield from self._element(None)
        self._line, self._length = [], 0

    def _element(self, box: Box | None) -> Iterator[AnswerEvent]:
        text = "".join(self._line).strip()
        self._line, self._length = [], 0
        yield Opened("text", "", box)
        if text:
            yield Text(text)
