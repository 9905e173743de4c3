"""A model's answer beside the lines of its page: what is told of an edit, and what is not told of none."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocr.checking.comparison import check
from ocr.types import Box, Check, Element, Line
from tests.growth import LINEAR, growth

PROSE = (
    "The keeper climbed the stairs in the evening",
    "and carried oil, a lamp and one book about the",
    "stars. In 1904 the sea was loud, but its light",
    "never failed, and 12 ships passed by the rocks.",
)
TABLE = (
    ("Month", "2024", "2025", "change"),
    ("January", "61.0", "39.7", "52"),
    ("April", "52", "44.1", "8"),
    ("July", "8", "52", "8"),
    ("October", "66.4", "8", "1.00"),
)


def line(text: str, x: float, y: float, score: float = 0.99) -> Line:
    """A line of print whose letters are 10 px wide and 20 px high."""
    right = x + 10 * len(text)
    return Line(text, score, ((x, y), (right, y), (right, y + 20), (x, y + 20)))


def prose(*texts: str, score: float = 0.99) -> list[Line]:
    """Lines below each other."""
    return [line(text, 50, 50 + 30 * number, score) for number, text in enumerate(texts or PROSE)]


def table(rows: Sequence[Sequence[str]] = TABLE) -> list[Line]:
    """The cells of a table, a line of print each."""
    return [line(cell, 50 + 150 * x, 300 + 30 * y) for y, row in enumerate(rows) for x, cell in enumerate(row)]


def html(rows: Sequence[Sequence[str]] = TABLE) -> str:
    cells = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def text(words: str, type_: str = "text", bbox: Box | None = None) -> Element:
    return Element(type_, type_, bbox, words)


def said(found: Check) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    return (
        [each.text for each in found.omitted],
        [each.text for each in found.unsupported],
        [(each.line, each.answer) for each in found.conflicts],
    )


NOTHING: tuple[list[str], list[str], list[tuple[str, str]]] = ([], [], [])
PAGE = [*prose(), *table()]
WHOLE = (text(" ".join(PROSE)), text(html(), "table"))


def changed(old: str, new: str) -> list[Element]:
    """The whole page's answer with one change."""
    assert sum(old in element.text for element in WHOLE) == 1
    return [text(element.text.replace(old, new, 1), element.type) for element in WHOLE]


def latex(rows: Sequence[Sequence[str]] = TABLE) -> str:
    body = " \\\\\n\\hline ".join(" & ".join(row) for row in rows)
    return f"\\begin{{tabular}}{{|l|p{{3cm}}|r|r|}}\n\\hline {body} \\\\\n\\cline{{1-2}}\n\\end{{tabular}}"


def test_nothing_is_said_of_the_marks_of_latex() -> None:
    first, *rest = PROSE
    answer = f"\\title{{\n{first}\n}}\n\\footnotetext{{ {' '.join(rest)} }}\n{latex()}"
    assert said(check(PAGE, [text(answer)])) == NOTHING
    wide = latex().replace("October &", "\\multicolumn{1}{|c|}{ October } &").replace("66.4", "66.9")
    assert said(check(table(), [text(wide)])) == ([], [], [("66.4", "66.9")])


def test_nothing_is_said_of_an_answer_that_has_the_whole_page() -> None:
    found = check(PAGE, WHOLE)
    assert said(found) == NOTHING
    assert (found.lines, found.failure, found.disagreements) == (24, "", 0)


def test_a_dropped_line_is_omitted_with_its_place() -> None:
    found = check(PAGE, changed(PROSE[1], ""))
    assert said(found) == ([PROSE[1]], [], [])
    assert found.omitted[0].bbox == PAGE[1].bbox


def test_a_sentence_that_begins_and_ends_within_lines_is_omitted_as_far_as_each_line_has_it() -> None:
    gone = "In 1904 the sea was loud, but its light never failed, and 12 ships passed by the rocks."
    assert said(check(PAGE, changed(gone, "")))[0] == ["In 1904 the sea was loud, but its light", PROSE[3]]


def test_a_dropped_row_of_a_table_is_omitted_cell_by_cell() -> None:
    row = "<tr><td>July</td><td>8</td><td>52</td><td>8</td></tr>"
    found = check(PAGE, changed(row, ""))
    assert said(found) == (["July", "8", "52", "8"], [], [])
    assert {each.bbox[1] for each in found.omitted} == {390}


def test_an_added_sentence_is_unsupported_with_its_element() -> None:
    new = "Readers should note that the manuscript has further passages."
    found = check(PAGE, changed("stars.", f"stars. {new}"))
    assert said(found) == ([], [new], [])
    assert [each.element for each in found.unsupported] == [0]


def test_a_repeated_paragraph_is_unsupported_the_second_time() -> None:
    box = (40.0, 40.0, 600.0, 170.0)
    once = text(" ".join(PROSE), bbox=box)
    found = check(prose(), [once, once])
    assert said(found) == ([], [" ".join(PROSE)], [])
    assert (found.unsupported[0].element, found.unsupported[0].bbox) == (1, box)


def test_a_loop_is_unsupported_but_for_what_is_on_the_page() -> None:
    found = check(PAGE, changed("rocks.", "rocks." + " and 12 ships passed by the rocks." * 40))
    assert [len(each.text) > 1000 for each in found.unsupported] == [True]
    assert not found.omitted


@pytest.mark.parametrize(
    ("old", "new"),
    [("1904", "1906"), ("61.0", "67.0"), ("39.7", "397"), ("1.00", "100"), ("66.4", "6.64"), ("12", "13")],
)
def test_an_altered_number_is_a_conflict_of_both_readings(old: str, new: str) -> None:
    found = check(PAGE, changed(old, new))
    assert said(found) == ([], [], [(old, new)])


def test_a_number_that_stands_in_many_cells_is_told_at_the_one_that_was_altered() -> None:
    row = "<td>July</td><td>8</td><td>52</td><td>8</td>"
    found = check(PAGE, changed(row, row.replace("<td>8</td><td>52", "<td>5</td><td>52")))
    assert said(found) == ([], [], [("8", "5")])
    assert found.conflicts[0].bbox == line("8", 200, 390).bbox
    assert found.conflicts[0].element == 1


def test_a_swapped_word_is_a_conflict() -> None:
    assert said(check(PAGE, changed("evening", "morning"))) == ([], [], [("evening", "morning")])
    assert said(check(PAGE, changed("April", "Sunday"))) == ([], [], [("April", "Sunday")])


def test_a_word_more_or_less_within_a_line_is_a_conflict_with_nothing() -> None:
    assert said(check(PAGE, changed("was loud", "was not loud"))) == ([], [], [("", "not")])
    assert said(check(PAGE, changed("one book about", "book about"))) == ([], [], [("one", "")])


def test_fewer_than_three_letters_are_no_difference() -> None:
    assert said(check(PAGE, changed("oil, a lamp", "oll, the lamp"))) == ([], [], [("a", "the")])
    assert said(check(PAGE, changed("keeper", "kceper"))) == NOTHING


def test_one_for_l_and_zero_for_o_are_no_difference() -> None:
    assert said(check(prose("Room l2 on floor O of the house"), [text("Room 12 on floor 0 of the house")])) == NOTHING


@pytest.mark.parametrize(
    ("page", "answer"),
    [
        ("The “Great” Hall – 1904–1906", 'THE "GREAT" HALL - 1904-1906'),
        ("Rainfall in mm", "## **Rainfall** in `mm`"),
        ("the café of Zoë in Łódź", "the cafe of Zoe in Łódź"),
        ("ﬁve oﬃces \uff11\uff12\uff13", "five offices 123"),
        ("12 × 8 cm", "12 x 8 cm"),
        ("first second third", "| first | second |\n|---|---|\n| third |"),
        ("Visit the new museum today", "Visit the [new museum](https://example.org/museum) today"),
        ("H2O and x2 of the samples", "H<sub>2</sub>O and x<sup>2</sup> of the samples"),
        ("Smith & Sons of London", "Smith &amp; Sons of London"),
        ("年度第一學期開始上課", "年度 第一學期 開始上課"),
    ],
)
def test_spacing_case_accents_typography_and_marks_do_not_count(page: str, answer: str) -> None:
    assert said(check(prose(page), [text(answer)])) == NOTHING


def test_a_word_divided_at_the_end_of_a_line_may_be_whole_in_the_answer() -> None:
    page = prose("an increase for ex-", "posure to meat")
    assert said(check(page, [text("an increase for exposure to meat")])) == NOTHING


def test_tags_are_taken_out_of_tables_alone() -> None:
    page = prose("for a <b and b> c it holds", "less than <5 years")
    assert said(check(page, [text("for a <b and b> c it holds"), text(html([["less than &lt;5 years"]]))])) == NOTHING
    assert said(check(prose("write <strong> around it"), [text("write <strong> around it")])) == NOTHING


def test_short_lines_are_found_as_whole_words_alone() -> None:
    assert said(check(prose("12", "seen by all of the crew"), [text("seen by all of the crew in 2012")]))[0] == ["12"]
    assert said(check(prose("all", "seen by the whole crew"), [text("seen by the whole crew, tallest")]))[0] == ["all"]


def test_pictures_and_what_lies_in_them_are_left_out() -> None:
    page = [*prose(), line("Fig label 17", 60, 500)]
    picture = Element("picture", "image", (40, 480, 400, 600), "a drawing of a lighthouse in the sea")
    assert said(check(page, [WHOLE[0], picture])) == NOTHING


def test_formulas_and_what_lies_in_them_are_left_out() -> None:
    page = [*prose(), line("a2+62=c2", 60, 500)]
    formula = Element("formula", "equation", (40, 480, 400, 600), r"\frac{a^2 + b^2}{\sqrt{1234}} = c^2")
    assert said(check(page, [WHOLE[0], formula])) == NOTHING


@pytest.mark.parametrize("formula", [r"\(\alpha_{12} = 5\)", r"$\alpha_{12} = 5$", r"\[\alpha_{12} = 5\]"])
def test_formulas_within_text_are_left_out(formula: str) -> None:
    page = prose("where a12=S holds for all of them")
    assert said(check(page, [text(f"where {formula} holds for all of them")])) == NOTHING


def test_sums_of_money_are_no_formula() -> None:
    page = prose("It costs $5 or $10 at the door")
    assert said(check(page, [text("It costs $5 or $19 at the door")])) == ([], [], [("$10", "$19")])


def test_a_line_that_is_read_with_little_certainty_is_not_told() -> None:
    page = [*prose(), line("Qxz81 logo", 60, 400, score=0.7)]
    assert said(check(page, WHOLE[:1])) == NOTHING


def test_a_page_without_print_supports_nothing() -> None:
    assert said(check([], [text("A text that nobody wrote")])) == ([], ["A text that nobody wrote"], [])


def test_an_empty_answer_omits_every_line() -> None:
    assert said(check(prose(), []))[0] == list(PROSE)


def test_two_columns_are_followed_as_the_answer_has_them() -> None:
    page = [*prose(), *(line(words.upper() + " again", 700, 50 + 30 * n) for n, words in enumerate(PROSE))]
    answer = [text(" ".join(PROSE)), text(" ".join(f"{words} again" for words in PROSE))]
    assert said(check(page, answer)) == NOTHING
    answer[1] = text(answer[1].text.replace("12", "72"))
    found = check(page, answer)
    assert said(found) == ([], [], [("12", "72")])
    assert found.conflicts[0].bbox[0] == 700


def test_a_page_of_another_script_cannot_be_checked() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    found = check(prose("12 34"), [text("Привет, как дела сегодня вечером? 12 34")], letters)
    assert said(found) == NOTHING
    assert "% of the answer's letters are in a script" in found.failure


def test_letters_that_the_lines_cannot_have_are_no_difference() -> None:
    letters = set("abcdefghijklmnopqrstuvwxyzó0123456789")
    page = prose("Ting Vit có nhiu du thanh", "and 12 words of English besides, so that most letters are known")
    answer = "Tiếng Việt có nhiều dấu thanh and 12 words of English besides, so that most letters are known"
    assert said(check(page, [text(answer)], letters)) == NOTHING
    assert said(check(page, [text(answer.replace("12", "17"))], letters)) == ([], [], [("12", "17")])


def test_a_page_whose_print_can_mostly_not_be_read_cannot_be_checked() -> None:
    page = [*prose(), *(line("", x, 400.0, score=0.2) for x in range(50, 3000, 10))]
    unread = [Line("", 0.2, ((0, y), (1500, y), (1500, y + 20), (0, y + 20))) for y in (400, 430, 460)]
    assert "could not be read" in check([*page, *unread], WHOLE).failure


@given(st.text(max_size=300), st.sampled_from(["text", "table", "formula", "picture", "heading"]))
def test_any_text_can_be_an_answer(words: str, type_: str) -> None:
    found = check(PAGE, [text(words, type_)])
    assert found.lines == len(PAGE)


@given(st.lists(st.text(st.characters(categories=["L", "N", "P", "Z", "S"]), max_size=40), max_size=12))
def test_nothing_is_said_of_any_lines_that_the_answer_has_word_for_word(texts: list[str]) -> None:
    texts = [words for words in texts if not set(words) & set("$\\<&[(")]
    assert said(check(prose(*texts or ("a",)), [text("\n".join(texts or ["a"]))])) == NOTHING


@pytest.mark.parametrize(
    "piece", ["a", "ab 12 ", "<", "[", "](", r"\(", "$x_", "&", "1.", "1 - ", "<table>", "<td>0</td>", "ä", "年"]
)
def test_a_hostile_answer_takes_time_in_proportion_to_its_length(piece: str) -> None:
    page = [*prose("aaaaaaaab aaaaaaaa", "ab 12 ab 12 ab 12 xx", "12", "a", "0", "年年年年年年年年", *PROSE), *table()]
    assert growth(lambda size: check(page, [text((piece * size)[:size])]), 40_000) < LINEAR
