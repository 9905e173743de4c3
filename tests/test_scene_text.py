"""dots.mocr's answers on the text in a scene."""

from hypothesis import given
from hypothesis import strategies as st

from ocr.answers.boxes import Scale
from ocr.answers.dialects import PARSERS
from ocr.types import Element, Opened, Text
from tests.gathered import gather

SCALE = Scale(extent=(400, 100), page=(200, 100))
ANSWER = "(10, 10), (50, 12), (50, 20), (10, 18) OPEN 24 (7, 365)\n(0, 50), (400.5, 50), (100, 60), (0, 60) Café\n"
FOUND = (
    Element("text", "", (5.0, 10.0, 25.0, 20.0), "OPEN 24 (7, 365)"),
    Element("text", "", (0.0, 50.0, 200.0, 60.0), "Café"),
)


def read(answer: str, size: int = 1) -> tuple[tuple[Element, ...], list[str], str]:
    parser = PARSERS["scene_text"](SCALE)
    chunks = [answer[start : start + size] for start in range(0, len(answer), size)]
    events = [event for chunk in chunks for event in parser.feed(chunk)] + list(parser.close())
    first = next((index for index, event in enumerate(events) if isinstance(event, Opened)), len(events))
    return gather(events), parser.problems, "".join(event.text for event in events[:first] if isinstance(event, Text))


def test_each_line_is_an_element_with_the_box_around_its_four_points() -> None:
    for size in (1, 5, 1000):
        assert read(ANSWER, size) == (FOUND, [], "")


def test_an_element_comes_out_with_its_line() -> None:
    parser = PARSERS["scene_text"](SCALE)
    first, second = ANSWER.splitlines(keepends=True)
    assert gather(list(parser.feed(first))) == FOUND[:1]
    assert not list(parser.feed(second[:-1]))
    assert gather(list(parser.close())) == FOUND[1:]


def test_several_on_one_line_are_several_elements() -> None:
    assert read(ANSWER.replace("\n", " "))[0] == FOUND


def test_a_line_without_a_place_continues_the_text_above() -> None:
    elements, problems, _ = read(ANSWER + "au lait\n")
    assert ([element.text for element in elements], problems) == (["OPEN 24 (7, 365)", "Café\nau lait"], [])


def test_an_answer_without_places_is_the_page_s_text() -> None:
    assert read("There is no text.\nNone.") == ((), [], "There is no text.\nNone.")


def test_a_place_that_is_cut_off_is_reported() -> None:
    elements, problems, _ = read(ANSWER + "(10, 10), (50, 1")
    assert (elements, problems) == (FOUND, ["The answer breaks off inside a place: '(10, 10), (50, 1'"])


@given(st.one_of(st.text(), st.text(st.sampled_from("(1, )\n a-."))), st.integers(1, 9))
def test_any_text_at_all_is_taken(text: str, size: int) -> None:
    read(text, size)
    read(ANSWER + text, size)


def test_a_line_without_an_end_is_not_waited_for() -> None:
    parser = PARSERS["scene_text"](SCALE)
    events = [event for _ in range(5000) for event in parser.feed("a")]
    assert sum(len(event.text) for event in events if isinstance(event, Text)) == 4001
