"""The forms in which lines of print become an answer. Knows no networks and no pixels."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from ocr.models.pp_ocr.card import BLOCKS, LINES, REGION, TEXT
from ocr.models.pp_ocr.structure import blocks, text
from ocr.types import Element, Line

Size = tuple[int, int]  # px, width and height of the page


class Form(Protocol):
    """Takes lines as they are read, and gives the answer as it becomes certain."""

    def add(self, line: Line) -> str:
        """What one more line that was read makes certain."""
        ...

    def close(self) -> Iterator[str]:
        """The rest, in pieces: there are no more lines."""
        ...


class ListOfLines:
    """A JSON list with an element for each line, in the order in which they are read."""

    def __init__(self, _size: Size) -> None:
        self._begin = "["

    def add(self, line: Line) -> str:
        begin, self._begin = self._begin, ",\n"
        return begin + _as_json(Element("text", "text", line.bbox, line.text))

    def close(self) -> Iterator[str]:
        yield "[]" if self._begin == "[" else "]"


class WholePage:
    """An answer made of all lines together: what columns and tables there are shows only then."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self._lines: list[Line] = []

    def add(self, line: Line) -> str:
        self._lines.append(line)
        return ""


class ListOfBlocks(WholePage):
    """A JSON list of the page's elements in reading order: paragraphs, headings, tables."""

    def close(self) -> Iterator[str]:
        yield "["
        for n, element in enumerate(blocks(self._lines, self._size)):
            yield f"{',' if n else ''}\n{_as_json(element)}"
        yield "]"


class Text(WholePage):
    """The text alone, in reading order."""

    def close(self) -> Iterator[str]:
        yield text(self._lines, self._size)


FORMS: Mapping[str, Callable[[Size], Form]] = {BLOCKS: ListOfBlocks, LINES: ListOfLines, TEXT: Text, REGION: Text}


def _as_json(element: Element) -> str:
    box = [round(side, 1) for side in element.bbox or ()]
    return json.dumps({"bbox": box, "category": element.type, "text": element.text}, ensure_ascii=False)
