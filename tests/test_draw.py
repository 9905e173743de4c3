"""Annotated pages and crops, by their pixels: what has the colour, what is untouched, what is cut out."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw

from ocr.answers.elements import ELEMENT_TYPES
from ocr.output.drawing import (
    COLOURS,
    DISAGREEMENTS,
    LETTERS,
    annotate,
    font_size,
    frame,
    line_width,
    picture_crops,
    pixel_box,
)
from ocr.output.markdown import MarkdownPage
from ocr.types import Box, Check, Conflict, Element, FinishReason, Omitted, Opened, PageResult, Text, Unsupported
from tests.pictures import golden_picture

SIZES = [(300, 400), (1700, 2250), (5000, 6600), (3100, 300), (20, 20), (1, 1)]
PLACE: Box = (100, 200, 300, 320)


def boxes(*places: Box, type_: str = "table") -> list[Element]:
    return [Element(type_, "label", place) for place in places]


def annotated(size: tuple[int, int], elements: Sequence[Element]) -> NDArray[np.uint8]:
    """The levels of a black page with these elements drawn, (height, width, 3)."""
    return np.asarray(annotate(Image.new("RGB", size), elements))


def has(levels: NDArray[np.uint8], colour: str) -> NDArray[np.bool_]:
    """Where the pixels have this colour."""
    return (levels == ImageColor.getrgb(colour)).all(axis=-1)


def luminance(colour: str) -> float:
    """Relative luminance, from 0 for black to 1 for white. Source: WCAG 2.2."""
    levels = [level / 255 for level in ImageColor.getrgb(colour)[:3]]
    linear = [level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4 for level in levels]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


def contrast(a: str, b: str) -> float:
    """From 1 to 21; text needs 4.5, graphics 3. Source: WCAG 2.2, success criteria 1.4.3 and 1.4.11."""
    dark, light = sorted((luminance(a), luminance(b)))
    return (light + 0.05) / (dark + 0.05)


def test_every_type_has_a_colour_of_its_own() -> None:
    assert tuple(COLOURS) == ELEMENT_TYPES
    assert len(set(COLOURS.values())) == len(ELEMENT_TYPES)


@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS)
def test_labels_can_be_read_and_lines_be_seen_on_light_and_dark_pages(colour: str) -> None:
    assert contrast(colour, LETTERS) >= 4.5
    assert min(contrast(colour, "white"), contrast(colour, "black")) >= 3


@pytest.mark.parametrize("type_", ELEMENT_TYPES)
def test_a_frame_has_the_colour_of_the_type_on_all_four_sides(type_: str) -> None:
    coloured = has(annotated((400, 400), boxes(PLACE, type_=type_)), COLOURS[type_])
    assert coloured[199, 100:200].all() and coloured[320, 99:301].all()
    assert coloured[200:320, 99].all() and coloured[200:320, 300].all()


@pytest.mark.parametrize("size", SIZES[:3])
def test_a_frame_is_as_wide_as_the_page_asks_and_hides_nothing_of_its_element(size: tuple[int, int]) -> None:
    width, height = size
    left, top, right, bottom = width // 4, height // 2, width * 3 // 4, height * 3 // 4
    levels = annotated(size, boxes((left, top, right, bottom)))
    middle = (top + bottom) // 2
    coloured = np.flatnonzero(has(levels, COLOURS["table"])[middle])
    line = line_width(size)
    assert coloured.tolist() == [*range(left - line, left), *range(right, right + line)]
    assert not levels[top:bottom, left:right].any()


def test_a_frame_that_the_edge_of_the_page_cuts_is_no_wider_than_its_line() -> None:
    levels = annotated((1700, 2250), boxes((1700, 500, 1700, 1500)))
    assert np.flatnonzero(levels[1000].any(axis=-1)).tolist() == [*range(1700 - line_width((1700, 2250)), 1700)]


def test_lines_and_letters_grow_with_the_page_within_bounds() -> None:
    sizes = [(8, 8), (300, 400), (850, 1100), (1700, 2200), (5000, 6600), (20000, 20000)]
    assert [line_width(size) for size in sizes] == [1, 1, 2, 4, 11, 12]
    assert [font_size(size) for size in sizes] == [12, 12, 12, 21, 64, 80]


def test_the_page_is_left_as_it_was_and_outside_of_frames_and_labels_so_is_the_copy() -> None:
    page = golden_picture("odd")
    before = page.copy()
    copy = annotate(page, boxes((200, 300, 400, 500)))
    assert page == before
    left, top, right, bottom = frame((200, 300, 400, 500), line_width(page.size), page.size)
    touched = np.asarray(page) != np.asarray(copy)
    touched[top - font_size(page.size) * 5 // 4 : bottom, left:right] = False  # the frame, and its label on top of it
    assert not touched.any()


def test_what_a_check_found_has_dashed_frames_each_place_one() -> None:
    box = (100.0, 100.0, 300.0, 200.0)
    found = Check(9, (Omitted("a", box),), (Unsupported("b", 0, box), Unsupported("c")), (Conflict("1", "2", box),) * 2)
    for name, only in (
        ("omitted", replace(found, unsupported=(), conflicts=())),
        ("unsupported", replace(found, omitted=(), conflicts=())),
        ("conflict", replace(found, omitted=(), unsupported=())),
    ):
        drawn = np.asarray(annotate(Image.new("RGB", (400, 400)), (), only))
        line = line_width((400, 400))
        row = has(drawn, DISAGREEMENTS[name])[200 + line, 100:300]
        assert 80 < row.sum() < 120, name  # every other DASH
        assert has(drawn, DISAGREEMENTS[name])[:98].sum() > 50, name  # the label above it
    levels = np.asarray(annotate(Image.new("RGB", (400, 400)), (), Check(9)))
    assert not levels.any()


def written(*elements: Element) -> NDArray[np.bool_]:
    """Where the letters are on a page with these elements: nothing else on it is as light."""
    return annotated((400, 400), elements).min(axis=-1) > 150


def test_a_label_stands_at_the_right_end_on_top_of_its_frame() -> None:
    rows, columns = has(annotated((400, 400), boxes(PLACE)), COLOURS["table"])[:199].nonzero()
    assert (rows.min(), rows.max()) == (199 - font_size((400, 400)) * 5 // 4, 198)
    assert columns.max() == 300
    assert columns.min() > 200
    assert written(*boxes(PLACE)).sum() > 30


def test_a_label_tells_the_place_in_the_order_and_the_type(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda self, place, text, **looks: drawn.append(text))
    annotated((400, 400), [*boxes(PLACE), Element("text", "t"), Element("picture", "p", PLACE)])
    assert drawn == ["1 table", "3 picture"]


@pytest.mark.parametrize(
    "place", [(0, 0, 30, 30), (370, 0, 400, 30), (0, 370, 30, 400), (0, 0, 400, 400), (5, 5, 6, 6)]
)
def test_a_label_at_the_edge_of_the_page_is_whole(place: Box) -> None:
    assert written(*boxes(place)).sum() == written(*boxes(PLACE)).sum()


def test_a_label_covers_no_print_where_there_is_room() -> None:
    sheet = Image.new("RGB", (400, 400), "white")
    for x in range(90, 310, 4):  # a line of print above, wider than the frame, and print that fills it
        ImageDraw.Draw(sheet).rectangle((x, 150, x + 1, 195), fill="black")
        ImageDraw.Draw(sheet).rectangle((min(max(x, 102), 296), 202, min(max(x + 1, 102), 297), 317), fill="black")
    was, is_now = np.asarray(sheet), np.asarray(annotate(sheet, boxes(PLACE)))
    print_ = (was == 0).all(axis=-1)
    assert (is_now[print_] == 0).all()


def test_labels_of_elements_in_one_place_stand_apart() -> None:
    many = [element for type_ in ELEMENT_TYPES[:6] for element in boxes(PLACE, type_=type_)]
    alone = [[Element("text", "t")] * index + [element] for index, element in enumerate(many)]
    assert written(*many).sum() == sum(written(*elements).sum() for elements in alone)


def test_an_element_without_a_place_is_not_drawn() -> None:
    assert not annotated((400, 400), [Element("text", "t"), Element("picture", "p")]).any()
    assert not annotated((400, 400), []).any()


def test_a_page_of_any_mode_is_annotated_in_colour() -> None:
    copy = annotate(Image.new("L", (400, 400)), boxes(PLACE))
    assert copy.mode == "RGB"
    assert (np.asarray(copy) == annotated((400, 400), boxes(PLACE))).all()


@pytest.mark.parametrize("size", SIZES)
def test_boxes_without_area_are_shown_and_break_nothing(size: tuple[int, int]) -> None:
    width, height = size
    corners = [(0, 0), (width, height), (width / 2, height / 2), (width, 0)]
    places = [place for x, y in corners for place in ((x, y, x, y), (0, y, width, y), (x, 0, x, height))]
    coloured = has(annotated(size, boxes(*places)), COLOURS["table"])
    for place in places:
        left, top, right, bottom = frame(place, line_width(size), size)
        assert coloured[top:bottom, left:right].any()
        assert min(crop(Image.new("RGB", size), place).size) == 1


SIDES = st.floats(-50, 450, allow_nan=False)


@given(st.lists(st.tuples(SIDES, SIDES, SIDES, SIDES), max_size=6), st.integers(1, 400), st.integers(1, 400))
@settings(max_examples=50)
def test_any_boxes_at_all_are_drawn_and_cut_out(places: list[Box], width: int, height: int) -> None:
    page = Image.new("RGB", (width, height), "white")
    assert annotate(page, boxes(*places)).size == page.size
    for place in places:
        left, top, right, bottom = pixel_box(place, page.size)
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height


def result(*elements: Element) -> PageResult:
    return PageResult(3, 777, 1011, "dots.ocr", "", "", elements, FinishReason.STOP, 0, 0, 0, 0.0, 0.0)


def crop(page: Image.Image, place: Box) -> Image.Image:
    ((_, cut),) = picture_crops(page, result(Element("picture", "p", place)))
    return cut


def test_a_crop_is_the_region_of_the_page() -> None:
    page = golden_picture("odd")
    levels = np.asarray(page)
    assert (np.asarray(crop(page, (100, 200, 300, 500))) == levels[200:500, 100:300]).all()
    assert (np.asarray(crop(page, (99.6, 200.4, 300.1, 499.2))) == levels[200:500, 99:301]).all()
    assert crop(page, (0, 0, *page.size)) == page


def test_a_crop_stays_inside_the_page() -> None:
    page = golden_picture("odd")
    assert crop(page, (-10, 1000, 20, 2000)).size == (20, 11)


def test_pictures_alone_are_cut_out() -> None:
    elements = [Element(type_, type_, (1, 2, 30, 40)) for type_ in ELEMENT_TYPES]
    assert len(list(picture_crops(golden_picture("odd"), result(*elements)))) == 1


def test_crops_have_the_names_that_the_markdown_links_to() -> None:
    elements = [
        Element("picture", "p", (0, 0, 10, 10)),
        Element("picture", "p"),
        Element("text", "t", (0, 0, 10, 10)),
        Element("picture", "p", (20, 20, 40, 40)),
    ]
    found = list(picture_crops(golden_picture("odd"), result(*elements)))
    markdown = MarkdownPage(3)
    events = [event for each in elements for event in (Opened(each.type, each.label, each.bbox), Text("a"))]
    text = "".join([*map(markdown.write, events), markdown.close()])
    assert [name for name, _ in found] == ["images/page-3-1.png", "images/page-3-2.png"]
    assert [f"![]({name})" in text for name, _ in found] == [True, True]
    assert text.count("![]") == 2
    assert [cut.size for _, cut in found] == [(10, 10), (20, 20)]
