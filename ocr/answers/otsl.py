"""Tables in OTSL, a token for each cell, into HTML (arXiv 2305.03393). What stands around them is text."""

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ocr.answers.boxes import Scale
from ocr.answers.text import Marks, begun
from ocr.types import AnswerEvent, Opened, Text

FILLED, EMPTY, LEFT, UP, BOTH, END = "<fcel>", "<ecel>", "<lcel>", "<ucel>", "<xcel>", "<nl>"
_TOKEN = re.compile("|".join((FILLED, EMPTY, LEFT, UP, BOTH, END)))
_MAYBE_TOKEN = re.compile(r"<[a-z]{0,4}\Z")
MOST_CELLS = 10_000  # that a table is filled up to, where its rows have different lengths


@dataclass
class Cell:
    """One cell: which token it is, and what it says."""

    token: str
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.parts).strip()


class Otsl:
    """Text in which tables stand in OTSL. A table is whole, and comes out, with the first text after it."""

    def __init__(self, _scale: Scale) -> None:
        self.problems: list[str] = []
        self._marks = Marks(_TOKEN, _MAYBE_TOKEN, len(FILLED))
        self._rows: list[list[Cell]] = []  # of the table that is open
        self._is_new_row = True
        self._is_open = False  # whether an element is open for text to belong to

    def feed(self, text: str) -> Iterator[AnswerEvent]:
        for part in self._marks.feed(text):
            yield from self._take(part)

    def close(self) -> Iterator[AnswerEvent]:
        for part in (*self._marks.close(), self._marks.rest):
            yield from self._take(part)
        if self._rows and not self._is_new_row:
            self.problems.append("The answer breaks off inside a row of a table.")
        yield from self._end_table()

    def _take(self, part: str | re.Match[str]) -> Iterator[AnswerEvent]:
        if isinstance(part, str):
            yield from self._say(part)
        else:
            self._cell(part[0])

    def _cell(self, token: str) -> None:
        if token == END:
            if self._is_new_row and self._rows:
                self._rows.append([])
            self._is_new_row = True
            return
        if self._is_new_row:
            self._rows.append([])
            self._is_new_row = self._is_open = False
        self._rows[-1].append(Cell(token))

    def _say(self, text: str) -> Iterator[AnswerEvent]:
        if self._rows and not self._is_new_row:
            self._rows[-1][-1].parts.append(text)
        elif text.strip() or self._is_open:
            yield from self._end_table()
            text = text if self._is_open else begun(text)
            if not self._is_open:
                self._is_open = True
                yield Opened("text", "", None)
            yield Text(text)

    def _end_table(self) -> Iterator[AnswerEvent]:
        if self._rows:
            rows, self._rows, self._is_new_row = self._rows, [], True
            self._is_open = False
            yield Opened("table", "", None)
            yield Text(as_html(self._even(rows)))

    def _even(self, rows: list[list[Cell]]) -> Sequence[Sequence[Cell]]:
        """Rows of one width: that with the least change which cuts no cell that says something."""
        lengths = sorted(map(len, rows))
        needed = max(index for row in rows for index in _needed(row))
        width = max(lengths[(len(lengths) - 1) // 2], needed)
        if lengths[0] == lengths[-1] or width * len(rows) > MOST_CELLS:
            return rows
        self.problems.append(f"A table whose rows have {lengths[0]} to {lengths[-1]} cells; it is given {width}.")
        return [(row + [Cell(EMPTY) for _ in range(width - len(row))])[:width] for row in rows]


def _needed(row: Sequence[Cell]) -> Iterator[int]:
    """How many first cells of a row hold each that says something."""
    yield 0
    yield from (index for index, cell in enumerate(row, start=1) if cell.text)


def as_html(rows: Sequence[Sequence[Cell]]) -> str:
    """A table of these cells; one that is joined to the left or upwards widens the cell that it is joined to."""
    covered: set[tuple[int, int]] = set()
    lines = []
    for y, row in enumerate(rows):
        cells = []
        for x in range(len(row)):
            if (y, x) in covered:
                continue
            wide = 1 + _run(row[right].token in (LEFT, BOTH) for right in range(x + 1, len(row)))
            high = 1 + _run(
                len(rows[down]) > x and rows[down][x].token in (UP, BOTH) for down in range(y + 1, len(rows))
            )
            joined = [
                (down, right) for down in range(y, y + high) for right in range(x, min(x + wide, len(rows[down])))
            ]
            covered.update(joined)
            said = [text for down, right in joined if (text := rows[down][right].text)]
            spans = _span("rowspan", high) + _span("colspan", wide)
            cells.append(f"<td{spans}>{html.escape(' '.join(said), quote=False)}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(lines)}</table>"


def _run(signs: Iterable[bool]) -> int:
    """How many are true before the first that is not."""
    count = 0
    for sign in signs:
        if not sign:
            break
        count += 1
    return count


def _span(name: str, count: int) -> str:
    return f' {name}="{count}"' if count > 1 else ""
