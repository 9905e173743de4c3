"""Pages as the networks of pp-ocr find their lines: the frames are real, and as uneven as they come."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.pp_ocr.sheets import SHEETS
from bench.pp_ocr.trees import Node, distance, teds, tree
from bench.pp_ocr.typesetting import markdown
from ocr.models.pp_ocr.structure import blocks
from ocr.output.markdown import LEFT_OUT
from ocr.types import Element, Line

FOUND = json.loads((Path(__file__).parent / "golden" / "pp_ocr" / "lines.json").read_text(encoding="utf-8"))
HARD = {"menu": 0.1}  # two price lists side by side are one table to it


def elements(name: str) -> Sequence[Element]:
    page = FOUND[name]
    lines = []
    for text, (ax, ay, bx, by, cx, cy, dx, dy) in page["lines"]:
        lines.append(Line(text, 1.0, ((ax, ay), (bx, by), (cx, cy), (dx, dy))))
    return blocks(lines, tuple(page["size"]))


@pytest.mark.parametrize("name", SHEETS)
def test_drawn_pages_come_back_as_they_were_set(name: str) -> None:
    found = "\n\n".join(each.text for each in elements(name) if each.type not in LEFT_OUT)
    assert teds(found, markdown(SHEETS[name])) >= HARD.get(name, 0.98)


def test_the_tables_of_a_printed_paper_have_their_rows_and_columns() -> None:
    found = elements("paper_page")
    kinds = [each.type for each in found]
    assert kinds == ["header", "page_number", "caption", "table", "text", "caption", "table", "table", *["text"] * 5]
    tables = [tree(each.text).children[0].children for each in found if each.type == "table"]
    assert [len(rows) for rows in tables] == [18, 14, 14]
    assert [{sum(int(cell.kind[5:]) for cell in row.children) for row in rows} for rows in tables] == [{8}, {13}, {9}]
    assert " ".join(cell.text for cell in tables[0][6].children) == "6-15 years 62 8 0.98 0.44-2.20 52 1.04 0.71-1.51"
    assert tables[1][8].children[0].text == "p-value of test for linear trend (with ref cat)"
    assert found[8].text.endswith("confidence interval.") and found[9].text.startswith("sponding OR")
    assert found[10].text.count("ever exposure") == 2  # of which one is cut at the end of a line


def test_calendars_beside_text_are_tables_of_seven_days() -> None:
    tables = [each.text for each in elements("calendar_1") if each.type == "table"]
    assert tables and all("第" not in table for table in tables)
    weeks = [row for table in tables for row in tree(table).children[0].children]
    days = Counter(cell.text for row in weeks for cell in row.children)
    assert days["30"] == 6 and days["31"] == 4 and days["日"] == 6


def test_the_numbers_of_a_chart_are_no_table() -> None:
    assert "table" not in {each.type for each in elements("chart")}


def test_a_tree_has_the_blocks_of_the_page() -> None:
    page = tree(
        "# A title\n\nSome\ntext.\n\n- one\n  - two\n\n- three\n\n<table><tr><td>a &lt; b</td><td></td></tr></table>"
    )
    assert [child.kind for child in page.children] == ["h1", "p", "list", "table"]
    assert [(item.text, [inner.text for inner in item.children]) for item in page.children[2].children] == [
        ("one", ["two"]),
        ("three", []),
    ]
    assert [cell.text for cell in page.children[3].children[0].children] == ["a < b", ""]


@pytest.mark.parametrize(
    ("changed", "cost"),
    [
        ("# A\n\nabcd\n\nefgh", 0),
        ("# A\n\nabcd", 1),
        ("# A\n\nabcd\n\nefgh\n\nijkl", 1),
        ("## A\n\nabcd\n\nefgh", 1),
        ("# A\n\nabcx\n\nefgh", 0.25),
        ("# A\n\nefgh\n\nabcd", 2),
        ("# A\n\n- abcd\n- efgh", 3),
    ],
)
def test_the_distance_of_trees_is_the_least_number_of_changes(changed: str, cost: float) -> None:
    one, other = tree("# A\n\nabcd\n\nefgh"), tree(changed)
    assert distance(one, other) == distance(other, one) == cost


def test_teds_is_one_less_the_share_of_nodes_that_changed() -> None:
    table = "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>"
    assert teds(table, table) == 1
    assert teds(table, table.replace("<td>d</td>", "")) == pytest.approx(1 - 1 / 8)
    assert teds("", table) == pytest.approx(1 - 7 / 8, abs=0.13)
    assert len(tree(table)) == 8 and distance(Node("page"), tree(table)) == 7
