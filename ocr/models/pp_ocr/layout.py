"""The blocks of a page in reading order: tables, stacks of lines, page furniture. Knows no headings and no lists."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from ocr.models.pp_ocr.chains import chains, is_prose
from ocr.models.pp_ocr.furniture import furniture
from ocr.models.pp_ocr.grid import Table
from ocr.models.pp_ocr.order import ReadingOrder
from ocr.models.pp_ocr.spans import Span, bounds, rows, upright, usual, whole_lines
from ocr.models.pp_ocr.tables import tables
from ocr.types import Box, Line

LEVEL = 0.12  # heights that rows which are one differ by in their middles at most
SURE_ROWS = 3  # of a column, from which on it can be shown to be no part of a table
NEAR = 8  # columns to the left that a column is compared with
SHARED_ROWS = 0.5  # of the rows of two columns, for these to be of one table
SHORT = 12  # letters of a span at most that shows the one beside it to be in a table


@dataclass(frozen=True)
class Block:
    """Spans that are read one after the other."""

    spans: tuple[Span, ...]
    table: Table | None = None  # that they make up
    furniture: str = ""  # the type of element that they are, where they are no text of the page

    @cached_property
    def box(self) -> Box:
        return bounds(self.spans)

    @property
    def shows_column(self) -> bool:
        return len(self.spans) > 1


def laid_out(lines: Sequence[Line], size: tuple[int, int]) -> list[Block]:
    """The blocks in reading order, of a page of this (width, height). Lines without text are in none."""
    found, across, page = upright([line for line in lines if line.text.strip()], size)
    along = whole_lines(found)
    outside = furniture(along, page)
    body = [span for span in along if id(span) not in outside]
    line = usual(along, lambda span: span.height)
    grids = [table for group in _independent(_without_prose(body), line) for table in tables(group)]
    in_grids = {id(span) for table in grids for span in table.spans}
    blocks = [
        *(Block(table.spans, table) for table in grids),
        *(Block(tuple(chain)) for chain in chains([span for span in body if id(span) not in in_grids])),
        *(Block((span,)) for span in across),
    ]
    order = ReadingOrder[Block](
        box=lambda block: block.box,
        is_stack=lambda block: block.shows_column,
        line=line,
    )
    furnishings = [Block((span,), furniture=outside[id(span)]) for span in along if id(span) in outside]
    top = min((span.y1 for span in body), default=0)
    return [
        *(block for block in furnishings if block.box[1] < top),
        *order.of(blocks),
        *(block for block in furnishings if block.box[1] >= top),
    ]


def _without_prose(spans: Sequence[Span]) -> list[Span]:
    """The spans that may be cells of tables."""
    beside = {id(span) for row in rows(spans) for span in row if any(o.weight <= SHORT for o in row if o is not span)}
    prose = {id(span) for chain in chains(spans) if is_prose(chain, beside) for span in chain}
    return [span for span in spans if id(span) not in prose]


def _independent(spans: Sequence[Span], line: float) -> Iterator[list[Span]]:
    """The spans in groups whose rows have nothing to do with each other, though they may be side by side."""
    together: list[Span] = []
    for columns in ReadingOrder[Span](lambda span: (span.x1, span.y1, span.x2, span.y2), bool, line).zones(spans):
        starts = [n for n in range(1, len(columns)) if not _share_rows(columns[max(0, n - NEAR) : n], columns[n])]
        groups = [
            [span for column in columns[first:last] for span in column]
            for first, last in pairwise([0, *starts, len(columns)])
        ]
        if len(groups) == 1:
            together += groups[0]
        else:
            yield from (together, *groups)
            together = []
    yield together


def _share_rows(columns: Sequence[Sequence[Span]], other: Sequence[Span]) -> bool:
    """Whether so many lines stand on the same levels that chance did not bring them there."""
    few, many = sorted((rows([span for column in columns for span in column]), rows(other)), key=len)
    if len(few) < SURE_ROWS:
        return True
    levels = [row.middle for row in many]
    shared = sum(
        bisect_left(levels, row.middle + LEVEL * row.height) > bisect_left(levels, row.middle - LEVEL * row.height)
        for row in few
    )
    return shared >= SHARED_ROWS * len(few)
