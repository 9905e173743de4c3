"""dots.ocr's layout answers, good and bad: what came whole survives, once and in order, whatever stands around it."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr.answers.boxes import Scale
from ocr.answers.dialects import PARSERS
from ocr.answers.elements import ELEMENT_TYPES
from ocr.answers.layout_json import CATEGORIES
from ocr.types import AnswerEvent, Element, Opened, Text
from tests.checkpoints_dots import GOLDEN
from tests.gathered import gather
from tests.growth import LINEAR, growth

ANSWERS = json.loads((GOLDEN / "layout_answers.json").read_text())
PAGE = (1000, 1400)


def parsed(chunks: Sequence[str], extent: tuple[float, float] = PAGE) -> tuple[list[AnswerEvent], list[str]]:
    parser = PARSERS["layout_json"](Scale(extent=extent, page=PAGE))
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    events += parser.close()
    return events, parser.problems


def read(answer: str) -> tuple[tuple[Element, ...], list[str]]:
    events, problems = parsed([answer])
    return gather(events), problems


def texts(answer: str) -> list[str]:
    return [element.text for element in read(answer)[0]]


def whole(element: dict[str, Any]) -> Element:
    """What an element of a well-formed answer is to become."""
    x1, y1, x2, y2 = map(float, element["bbox"])
    label = element["category"]
    return Element(CATEGORIES.get(label, "other"), label, (x1, y1, x2, y2), element.get("text", "").strip())


# --- The answers that the makers' own code handles badly --------------------------------------------------------

GOOD = [whole(element) for element in json.loads(ANSWERS["good"])]
GOOD[5] = Element("text", "Text", GOOD[5].bbox, "$a$")  # a formula in a code span is a formula
A = Element("text", "Text", (1.0, 2.0, 3.0, 4.0), "a")
B = Element("text", "Text", (5.0, 6.0, 7.0, 8.0), "b")
LOOPS = [Element("text", "Text", (float(x), 2.0, 30.0, 4.0), "loop") for x in range(6)]
NOT_WHOLE = ["An element that is not whole: no category, ''"]
EXPECTED: dict[str, tuple[list[Element], list[str]]] = {
    "good": (GOOD, []),
    "truncated_text": (GOOD[:6], NOT_WHOLE),
    "truncated_inside_bbox": (GOOD[:6], NOT_WHOLE),
    "missing_comma": (GOOD, []),
    "missing_comma_no_space": ([A, B], []),
    "three_coordinates": (
        [Element("text", "Text", None, "a"), B],
        ["An element without a box of four numbers: Text, 'a'"],
    ),
    "duplicate_dicts": ([A, A, B], NOT_WHOLE),
    "same_text_five_times": (LOOPS, NOT_WHOLE),
    "single_incomplete": (
        [Element("table", "Table", (10.0, 20.0, 30.0, 40.0), "<table><tr><td>x</td><td>x</td>")],
        ["An element that is not whole: Table, '<table><tr><td>x</td><td>x</td>'"],
    ),
    "plain_text": ([], ["The answer is text and no list of elements."]),
    "empty": ([], []),
    "empty_list": ([], []),
    "one_object": ([A], []),
    "fenced": ([A], []),
    "braces_in_text": (
        [
            Element("formula", "Formula", A.bbox, "\\frac{1}{2}"),
            Element("text", "Text", B.bbox, "cut"),
        ],
        ["An element that is not whole: Text, 'cut'"],
    ),
    "newline_in_string": ([Element("text", "Text", A.bbox, "a\nb")], []),
    "bad_escape": ([Element("formula", "Formula", A.bbox, "\\alpha")], []),
    "float_bbox": ([Element("text", "Text", (1.5, 2.5, 300.4, 400.9), "a")], []),
    "string_bbox": ([Element("text", "Text", (1.0, 2.0, 300.0, 400.0), "a")], []),
    "missing_bbox": (
        [Element("text", "Text", None, "a")],
        ["An element without a box of four numbers: Text, 'a'"],
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("size", [1, 2, 7, 10**6])
def test_what_models_really_answer_is_understood(name: str, size: int) -> None:
    answer = ANSWERS[name]
    events, problems = parsed([answer[start : start + size] for start in range(0, len(answer), size)])
    assert (list(gather(events)), problems) == EXPECTED[name]


def test_text_in_place_of_a_list_is_the_page_s_text() -> None:
    events, _ = parsed(list(ANSWERS["plain_text"]))
    assert "".join(event.text for event in events if isinstance(event, Text)) == ANSWERS["plain_text"]


# --- Single rules -----------------------------------------------------------------------------------------------


def element(text: str, category: str = "Text") -> str:
    """An element whose text stands in it as given, escaped or not."""
    return f'{{"bbox": [1, 2, 3, 4], "category": "{category}", "text": "{text}"}}'


def test_an_element_comes_out_with_its_last_brace() -> None:
    parser = PARSERS["layout_json"](Scale(extent=PAGE, page=PAGE))
    answer = f"[{element('a')}"
    assert not [event for character in answer[:-1] for event in parser.feed(character)]
    assert list(parser.feed("}")) == [Opened("text", "Text", A.bbox), Text("a")]


def test_boxes_are_scaled_from_what_the_model_saw_to_the_page() -> None:
    events, _ = parsed(['[{"bbox": [0, 100, 250, 9999], "category": "Picture"}]'], extent=(500, 700))
    assert events == [Opened("picture", "Picture", (0.0, 200.0, 500.0, 1400.0))]


def test_every_category_has_a_known_type_and_others_are_kept() -> None:
    assert len(CATEGORIES) == 11 and set(CATEGORIES.values()) <= set(ELEMENT_TYPES)
    [button], _ = read(element("OK", "Button"))
    assert (button.type, button.label) == ("other", "Button")


@pytest.mark.parametrize("latex", ["\\times", "\\frac{1}{2}", "\\beta", "\\nabla", "\\rho", "\\alpha", "a \\\\neq b"])
def test_latex_with_single_backslashes_is_not_damaged(latex: str) -> None:
    assert texts(element(latex, "Formula")) == [latex.replace("\\\\", "\\")]
    assert texts(element(f"so ${latex}$", "Text")) == [f"so ${latex}$".replace("\\\\", "\\")]


def test_line_breaks_in_text_stay_line_breaks() -> None:
    assert texts(element(r"one\nneu\n- two\n\nnext")) == ["one\nneu\n- two\n\nnext"]


def test_a_quote_without_its_backslash_is_part_of_the_text() -> None:
    speech = 'He said "no", and "yes" too'
    assert texts(f"[{element(speech)}, {element('b')}]") == [speech, "b"]


@pytest.mark.parametrize(
    "broken",
    [
        '{"bbox": [1, 2, 3, 4], "category": "Text", "text": "open ',
        '{"bbox": [1, 2, 3, 4], "category": "Text", "text": "open", ',
        '{"bbox": [1, 2, 3, 4], "category": "Text", "text": "open" ',
        '{"bbox": [1, 2, 3, 4], "category": "Te',
        '{"bbox": [1, 2, 3, ',
        '{"bbox": {"x": {"y": [1',
        "nonsense ",
        "{{{{ ",
    ],
)
def test_a_broken_element_does_not_take_the_next_one_along(broken: str) -> None:
    elements, problems = read(f"[{element('a')}, {broken}{element('b')}, {element('c')}]")
    assert [found.text for found in elements if not found.text.startswith("open")] == ["a", "b", "c"]
    assert len(problems) == 1
    assert ("open" in broken) == (len(elements) == 4)


def test_a_list_inside_an_object_is_read() -> None:
    elements, problems = read(f'{{"layout": [{element("a")}, {element("b")}]}}')
    assert [found.text for found in elements] == ["a", "b"]
    assert len(problems) == 1


@pytest.mark.parametrize("opening", ["```json\n[", "[", "Here it is:\n```json\n[", "Here it is: "])
def test_prose_before_the_list_is_the_page_s_text(opening: str) -> None:
    for size in (1, 5, 1000):
        answer = f"{opening}{element('a')}]\n```"
        events, _ = parsed([answer[start : start + size] for start in range(0, len(answer), size)])
        first = next(index for index, event in enumerate(events) if isinstance(event, Opened))
        before = "".join(event.text for event in events[:first] if isinstance(event, Text))
        assert before.strip() == ("Here it is:" if "Here" in opening else "")
        assert [found.text for found in gather(events)] == ["a"]


@pytest.mark.parametrize("text", ["[1] A. Smith, 2020", "{x | x > 0}", "`code`", "```html\n<p>"])
def test_text_that_only_begins_like_a_list_is_text(text: str) -> None:
    events, _ = parsed(list(text))
    assert "".join(event.text for event in events if isinstance(event, Text)) == text


def test_prose_after_the_list_is_reported() -> None:
    elements, problems = read(f"[{element('a')}]\nThat is {{all}} there is.")
    assert len(elements) == 1
    assert problems == ["Text that belongs to no element: 'That is {all} there is.'"]


@pytest.mark.parametrize("number", ["1e400", "NaN", "Infinity", "9" * 5000, "1_0", "null", "true", '"x"'])
def test_a_coordinate_that_is_no_number_is_reported_and_the_text_kept(number: str) -> None:
    answer = f'[{{"bbox": [1, 2, 3, {number}], "category": "Text", "text": "a"}}, {element("b")}]'
    for size in (1, 10**6):
        events, problems = parsed([answer[start : start + size] for start in range(0, len(answer), size)])
        assert gather(events) == (Element("text", "Text", None, "a"), Element("text", "Text", A.bbox, "b"))
        assert problems == ["An element without a box of four numbers: Text, 'a'"]


def test_fields_that_are_missing_or_of_another_kind_are_reported() -> None:
    found, problems = read('[{"bbox": [1,2,3,4], "text": "a"}, {"category": "Text", "text": null}, {"a": 1}, {}]')
    assert found == (Element("text", "", A.bbox, "a"), Element("text", "Text"))
    assert problems == [
        "An element without a category: no category, 'a'",
        "An element without a box of four numbers: Text, ''",
        "An object that is no element: 'a: 1'",
    ]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ('"text": 2047', "2047"),
        ('"text": -1.5e3', "-1.5e3"),
        ('"text": true', "true"),
        ('"text": null', ""),
        ('"text": ' + "9" * 60, "9" * 60),
        ('"text": ["a", 2, ["b"]]', "a\n2\nb"),
        ('"text": {"html": "<b>a</b>"}', "<b>a</b>"),
        ('"text": {"text": "a", "more": {"html": "b"}}', "a\nb"),
        ('"text": [{"text": "a"}, {"text": "b"}]', "a\nb"),
        ('"content": "a"', "a"),
        ('"content": {"text": "a"}', "a"),
        ('"Text": "a"', "a"),
        ('"text": "", "html": "a"', "a"),
        ('"text": "a", "text": "b"', "a\nb"),
        ('"text": "He said "yes", "no", "maybe" and left."', 'He said "yes", "no", "maybe" and left.'),
        ('"text": "a "b", and c"', 'a "b", and c'),
        ("'text': 'a \"b\" don\\'t'", 'a "b" don\'t'),
        ("'text': 'don't, I said'", "don't, I said"),
        ('text: "a, b: c"', "a, b: c"),
        ('“text”: “a "b", c”', 'a "b", c'),
        ('"text": "\\\\alpha \\\\text{a}"', r"\alpha \text{a}"),
        (r'"text": "\frac{1}{4} \boldsymbol{x} 216\text{cm}"', r"\frac{1}{4} \boldsymbol{x} 216\text{cm}"),
    ],
)
@pytest.mark.parametrize("size", [1, 5, 10**6])
def test_a_text_is_kept_however_it_is_written(fields: str, text: str, size: int) -> None:
    quote = re.match(r"\W?", fields)[0]  # type: ignore[index]
    closing = {"“": "”"}.get(quote, quote)
    named = "".join(f"{quote}{name}{closing}: {value}, " for name, value in PLACE)
    for before, after in (("[", "]"), ("[[", "]]"), ("", ""), ("```json\n[", "]\n```")):
        answer = f"{before}{{{named}{fields}}}{after}"
        events, problems = parsed([answer[start : start + size] for start in range(0, len(answer), size)])
        assert gather(events) == (Element("text", "Text", A.bbox, text),)
        assert problems == []


PLACE = (("bbox", "[1, 2, 3, 4]"), ("category", '"Text"'))


def test_what_stands_in_an_element_beside_its_text_is_told() -> None:
    found, problems = read('[{"bbox": [1, 2, 3, 4], "category": "Text", "text": "a", "note": ["b", 1], "score": 0.5}]')
    assert (found, problems) == ((A,), ["Parts of an element that are not its text: 'note: b'"])


def test_a_text_without_quotes_is_kept_and_told() -> None:
    found, problems = read('[{"bbox": [1, 2, 3, 4], "category": "Text", "text": don\'t go}, {"text": 20')
    assert [each.text for each in found] == ["don't go", "20"]
    assert "without quotes" in problems[0]


def test_all_that_stands_outside_of_elements_is_told() -> None:
    words = " ".join(map(str, range(1000)))
    assert words in read(f"[{element('a')}]\n{words}")[1][0]
    assert words in read(f'[{element("a")}, {{"x": "{words}"}}]')[1][0]


# --- Properties -------------------------------------------------------------------------------------------------

# Text without what the exceptions for LaTeX and code are about; those have tests of their own.
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\`~"))
PROSE = st.lists(WORDS, max_size=3).map("\n\n  ".join)
NUMBERS = st.integers(0, 1000)
BOXES = st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS).map(
    lambda box: [min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]), max(box[1], box[3])]
)
ELEMENTS = st.fixed_dictionaries(
    {"bbox": BOXES, "category": st.sampled_from([*CATEGORIES, "Button"])}, optional={"text": PROSE}
)
LISTS = st.lists(ELEMENTS, max_size=6)


@st.composite
def chunked(draw: st.DrawFn, text: str) -> list[str]:
    """The text in pieces, cut anywhere."""
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def written(elements: Sequence[dict[str, Any]], ascii_only: bool) -> Iterator[tuple[str, int]]:
    """A list of elements in pieces of JSON, each with the number of elements that are whole after it."""
    yield "[", 0
    for count, element in enumerate(elements):
        yield (", " if count else "") + json.dumps(element, ensure_ascii=ascii_only), count + 1
    yield "]", len(elements)


@given(st.data(), LISTS, st.booleans())
def test_every_element_that_is_whole_before_a_cut_comes_out_once_in_order(
    data: st.DataObject, elements: list[dict[str, Any]], ascii_only: bool
) -> None:
    pieces = list(written(elements, ascii_only))
    answer = "".join(piece for piece, _ in pieces)
    cut = data.draw(st.integers(0, len(answer)))
    ends = [sum(len(piece) for piece, _ in pieces[: index + 1]) for index in range(len(pieces))]
    count = max((done for end, (_, done) in zip(ends, pieces, strict=True) if end <= cut), default=0)

    events, problems = parsed(data.draw(chunked(answer[:cut])))
    found = gather(events)
    assert list(found[:count]) == [whole(element) for element in elements[:count]]
    assert len(found) - count <= len(problems) <= 1  # at most the one that was cut


SAYINGS = st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters="\\`'") | st.just(" "))
NAMES = st.sampled_from(["text", "content", "html", "note", "a b", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | SAYINGS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300)
@given(st.lists(st.dictionaries(NAMES, VALUES), max_size=4), st.sampled_from([None, 1]), st.data())
def test_all_text_that_a_strict_reader_finds_is_kept_or_told(
    fields: list[dict[str, Any]], indent: int | None, data: st.DataObject
) -> None:
    elements = [{"bbox": [1, 2, 3, 4], "category": "Text", **each} for each in fields]
    events, problems = parsed(data.draw(chunked(json.dumps(elements, ensure_ascii=False, indent=indent))))
    kept = [each.text for each in gather(events)] + problems
    for said in sayings(fields):
        assert any(said.strip() in text for text in kept)
    assert len(gather(events)) == len(fields)


def sayings(value: Any) -> Iterator[str]:
    """All strings in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from sayings(list(value.values()))
    elif isinstance(value, list):
        for each in value:
            yield from sayings(each)


SIGNS = st.text(st.sampled_from('{}[]",:\\ \n`a1"bbox"'))


@given(st.data(), LISTS, st.one_of(st.text(), SIGNS))
def test_how_the_text_is_cut_into_chunks_changes_nothing(
    data: st.DataObject, elements: list[dict[str, Any]], noise: str
) -> None:
    answer = json.dumps(elements)
    at = data.draw(st.integers(0, len(answer)))
    answer = answer[:at] + noise + answer[at:]
    events, problems = parsed(data.draw(chunked(answer)))
    assert (said(events), problems) == (said(parsed([answer])[0]), parsed([answer])[1])


def said(events: Sequence[AnswerEvent]) -> tuple[str, tuple[Element, ...]]:
    first = next((index for index, event in enumerate(events) if isinstance(event, Opened)), len(events))
    return "".join(event.text for event in events[:first] if isinstance(event, Text)), gather(events)


PARTS = st.lists(st.sampled_from(['{"bbox": [', '"category": "Text"', '"text": "', "}", "]", '",', "```json\n", "\\"]))


@given(st.one_of(st.text(), SIGNS, PARTS.map("".join)), st.data())
def test_any_text_at_all_is_taken(text: str, data: st.DataObject) -> None:
    events, _ = parsed(data.draw(chunked(text)))
    assert said(events) == said(parsed([text])[0])
    assert all(found.type in ELEMENT_TYPES for found in gather(events))


@pytest.mark.parametrize(
    "unit",
    [
        " ",
        "{",
        "[",
        '"',
        "'",
        "“",
        '", ',
        "', a",
        "x: ",
        ": ",
        "\\",
        "1",
        "a",
        "`",
        '{"',
        '{"bbox',
        '{"bbox": [',
        '" ',
        "{ ",
        "$",
        '\\"',
        "<",
        "\n",
    ],
)
@pytest.mark.parametrize(
    "opening", ["", "[", "[{text: '", '[{"bbox": [1, 2, 3, ', '[{"bbox": [1, 2, 3, 4], "category": "Text", "text": "']
)
def test_the_time_grows_with_the_text_and_no_faster(unit: str, opening: str) -> None:
    def work(length: int) -> None:
        parser = PARSERS["layout_json"](Scale(extent=PAGE, page=PAGE))
        for chunk in [opening, *[unit] * (length // len(unit))]:
            for _ in parser.feed(chunk):
                pass
        list(parser.close())

    assert growth(work, 4_000) < LINEAR
