"""Markdown as blocks: what outputs that are no markdown are made of."""

import pytest

from ocr.output.blocks import BULLET, Cell, Kind, Run, blocks, grid, plain_lines
from tests.growth import LINEAR, growth


def kinds(markdown: str) -> list[tuple[Kind, str]]:
    return [(block.kind, block.text) for block in blocks(markdown)]


def test_each_block_has_its_kind_and_its_text() -> None:
    markdown = (
        "# Title\n\nOne line,\nand another.\n\n---\n\n```python\nx = 1\n```\n\n![](images/page-1-1.png)\n\n$$E=mc^2$$"
    )
    assert kinds(markdown) == [
        (Kind.HEADING, "Title"),
        (Kind.PARAGRAPH, "One line,\nand another."),
        (Kind.CODE, "x = 1"),
        (Kind.PICTURE, ""),
        (Kind.FORMULA, "$E=mc^2$"),
    ]


def test_text_keeps_its_style() -> None:
    (paragraph,) = blocks("plain **bold *both*** `code` $a_1*b*$")
    assert paragraph.runs == (
        Run("plain "),
        Run("bold ", is_bold=True),
        Run("both", is_bold=True, is_italic=True),
        Run(" "),
        Run("code", is_code=True),
        Run(" "),
        Run("a_1*b*", is_formula=True),
    )


def test_prices_are_no_formulas() -> None:
    (paragraph,) = blocks("It costs $5 and $6, or $7.")
    assert paragraph.runs == (Run("It costs $5 and $6, or $7."),)


def test_items_know_their_mark_and_their_depth() -> None:
    items = [(block.mark, block.level, block.text) for block in blocks("3. three\n   - inner\n4. four\n\n- other")]
    assert items == [("3.", 1, "three"), (BULLET, 2, "inner"), ("4.", 1, "four"), (BULLET, 1, "other")]


def test_pictures_stand_between_the_pieces_of_their_paragraph() -> None:
    found = [(block.kind, block.text.strip(), block.link) for block in blocks("before ![a](x.png) after")]
    assert found == [(Kind.PARAGRAPH, "before", ""), (Kind.PICTURE, "a", "x.png"), (Kind.PARAGRAPH, "after", "")]


def test_a_table_in_html_is_a_table_wherever_it_stands() -> None:
    table = '<table><tr><th colspan="2">A &amp; B</th></tr><tr><td>x\n\ny</td><td>$\\frac12$</td></tr></table>'
    for markdown, around in ((table, []), (f"before {table} after", ["before", "after"]), (f"- {table}", [])):
        found = list(blocks(markdown))
        assert [block.text for block in found if block.kind is Kind.PARAGRAPH] == around
        (rows,) = [block.rows for block in found if block.kind is Kind.TABLE]
        assert rows[0] == (Cell((Run("A & B"),), columns=2, is_head=True),)
        assert grid(rows) == [["A & B", ""], ["x y", "$\\frac12$"]]


def test_a_table_of_bars_is_a_table() -> None:
    (table,) = blocks("| a | b |\n|---|--:|\n| 1 | **2** |")
    assert table.kind is Kind.TABLE
    assert grid(table.rows) == [["a", "b"], ["1", "2"]]
    assert [cell.is_head for cell in table.rows[0]] == [True, True]


def test_a_table_in_code_is_code() -> None:
    assert kinds("```html\n<table><tr><td>1</td></tr></table>\n```") == [
        (Kind.CODE, "<table><tr><td>1</td></tr></table>")
    ]


def test_other_html_is_text_and_tags_of_style_are_left_out() -> None:
    assert kinds("H<sub>2</sub>O<br>x <script>alert(1)</script>") == [
        (Kind.PARAGRAPH, "H2O\nx <script>alert(1)</script>")
    ]


def test_a_cell_over_several_stands_in_the_first() -> None:
    rows = next(blocks("<table><tr><td rowspan=3>a</td><td>b</td></tr><tr><td>c</td></tr></table>")).rows
    assert grid(rows) == [["a", "b"], ["", "c"]]


@pytest.mark.parametrize(
    "rows", [[[Cell((Run("x"),), 1000, 1000)] * 50] * 50, [[Cell(())] * 5000, *[[Cell(())]] * 5000]]
)
def test_a_table_takes_no_more_room_than_its_text_is_worth(rows: list[list[Cell]]) -> None:
    assert sum(map(len, grid(rows))) <= 100_000


def test_the_lines_of_a_text_are_without_marks() -> None:
    markdown = "# T\n\n1. one\n\n<table><tr><td>a</td><td>b</td></tr></table>"
    assert plain_lines(markdown) == ["T", "1. one", "a b"]


@pytest.mark.parametrize(
    "unit",
    ["<table>", "<table><tr><td>", "</table>", "<table></table>", "|a|\n", "$a", "$$\n", "[", "![](", "*a ", "> ",
     "- ", "`", "<b ", "<!--", "<?", "<![CDATA[", "&amp;", "\ue0001\ue001", "_a_", "# "],
)  # fmt: skip
def test_the_time_grows_with_the_text_and_no_faster(unit: str) -> None:
    assert growth(lambda size: list(blocks(unit * (size // len(unit)))), 8000) < LINEAR
