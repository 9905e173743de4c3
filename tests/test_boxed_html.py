"""Qwen-VL's answers in HTML that says where everything is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr.types import Element
from tests.growth import LINEAR, growth
from tests.test_dialects import parse

ANSWER = """```html
<html><body>
<h1 data-bbox="120 60 880 96">Harbour &amp; dues</h1>
<h3 data-bbox="120, 100, 880, 110">Tariff</h3>
<p data-bbox="118 120 900 260">Ships under <b>20</b> tons<br/>pay a < b nothing.<sup>1</sup></p>
<ol data-bbox="1 2 3 4"><li data-bbox="1 2 3 4">one</li><li data-bbox="5 6 7 8"><p>two</p></li></ol>
<ul><li>dot<ul><li>deep</li></ul></li></ul>
<div class="image caption" data-bbox="10 10 20 20"><img data-bbox="11 11 19 19"/><p data-bbox="1 1 2 2">A buoy</p></div>
<div class="formula" data-bbox="5 5 6 6"><img data-bbox="5 5 7 7"/><div>$$d=3$$</div></div>
<table data-bbox="0 0 10 10"><tr data-bbox="1 2 3 4"><td colspan="2" style="color:red"><p>Bu&lt;oy</p></td></tr>
<tr><th rowspan="0">1</th><td>2</td></tr></table>
<img data-bbox="7 7 8 8"/><div data-bbox="9 9 10 10">words in a div</div>
</body></html>
```"""
TABLE = '<table><tr><td colspan="2">Bu&lt;oy</td></tr>\n<tr><th>1</th><td>2</td></tr></table>'


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 10_000])
def test_an_answer_becomes_elements_in_page_pixels(size: int) -> None:
    elements, problems, _ = parse(ANSWER, [size], "boxed_html")
    assert elements == [
        Element("title", "h1", (240, 60, 1760, 96), "# Harbour & dues"),
        Element("heading", "h3", (240, 100, 1760, 110), "### Tariff"),
        Element("text", "p", (236, 120, 1800, 260), "Ships under **20** tons\npay a < b nothing.<sup>1</sup>"),
        Element("list_item", "li", (2, 2, 6, 4), "1. one"),
        Element("list_item", "li", (10, 6, 14, 8), "2. two"),
        Element("list_item", "li", None, "- dot"),
        Element("list_item", "li", None, "- deep"),
        Element("picture", "image caption", (22, 11, 38, 19), ""),
        Element("caption", "p", (2, 1, 4, 2), "A buoy"),
        Element("formula", "formula", (10, 5, 14, 7), "$$d=3$$"),
        Element("table", "table", (0, 0, 20, 10), TABLE),
        Element("picture", "img", (14, 7, 16, 8), ""),
        Element("text", "", (18, 9, 20, 10), "words in a div"),
    ]
    assert problems == []


@pytest.mark.parametrize(
    ("answer", "elements", "problem"),
    [
        ("", [], None),
        ("```html\n```", [], None),
        ("only words", [Element("text", "", None, "only words")], "stands in no element"),
        ("<p data-bbox='1 2 3'>x</p>", [Element("text", "p", None, "x")], "not four numbers"),
        ("<p data-bbox='a b c d'>x", [Element("text", "p", None, "x")], "not four numbers"),
        ("<table><tr><td>x", [Element("table", "table", None, "<table><tr><td>x")], "inside a table"),
        ("<p>x</p><p data-bb", [Element("text", "p", None, "x")], "inside a tag: '<p data-bb'"),
        (
            "<p>x</div></table></ul> y",
            [Element("text", "p", None, "x"), Element("text", "", None, "y")],
            "no elem",
        ),
        ("<p>a<table><td>b</table>c", [Element("text", "p", None, "a")], "stands in no element"),
        ("<p>1 < 2 > 0 & <3 &amp", [Element("text", "p", None, "1 < 2 > 0 & <3 &")], None),
        ("<script>x</script>", [Element("text", "", None, "x")], "stands in no element"),
    ],
)
def test_what_a_model_gets_wrong_is_reported_and_loses_no_text(
    answer: str, elements: list[Element], problem: str | None
) -> None:
    found, problems, _ = parse(answer, layout="boxed_html")
    assert found[: len(elements)] == elements
    assert [problem in reported for reported in problems] == ([True] if problem else [])


PARTS = st.sampled_from(
    [
        '<p data-bbox="1 2 3 4">',
        "<div class='image'>",
        "<div>",
        "<table>",
        "<td colspan='2'>",
        "<li>",
        "<ol>",
        "<h2>",
        "<img data-bbox='5 6 7 8'/>",
        *("</p>", "</div>", "</table>", "</li>", "</ol>", "</h2>", "<br>", "<b>", "</b>"),
        *("words ", "&amp;", "&", "<", ">", "`", "```", "\n", '"', "<!--", "-->"),
    ]
)


@settings(max_examples=100)
@given(st.lists(PARTS, max_size=25).map("".join), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_any_text_in_any_cut_gives_the_same_elements(text: str, sizes: list[int]) -> None:
    assert parse(text, sizes, "boxed_html") == parse(text, layout="boxed_html")


@pytest.mark.parametrize("unit", ["<", "<p ", "<p>", "<div>x", "<table>", "&", "<p data-bbox='1 1 1 1", "\n", "`", "x"])
def test_the_time_grows_with_the_text_and_no_faster(unit: str) -> None:
    assert growth(lambda length: parse(unit * (length // len(unit)), [3], "boxed_html"), 8_000) < LINEAR
