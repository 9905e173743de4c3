"""Rows of spans as a grid of columns and cells. Knows not whether they are a table at all."""

import html
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from ocr.models.pp_ocr.chains import is_full
from ocr.models.pp_ocr.spans import Row, Span, is_cjk

IN_COLUMN = 0.25  # heights that a cell lies over a column to be in it
LOWER = 0.5  # heights that a cell between two lines of its row stands lower than the first
CLOSE = 0.3  # heights between the frames of two lines of one cell at most
TIGHT = 0.75  # of the usual distance of rows, up to which lines are surely of one cell

Reach = tuple[float, float]  # from where to where, across the page
Place = tuple[int, int]  # the first and the last column that a span is in
Cells = dict[Place, list[Span]]  # of one row


@dataclass(frozen=True)
class Cell:
    """What stands in a place of the grid, and over how many columns."""

    spans: tuple[Span, ...] = ()
    columns: int = 1

    @property
    def text(self) -> str:
        text = ""
        for span in self.spans:
            is_apart = text and not (is_cjk(text[-1]) or is_cjk(span.text[0]))
            text += " " + span.text if is_apart else span.text
        return text

    def html(self) -> str:
        """The cell as HTML."""
        span = f' colspan="{self.columns}"' if self.columns > 1 else ""
        return f"<td{span}>{html.escape(self.text, quote=False)}</td>"


@dataclass(frozen=True)
class Table:
    """A grid: the cells of each row lie over all its columns together."""

    rows: tuple[tuple[Cell, ...], ...]

    @property
    def spans(self) -> tuple[Span, ...]:
        return tuple(span for row in self.rows for cell in row for span in cell.spans)

    def html(self) -> str:
        """The table as HTML in one line, as models of the field write it."""
        rows = ("".join(cell.html() for cell in row) for row in self.rows)
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"

    def text(self) -> str:
        """A line a row, with a tab between its columns."""
        return "\n".join("\t".join(cell.text + "\t" * (cell.columns - 1) for cell in row) for row in self.rows)


def columns_of(rows: Sequence[Row]) -> list[Reach]:
    """From where to where each column reaches: narrow spans make the columns, wide ones lie over several."""
    found: list[Reach] = []
    for span in sorted((span for row in rows for span in row), key=lambda span: span.width):
        touched = [found[n] for n in _touched(span, found)]
        if not touched:
            found.append((span.x1, span.x2))
        elif len(touched) == 1:
            found.remove(touched[0])
            found.append((min(touched[0][0], span.x1), max(touched[0][1], span.x2)))
    return _merged(_without_headings(sorted(found), rows), rows)


def _without_headings(columns: list[Reach], rows: Sequence[Row]) -> list[Reach]:
    """The columns but those of a single span between two others that its row has nothing of: a heading over both."""
    placed = [{first: last for (first, last), _ in places(row, columns)} for row in rows]
    counts = Counter(first for row in placed for first in row)
    headings = {
        n
        for n in range(1, len(columns) - 1)
        if counts[n] == 1
        and any(n in row and n - 1 not in row and n + 1 not in row for row in placed)
        and any(n - 1 in row and n + 1 in row for row in placed)
    }
    return [column for n, column in enumerate(columns) if n not in headings]


def _touched(span: Span, columns: Sequence[Reach]) -> list[int]:
    """The columns that the span lies over."""
    least = IN_COLUMN * span.height
    return [n for n, (start, end) in enumerate(columns) if min(end, span.x2) - max(start, span.x1) > least]


def _merged(columns: list[Reach], rows: Sequence[Row]) -> list[Reach]:
    """Columns side by side that no row has both of are one, where a wider span shows that."""
    at = 0
    placed = [[place for place, _ in places(row, columns)] for row in rows]
    while at + 1 < len(columns):
        is_bridged = any(first <= at < last for row in placed for first, last in row)
        is_apart = any(at in (last for _, last in row) and at + 1 in (first for first, _ in row) for row in placed)
        if is_bridged and not is_apart:
            columns[at : at + 2] = [(columns[at][0], columns[at + 1][1])]
            placed = [[place for place, _ in places(row, columns)] for row in rows]
        else:
            at += 1
    return columns


def places(row: Row, columns: Sequence[Reach]) -> list[tuple[Place, Span]]:
    """Where in the grid each span of the row is."""
    found = []
    for span in row:
        over = _touched(span, columns)
        if not over:
            middles = [(start + end) / 2 for start, end in columns]
            at = bisect_left(middles, (span.x1 + span.x2) / 2)
            over = [max(0, at - 1), min(at, len(columns) - 1)]
        found.append(((over[0], over[-1]), span))
    return found


def table_of(rows: Sequence[Row], columns: Sequence[Reach]) -> Table:
    """The table of the rows; a line that goes on in the cells above it is put there."""
    pitch = median([lower.middle - upper.middle for upper, lower in pairwise(rows)] or [0.0])
    found: list[Cells] = []
    for row in rows:
        placed = places(row, columns)
        if not (found and (_shares_row(placed, found[-1]) or _continues(placed, found[-1], columns, pitch))):
            found.append({})
        for place, span in placed:
            found[-1].setdefault(place, []).append(span)
    return Table(tuple(_row(cells, len(columns)) for cells in found))


def _shares_row(placed: Sequence[tuple[Place, Span]], above: Cells) -> bool:
    """Whether these stand a little lower than a row because they are between two lines of it, in columns it leaves."""
    spans = [cell[0] for cell in above.values()]
    lowest = max(span.middle for span in spans) + LOWER * max(span.height for span in spans)
    return all(
        span.middle <= lowest and all(last < place[0] or place[1] < first for first, last in above)
        for place, span in placed
    )


def _continues(placed: Sequence[tuple[Place, Span]], above: Cells, columns: Sequence[Reach], pitch: float) -> bool:
    """Whether each of these is the next line of a cell above, of which the row has more."""
    if len(above) > 1 and len(placed) >= len(above):
        return False
    for place, span in placed:
        upper = above[place][-1] if place in above else None
        if upper is None or span.y1 - upper.y2 > CLOSE * span.height:
            return False
        goes_on = span.text[0].islower() or is_cjk(span.text[0])
        if span.middle - upper.middle > TIGHT * pitch and not (goes_on and is_full(upper, span, columns[place[1]][1])):
            return False
    return True


def _row(cells: Cells, count: int) -> tuple[Cell, ...]:
    """The cells from left to right, empty ones where there are none."""
    found: list[Cell] = []
    at = 0  # the columns that are done
    for (first, last), spans in sorted(cells.items()):
        if first < at:  # they share a column: kept together
            found[-1] = Cell((*found[-1].spans, *spans), found[-1].columns + max(0, last + 1 - at))
        else:
            found += [Cell()] * (first - at)
            found.append(Cell(tuple(spans), last + 1 - first))
        at = max(at, last + 1)
    return (*found, *[Cell()] * (count - at))
