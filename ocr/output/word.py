"""Pages as a Word document."""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

from docx import Document
from docx.shared import Inches

from ocr.output.blocks import Block, Kind, Run, blocks, grid
from ocr.types import PageResult

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # signs that XML 1.0 cannot hold
_MOST_COLUMNS, _MOST_CELLS = 63, 20_000  # of a table: the first is Word's own limit
_WIDEST = 6.0  # inches that a picture may take of the line


def docx(pages: Sequence[PageResult], picture: Callable[[str], bytes | None]) -> bytes:
    """A whole document as .docx, each page from a new one; formulas stay TeX in dollar signs."""
    document: Any = Document()
    for index, page in enumerate(pages):
        if index:
            document.add_page_break()
        for block in blocks(page.markdown):
            _add(document, block, picture)
        if page.error:
            document.add_paragraph(_fit(f"[Page {page.page} could not be read: {page.error}]"))
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def _add(document: Any, block: Block, picture: Callable[[str], bytes | None]) -> None:
    match block.kind:
        case Kind.HEADING:
            _write(document.add_heading(level=block.level), block.runs)
        case Kind.ITEM:
            paragraph = document.add_paragraph(f"{block.mark} ")
            paragraph.paragraph_format.left_indent = Inches(0.25 * min(block.level, 12))
            _write(paragraph, block.runs)
        case Kind.TABLE:
            _add_table(document, grid(block.rows))
        case Kind.PICTURE:
            _add_picture(document, picture(block.link), block.text)
        case _:
            _write(document.add_paragraph(), block.runs)


def _add_table(document: Any, rows: Sequence[Sequence[str]]) -> None:
    """A table; one with more columns than Word takes is kept as lines of text, its cells apart by tabs."""
    columns = max(map(len, rows), default=0)
    if columns > _MOST_COLUMNS or columns * len(rows) > _MOST_CELLS:
        document.add_paragraph(_fit("\n".join("\t".join(row) for row in rows)))
        return
    table = document.add_table(len(rows), columns, style="Table Grid")
    for row, texts in zip(table.rows, rows, strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = _fit(text)


def _add_picture(document: Any, png: bytes | None, words: str) -> None:
    if png is None:
        document.add_paragraph(_fit(f"[{words or 'picture'}]"))
        return
    shape = document.add_picture(io.BytesIO(png))
    width = min(Inches(_WIDEST), shape.width)
    shape.width, shape.height = width, round(shape.height * width / shape.width)


def _write(paragraph: Any, runs: Sequence[Run]) -> None:
    for run in runs:
        added = paragraph.add_run(_fit(f"${run.text}$" if run.is_formula else run.text))
        added.bold, added.italic = run.is_bold or None, run.is_italic or None
        if run.is_code:
            added.font.name = "Courier New"


def _fit(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
