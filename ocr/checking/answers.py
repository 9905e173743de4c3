"""What of a model's answer is to be compared with the print of its page, and where in it each sign stands."""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ocr.checking.signs import Alphabet, Signs
from ocr.types import Element

_TAG = re.compile(r"<[^<>]*>")
_INLINE_TAG = re.compile(r"</?(?:sup|sub|br|center)\s*/?>", re.IGNORECASE)
_TABLE = re.compile(r"</?table\b[^<>]*>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,31});")
_LINK = re.compile(r"!\[[^\[\]]*\]\([^()\s]*\)|(?<=\])\([^()\s]*\)")
# LaTeX's marks around text that is no formula: of headings, of tables and their columns.
_LAYOUT = re.compile(
    r"\\(?:begin|end)\{[a-z]{1,20}\*?\}(?:\{(?:[^{}]|\{[^{}]{0,99}\}){0,99}\})?"
    r"|\\multi(?:column|row)(?:\[[a-z]\])?\{[^{}]{0,9}\}\{[^{}]{0,99}\}|\\cline\{[\d-]{0,9}\}"
    r"|\\(?:hline|title|author|(?:sub){0,2}section|caption|footnotetext)\b\*?"
)
_COMMAND = re.compile(r"\\[a-zA-Z]+|[\\^_{}$&]")
_FRAME = re.compile(r"\\[()\[\]]|\$\$")  # begins or ends a formula
_CLOSING = {r"\(": r"\)", r"\[": r"\]", "$$": "$$"}
_DOLLARS = re.compile(r"\$[^$\n]*\$")
_LATEX = re.compile(r"[\\^_]")  # what tells a formula from two sums of money


@dataclass(frozen=True)
class Answer:
    """The text of all elements as one, and which element each sign is of."""

    signs: Signs
    element: Sequence[int]  # of each sign: index into the elements
    is_formula: Sequence[bool]  # of each sign: it may be written in another way than it looks

    def of(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """A run of signs cut where one element ends and another begins: element, start, end."""
        while start < end:
            stop = start
            while stop < end and self.element[stop] == self.element[start]:
                stop += 1
            yield self.element[start], start, stop
            start = stop


def compared(elements: Sequence[Element], alphabet: Alphabet) -> Answer:
    """The answer's signs without those of pictures; a formula's are marked, and its commands are no signs."""
    texts: list[str] = []
    owners: list[int] = []
    formulas: list[bool] = []
    for index, element in enumerate(elements):
        if element.type == "picture":
            continue
        text, in_formula = _without_marks(element)
        texts.append(text + "\n")
        owners += [index] * (len(text) + 1)
        formulas += [*in_formula, False]
    found = alphabet.signs("".join(texts))
    return Answer(found, [owners[place] for place in found.at], [formulas[place] for place in found.at])


def _without_marks(element: Element) -> tuple[str, list[bool]]:
    """An element's text with spaces for everything that is not print, and which of its characters are of a formula."""
    text = element.text
    if element.type == "formula":
        return _COMMAND.sub(_spaces, text), [True] * len(text)
    formulas = [*_framed(text), *_in_dollars(text)]
    is_formula = [False] * len(text)
    for start, end in formulas:
        is_formula[start:end] = [True] * (end - start)
    for spans, marks in ((formulas, _COMMAND), ([(0, len(text))] if element.type == "table" else _tables(text), _TAG)):
        text = _blanked(text, sorted(spans), marks)
    for marks in (_INLINE_TAG, _LINK, _LAYOUT):
        text = marks.sub(_spaces, text)
    return _ENTITY.sub(_character, text), is_formula


def _framed(text: str) -> Iterator[tuple[int, int]]:
    """The formulas between LaTeX's brackets or two dollar signs."""
    closing, start = "", 0
    for mark in _FRAME.finditer(text):
        if mark[0] == closing:
            yield start, mark.end()
            closing = ""
        elif not closing and mark[0] in _CLOSING:
            closing, start = _CLOSING[mark[0]], mark.start()


def _in_dollars(text: str) -> Iterator[tuple[int, int]]:
    for match in _DOLLARS.finditer(text):
        if len(match[0]) > 2 and _LATEX.search(match[0]):
            yield match.span()


def _tables(text: str) -> list[tuple[int, int]]:
    """The tables in HTML in a text; one without an end goes on to the end of the text."""
    marks = list(_TABLE.finditer(text))
    ends = [(mark.end() if mark[0].startswith("</") else len(text)) for mark in marks[1:]] + [len(text)]
    return [(mark.start(), end) for mark, end in zip(marks, ends, strict=False) if not mark[0].startswith("</")]


def _blanked(text: str, spans: Sequence[tuple[int, int]], marks: re.Pattern[str]) -> str:
    """The text with spaces for the marks within these spans, which are in order."""
    pieces, done = [], 0
    for start, end in spans:
        first = max(start, done)
        pieces += [text[done:first], marks.sub(_spaces, text[first:end])]
        done = max(end, done)
    return "".join(pieces) + text[done:]


def _spaces(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _character(match: re.Match[str]) -> str:
    return html.unescape(match[0])[:1].ljust(len(match[0]))
