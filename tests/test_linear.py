"""No text, however hostile, takes longer than in proportion to its length, fed character by character or whole."""

import pytest

from ocr.answers.dialects import PARSERS
from ocr.answers.text import AT_ONCE, GATHERED, Pieces
from ocr.output.formulas import DollarFormulas, framed
from ocr.reading.overlaps import Block, without_repeated
from ocr.types import Opened, Text
from tests.growth import LINEAR, growth
from tests.worst import PARTS, PIECES, SCALE, consume, shown, text_of


@pytest.mark.parametrize(
    ("part", "piece"),
    [
        ("grounded", "half marks"),
        ("grounded boxes", "box lists"),
        ("layout_json string", "quotes and commas"),
        ("layout_json object", "brackets opened"),
        ("scene_text", "half points"),
        ("markdown of text", "formulas opened"),
        ("markdown of text", "spaces"),
        ("answer of dots", "half objects"),
        ("released", "halves of characters"),
    ],
)
def test_character_by_character_the_work_grows_with_the_text_and_no_faster(part: str, piece: str) -> None:
    assert growth(lambda length: PARTS[part](text_of(PIECES[piece], length)), 8_000) < LINEAR


def test_a_line_of_backticks_is_looked_at_once() -> None:
    assert growth(lambda length: shown("text", "`" * length), 32_000) < LINEAR


@pytest.mark.parametrize("text", ["`" * 65 + "x", "~" * 65 + "\\[x"])
def test_code_signs_in_one_long_piece_are_looked_at_once(text: str) -> None:
    def whole(length: int) -> None:
        formulas = DollarFormulas()
        consume([*formulas.feed(text_of(text, length)), *formulas.close()])

    assert growth(whole, 100_000) < LINEAR


def test_a_formula_of_a_rule_and_spaces_is_looked_at_once() -> None:
    assert growth(lambda length: framed("x\n---" + " " * length + "x"), 20_000) < LINEAR


def opened(number: int, text: str) -> Block:
    return Block(Opened("text", "text", (0, number, 10, number + 2)), text)


@pytest.mark.parametrize("texts", [("{}", "{}"), ("a", "a"), ("{}", "x {}"), ("", "")])
def test_parts_of_many_elements_are_compared_in_proportion_to_their_number(texts: tuple[str, str]) -> None:
    def compared(count: int) -> None:
        before = [opened(2 * number, texts[0].format(number)) for number in range(count)]
        after = [opened(2 * number + 1, texts[1].format(number)) for number in range(count)]
        without_repeated(before, after, (0, 0, 10, 4 * count))

    assert growth(compared, 3_200) < LINEAR


def test_a_first_line_of_many_words_is_left_out_in_proportion_to_its_length() -> None:
    def compared(length: int) -> None:
        words = [f"w{number}" for number in range(length)]
        line = Block(None, "cut " * length + "\n" + " ".join(words[:100]))
        without_repeated([Block(None, " ".join(words[:100]))], [line], (0, 0, 1, 1))

    assert growth(compared, 30_000) < LINEAR


def test_a_text_longer_than_any_page_comes_in_larger_pieces_and_whole() -> None:
    pieces = Pieces()
    text = text_of("0123456789", AT_ONCE + 10 * GATHERED + 7)
    taken = [pieces.take(character) for character in text]
    assert taken[:AT_ONCE] == list(text[:AT_ONCE])
    assert {len(piece) for piece in taken[AT_ONCE:]} == {0, GATHERED}
    assert "".join(taken) + pieces.rest() == text


def test_what_waits_for_more_comes_at_the_end() -> None:
    for part in ("plain", "grounded text", "scene_text"):
        text = shown_by(part, "a" * AT_ONCE + "the end")
        assert text.endswith("the end"), part


def shown_by(part: str, text: str) -> str:
    parser = PARSERS[part.split()[0]](SCALE)
    events = [event for character in text for event in parser.feed(character)]
    return "".join(event.text for event in [*events, *parser.close()] if isinstance(event, Text))
