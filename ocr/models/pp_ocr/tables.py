"""Tables: rows of spans that stand in the same columns. When in doubt there is none."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import median

from ocr.models.pp_ocr.grid import Reach, Table, columns_of, places, table_of
from ocr.models.pp_ocr.spans import APART, Row, Span, rows

FARTHEST = 3.5  # heights from the middle of a row to that of the next
CROSSES = 0.5  # of the gaps between columns that a line alone in its row may lie over and still be of the table
WIDE_PITCH = 1.3  # times the usual distance of rows, from which on another table may begin
PARTED = 3  # rows that a table has which is next to another
NEAR = 10  # rows that are compared
ALIGNED = 0.5  # heights that cells of a column are out of line at most
SHARE_ALIGNED = 0.65  # of all cells
SHARE_FILLED = 0.35  # of the places in the grid
LEAST_ROWS = 3  # with two cells or more; two full ones are enough with three columns or more
MOST_COLUMNS = 60  # more are no table that was ever printed
SHORT = 12  # letters of a cell at most that stands alone in the last row
LONG = 25  # letters on average: two columns of this are running text
CAPTION = re.compile(r"(?:table|figure|fig\.|tab\.|tabelle|abbildung|abb\.)\s*[\divx]+\b|[表图圖]\s*\d", re.IGNORECASE)


def tables(spans: Sequence[Span]) -> list[Table]:
    """The tables that these spans, running text left out, make up."""
    runs = (part for run in _runs(rows(spans)) for part in _parted(run))
    return [table for run in runs if (table := _table(run))]


def _gaps(row: Row) -> list[Reach]:
    pairs = ((left, right) for left, right in pairwise(row))
    return [
        (left.x2, right.x1) for left, right in pairs if right.x1 - left.x2 >= APART * min(left.height, right.height)
    ]


def _runs(found: Iterable[Row]) -> Iterable[list[Row]]:
    """Rows one after the other whose gaps are at the same places, as far as they have gaps."""
    run: list[Row] = []
    waiting: list[Row] = []  # lines alone in their rows, which are of the table if it goes on after them
    gaps: list[Reach] = []
    for row in found:
        own = _gaps(row)
        last = (run + waiting)[-1:]
        goes_on = bool(run) and row.middle - last[0].middle <= FARTHEST * max(row.height, last[0].height)
        if goes_on and not own and not _blocks(row, gaps):
            waiting.append(row)
        elif goes_on and own and _agree(gaps, own):
            run += [*waiting, row]
            waiting, gaps = [], own
        else:
            if run:
                yield _with_ends(run, waiting)
            run, waiting, gaps = ([row], [], own) if own else ([], [], [])
    if run:
        yield _with_ends(run, waiting)


def _agree(some: Sequence[Reach], others: Sequence[Reach]) -> bool:
    """Whether at least half of the gaps of the row that has fewer are gaps of the other."""
    few, many = sorted((some, others), key=len)
    shared = sum(any(min(a[1], b[1]) - max(a[0], b[0]) > 0 for b in many) for a in few)
    return shared * 2 >= len(few) and shared > 0


def _blocks(row: Row, gaps: Sequence[Reach]) -> bool:
    """Whether a line alone in its row lies over the gaps, so that it is no cell."""
    crossed = sum(row[0].x1 < left and row[-1].x2 > right for left, right in gaps)
    return crossed > CROSSES * len(gaps) or bool(CAPTION.match(row[0].text))


def _with_ends(run: list[Row], waiting: Sequence[Row]) -> list[Row]:
    """The run with the lines after it that are of it: next lines of cells, and short cells off its first column."""
    run = list(run)
    pitch = median([lower.middle - upper.middle for upper, lower in pairwise(run)] or [0.0])
    for row in waiting:
        span = row[0]
        above = [each for each in run[-1] if min(each.x2, span.x2) > max(each.x1, span.x1)]
        goes_on = above and span.text[0].islower() and span.y1 <= above[0].y2 + 0.3 * span.height
        is_cell = (
            row.middle - run[-1].middle <= WIDE_PITCH * pitch
            and span.weight <= SHORT
            and any(span.x1 < each.x2 and each.x1 < span.x2 for other in run for each in other[1:])
            and span.x1 > max(other[0].x2 for other in run if len(other) > 1)
        )
        if not (goes_on or is_cell):
            break
        run.append(row)
    return run


def _parted(run: list[Row]) -> Iterator[list[Row]]:
    """The run cut where it becomes another table: after a wider gap the rows are out of line with those before."""
    pitches = [lower.middle - upper.middle for upper, lower in pairwise(run)]
    wide = WIDE_PITCH * median(pitches or [0.0])
    start = 0
    for n in range(PARTED, len(run) - PARTED + 1):
        if n - start >= PARTED and pitches[n - 1] > wide and not _in_line(run, n):
            yield run[start:n]
            start = n
    yield run[start:]


def _in_line(run: Sequence[Row], at: int) -> bool:
    """Whether most spans after this row end, begin or are centred where some before it do."""
    upper = [span for row in run[max(0, at - NEAR) : at] for span in row[1:]]
    lower = [span for row in run[at : at + NEAR] for span in row[1:]]
    slack = 0.25 * median(span.height for row in run[at : at + NEAR] for span in row)
    shares = []
    for above, below in zip(_sides(upper), _sides(lower), strict=True):
        above = sorted(above)
        shares.append(sum(bisect_left(above, x + slack) > bisect_left(above, x - slack) for x in below))
    return max(shares) * 2 >= len(lower)


def _sides(spans: Sequence[Span]) -> tuple[list[float], list[float], list[float]]:
    """Where they begin, where they end, and the middles."""
    return [s.x1 for s in spans], [s.x2 for s in spans], [(s.x1 + s.x2) / 2 for s in spans]


def _table(run: Sequence[Row]) -> Table | None:
    """The run as a table, if it is one."""
    if max(map(len, run)) > MOST_COLUMNS:
        return None
    columns = columns_of(run)
    several = sum(len(row) > 1 for row in run)
    full = sum(len(row) == len(columns) for row in run)
    is_sure = several >= LEAST_ROWS or (len(columns) > 2 and full > 1)
    if not 1 < len(columns) <= MOST_COLUMNS or not is_sure or several * 2 < len(run):
        return None
    members: list[list[Span]] = [[] for _ in columns]
    for row in run:
        for (first, last), span in places(row, columns):
            if first == last:
                members[first].append(span)
    single = sum(map(len, members))
    aligned = sum(map(_aligned, members))
    if aligned < SHARE_ALIGNED * single or single < SHARE_FILLED * len(columns) * len(run):
        return None
    if len(columns) == 2 and all(sum(s.weight for s in column) > LONG * len(column) for column in members):
        return None
    return table_of(run, columns)


def _aligned(column: Sequence[Span]) -> int:
    """How many of a column's spans are in line, at the edge or middle that suits them best."""
    if not column:
        return 0
    slack = ALIGNED * median(span.height for span in column)
    return max(sum(abs(x - median(side)) <= slack for x in side) for side in _sides(column))
