"""Answers in markdown whose pictures are links with boxes, and olmOCR's head before it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


PARTS = st.sampled_from(
    ["![", "]", "](", "page_", "1_2_3_4", ".png)", "![a](page_1_2_3_4.png)", "words ", "---\n", "-", "\n", "a: b\n"]
)


@settings(max_examples=100)
@given(st.lists(PARTS, max_size=25).map("".join), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_any_text_in_any_cut_gives_the_same_elements(text: str, sizes: list[int]) -> None:
    assert parse(text, sizes, "front_matter") == parse(text, layout="front_matter")


@pytest.mark.parametrize("unit", ["![", "![a](page_1_", "---\n", "!", "x"])
def test_the_time_grows_with_the_text_and_no_faster(unit: str) -> None:
    assert growth(lambda length: parse(unit * (length // len(unit)), [3], "front_matter"), 8_000) < LINEAR
