"""Answers into elements: DeepSeek-OCR's in any cut, whatever the model writes, and the one shape that all come to."""

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr.answers.boxes import Scale
from ocr.answers.dialects import PARSERS
from ocr.answers.elements import ELEMENT_TYPES, Elements
from ocr.answers.grounded import GROUNDED_TYPES, MAX_MARK
from ocr.answers.layout_json import CATEGORIES
from ocr.answers.text import held_back
from ocr.types import Element, Text
from tests.growth import LINEAR, growth

PAGE = (1998, 999)  # px; one unit of the model's 999 is 2 px across and 1 px down
SCALE = Scale(extent=(999.0, 999.0), page=PAGE)


def parse(
    text: str, sizes: list[int] | None = None, layout: str = "grounded", scale: Scale = SCALE
) -> tuple[list[Element], list[str], str]:
    """The elements, the problems and all the text of an answer that comes in pieces of these sizes."""
    parser, elements, found, shown = PARSERS[layout](scale), Elements(), [], ""
    for event in itertools.chain(*map(parser.feed, cut(text, sizes or [len(text) or 1])), parser.close()):
        shown += event.text if isinstance(event, Text) else ""
        found += elements.feed(event)
    return [*found, *elements.close()], parser.problems, shown


def cut(text: str, sizes: list[int]) -> Iterator[str]:
    """The text in pieces of these sizes, over and over."""
    rest = iter(text)
    for size in itertools.cycle(sizes):
        if not (piece := "".join(itertools.islice(rest, size))):
            return
        yield piece


def block(label: str, boxes: str, text: str = "") -> str:
    return f"<|ref|>{label}<|/ref|><|det|>{boxes}<|/det|>\n{text}"


ANSWER = (
    block("title", "[[100, 50, 899, 99]]", "# A title\n\n")
    + block("image", "[[0, 0, 500, 999]]")
    + block("sidebar", "[[1, 2, 3, 4]]", "half < a mark <| here\n")
    + block("text", "[[1, 2, 3, 4], [5, 6, 7, 8]]", "in two columns")
)


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_of_an_answer_that_is_to_be_text_no_mark_is_shown(size: int) -> None:
    elements, problems, shown = parse(ANSWER, [size], layout="unmarked")
    assert (elements, problems) == ([], [])
    assert shown == "# A title\n\nhalf < a mark <| here\nin two columns"
    assert parse("a < b\n\n  c <|d|>\n", [size], layout="unmarked") == ([], [], "a < b\n\n  c <|d|>\n")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_grounded_answer_becomes_elements_in_page_pixels(size: int) -> None:
    elements, problems, _ = parse(ANSWER, [size])
    assert elements == [
        Element("title", "title", (200, 50, 1798, 99), "# A title"),
        Element("picture", "image", (0, 0, 1000, 999), ""),
        Element("other", "sidebar", (2, 2, 6, 4), "half < a mark <| here"),
        Element("text", "text", (2, 2, 14, 8), "in two columns"),
    ]
    assert problems == []


def test_a_label_that_is_no_label_is_what_was_read_at_each_of_its_boxes() -> None:
    elements, _, _ = parse(block("The quick fox", "[[1, 2, 3, 4], [5, 6, 7, 8]]") + block("jumps", "[[9, 9, 10, 10]]"))
    assert elements == [
        Element("text", "", (2, 2, 6, 4), "The quick fox"),
        Element("text", "", (10, 6, 14, 8), "The quick fox"),
        Element("text", "", (18, 9, 20, 10), "jumps"),
    ]


def test_text_without_marks_is_one_element_without_a_place() -> None:
    assert parse("just\ntext")[0] == [Element("text", "", None, "just\ntext")]


def test_nothing_is_nothing() -> None:
    assert parse("") == ([], [], "")


def test_plain_answers_are_text_and_make_no_elements() -> None:
    assert parse("a <|ref|> b", layout="plain") == ([], [], "a <|ref|> b")


@pytest.mark.parametrize(
    ("answer", "elements", "problem"),
    [
        (block("text", "[[1, 2, 3]]", "kept"), [Element("text", "text", None, "kept")], "not lists of four numbers"),
        (block("text", "[[a, b, c, d]]", "kept"), [Element("text", "text", None, "kept")], "not lists of four numbers"),
        (
            block("text", "[[1, 2, 3, 4], [5]]", "kept"),
            [Element("text", "text", (2, 2, 6, 4), "kept")],
            "not lists of four numbers",
        ),
        (block("text", "__import__('os')", "kept"), [Element("text", "text", None, "kept")], "not lists of four"),
        ("<|ref|>lonely<|/ref|> text", [Element("text", "", None, "lonely text")], "A label without a box"),
        ("before <|ref|>tit", [Element("text", "", None, "before")], "ends inside a mark"),
        ("<|ref|>words re", [Element("text", "", None, "words re")], "ends inside a mark"),
        ("before <|ref|>text<|/ref|><|det|>[[1, 2", [Element("text", "", None, "before")], "ends inside a mark"),
        ("<|ref|>words read<|/ref|><|det|>[[1, 2", [Element("text", "", None, "words read")], "ends inside a mark"),
        (
            "<|ref|>text" + block("title", "[[1, 2, 3, 4]]", "T"),
            [Element("text", "", None, "text"), Element("title", "title", (2, 2, 6, 4), "T")],
            "A mark without an end",
        ),
        ("a<|/det|>b<|/ref|>c", [Element("text", "", None, "abc")], None),
        ("<|det|>[[1, 2, 3, 4]]<|/det|>x", [Element("other", "", (2, 2, 6, 4), "x")], None),
        (
            "<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]\nkept\n" + block("title", "[[5, 6, 7, 8]]", "T"),
            [Element("text", "text", (2, 2, 6, 4), "kept"), Element("title", "title", (10, 6, 14, 8), "T")],
            "A mark without an end",
        ),
        (
            "<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]\n2024 was " + block("title", "[[5, 6, 7, 8]]", "T"),
            [Element("text", "text", (2, 2, 6, 4), "2024 was"), Element("title", "title", (10, 6, 14, 8), "T")],
            "A mark without an end",
        ),
        (
            "<|ref|>text<|/ref|><|det|>[1, 2, 3, 4] kept",
            [Element("text", "text", (2, 2, 6, 4), "kept")],
            "A mark without an end",
        ),
        (
            "<|ref|>text<|/ref|><|det|>kept " + block("title", "[[5, 6, 7, 8]]", "T"),
            [Element("text", "text", None, "kept"), Element("title", "title", (10, 6, 14, 8), "T")],
            "A mark without an end",
        ),
        (
            "<|ref|>words read<|/ref|><|det|>[[1, 2, 3, 4]]",
            [Element("text", "", (2, 2, 6, 4), "words read")],
            "ends inside a mark",
        ),
        (
            "<|ref|>title<|det|>[[1, 2, 3, 4]]<|/det|>kept",
            [Element("title", "title", (2, 2, 6, 4), "kept")],
            "A mark without an end",
        ),
        (
            "<|ref|>" + "long " * MAX_MARK,
            [Element("text", "", None, ("long " * MAX_MARK).strip())],
            "A mark without an end",
        ),
    ],
)
def test_what_a_model_gets_wrong_is_reported_and_loses_no_text(
    answer: str, elements: list[Element], problem: str | None
) -> None:
    found, problems, _ = parse(answer)
    assert found == elements
    assert [problem in reported for reported in problems] == ([True] if problem else [])


def test_boxes_stay_inside_the_page_with_their_corners_in_order() -> None:
    assert SCALE.to_page((1200, -5, 400, 500)) == (800, 0, 1998, 500)


def test_every_label_has_a_type_of_the_vocabulary() -> None:
    assert {*GROUNDED_TYPES.values(), *CATEGORIES.values()} <= set(ELEMENT_TYPES)


def test_both_models_answers_come_to_one_shape_with_each_one_s_own_label() -> None:
    """The same page in each model's words: the same types, places, text and order."""
    seen = [
        ("title", "Title", [100, 50, 899, 99], "# A title"),
        ("sub_title", "Section-header", [100, 110, 500, 130], "## A section"),
        ("text", "Text", [100, 140, 899, 200], "Größe"),
        ("list", "List-item", [100, 210, 899, 240], "- one"),
        ("equation", "Formula", [300, 250, 700, 300], "E = mc^2"),
        ("image", "Picture", [0, 310, 500, 600], ""),
        ("image_caption", "Caption", [0, 610, 500, 640], "A fox."),
        ("table", "Table", [500, 310, 999, 600], "<table></table>"),
        ("footnote", "Footnote", [0, 900, 999, 920], "1 So they say."),
        ("header", "Page-header", [0, 0, 999, 20], "On foxes"),
        ("footer", "Page-footer", [0, 980, 999, 999], "Proceedings"),
        ("sidebar", "Sidebar", [900, 310, 1200, 600], "Beside"),
    ]
    grounded = "".join(block(label, f"[{box}]", text + "\n") for label, _, box, text in seen)
    listed = json.dumps([{"bbox": box, "category": label, "text": text} for _, label, box, text in seen])
    ours, theirs = parse(grounded)[0], parse(listed, layout="layout_json")[0]
    assert [element.label for element in ours] == [label for label, *_ in seen]
    assert [element.label for element in theirs] == [label for _, label, *_ in seen]
    assert [replace(element, label="") for element in ours] == [replace(element, label="") for element in theirs]


@pytest.mark.parametrize(("text", "count"), [("abc", 0), ("abc<", 1), ("<|re", 4), ("<|ref|>", 0), ("", 0), ("<<|", 2)])
def test_only_what_may_begin_a_mark_is_held_back(text: str, count: int) -> None:
    assert held_back(text, ("<|ref|>", "<|det|>")) == count


WORDS = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters="<|"), max_size=20)
PARTS = st.sampled_from(
    [
        "<|ref|>",
        "<|/ref|>",
        "<|det|>",
        "<|/det|>",
        "<|grounding|>",
        "[[1, 2, 3, 4]]",
        " [1, 2, 3, 4]",
        "[[",
        "title",
        "words ",
        "<",
        "\n",
        "|",
    ]
)


@settings(max_examples=300)
@given(
    st.lists(PARTS, max_size=25).map("".join),
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.sampled_from(["grounded", "grounded_blocks"]),
)
def test_any_text_in_any_cut_gives_the_same_events(text: str, sizes: list[int], layout: str) -> None:
    assert parse(text, sizes, layout) == parse(text, layout=layout)


@given(st.lists(st.tuples(st.sampled_from(["<|/ref|>", "<|/det|>", ""]), WORDS), max_size=5))
def test_no_text_is_lost_whichever_marks_have_no_end(wanted: list[tuple[str, str]]) -> None:
    answer = "".join(block("text", "[[1, 2, 3, 4]]", text).replace(lost, "") for lost, text in wanted)
    shown = parse(answer)[2]
    for _, text in wanted:
        assert text.strip() in shown


def test_boxes_that_are_none_are_told_in_full() -> None:
    words = " ".join(["words"] * 100)
    assert words in parse(block("text", words, "kept"))[1][0]


NUMBERS = st.integers(-2000, 2000) | st.floats(-1e9, 1e9)
QUADS = st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
# An element in each form of answer, with a place that may be anywhere.
PLACED: dict[str, Callable[[Sequence[float]], str]] = {
    "plain": lambda box: str(list(box)),
    "unmarked": lambda box: block("text", f"[{list(box)}]", "words"),
    "grounded": lambda box: block("text", f"[{list(box)}]", "words"),
    "grounded_blocks": lambda box: f"<|det|>text {list(box)}<|/det|>words",
    "layout_json": lambda box: json.dumps({"bbox": box, "category": "Text", "text": "words"}),
    "element_json": lambda box: json.dumps({"bbox": box, "category": "text", "text": "words"}),
    "spotted_json": lambda box: json.dumps([{"bbox_2d": box, "text_content": "words"}]),
    "boxed_html": lambda box: '<p data-bbox="{} {} {} {}">words</p>'.format(*box),
    "front_matter": lambda box: "![words](page_{:.0f}_{:.0f}_{:.0f}_{:.0f}.png)".format(*box),
    "boxed_images": lambda box: '<img src="images/bbox_{:.0f}_{:.0f}_{:.0f}_{:.0f}.jpg" />'.format(*box),
    "placed_links": lambda box: "![image](image_1.png) {:.0f},{:.0f},{:.0f},{:.0f}".format(*box),
    "located_lines": lambda box: "words" + "".join(f"<|LOC_{abs(side):.0f}|>" for side in (*box, *box)),
    "otsl": lambda box: f"<fcel>{list(box)}<lcel><nl><ucel><xcel><nl>",
    "mathpix": lambda box: f"\\begin{{tabular}}{{ll}} {list(box)} & 1 \\\\ \\end{{tabular}}",
    "scene_text": lambda box: "({0}, {1}), ({2}, {1}), ({2}, {3}), ({0}, {3}) words\n".format(*box),
}


def test_every_form_of_answer_is_held_to_the_page() -> None:
    assert PLACED.keys() == PARSERS.keys()


@settings(max_examples=300)
@given(st.data(), st.sampled_from(sorted(PLACED)), st.text(max_size=50) | st.lists(PARTS, max_size=15).map("".join))
def test_no_answer_breaks_its_parser_or_puts_an_element_outside_of_the_page(
    data: st.DataObject, layout: str, noise: str
) -> None:
    placed = [PLACED[layout](box) for box in data.draw(st.lists(QUADS, max_size=4))]
    for element in parse(noise.join(["", *placed, ""]), layout=layout)[0]:
        assert element.type in ELEMENT_TYPES
        if element.bbox is not None:
            x1, y1, x2, y2 = element.bbox
            assert 0 <= x1 <= x2 <= PAGE[0]
            assert 0 <= y1 <= y2 <= PAGE[1]


ELEMENTS = st.lists(
    st.tuples(
        st.sampled_from(sorted(GROUNDED_TYPES)),
        st.tuples(*[st.integers(0, 999)] * 4),
        st.text(st.characters(exclude_characters="<|", exclude_categories=["Cs"]), max_size=20),
    ),
    max_size=8,
)


@given(ELEMENTS, st.integers(0, 400))
def test_every_element_before_a_cut_comes_out_once_and_in_order(
    wanted: list[tuple[str, tuple[int, ...], str]], end: int
) -> None:
    blocks = [block(label, f"[{list(box)}]", text) for label, box, text in wanted]
    answer = "".join(blocks)[:end]
    whole = sum(length <= end for length in itertools.accumulate(map(len, blocks)))
    found = [(element.label, element.text) for element in parse(answer)[0][:whole]]
    last = next(iter(found[-1:]), ("", ""))[1]
    if last:  # half of a next mark is text as far as anyone can tell
        found[-1] = (found[-1][0], last[: len(last) - held_back(last, ["<|ref|>"])].strip())
    assert found == [(label, text.strip()) for label, _, text in wanted[:whole]]


@pytest.mark.parametrize("unit", ["[1]  ", "[ ", "]", "1", "<", "<|det|>", "<|ref|>text<|det|>[[1]] "])
def test_the_time_grows_with_the_text_and_no_faster(unit: str) -> None:
    opening = "<|ref|>text<|/ref|><|det|>["
    assert growth(lambda length: parse(opening + unit * (length // len(unit)) + "x", [3]), 8_000) < LINEAR


def test_a_long_answer_in_small_pieces_takes_time_in_proportion() -> None:
    """Held-back text is bounded by a mark's length, so no piece is looked at again and again."""
    parser = PARSERS["grounded"](SCALE)
    for piece in itertools.repeat("<|ref|>label<", 3000):
        list(parser.feed(piece))
        assert len(parser._pending) + len(parser._label) <= MAX_MARK
