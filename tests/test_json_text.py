"""What strings mean that a model wrote: JSON, but never at the cost of LaTeX."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocr.answers.json_text import unescape


def test_strict_json_is_read_as_json() -> None:
    assert unescape(r"a\nb\tc \"d\" \/ \\ \u00e9\ud83d\ude00", is_math=False) == 'a\nb\tc "d" / \\ é😀'


@pytest.mark.parametrize(
    "name", ["alpha", "beta", "frac", "rho", "times", "nabla", "nu", "neq", "to", "text", "underline"]
)
def test_a_command_in_a_formula_survives_a_single_backslash_and_a_double_one(name: str) -> None:
    for command in (f"\\{name}", f"\\{name}{{x}}", f"a \\{name} b"):
        assert unescape(command, is_math=True) == command
        assert unescape(command.replace("\\", "\\\\"), is_math=True) == command


@pytest.mark.parametrize("name", ["alpha", "beta", "frac", "rho", "times", "nabla", "nu", "to"])
def test_so_does_one_between_dollar_signs(name: str) -> None:
    assert unescape(rf"see $\{name} x$ and $$\{name}$$", is_math=False) == rf"see $\{name} x$ and $$\{name}$$"


@pytest.mark.parametrize("name", ["times", "theta", "textbf", "nabla", "notin", "frac", "beta"])
def test_outside_of_formulas_a_clear_command_survives(name: str) -> None:
    assert unescape(rf"3 \{name} 4", is_math=False) == rf"3 \{name} 4"


@pytest.mark.parametrize("word", ["nu", "ne", "note", "next", "to", "top", "text", "tan", "nExample", "n\\u00e9"])
def test_outside_of_formulas_a_word_after_white_space_stays_a_word(word: str) -> None:
    space = {"n": "\n", "t": "\t"}[word[0]]
    meant = json.loads(f'"{word[1:]}"')
    assert unescape(f"before\\{word} after", is_math=False) == f"before{space}{meant} after"


def test_a_formula_that_doubles_its_backslashes_has_line_breaks() -> None:
    assert unescape(r"\\frac{1}{2}\nu = 3", is_math=True) == "\\frac{1}{2}\nu = 3"
    assert unescape(r"\\frac{1}{2} \alpha \nu", is_math=True) == r"\frac{1}{2} \alpha \nu"


def test_the_rows_of_a_formula_survive_single_backslashes() -> None:
    rows = r"\begin{array}{c} a \\ b \\" + "\n" + r"c \end{array}"
    assert unescape(rows, is_math=True) == rows
    assert unescape(json.dumps(rows)[1:-1], is_math=True) == rows


@pytest.mark.parametrize("name", ["text", "times", "nu", "nabla", "to", "tan", "neq", "not"])
def test_so_does_one_beside_others_with_single_backslashes(name: str) -> None:
    for text in (rf"\frac{{1}}{{4}} 216\{name}{{cm}}", rf"\(a \{name} b\)", rf"\{name} \alpha"):
        assert unescape(text, is_math=False) == text


def test_line_breaks_beside_single_backslashes_stay_line_breaks() -> None:
    assert unescape(r"\alpha.\nNext,\ni.e.\n\ne \ne 5", is_math=False) == "\\alpha.\nNext,\ni.e.\n\ne \\ne 5"


def test_dollar_signs_open_and_close_a_formula() -> None:
    assert unescape(r"$x$\nu and $\nu$ and\ne", is_math=False) == "$x$\nu and $\\nu$ and\ne"


def test_half_a_surrogate_pair_becomes_the_replacement_character() -> None:
    assert unescape(r"a\ud83db", is_math=False) == "a\N{REPLACEMENT CHARACTER}b"


PARTS = [r"\frac{1}{2}", r"\times ", r"\nabla f", r"\begin{array}{c} ", r"\beta", r"\\ ", "x", " + ", "$"]
FORMULAS = st.lists(st.sampled_from(PARTS), min_size=1).map("".join)


@given(FORMULAS)
def test_a_formula_comes_back_whether_or_not_its_backslashes_are_doubled(formula: str) -> None:
    assert unescape(json.dumps(formula)[1:-1], is_math=True) == formula
    latex = formula + r"\alpha"  # without any command rows alone cannot be told from escaped spaces
    assert unescape(latex, is_math=True) == latex


# White space only before what cannot be the rest of a LaTeX command, which is what the exceptions are about.
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\"))
PROSE = st.lists(WORDS, max_size=5).map("\n\n  ".join)


@given(PROSE)
def test_prose_comes_back_as_it_was(text: str) -> None:
    for ascii_only in (True, False):
        assert unescape(json.dumps(text, ensure_ascii=ascii_only)[1:-1], is_math=False) == text


@given(st.text(), st.booleans())
def test_any_string_has_a_meaning(inside: str, is_math: bool) -> None:
    unescape(inside, is_math).encode("utf-8")
