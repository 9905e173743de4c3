"""dots.mocr's answers on the text in a scene, a line for each piece of text, into elements in page pixels."""

import re
from collections.abc import Iterable, Iterator

from ocr.answers.boxes import Scale, enclosing
from ocr.answers.text import Pieces, shown
from ocr.types import AnswerEvent, Opened, Text

_NUMBER = r"\s{0,9}(-?\d{1,9}(?:\.\d{1,9})?)\s{0,9}"
_POINT = rf"\({_NUMBER},{_NUMBER}\)"
_PLACE = re.compile(r"\s{0,9},\s{0,9}".join([_POINT] * 4))
_CUT_PLACE = re.compile(r"\(\s*-?\d[-\d\s.,()]*")
MAX_LINE = 4000  # characters; a longer line is a model gone astray and is not waited for


class SceneText:
    """Answers of the form `(x1, y1), (x2, y2), (x3, y3), (x4, y4) text`, one on each line.

    The four points are the corners of what may stand at any angle; the element gets the upright box around them.
    A line without a place continues the text above.
    """

    def __init__(self, scale: Scale) -> None:
        self.problems: list[str] = []
        self._scale = scale
        self._pieces = Pieces()
        self._line: list[str] = []  # what came of the line that is not whole
        self._length = 0  # characters in it
        self._is_open = False  # whether an element is open for text to belong to

    def feed(self, text: str) -> Iterable[AnswerEvent]:
        return self._take(piece) if (piece := self._pieces.take(text)) else ()

    def _take(self, text: str) -> Iterator[AnswerEvent]:
        if not self._line and "(" not in text:  # lines that hold no place, of which there may be very many
            end = text.rfind("\n") + 1
            yield from self._text(text[:end] if self._is_open else text[:end].lstrip("\n"))
            text = text[end:]
        for part in filter(None, re.split(r"(?<=\n)", text)):
            self._line.append(part)
            self._length += len(part)
            if part.endswith("\n") or self._length > MAX_LINE:
                yield from self._end_line()

    def close(self) -> Iterator[AnswerEvent]:
        yield from self._take(self._pieces.rest())
        line = "".join(self._line)
        if _CUT_PLACE.fullmatch(line.strip()) and not _PLACE.match(line.strip()):
            self.problems.append(f"The answer breaks off inside a place: {shown(line.strip())}")
            self._line = []
        yield from self._end_line()

    def _end_line(self) -> Iterator[AnswerEvent]:
        line, self._line, self._length = "".join(self._line), [], 0
        at = 0
        for match in _PLACE.finditer(line):
            yield from self._text(line[at : match.start()].rstrip())
            at = match.end()
            yield self._place([float(number) for number in match.groups()])
        yield from self._text(line[at:].strip(" ") if at else line)

    def _place(self, numbers: list[float]) -> Opened:
        self._is_open = True
        points = zip(numbers[::2], numbers[1::2], strict=True)
        return Opened("text", "", self._scale.to_page(enclosing([(x, y, x, y) for x, y in points])))

    def _text(self, text: str) -> Iterator[AnswerEvent]:
        if text.strip() or (text and self._is_open):
            yield Text(text)
