"""What two parts of a page that overlap both say is kept once, and nothing else is lost."""

import pytest

from ocr.reading.overlaps import Block, blocks, repeated_words, without_repeated
from ocr.types import Box, Opened, Text


@pytest.mark.parametrize(
    ("before", "after", "left_out"),
    [
        ("one\ntwo lines\nthree", "three\nfour", 1),
        ("one\ntwo lines\nthree", "two lines\nthree\nfour", 3),
        ("a paragraph that goes on", "that goes on to its end", 3),
        ("Total 12\n", "12 apples", 0),  # one word is the same by chance
        ("Total\n12", "12\n13", 1),
        ("1\n2\n3", "4\n5", 0),
        ("first\nsecond line\nthird", "seeond 1ine\nthird\nfourth", 3),  # a line more, cut through, before the run
        ("first\nsecond line\nthlrd", "second line\nthird\nfourth", 2),  # and after it: that one stays
        ("", "text", 0),
        ("text", "", 0),
    ],
)
def test_the_words_that_end_one_text_and_begin_the_next_are_left_out(before: str, after: str, left_out: int) -> None:
    assert repeated_words(before, after) == left_out


def element(text: str, box: Box | None) -> Block:
    return Block(Opened("text", "text", box), text)


OVERLAP = (0.0, 900.0, 600.0, 960.0)


def test_elements_at_the_same_place_with_the_same_words_are_kept_once() -> None:
    before = [element("Line 1", (20, 850, 300, 880)), element("Line 2", (20, 910, 300, 940))]
    after = [element("Line 2 ", (22, 912, 301, 941)), element("Line 2", (20, 970, 300, 999)), element("x", None)]
    assert without_repeated(before, after, OVERLAP) == after[1:]


def test_words_of_an_element_that_a_cut_goes_through_are_kept_once() -> None:
    before = [element("It was the best of times,\nit was the", (20, 800, 580, 960))]
    after = [element("it was the worst of times", (20, 905, 580, 990)), element("it was", (20, 1000, 580, 1030))]
    first, second = without_repeated(before, after, OVERLAP)
    assert (first.text, first.box) == ("worst of times", (20, 905, 580, 990))
    assert second == after[1]


def test_what_lies_outside_of_the_overlap_is_not_compared() -> None:
    before, after = [element("0", (20, 800, 580, 830))], [element("0", (20, 1000, 580, 1030))]
    assert without_repeated(before, after, OVERLAP) == after


def test_pictures_that_a_cut_goes_through_are_both_kept() -> None:
    before, after = [element("", (0, 500, 600, 960))], [element("", (0, 900, 600, 1400))]
    assert without_repeated(before, after, OVERLAP) == after


def test_blocks_are_the_answer_in_order() -> None:
    opened = Opened("text", "text", (0, 0, 1, 1))
    events = [Text("before"), opened, Text("one "), Text("two"), opened]
    assert blocks(events) == [Block(None, "before"), Block(opened, "one two"), Block(opened, "")]
    assert [event for block in blocks(events) for event in block.events()] == [
        Text("before"),
        opened,
        Text("one two"),
        opened,
    ]
