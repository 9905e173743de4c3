"""The tables of a page as comma-separated values, a file for each."""

import csv
import io
import re
from collections.abc import Iterator

from ocr.output.blocks import Kind, blocks, grid
from ocr.types import PageResult

_NUMBER = re.compile(r"[-+]?[\d.,\s]*%?")
# By these a spreadsheet takes a cell for a formula, which may send the others away.
_FORMULA_SIGNS = ("=", "@", "+", "-", "＝", "＠", "＋", "－")  # noqa: RUF001  the wide ones too


def tables(page: PageResult) -> Iterator[tuple[str, str]]:
    """Each table of a page: its file's name, `page-1-1.csv` with both numbers from 1, and its rows as CSV (RFC 4180).

    A cell that a spreadsheet would take for a formula has an apostrophe before it; numbers are left as they are.
    """
    found = (block for block in blocks(page.markdown) if block.kind is Kind.TABLE)
    for number, table in enumerate(found, 1):
        out = io.StringIO()
        csv.writer(out).writerows([harmless(cell) for cell in row] for row in grid(table.rows))
        yield f"page-{page.page}-{number}.csv", out.getvalue()


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: one that it might has an apostrophe before it."""
    is_formula = cell.lstrip().startswith(_FORMULA_SIGNS) or cell.startswith(("\t", "\r"))
    return f"'{cell}" if is_formula and not _NUMBER.fullmatch(cell) else cell
