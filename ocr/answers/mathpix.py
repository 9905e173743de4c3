"""Mathpix markdown: text with formulas, headings and tables in LaTeX, which stays as it is."""

import re
from collections.abc import Iterable, Iterator

from ocr.answers.boxes import Scale
from ocr.answers.text import Marks
from ocr.types import AnswerEvent, Text

_BEGIN, _END = r"\begin{tabular}", r"\end{tabular}"
_MARK = re.compile("|".join(map(re.escape, (_BEGIN, _END))))
_MAYBE_MARK = re.compile(r"\\[a-z]{0,5}(?:\{[a-z]{0,7})?\Z")


class Mathpix:
    """An answer that is text, in which tables are LaTeX's: none is changed, and one that is not whole is told."""

    def __init__(self, _scale: Scale) -> None:
        self.problems: list[str] = []
        self._marks = Marks(_MARK, _MAYBE_MARK, len(_BEGIN))
        self._open = 0  # tables, one inside the other
        self._unbegun = 0  # ends of tables that have no beginning

    def feed(self, text: str) -> Iterable[AnswerEvent]:
        self._count(self._marks.feed(text))
        return (Text(text),) if text else ()

    def close(self) -> Iterable[AnswerEvent]:
        self._count(self._marks.close())
        if self._open:
            self.problems.append(f"The answer breaks off inside a table: {_END} is missing.")
        if self._unbegun:
            self.problems.append(f"A table has no beginning: {_BEGIN} is missing.")
        return ()

    def _count(self, parts: Iterator[str | re.Match[str]]) -> None:
        for part in parts:
            if isinstance(part, str):
                continue
            if part[0] == _BEGIN:
                self._open += 1
            elif self._open:
                self._open -= 1
            else:
                self._unbegun += 1
