"""Tables and headings in LaTeX, as outputs that are no markdown have them; the markdown keeps them as they are."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocr.output.blocks import Kind, blocks, grid, plain_lines
from ocr.output.html import html
from ocr.output.latex import tables
from ocr.output.tables import tables as as_csv
from ocr.types import FinishReason, PageResult
from tests.growth import LINEAR, growth

TABLE = (
    "\\begin{tabular}{|l|p{3cm}|r|}\n\\hline Buoy & Depth & $x_{1}$ \\\\\n"
    "\\hline \\multicolumn{2}{|c|}{ none \\& all } & 5 \\% \\\\[2pt]\n\\cline{1-2}\n\n"
    "\\multirow[t]{2}{*}{ a } & \\textbf{b & c} & \\$ 4 \\\\ & \\begin{tabular}{l} one \\\\ two \\end{tabular} & "
    "$\\begin{array}{l} u & v \\\\ w \\end{array}$ \\\\\n\\hline\n\\end{tabular}"
)
ROWS = [
    ["Buoy", "Depth", "$x_{1}$"],
    ["none & all", "", "5 %"],
    ["a", "\\textbf{b & c}", "$ 4"],
    ["", "one two", "$\\begin{array}{l} u & v \\\\ w \\end{array}$"],
]


def page(markdown: str) -> PageResult:
    return PageResult(1, 600, 400, "m", "", markdown, (), FinishReason.STOP)


@pytest.mark.parametrize(("before", "after"), [("", ""), ("The depths:\n", "\nafter 1911"), ("See ", " there")])
def test_a_table_has_its_cells_wherever_it_stands(before: str, after: str) -> None:
    found = list(blocks(f"{before}{TABLE}{after}"))
    assert [block.text.strip() for block in found if block.kind is Kind.PARAGRAPH] == [
        text.strip() for text in (before, after) if text
    ]
    (rows,) = [block.rows for block in found if block.kind is Kind.TABLE]
    assert grid(rows) == ROWS
    assert [cell.columns for cell in rows[1]] == [2, 1]


def test_files_of_cells_and_of_html_have_it() -> None:
    ((_, text),) = as_csv(page(TABLE))
    assert list(csv.reader(io.StringIO(text))) == ROWS
    shown = html([page(f"\\section*{{Depths}}\n{TABLE}")], "t", lambda _: None)
    assert "<h2>Depths</h2>" in shown
    assert '<tr><td colspan="2">none &amp; all</td><td>5 %</td></tr>' in shown


def test_headings_have_their_level_and_their_words() -> None:
    markdown = "\\title{\nThe {\\em old} pier\n}\n\\section*{1 Depths \\& tides}\ntext\n\\subsubsection{b} \\section{c}"
    assert [(block.kind, block.level, block.text.strip()) for block in blocks(markdown)] == [
        (Kind.HEADING, 1, "The {\\em old} pier"),
        (Kind.HEADING, 2, "1 Depths & tides"),
        (Kind.PARAGRAPH, 1, "text"),
        (Kind.HEADING, 4, "b"),
        (Kind.PARAGRAPH, 1, "\\section{c}"),
    ]


@pytest.mark.parametrize(
    "frame", ["```\n{}\n```", "`{}`", "$$\n{}\n$$", "# {}", "| h |\n|---|\n| {} |"], ids=["", "code", "$$", "#", "|"]
)
def test_in_code_formulas_and_cells_it_is_text(frame: str) -> None:
    inside = "\\begin{tabular}{l} a \\\\ \\end{tabular}"
    found = list(blocks(frame.format(inside)))
    said = " ".join(cell.text for block in found for row in block.rows for cell in row) or found[0].text
    assert inside in said


@pytest.mark.parametrize(
    ("broken", "lines"),
    [
        ("a \\begin{tabular}{l} b & c", ["a \\begin{tabular}{l} b & c"]),
        ("a & b \\end{tabular}", ["a & b \\end{tabular}"]),
        ("\\begin{tabular} a & b \\end{tabular}", ["a b"]),
        ("\\begin{tabular}{l} a {b & c \\\\ d \\end{tabular}", ["a {b & c \\\\ d"]),
        ("\\begin{tabular}{l} a} & b \\end{tabular}", ["a} b"]),
        ("\\begin{tabular}{l} 1 \\begin{tabular}{l} 2 \\end{tabular}", ["\\begin{tabular}{l} 1", "2"]),
        ("\\begin{tabular}{l}\\multicolumn{99999}{c}{a} \\end{tabular}", ["a"]),
        ("\\title{ no end\n\n\\section*{b}", ["\\title{ no end", "b"]),
    ],
)
def test_what_is_broken_is_text(broken: str, lines: list[str]) -> None:
    assert [line.strip() for line in plain_lines(broken)] == lines


PARTS = st.sampled_from(["\\begin{tabular}", "\\end{tabular}", "{", "}", "&", "\\\\", "\\hline", "$", "\n", "\\title{"])


@given(st.lists(PARTS | st.text(max_size=3), max_size=30).map("".join))
def test_no_text_breaks_it(text: str) -> None:
    for block in blocks(text):
        assert (block.kind is Kind.TABLE) is bool(block.rows and grid(block.rows))
    for start, end in tables(text):
        assert text[start:end].startswith("\\begin{tabular}")


@pytest.mark.parametrize(
    "unit",
    [
        "\\begin{tabular}",
        "\\end{tabular}",
        "\\begin{tabular}{l}a\\end{tabular}",
        "\\title{",
        "\n\\title{{a}",
        "&{",
        "\\\\[",
    ],
)
def test_the_time_grows_with_the_text_and_no_faster(unit: str) -> None:
    text = "\\begin{tabular}{l}"
    assert growth(lambda length: list(blocks(text + unit * (length // len(unit)) + "\\end{tabular}")), 8_000) < LINEAR
    nested = "\\begin{tabular}" * 300 + "\\end{tabular}" * 300
    assert len(list(blocks(nested))) == 1
