"""Locating by words: the elements that are meant, best first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocr.answers.matching import best_matches
from ocr.types import Element, Opened, Text
from tests.gathered import gather
from tests.growth import LINEAR, growth


def found(reference: str, *texts: str) -> list[str]:
    return [
        element.text for element in best_matches([Element("text", "Text", None, text) for text in texts], reference)
    ]


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("table 1", "TABLE 1"),
        ("Table  1", "Table 1. Results of the trial"),
        ("exposure to meat", "Exposure to\nMeat and Risk"),
        ("Gesamt summe", "Gesamtsumme"),
        ("STRASSE", "Straße"),
        ("Lymphoma", "Risk of lymph0ma"),
        ("total amount due", "Total arnount due: 12"),
        ("1 000", "1000 kg"),
        ("Zürich", "Zu\u0308rich"),
        ("Zu\u0308rich", "ZÜRICH"),
        ("Total", "\uff34\uff4f\uff54\uff41\uff4c"),
        ("株式会社 カナ", "株式会社ｶﾅ"),
        ("don't", "I don\u2019t know"),
        ('"quoted"', "„quoted“ and «more»"),
        ("1990-1995", "from 1990\u20131995 on"),
        ("- 5", "\u2212 5 °C"),
        ("hyphenation", "hyphen\u00adation"),
        ("zero", "ze\u200bro"),
        ("office fluid", "o\ufb03ce \ufb02uid"),
        ("m2", "12 m²"),
        ("Dr. No", "Dr.\u00a0No"),
        ("R&D <x>", "<td>R&amp;D &lt;x&gt;</td>"),
        ("Zürich", "<b>Z&uuml;rich</b> &#8364;"),
        ("cell two", "<table><tr><td>Cell</td><td>two</td></tr></table>"),
    ],
)
def test_text_matches_whatever_its_case_spacing_and_a_few_letters(reference: str, text: str) -> None:
    assert found(reference, "something else altogether", text, "") == [text]


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("Figure 3", "Figure 2"),
        ("cat", "car"),
        ("total amount due", "t"),
        ("meat", "Exposure to mineral dust"),
        ("td", "<table><tr><td>1</td></tr></table>"),
        (" ", "anything"),
    ],
)
def test_other_text_does_not_match(reference: str, text: str) -> None:
    assert found(reference, text) == []


def test_the_best_match_comes_first() -> None:
    texts = ["see Tabel of contents", "Table of contents, continued", "Table of Contents", "TABLE OF CONTENTS"]
    assert found("table of contents", *texts) == [*texts[2:], texts[1], texts[0]]


def test_an_answer_s_events_become_those_of_what_matches() -> None:
    first, second = Opened("text", "Text", (0, 0, 9, 9)), Opened("table", "Table", (0, 9, 9, 20))
    events = [
        Text("no element"),
        first,
        Text("Total, "),
        Text("roughly"),
        Opened("picture", "Picture"),
        second,
        Text("total"),
    ]
    found = [element.text for element in best_matches(gather(events), "Total")]
    assert found == ["total", "Total, roughly"]
    assert best_matches(gather(events), "nothing of the kind") == []


def test_an_element_without_text_never_matches() -> None:
    assert best_matches([Element("picture", "Picture")], "picture") == []


# Without what is not seen: nobody can look for that.
WORDS = st.text(st.characters(exclude_characters="<>\u034f", exclude_categories=["Cs", "Cf"]))


@given(WORDS.filter(str.strip), WORDS, WORDS)
def test_a_text_that_holds_the_reference_matches(reference: str, before: str, after: str) -> None:
    text = f"{before} {reference} {after}"
    assert found(reference, text) == [text]


def test_the_time_to_search_grows_with_the_text_and_no_faster() -> None:
    assert growth(lambda length: found("x" * 1000, *["<" * length + "y" * length] * 20), 20_000) < LINEAR
