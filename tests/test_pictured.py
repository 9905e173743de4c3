"""Answers in markdown whose pictures are links with boxes: olmOCR's, with its head before it, and LightOnOCR's."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr.answers.boxes import Scale
from ocr.types import Element
from tests.growth import LINEAR, growth
from tests.test_dialects import parse

HEAD = """---
primary_language: en
is_rotation_valid: {}
rotation_correction: {}
is_table: False
is_diagram: False
---
"""
BODY = "# Harbour dues\n\nShips.\n\n![A buoy, lit](page_100_200_300_50.png)\n\n![x](http://a) ![ and - 1!\n\n---\n"
TURNED = "The model says that the page is not upright; a turn of 90 degrees clockwise mends it."


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 10_000])
@pytest.mark.parametrize(("lies", "problems"), [(("True", "0"), []), (("False", "90"), [TURNED])], ids=str)
def test_olmocr_s_answer_is_text_and_pictures_in_page_pixels(
    size: int, lies: tuple[str, str], problems: list[str]
) -> None:
    assert parse(HEAD.format(*lies) + BODY, [size], "front_matter")[:2] == (
        [
            Element("text", "", None, "# Harbour dues\n\nShips."),
            Element("picture", "", (200, 200, 800, 250), "A buoy, lit"),
            Element("text", "", None, "![x](http://a) ![ and - 1!\n\n---"),
        ],
        problems,
    )


@pytest.mark.parametrize(
    ("answer", "text", "problem"),
    [
        ("", "", None),
        (HEAD.format("True", "0").rstrip(), "", None),
        (HEAD.format("False", "45"), "", "is not upright."),
        ("words", "words", "no head"),
        ("--- words\nmore", "--- words\nmore", "no head"),
        ("---\nprimary_lang", "", "breaks off inside its head: '---\\nprimary_lang'"),
        ("---\n" + "long: word\n" * 200, "---\n" + "long: word\n" * 200, "no head"),
        ("--", "--", "no head"),
    ],
)
def test_a_head_that_is_none_is_reported_and_loses_no_text(answer: str, text: str, problem: str | None) -> None:
    for size in (1, 3, 10_000):
        _, problems, shown = parse(answer, [size], "front_matter")
        assert shown.strip() == text.strip()
        assert [problem in reported for reported in problems] == ([True] if problem else [])


PLACED = (
    "# Notice\n\nDepth at low water: $d = 3.1\\,\\mathrm{m}$\n\n"
    "<table><tr><th>Buoy</th><th>Light</th></tr><tr><td>N 4</td><td>Fl(2) 5s</td></tr></table>\n"
    "![image](image_1.png) 118,402,871,760\n\nThe buoys as they lie.\n\n"
    "![image](image_2.png)10,20,30,40\n![image](image_3.png)\n12,500 tons!\n\n$$\nW = \\rho g h\n$$\n"
    "![image](image_4.png) 1, 2 , 1000, 2000"
)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 10_000])
def test_lightonocr_s_answer_is_text_and_pictures_in_page_pixels(size: int) -> None:
    text, rest = PLACED.partition("\n![")[0], "12,500 tons!\n\n$$\nW = \\rho g h\n$$"
    thousandths = Scale(extent=(1000.0, 1000.0), page=(2000, 500))
    assert parse(PLACED, [size], "placed_links", thousandths)[:2] == (
        [
            Element("text", "", None, text),
            Element("picture", "", (236, 201, 1742, 380), ""),
            Element("text", "", None, "The buoys as they lie."),
            Element("picture", "", (20, 10, 60, 20), ""),
            Element("picture", "", None, ""),
            Element("text", "", None, rest),
            Element("picture", "", (2, 1, 2000, 500), ""),
        ],
        [],
    )


LINK = "![image](image_1.png)"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
@pytest.mark.parametrize(
    ("answer", "shown", "problem"),
    [
        (f"a {LINK} 118,402\nb", "a \n\n118,402b", "not four numbers: '118,402'"),
        (f"{LINK} 118,402,871,", "\n\n118,402,871,", "not four numbers"),
        (f"{LINK} 1,2,3,4,5 b", "\n\n1,2,3,4,5b", "not four numbers"),
        (f"{LINK} 1,,3,4", "\n\n1,,3,4", "not four numbers"),
        (f"{LINK} 1234567,2,3,4", "\n\n1234567,2,3,4", "not four numbers"),
        (f"{LINK} -1,2,3,4", "-1,2,3,4", None),
        (f"{LINK} 118", "118", None),
        (f"{LINK} {'1,' * 150}", "\n\n1,1,1,1,1,1,1,1,1," + "1," * 141, "not four numbers"),
        ("a ![image](image_", "a ![image](image_", None),
        ("wow!", "wow!", None),
        ("![chart](image_1.png) 1,2,3,4", "![chart](image_1.png) 1,2,3,4", None),
        ("![image](image_x.png) ![image](image_1.gif)", "![image](image_x.png) ![image](image_1.gif)", None),
        (f"{'!' * 40}[image", "!" * 40 + "[image", None),
        (f"![image]({'i' * 500}", f"![image]({'i' * 500}", None),
    ],
)
def test_a_link_that_is_broken_loses_no_text(answer: str, shown: str, problem: str | None, size: int) -> None:
    _, problems, text = parse(answer, [size], "placed_links")
    assert text == shown
    assert [problem in reported for reported in problems if problem] == ([True] if problem else [])
    assert bool(problems) is bool(problem)


PARTS = st.sampled_from(
    [
        *(
            "![",
            "]",
            "](",
            "page_",
            "1_2_3_4",
            ".png)",
            "![a](page_1_2_3_4.png)",
            "words ",
            "---\n",
            "-",
            "\n",
            "a: b\n",
        ),
        *("![image](image_", "7.png)", LINK, " 1,2,3,4", "12", ",", " "),
    ]
)


@settings(max_examples=100)
@given(st.lists(PARTS, max_size=25).map("".join), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_any_text_in_any_cut_gives_the_same_elements(text: str, sizes: list[int]) -> None:
    for dialect in ("front_matter", "placed_links"):
        assert parse(text, sizes, dialect) == parse(text, layout=dialect)


@pytest.mark.parametrize(
    ("dialect", "unit"),
    [
        *(("front_matter", unit) for unit in ("![", "![a](page_1_", "---\n", "!", "x")),
        *(("placed_links", unit) for unit in ("![", f"{LINK} 1,", f"{LINK}  ", "1,", "![image](i")),
    ],
)
def test_the_time_grows_with_the_text_and_no_faster(dialect: str, unit: str) -> None:
    assert growth(lambda length: parse(unit * (length // len(unit)), [3], dialect), 8_000) < LINEAR
