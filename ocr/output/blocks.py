"""A page's markdown as blocks, for outputs that are no markdown. Of HTML only tables are understood, of LaTeX tables
and headings."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from html.parser import HTMLParser
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin

from ocr.output import latex
from ocr.output.held import HELD, give_back, hold


class Kind(StrEnum):
    """What a block is."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    ITEM = "item"  # of a list
    TABLE = "table"
    FORMULA = "formula"  # on a line of its own, as TeX
    CODE = "code"
    PICTURE = "picture"


@dataclass(frozen=True)
class Run:
    """Text in one style."""

    text: str
    is_bold: bool = False
    is_italic: bool = False
    is_code: bool = False
    is_formula: bool = False  # TeX, without its dollar signs


@dataclass(frozen=True)
class Cell:
    """A cell of a table, and how many columns and rows it covers."""

    runs: tuple[Run, ...]
    columns: int = 1
    rows: int = 1
    is_head: bool = False

    @property
    def text(self) -> str:
        """What it says, in one line."""
        return " ".join(plain(self.runs).split())


@dataclass(frozen=True)
class Block:
    """One block of a page."""

    kind: Kind
    runs: tuple[Run, ...] = ()
    level: int = 1  # of a heading from 1 to 6; how deep an item lies, from 1
    mark: str = ""  # of an item: "1." or a bullet
    rows: tuple[tuple[Cell, ...], ...] = ()  # of a table
    link: str = ""  # of a picture

    @property
    def text(self) -> str:
        """What it says, without style."""
        return plain(self.runs)


BULLET = "•"
MOST_SPANNED = 1000  # columns or rows that one cell may cover, as in the HTML standard
MOST_COVERED = 100_000  # cells of the grid of a table; where more are claimed, each cell covers one


def plain(runs: Sequence[Run]) -> str:
    """Their text, formulas in dollar signs."""
    return "".join(f"${run.text}$" if run.is_formula else run.text for run in runs)


def blocks(markdown: str) -> Iterator[Block]:
    """The blocks of a page's markdown in their order. Takes any text; the time grows with it and no faster."""
    text, held = hold(markdown)
    tokens = _MARKDOWN.parse(_TAG.sub(lambda tag: "\n" if tag[1] == "br" else "", text))
    give_back(tokens, held)
    lists: list[tuple[str, int]] = []  # the lists around a token: the mark of the item, and the next one's number or 0
    at = 0
    while at < len(tokens):
        token = tokens[at]
        match token.type:
            case "ordered_list_open":
                lists.append(("", int(token.attrGet("start") or 1)))
            case "bullet_list_open":
                lists.append((BULLET, 0))
            case "ordered_list_close" | "bullet_list_close":
                lists.pop()
            case "list_item_open" if lists[-1][1]:
                number = lists[-1][1]
                lists[-1] = (f"{number}.", number + 1)
            case "heading_open":
                yield Block(Kind.HEADING, tuple(_runs(tokens[at + 1].children or ())), level=int(token.tag[1]))
                at += 1
            case "inline":
                yield from _paragraph(token, lists, held)
            case "fence" | "code_block":
                yield Block(Kind.CODE, (Run(token.content.rstrip("\n"), is_code=True),))
            case "math_block" | "math_block_label":
                yield Block(Kind.FORMULA, (Run(token.content.strip(), is_formula=True),))
            case "table_open":
                end = next(index for index in range(at, len(tokens)) if tokens[index].type == "table_close")
                yield Block(Kind.TABLE, rows=tuple(_pipe_rows(tokens[at:end])))
                at = end
        at += 1


# No rule for HTML: tags stay text, but for those of style, which are left out. (Its rules also take a time that grows
# with the square of the text, where comments have no end.)
_MARKDOWN = (
    MarkdownIt("commonmark")
    .enable("table")
    .disable(["html_block", "html_inline"])
    .use(dollarmath_plugin, allow_space=False, allow_digits=False, double_inline=True)
)
_TAG = re.compile(
    r"</?(br|b|i|u|s|em|strong|sub|sup|small|big|p|div|span|center|font)(?:\s[^<>]{0,200})?/?>", re.IGNORECASE
)


def _paragraph(inline: Token, lists: Sequence[tuple[str, int]], held: Sequence[str]) -> Iterator[Block]:
    """The blocks of an inline token: pictures and what is held between pieces of text."""
    piece: list[Token] = []
    for child in inline.children or ():
        is_mixed = child.type == "text" and HELD.search(child.content)
        if child.type == "image" or is_mixed:
            yield from _text(piece, lists)
            piece = []
        if child.type == "image":
            yield Block(Kind.PICTURE, (Run(child.content),), link=str(child.attrGet("src") or ""))
        elif is_mixed:
            yield from _mixed(child.content, held)
        else:
            piece.append(child)
    yield from _text(piece, lists)


def _mixed(text: str, held: Sequence[str]) -> Iterator[Block]:
    """A text with marks for what is held in it."""
    at = 0
    for mark in HELD.finditer(text):
        if before := text[at : mark.start()].strip():
            yield Block(Kind.PARAGRAPH, (Run(before),))
        yield from _of_held(held[int(mark[1])])
        at = mark.end()
    if after := text[at:].strip():
        yield Block(Kind.PARAGRAPH, (Run(after),))


def _of_held(text: str) -> Iterator[Block]:
    """The blocks that a table or a LaTeX heading is."""
    if text.startswith("<"):
        yield from _html(text)
    elif not text.startswith(latex.BEGIN):
        level, words = latex.heading(text)
        yield Block(Kind.HEADING, tuple(_of_latex(words)), level=level)
    elif rows := latex.cells(text):
        yield Block(Kind.TABLE, rows=tuple(tuple(map(_latex_cell, row)) for row in rows))


def _latex_cell(cell: latex.LatexCell) -> Cell:
    return Cell(tuple(_of_latex(cell.text)), columns=min(max(cell.columns, 1), MOST_SPANNED))


def _of_latex(text: str) -> Iterator[Run]:
    return (run if run.is_formula else replace(run, text=latex.unescaped(run.text)) for run in _styled(text))


def _text(tokens: Sequence[Token], lists: Sequence[tuple[str, int]]) -> Iterator[Block]:
    runs = tuple(_runs(tokens))
    if not plain(runs).strip():
        return
    if all(run.is_formula for run in runs) and tokens[0].type == "math_inline_double":
        yield from (Block(Kind.FORMULA, (run,)) for run in runs)
    elif lists:
        yield Block(Kind.ITEM, runs, level=len(lists), mark=lists[-1][0])
    else:
        yield Block(Kind.PARAGRAPH, runs)


def _runs(children: Sequence[Token]) -> Iterator[Run]:
    """The text of an inline token's children by style."""
    bold = italic = 0
    for child in children:
        match child.type:
            case "strong_open" | "strong_close":
                bold += child.nesting
            case "em_open" | "em_close":
                italic += child.nesting
            case "softbreak" | "hardbreak":
                yield Run("\n", bold > 0, italic > 0)
            case "code_inline":
                yield Run(child.content, bold > 0, italic > 0, is_code=True)
            case "math_inline" | "math_inline_double":
                yield Run(child.content.strip(), bold > 0, italic > 0, is_formula=True)
            case "image":
                yield Run(child.content, bold > 0, italic > 0)
            case "text" if child.content:
                yield Run(child.content, bold > 0, italic > 0)


def _pipe_rows(tokens: Sequence[Token]) -> Iterator[tuple[Cell, ...]]:
    row: list[Cell] = []
    for before, token in pairwise(tokens):
        if token.type == "tr_open":
            row = []
        elif token.type == "inline":
            row.append(Cell(tuple(_runs(token.children or ())), is_head=before.type == "th_open"))
        elif token.type == "tr_close":
            yield tuple(row)


def _html(content: str) -> Iterator[Block]:
    """The table that some HTML holds, and text in it that is in no cell."""
    parser = _Html()
    parser.feed(content)
    parser.close()
    yield from parser.end()


class _Html(HTMLParser):
    """Takes HTML apart into tables and text; a table inside a cell is text of that cell."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._blocks: list[Block] = []
        self._depth = 0  # tables that are open
        self._rows: list[list[Cell]] = []
        self._cell: Cell | None = None  # that is open, its text not yet in it
        self._texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            if self._depth == 0:
                self._flush()
            self._depth += 1
        elif self._depth == 1 and tag == "tr":
            self._flush()
            self._rows.append([])
        elif self._depth == 1 and tag in ("td", "th"):
            self._flush()
            spans = dict(attrs)
            columns, rows = _span(spans.get("colspan")), _span(spans.get("rowspan"))
            self._cell = Cell((), columns, rows, is_head=tag == "th")
        elif tag == "br":
            self._texts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "table" and self._depth:
            self._depth -= 1
            if self._depth == 0:
                self._end_table()
        elif self._depth == 1 and tag in ("td", "th", "tr"):
            self._flush()

    def handle_data(self, data: str) -> None:
        self._texts.append(data)

    def end(self) -> list[Block]:
        """All blocks, a table that was left open among them."""
        if self._depth:
            self._end_table()
        self._flush()
        return self._blocks

    def _end_table(self) -> None:
        self._flush()
        if rows := tuple(tuple(row) for row in self._rows if row):
            self._blocks.append(Block(Kind.TABLE, rows=rows))
        self._rows = []

    def _flush(self) -> None:
        """Put the text that came last where it belongs: the open cell, or a paragraph of its own."""
        text, self._texts = "".join(self._texts).strip(), []
        if self._cell is not None:
            if not self._rows:
                self._rows.append([])
            cell, self._cell = self._cell, None
            self._rows[-1].append(Cell(tuple(_styled(text)), cell.columns, cell.rows, cell.is_head))
        elif text:
            self._blocks.append(Block(Kind.PARAGRAPH, tuple(_styled(text))))


def _styled(text: str) -> Iterator[Run]:
    """The text of a cell: formulas in dollar signs, all else as it stands."""
    at = 0
    for match in _FORMULA.finditer(text):
        if match.start() > at:
            yield Run(text[at : match.start()])
        yield Run(match[1].strip(), is_formula=True)
        at = match.end()
    if at < len(text):
        yield Run(text[at:])


# Prices are in dollars too: a formula neither begins nor ends with a space, and no digit follows it.
_FORMULA = re.compile(r"(?<![\\$])\$(?! )([^$\n]{1,1000}?)(?<![ \\])\$(?![\d$])")


def _span(value: str | None) -> int:
    return (
        min(max(int(value), 1), MOST_SPANNED) if value and value.isascii() and value.isdigit() and len(value) < 6 else 1
    )


def grid(rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
    """A table's texts row by row; a cell that covers several stands in the first of them.

    Rows are equally long, but in a table that would then have more than `MOST_COVERED` cells.
    """
    covered = sum(cell.columns * min(cell.rows, len(rows)) for row in rows for cell in row)
    spans = covered <= MOST_COVERED
    taken: dict[tuple[int, int], str] = {}
    for y, row in enumerate(rows):
        x = 0
        for cell in row:
            while (y, x) in taken:
                x += 1
            right, below = (x + cell.columns, min(y + cell.rows, len(rows))) if spans else (x + 1, y + 1)
            taken |= {(down, across): "" for down in range(y, below) for across in range(x, right)}
            taken[y, x] = cell.text
    widths = [0] * len(rows)
    for y, x in taken:
        widths[y] = max(widths[y], x + 1)
    if max(widths, default=0) * len(rows) <= MOST_COVERED:
        widths = [max(widths)] * len(rows)
    return [[taken.get((y, x), "") for x in range(width)] for y, width in enumerate(widths)]


def plain_lines(markdown: str) -> list[str]:
    """The lines of a text without marks, none of them empty; the cells of a table's row stand in one."""
    lines: list[str] = []
    for block in blocks(markdown):
        if block.kind is Kind.TABLE:
            lines += [" ".join(row) for row in grid(block.rows)]
        else:
            lines += f"{block.mark} {block.text}".split("\n")
    return [line for line in (" ".join(line.split()) for line in lines) if line]
