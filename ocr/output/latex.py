"""LaTeX in a page's markdown that is no formula: tables and headings, as some models write them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

BEGIN = r"\begin{tabular}"
_TABLE_MARK = re.compile(r"\\(begin|end)\{tabular\}")
_LEVELS = {"title": 1, "section": 2, "subsection": 3, "subsubsection": 4}
_HEADING = re.compile(
    rf"^[ \t]*\\({'|'.join(_LEVELS)})\*?[ \t]*"
    r"\{((?:[^{}\\\n]|\n(?![ \t]*\n)|\\.|\{[^{}]{0,200}\}){1,1000})\}",
    re.MULTILINE | re.DOTALL,
)
_ARGUMENT = r"\{(?:[^{}]|\{[^{}]*\}){0,200}\}"
_OPENING = re.compile(rf"\\begin\{{tabular\}}\s*(?:\[[^\[\]]{{0,9}}\]\s*)?(?:{_ARGUMENT})?")
# What tells the cells of a table apart, what hides such signs, and lines between its rows.
_SIGN = re.compile(
    r"\\\\\*?(?:\[-?[\d.]{1,9} ?(?:pt|mm|cm|in|ex|em)\])?"
    r"|\\(?:begin|end)\{[a-z]+\*?\}|\\(?:hline|toprule|midrule|bottomrule)\b"
    r"|\\c(?:line|midrule)(?:\([lr]+\))?\{[\d-]+\}|\\.|[&{}]",
    re.DOTALL,
)
_RULE = re.compile(r"\\(?:hline|toprule|midrule|bottomrule|cline|cmidrule)")
_WIDE = re.compile(rf"\s*\\multicolumn\s*\{{\s*(\d{{1,5}})\s*\}}\s*{_ARGUMENT}\s*\{{(.*)\}}\s*", re.DOTALL)
_HIGH = re.compile(
    rf"\s*\\multirow\s*(?:\[[^\[\]]{{0,9}}\])?\s*\{{[^{{}}]{{0,9}}\}}\s*{_ARGUMENT}\s*\{{(.*)\}}\s*", re.DOTALL
)


def headings(text: str) -> Iterator[tuple[int, int]]:
    """Where the headings of a text stand, each at the beginning of its line."""
    return (match.span() for match in _HEADING.finditer(text))


def heading(text: str) -> tuple[int, str]:
    """The level and the words of such a heading: 1 for a title, 2 for a section."""
    name, words = _HEADING.findall(text)[0]
    return _LEVELS[name], " ".join(words.split())


def tables(text: str) -> list[tuple[int, int]]:
    """Where the tables of a text stand that have an end, but for those inside of others."""
    open_at: list[int] = []
    spans: list[tuple[int, int]] = []
    for mark in _TABLE_MARK.finditer(text):
        if mark[1] == "begin":
            open_at.append(mark.start())
        elif open_at:
            start = open_at.pop()
            while spans and spans[-1][0] > start:
                spans.pop()
            spans.append((start, mark.end()))
    return spans


@dataclass
class LatexCell:
    """One cell, its formulas in dollar signs as they stand."""

    text: str
    columns: int = 1  # that it covers


@dataclass
class _Rows:
    """The rows of a table as they are taken apart."""

    rows: list[list[str]] = field(default_factory=lambda: [[]])
    said: list[str] = field(default_factory=list)  # of the cell that is open

    def end_cell(self) -> None:
        self.rows[-1].append("".join(self.said).strip())
        self.said.clear()

    def end_row(self) -> None:
        self.end_cell()
        self.rows.append([])


def cells(table: str, *, is_inner: bool = False) -> list[list[LatexCell]]:
    """The rows of a table. A table in a cell is lines of its text, and one in that is as it stands."""
    opening = _OPENING.match(table)
    text = table[opening.end() if opening else len(BEGIN) : -len(r"\end{tabular}")]
    taken, at, depth = _Rows(), 0, 0
    for sign in _SIGN.finditer(text):
        mark = sign[0]
        is_inside = depth > 0
        depth += (mark == "{" or mark.startswith(r"\begin{")) - (mark == "}" or mark.startswith(r"\end{"))
        depth = max(depth, 0)
        is_kept = is_inside or not (mark == "&" or mark.startswith(r"\\") or _RULE.match(mark))
        taken.said.append(text[at : sign.end() if is_kept else sign.start()])
        at = sign.end()
        if is_kept or _RULE.match(mark):
            continue
        if mark == "&":
            taken.end_cell()
        else:
            taken.end_row()
    taken.said.append(text[at:])
    taken.end_cell()
    return [[_cell(cell, is_inner) for cell in row] for row in taken.rows if any(row) or len(row) > 1]


def _cell(text: str, is_inner: bool) -> LatexCell:
    """A cell with what it says out of its frames."""
    columns = 1
    if wide := _WIDE.fullmatch(text):
        columns, text = int(wide[1]), wide[2]
    if high := _HIGH.fullmatch(text):
        text = high[1]  # the cells that it covers below are there, and empty
    for start, end in () if is_inner else reversed(tables(text)):
        inner = "\n".join(" ".join(cell.text for cell in row) for row in cells(text[start:end], is_inner=True))
        text = f"{text[:start]}{inner}{text[end:]}"
    return LatexCell(text.strip(), columns)


_ESCAPED = re.compile(r"\\([&%$#_{}])")


def unescaped(text: str) -> str:
    """Text that is no formula, without the backslashes before signs that LaTeX has other uses for."""
    return _ESCAPED.sub(r"\1", text)
