"""Tables in OTSL."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr.types import Element
from tests.growth import LINEAR, growth
from tests.test_dialects import parse

BUOYS = "<fcel>Buoy<fcel>Depth<lcel><nl><fcel>North<fcel>3.2<fcel>m<nl><ucel><fcel>4.0<ecel><nl>"
HTML = (
    '<table><tr><td>Buoy</td><td colspan="2">Depth</td></tr><tr><td rowspan="2">North</td><td>3.2</td><td>m</td></tr>'
    "<tr><td>4.0</td><td></td></tr></table>"
)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 10_000])
def test_a_table_becomes_html_between_the_text_around_it(size: int) -> None:
    elements, problems, _ = parse(f"Depths, a < b\n\n{BUOYS}\nin metres\n<fcel>x<nl>", [size], "otsl")
    assert elements == [
        Element("text", "", None, "Depths, a < b"),
        Element("table", "", None, HTML),
        Element("text", "", None, "in metres"),
        Element("table", "", None, "<table><tr><td>x</td></tr></table>"),
    ]
    assert problems == []


@pytest.mark.parametrize(
    ("answer", "rows", "problem"),
    [
        ("<fcel>a<lcel><nl><ucel><xcel><nl>", '<tr><td rowspan="2" colspan="2">a</td></tr><tr></tr>', None),
        ("<fcel>a & <b>\\(x<1\\)<nl>", "<tr><td>a &amp; &lt;b&gt;\\(x&lt;1\\)</td></tr>", None),
        ("<lcel>lone<nl>", "<tr><td>lone</td></tr>", None),
        ("<fcel>a<lcel>b<nl>", '<tr><td colspan="2">a b</td></tr>', None),
        ("<fcel>a", "<tr><td>a</td></tr>", "inside a row"),
        ("<fcel>a<fcel>b<nl><fcel>c<nl>", "<tr><td>a</td><td>b</td></tr><tr><td>c</td><td></td></tr>", "1 to 2 cells"),
        ("<fcel>a<nl><fcel>b<ecel><nl>", "<tr><td>a</td></tr><tr><td>b</td></tr>", "given 1"),
    ],
)
def test_odd_tables_keep_what_they_say(answer: str, rows: str, problem: str | None) -> None:
    elements, problems, _ = parse(answer, layout="otsl")
    assert elements == [Element("table", "", None, f"<table>{rows}</table>")]
    assert [problem in reported for reported in problems] == ([True] if problem else [])


PARTS = st.sampled_from(["<fcel>", "<ecel>", "<lcel>", "<ucel>", "<xcel>", "<nl>", "words ", "\n", "<", "<fc", "&"])


@settings(max_examples=100)
@given(st.lists(PARTS, max_size=25).map("".join), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_any_text_in_any_cut_gives_the_same_elements(text: str, sizes: list[int]) -> None:
    assert parse(text, sizes, "otsl") == parse(text, layout="otsl")
    assert parse(text, layout="otsl")[2].count("words") == text.count("words")


@pytest.mark.parametrize(
    "unit", ["<fcel>", "<fcel>x<nl>", "<lcel>", "<nl>", "<fcel>word ", "<xcel>", "<ucel><nl>", "<", "<fcel><lcel><nl>"]
)
def test_the_time_grows_with_the_text_and_no_faster(unit: str) -> None:
    assert growth(lambda length: parse(unit * (length // len(unit)), [3], "otsl"), 12_000) < LINEAR


def test_a_corner_of_very_long_rows_and_columns_is_soon_done() -> None:
    answer = "<fcel>" + "<lcel>" * 8_000 + "<nl>" + "<ucel><nl>" * 8_000
    assert growth(lambda length: parse(answer[:length], layout="otsl"), 20_000) < LINEAR
    assert "8001" in parse(answer, layout="otsl")[0][0].text
