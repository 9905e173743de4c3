"""PaddleOCR-VL's answers on where each line stands."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr.types import Element
from tests.growth import LINEAR, growth
from tests.test_dialects import parse


def place(*numbers: int) -> str:
    return "".join(f"<|LOC_{number}|>" for number in numbers)


ANSWER = (
    f"Harbour Office{place(102, 44, 418, 44, 418, 61, 102, 61)}\n"
    f"<|TEXT_START|>a < b<|TEXT_END|><|LOC_BEGIN|>{place(10, 20, 30, 25, 28, 45, 8, 40)}<|LOC_END|>\n"
    f"nowhere\nside{place(1, 1, 2, 1, 2, 2, 1, 2)}by side{place(3, 3, 4, 3, 4, 4, 3, 4)}"
)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 10_000])
def test_each_line_gets_the_box_around_its_corners(size: int) -> None:
    elements, problems, _ = parse(ANSWER, [size], "located_lines")
    assert elements == [
        Element("text", "", (204, 44, 836, 61), "Harbour Office"),
        Element("text", "", (16, 20, 60, 45), "a < b"),
        Element("text", "", None, "nowhere"),
        Element("text", "", (2, 1, 4, 2), "side"),
        Element("text", "", (6, 3, 8, 4), "by side"),
    ]
    assert problems == []


@pytest.mark.parametrize(
    ("answer", "elements", "problem"),
    [
        ("", [], None),
        (f"x{place(1, 2, 3)}", [Element("text", "", None, "x")], "not four corners: 'x'"),
        (f"x{place(1, 2, 3)}y\n", [Element("text", "", None, "x"), Element("text", "", None, "y")], "not four corners"),
        (place(*range(8)), [Element("text", "", (0, 1, 12, 7), "")], None),
        ("x<|LOC_1", [Element("text", "", None, "x<|LOC_1")], None),
        ("x<|LOC_99999|>", [Element("text", "", None, "x<|LOC_99999|>")], None),
    ],
)
def test_what_a_model_gets_wrong_is_reported_and_loses_no_text(
    answer: str, elements: list[Element], problem: str | None
) -> None:
    for size in (1, 3, 10_000):
        found, problems, _ = parse(answer, [size], "located_lines")
        assert found == elements
        assert [problem in reported for reported in problems] == ([True] if problem else [])


PARTS = st.sampled_from(
    [place(1), place(*range(8)), place(7, 8, 9), "words ", "\n", "<|TEXT_END|>", "<", "<|LOC_", "|>"]
)


@settings(max_examples=100)
@given(st.lists(PARTS, max_size=20).map("".join), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_any_text_in_any_cut_gives_the_same_elements(text: str, sizes: list[int]) -> None:
    assert parse(text, sizes, "located_lines") == parse(text, layout="located_lines")


@pytest.mark.parametrize("unit", ["<|LOC_1|>", "x", "<", "\n", "x<|LOC_1|>\n"])
def test_the_time_grows_with_the_text_and_no_faster(unit: str) -> None:
    assert growth(lambda length: parse(unit * (length // len(unit)), [3], "located_lines"), 8_000) < LINEAR
