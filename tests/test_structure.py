"""Lines of print become elements in reading order, and nothing that does not show in their places is made up."""

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr.models.pp_ocr.structure import blocks, text
from ocr.types import Element, Line
from tests.growth import LINEAR, growth
from tests.paper import SIZE, TYPE, grid, line, stack, turned, wrapped

HARBOUR = (
    "The harbour was built in three stages and the earth that came out of it raised the low meadows behind the town. "
    "A steam crane was bought in the next year; it lifted four tons and was in use until the winter of the great storm."
)
TRADE = (
    "Timber from the north made up more than half of the trade. It came in spring as soon as the ice had gone and was "
    "stacked along the eastern quay until the mills could take it. Grain and salted fish followed in that order."
)
PILOTS = (
    "Pilots were chosen from among the fishermen. Each had to know the channel by day and by night, and the marks on "
    "shore by heart. They were paid by the foot of draught and in a good year earned as much as the schoolmaster."
)
MONTHS = (("Month", "Rain", "Days"), ("January", "61.0", "14"), ("April", "29.8", "9"), ("July", "118.6", "11"))


def said(lines: Sequence[Line]) -> list[tuple[str, str]]:
    return [(element.type, element.text) for element in blocks(lines, SIZE)]


def texts(lines: Sequence[Line]) -> list[str]:
    return [text for _, text in said(lines)]


class Cells(HTMLParser):
    """The cells of a table by rows, with how many columns each lies over."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[tuple[str, int]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append(("", int(dict(attrs).get("colspan") or 1)))

    def handle_data(self, data: str) -> None:
        text, columns = self.rows[-1][-1]
        self.rows[-1][-1] = text + data, columns


def table(element: tuple[str, str]) -> list[list[str]]:
    assert element[0] == "table"
    return [[text for text, _ in row] for row in Cells(element[1]).rows]


def test_the_lines_of_a_paragraph_are_joined_by_spaces() -> None:
    assert said(stack(wrapped(HARBOUR, 60), 100, 100)) == [("text", HARBOUR)]


def test_the_lines_of_a_chinese_paragraph_are_joined_by_nothing() -> None:
    lines = ["韦斯特港建于一八六八年至一九〇四年", "之间、分三个阶段完成。第一个船坞由", "人工挖掘。"]
    assert texts(stack(lines, 100, 100)) == ["".join(lines)]


def test_a_word_cut_at_the_end_of_a_line_is_whole_again() -> None:
    lines = [
        "The boiler of the old steam crane was con-",
        "demned in the winter of the storm and re-",
        "placed by another.",
    ]
    joined = "The boiler of the old steam crane was condemned in the winter of the storm and replaced by another."
    assert texts(stack(lines, 100, 100)) == [joined]


def test_a_hyphen_stays_where_the_page_writes_the_word_with_one() -> None:
    lines = [
        "A well-known pilot of this harbour was a well-",
        "known drinker too, and his boat was the fast-",
        "est of all.",
    ]
    [joined] = texts(stack(lines, 100, 100))
    assert (
        joined
        == "A well-known pilot of this harbour was a well-known drinker too, and his boat was the fastest of all."
    )


def test_a_dash_between_numbers_is_kept_at_the_end_of_a_line() -> None:
    lines = [
        "The ratio of all the cases that were seen (0.95–",
        "1.46) was the highest of the three that were",
        "found.",
    ]
    assert "(0.95–1.46)" in texts(stack(lines, 100, 100))[0]


def test_lines_of_an_address_stay_lines() -> None:
    lines = ["Hansen & Daughter Ltd", "14 Quay Street", "Westerhaven 8031"]
    assert texts(stack(lines, 100, 100)) == ["\n".join(lines)]


def test_a_wider_gap_or_an_indented_line_begins_a_paragraph() -> None:
    first, second, third = (wrapped(each, 60) for each in (HARBOUR, TRADE, PILOTS))
    lines = stack(first, 100, 100)
    lines += [line(second[0], 130, 100 + 26 * len(first)), *stack(second[1:], 100, 100 + 26 * (len(first) + 1))]
    lines += stack(third, 100, 120 + 26 * (len(first) + len(second)))
    assert texts(lines) == [HARBOUR, TRADE, PILOTS]


def two_columns(shift: float = 0) -> list[Line]:
    left = [*wrapped(HARBOUR, 40), *wrapped(TRADE, 40)]
    return [*stack(left, 60, 200), *stack(wrapped(PILOTS, 40), 520, 200 + shift)]


@pytest.mark.parametrize("shift", [0, 7, 13])
def test_columns_are_read_one_after_the_other_however_their_lines_meet(shift: float) -> None:
    found = texts(two_columns(shift))
    assert " ".join(found) == f"{HARBOUR} {TRADE} {PILOTS}"


def test_a_title_over_all_columns_comes_first_and_what_is_below_them_last() -> None:
    lines = [
        *stack(["The Westerhaven Courier, a paper for all"], 60, 80, 36),
        *stack(wrapped(HARBOUR, 28), 60, 200),
        *stack(wrapped(TRADE, 28), 370, 200),
        *stack(wrapped(PILOTS, 28), 680, 200),
        line("Printed and published at the quay in Westerhaven every Saturday of the year", 60, 700),
    ]
    found = said(lines)
    assert [kind for kind, _ in found] == ["title", "text", "text", "text", "text"]
    assert [text.split()[0] for _, text in found] == ["#", "The", "Timber", "Pilots", "Printed"]


def test_columns_side_by_side_are_no_table() -> None:
    assert {element.type for element in blocks(two_columns(), SIZE)} == {"text"}


def test_a_table_between_columns_is_read_in_its_place() -> None:
    lines = [
        *stack(wrapped(HARBOUR, 40), 60, 100),
        *stack(wrapped(TRADE, 40), 520, 100),
        *grid(MONTHS, (60, 300, 500), 400),
        *stack(wrapped(PILOTS, 40), 60, 600),
        *stack(wrapped(HARBOUR, 40), 520, 600),
    ]
    assert [kind for kind, _ in said(lines)] == ["text", "text", "table", "text", "text"]


def test_cells_in_line_are_a_table() -> None:
    assert table(said(grid(MONTHS, (100, 400, 600), 100))[0]) == [list(row) for row in MONTHS]


def test_numbers_in_line_at_the_right_are_a_table_without_rules() -> None:
    rows = (("Coffee, large", "9.00"), ("Tea", "13.20"), ("Cinnamon bun", "111.40"), ("TOTAL", "133.60"))
    assert table(said(grid(rows, (100, 600), 100, right=(1,)))[0]) == [list(row) for row in rows]


def test_empty_cells_stay_in_their_places() -> None:
    rows = (*MONTHS, ("October", "", "12"), ("Sum", "209.4", ""), ("", "", "46"))
    assert table(said(grid(rows, (100, 400, 600), 100))[0]) == [list(row) for row in rows]


def test_a_cell_of_two_lines_is_one_cell() -> None:
    rows = (
        ("Place", "Week", "Remarks"),
        ("Pool", "06:30", "Closed on the first Monday"),
        ("", "", "of each month"),
        ("Library", "10:00", ""),
        ("Town hall", "08:00", "Open"),
    )
    found = table(said(grid(rows, (100, 300, 500), 100, leading=1.3))[0])
    assert found == [[*rows[0]], ["Pool", "06:30", "Closed on the first Monday of each month"], [*rows[3]], [*rows[4]]]


def test_a_heading_over_two_columns_of_a_table_spans_them() -> None:
    lines = grid((("", "Rain", "", "Sun"),), (100, 370, 500, 670), 100)
    rows = (
        ("Month", "mm", "days", "h", "days"),
        ("May", "55.3", "10", "201.4", "18"),
        ("June", "61.7", "11", "199.0", "16"),
    )
    lines += grid(rows, (100, 330, 430, 630, 730), 130)
    assert Cells(said(lines)[0][1]).rows[0] == [("", 1), ("Rain", 2), ("Sun", 2)]


def test_signs_of_html_in_cells_are_escaped() -> None:
    rows = (("a < b", "1", "x & y"), ("<td>", "2", "</table>"), ("c", "3", "d"))
    found = said(grid(rows, (100, 400, 600), 100))
    assert table(found[0]) == [list(row) for row in rows]
    assert found[0][1].count("<table>") == found[0][1].count("</table>") == 1


def test_tables_under_each_other_with_other_columns_are_two() -> None:
    lines = grid(MONTHS, (100, 300, 420), 100) + grid(MONTHS, (100, 520, 760), 300)
    assert [table(each) for each in said(lines)] == [[list(row) for row in MONTHS]] * 2


@pytest.mark.parametrize(
    "lines",
    [
        grid((("Date 14.03.2026", "Page 1"),), (100, 600), 100),
        grid((("Anna Berg", "Ole Dahl"), ("Mayor", "Clerk")), (100, 600), 100),
        grid((("a word", "another", "three"),), (100, 400, 600), 100),
        [
            line(str(value), x, y)
            for value, x, y in ((90, 80, 100), (87.5, 207, 96), (84, 333, 128), (80, 82, 160), (86, 471, 162))
        ],
    ],
)
def test_what_may_be_no_table_is_none(lines: list[Line]) -> None:
    assert "table" not in {element.type for element in blocks(lines, SIZE)}


def test_larger_type_is_a_heading_and_the_first_of_the_largest_the_title() -> None:
    lines = [
        line("The harbour", 100, 60, 36),
        *stack(wrapped(HARBOUR, 60), 100, 120),
        line("Trade", 100, 270, 28),
        *stack(wrapped(TRADE, 60), 100, 320),
    ]
    assert said(lines) == [("title", "# The harbour"), ("text", HARBOUR), ("heading", "## Trade"), ("text", TRADE)]


@pytest.mark.parametrize("words", ["THE HARBOUR", "Harbour", "12 January"])
def test_type_of_the_usual_size_is_no_heading(words: str) -> None:
    lines = [line(words, 100, 60), *stack(wrapped(HARBOUR, 60), 100, 120)]
    assert [kind for kind, _ in said(lines)] == ["text", "text"]


def test_marks_make_a_list_and_deeper_ones_a_list_in_it() -> None:
    lines = stack(["• Warm clothes", "• Papers:"], 100, 100) + stack(["– the ticket", "– a passport"], 140, 152)
    lines += stack(["• A book"], 100, 204)
    assert said(lines) == [
        ("list_item", "- Warm clothes"),
        ("list_item", "- Papers:\n  - the ticket\n  - a passport"),
        ("list_item", "- A book"),
    ]


def test_numbers_that_follow_each_other_make_a_list() -> None:
    lines = stack(["1. Be there an hour before", "2. Show your ticket", "3.Leave your bags"], 100, 100)
    assert texts(lines) == ["1. Be there an hour before", "2. Show your ticket", "3. Leave your bags"]
    assert {kind for kind, _ in said(lines)} == {"list_item"}


def test_a_mark_found_apart_from_its_text_goes_with_it() -> None:
    lines = grid((("•", "Warm clothes"), ("•", "Good shoes"), ("•", "A book")), (100, 130), 100)
    assert said(lines) == [("list_item", "- Warm clothes"), ("list_item", "- Good shoes"), ("list_item", "- A book")]


def test_the_lines_of_an_item_stay_together() -> None:
    item = "Show your ticket at the white hut and have it stamped, or you will be sent back from the gangway."
    first, *others = wrapped(item, 50)
    lines = [line(f"• {first}", 100, 100), *stack(others, 120, 126), line("• Good shoes", 100, 126 + 26 * len(others))]
    assert said(lines) == [("list_item", f"- {item}"), ("list_item", "- Good shoes")]


@pytest.mark.parametrize("words", ["3. The light", "– said the pilot", "12.5 mm of rain", "1990. A year"])
def test_a_mark_alone_makes_no_list(words: str) -> None:
    assert said([line(words, 100, 100)]) == [("text", words)]


def test_page_numbers_and_what_stands_beside_them_are_no_text_of_the_page() -> None:
    body = stack(wrapped(f"{HARBOUR} {TRADE} {PILOTS}", 50), 100, 200)
    found = said([line("A history of the harbour", 100, 60), line("17", 880, 60), *body, line("– 4 –", 480, 1340)])
    assert [kind for kind, _ in found] == ["header", "page_number", "text", "page_number"]


def test_a_number_in_the_text_is_no_page_number() -> None:
    body = stack([*wrapped(f"{HARBOUR} {TRADE}", 50), "17"], 100, 200)
    assert "page_number" not in {kind for kind, _ in said(body)}


def test_the_first_row_of_a_table_at_the_top_is_no_head_of_the_page() -> None:
    rows = [("Month", "2024"), *((f"Harbour {n}", f"{n}.5") for n in range(1, 9))]
    lines = grid(rows, (100, 600), 60, leading=2.2)
    assert [kind for kind, _ in said(lines)] == ["table"]


def test_a_caption_beside_a_table_is_one() -> None:
    lines = [line("Table 2: rainfall on the mole", 100, 60), *grid(MONTHS, (100, 400, 600), 100)]
    assert [kind for kind, _ in said(lines)] == ["caption", "table"]
    assert [kind for kind, _ in said(lines[:1])] == ["text"]


def whole_page() -> list[Line]:
    return [
        line("The harbour and its rain", 60, 60, 36),
        *two_columns(),
        *grid(MONTHS, (60, 400, 600), 700),
        *stack(["• Warm clothes", "• Good shoes", "• A book"], 60, 900),
    ]


@pytest.mark.parametrize("degrees", [-4, -1.5, 0.7, 3, 5, 90, 178, 270])
def test_a_page_that_lies_askew_reads_as_upright(degrees: float) -> None:
    assert said(turned(whole_page(), degrees)) == said(whole_page())


def test_the_frames_of_short_lines_do_not_turn_a_page() -> None:
    def askew(each: Line) -> Line:
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = each.corners
        return replace(each, corners=((ax, ay + 1), (bx, by - 1), (cx, cy - 1), (dx, dy + 1)))

    rows = (("Fish soup", "9.50"), ("Pea soup", "7.00"), ("Herring", "13.50"), ("Apple cake", "6.00"))
    lines = [askew(each) for each in grid(rows, (60, 900), 100, leading=1.3)]
    assert table(said(lines)[0]) == [list(row) for row in rows]


def test_the_order_in_which_lines_were_found_does_not_matter() -> None:
    lines = whole_page()
    shuffled = random.Random(1).sample(lines, len(lines))
    assert said(shuffled) == said(lines)


def test_a_line_that_stands_upright_does_not_turn_the_page() -> None:
    upright = turned([line("Scores of all", 500, 700)], -90)
    assert Counter(texts(upright + whole_page())) == Counter([*texts(whole_page()), "Scores of all"])


def test_an_element_reaches_around_its_lines() -> None:
    lines = stack(wrapped(HARBOUR, 60), 100, 100)
    [element] = blocks(lines, SIZE)
    boxes = [each.bbox for each in lines]
    assert element.bbox == tuple(
        side(values) for side, values in zip((min, min, max, max), zip(*boxes, strict=True), strict=True)
    )


def test_plain_text_keeps_lines_and_parts_cells() -> None:
    lines = [*stack(["The harbour", "and its rain"], 100, 60), *grid(MONTHS, (100, 400, 600), 200)]
    assert text(lines, SIZE) == "The harbour\nand its rain\n\n" + "\n".join("\t".join(row) for row in MONTHS)


def test_plain_text_parts_what_stands_side_by_side() -> None:
    assert text([line("17", 880, 60), line("A history", 100, 60)], SIZE) == "A history\t17"


def test_a_page_without_lines_has_no_elements() -> None:
    assert blocks([], SIZE) == []
    assert text([], SIZE) == ""
    assert blocks([replace(line("x", 10, 10), text="")], SIZE) == []


places = st.tuples(
    st.floats(0, 900),
    st.floats(0, 1300),
    st.sampled_from([10, 20, 20, 20, 31]),
    st.sampled_from([0, 0, 0, 1.5, 90, 37]),
)
words = st.sampled_from(
    ["a", "17", "•", "1.", "2. and", "Table 1", "– 4 –", "the longest of them all", "月份", "x" * 70]
)


@st.composite
def pages(draw: st.DrawFn) -> list[Line]:
    """Lines anywhere, many of them in rows and columns, each with a number of its own."""
    found = []
    for number, (x, y, size, degrees) in enumerate(draw(st.lists(places, max_size=40))):
        if draw(st.booleans()):
            x, y = x // 150 * 150, y // 26 * 26
        [each] = turned([line(f"{draw(words)} №{number}", x, y, size)], degrees)
        found.append(each)
    return found


@settings(max_examples=150)
@given(pages())
def test_every_line_is_in_the_output_once(lines: list[Line]) -> None:
    wanted = Counter(str(number) for number in range(len(lines)))
    for output in ("\n".join(texts(lines)), text(lines, SIZE)):
        assert Counter(re.findall(r"№(\d+)", output)) == wanted
    words = Counter(re.sub(r"[\s•·–#-]", "", "".join(each.text for each in lines)))
    shown = re.sub(r"<[^>]*>|[\s•·–#-]", "", "".join(texts(lines)))
    assert Counter(shown) == words


@settings(max_examples=60)
@given(pages())
def test_every_element_is_of_a_known_type_and_lies_around_lines(lines: list[Line]) -> None:
    corners = {side for each in lines for side in each.bbox}
    elements: list[Element] = blocks(lines, SIZE)
    assert all(element.text and element.bbox and set(element.bbox) <= corners for element in elements)


def newspaper(count: int) -> list[Line]:
    """A page of eight columns with so many lines, a table among them."""
    column = (wrapped(f"{HARBOUR} {TRADE} {PILOTS}", 28) * count)[: count // 8]
    lines = [each for n in range(8) for each in stack(column, 40 + 340 * n, 100 + 3 * n)]
    return lines + grid([("Ship", "12", "4", "7")] * 12, (40, 400, 600, 800), 200 + 26 * len(column))


def test_a_page_takes_time_in_proportion_to_its_lines() -> None:
    assert growth(lambda count: blocks(newspaper(count), (3000, 60 * count)), 2400) < LINEAR


@pytest.mark.parametrize("step", [(0, 0), (0, 26), (300, 0), (3, 1)])
def test_lines_on_one_heap_are_read_in_time(step: tuple[float, float]) -> None:
    def heap(count: int) -> list[Line]:
        return [line("some words", step[0] * n, step[1] * n, TYPE) for n in range(count)]

    assert growth(lambda count: blocks(heap(count), SIZE), 1200) < LINEAR
