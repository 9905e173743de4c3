"""Tables and LaTeX headings of a page's markdown, held out of it while it is read as CommonMark."""

import re
from collections.abc import Iterator, Sequence

from markdown_it.token import Token

from ocr.output import latex

HELD = re.compile("\ue000(\\d+)\ue001")  # stands for what is held; signs of private use, taken out of the text before


def hold(markdown: str) -> tuple[str, list[str]]:
    """The text with a mark for each table and LaTeX heading, and these: CommonMark would take them apart.

    A blank line in a cell would end its block, and a backslash is taken from signs.
    """
    markdown = markdown.replace("\ue000", "").replace("\ue001", "")
    parts: list[str] = []
    held: list[str] = []
    at = 0
    for start, end in sorted([*_html_tables(markdown), *latex.tables(markdown), *latex.headings(markdown)]):
        if start >= at:
            parts += [markdown[at:start], f"\ue000{len(held)}\ue001"]
            held.append(markdown[start:end])
            at = end
    return "".join(parts) + markdown[at:], held


def _html_tables(markdown: str) -> Iterator[tuple[int, int]]:
    at = 0
    while (start := markdown.find("<table", at)) >= 0 and (end := markdown.find(_TABLE_END, start)) >= 0:
        at = end + len(_TABLE_END)
        yield start, at


_TABLE_END = "</table>"


def give_back(tokens: Sequence[Token], held: Sequence[str], *, everywhere: bool = False) -> None:
    """Put what is held back into code, formulas, headings and cells: there it is text."""
    before = ""
    for token in tokens:
        if everywhere or token.type not in ("text", "inline"):
            token.content = HELD.sub(lambda mark: held[int(mark[1])], token.content)
        give_back(token.children or (), held, everywhere=before in ("heading_open", "th_open", "td_open"))
        before = token.type
