"""Formulas leave in dollar signs, and nothing else changes."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocr.output.formulas import LONGEST, DollarFormulas, framed
from tests.growth import LINEAR, growth


def parts(chunks: Sequence[str]) -> list[tuple[str, bool]]:
    """The text in pieces as long as they can be: what is code, and what is not."""
    dollars, found = DollarFormulas(), [("", False)]
    for part in [part for chunk in chunks for part in dollars.feed(chunk)] + list(dollars.close()):
        text, is_code = found[-1]
        if part.is_code == is_code:
            found[-1] = (text + part.text, is_code)
        else:
            found.append((part.text, part.is_code))
    return found


def dollars(text: str) -> str:
    return "".join(part for part, _ in parts([text]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"so \(x\) is", "so $x$ is"),
        (r"so \( x + y \), and \(z\)", "so $x + y$, and $z$"),
        (r"so \[ E = mc^2 \] holds", "so $$ E = mc^2 $$ holds"),
        ("so\n\\[\nE = mc^2\n\\]\nholds", "so\n$$\nE = mc^2\n$$\nholds"),
        ("\\[\n\na\n\n\\]", "$$\na\n$$"),
        (r"\[ a \\[2pt] b \]", r"$$ a \\[2pt] b $$"),
        (r"\[ \text{if \(x\)} \]", r"$$ \text{if \(x\)} $$"),
        (r"\[ \text{if $x$} \]", r"$$ \text{if $x$} $$"),
        (r"\begin{align*} a &= b \\ c \end{align*}", r"$$\begin{align*} a &= b \\ c \end{align*}$$"),
        (r"a `\(x\)` b \(y\)", r"a `\(x\)` b $y$"),
        (r"a ``\(x\)`y`` b", r"a ``\(x\)`y`` b"),
        (r"a ` stray, \(y\)", "a ` stray, $y$"),
        ("```\n\\(x\\)\n```\n\\(y\\)", "```\n\\(x\\)\n```\n$y$"),
        ("````\n```\n\\(x\\)\n````\n\\(y\\)", "````\n```\n\\(x\\)\n````\n$y$"),
        ("- a\n  ~~~ tex\n  \\(x\\)\n  ~~~\n\\(y\\)", "- a\n  ~~~ tex\n  \\(x\\)\n  ~~~\n$y$"),
        ("> ```\n> \\(x\\)\n> ```\n\\(y\\)", "> ```\n> \\(x\\)\n> ```\n$y$"),
        ("```\\(x\\)``` \\(y\\)", "```\\(x\\)``` $y$"),
        ("```\n\\(x\\)", "```\n\\(x\\)"),
        (r"<pre>\(x\)</pre> <code>\(x\)</code> \(y\)", r"<pre>\(x\)</pre> <code>\(x\)</code> $y$"),
        (r"<td>\(x\)</td>", "<td>$x$</td>"),
        ("for $5 and \\(x\\)", "for $5 and $x$"),
    ],
)
def test_formulas_in_text_leave_in_dollar_signs(text: str, expected: str) -> None:
    assert dollars(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "$x$ and $$ \\text{if \\(x\\)} $$",
        "a \\\\(not math\\\\)",
        "see \\[1\\], \\[2, 5\u20137\\] and \\[sic\\] and \\[emphasis added\\]",
        "\\( no end",
        "\\( not over\n\ntwo paragraphs \\)",
        "\\(\\) \\[ \\]",
        "\\(5\\$ or 6$\\)",
        "\\[" + "x" * LONGEST + "\\]",
        "\\end{equation} \\begin{equation}",
        "~~struck~~ ~~~~ < > `",
    ],
)
def test_what_is_no_formula_stays_as_it_is(text: str) -> None:
    assert dollars(text) == text


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("E = mc^2", "$$\nE = mc^2\n$$"),
        ("$$x$$", "$$x$$"),
        ("$x$", "$x$"),
        (r"\(x\)", "$x$"),
        (r"\[ a_{i} \\ \{x\} \]", "$$\na_{i} \\\\ \\{x\\}\n$$"),
        (r"\[ 1 \]", "$$\n1\n$$"),
        (r"\[ a = b \] (1)", "$$ a = b $$ (1)"),
        (r"(1) \[ a = b \]", "(1) $$ a = b $$"),
        ("\\[ a = b \\]\n\\[ c = d \\]", "$$ a = b $$\n$$ c = d $$"),
        (r"\[ cut = off", "$$\ncut = off\n$$"),
        (r"\begin{equation} x \end{equation}", "$$\n\\begin{equation} x \\end{equation}\n$$"),
        (r"x \text{ if \(y\)}", "$$\nx \\text{ if \\(y\\)}\n$$"),
        ("a\n\n\n= b", "$$\na\n= b\n$$"),
        ("- a\n- b\n=\nc\n---\n> d\n1. e\n<f", "$$ - a - b =\nc --- > d 1. e <f\n$$"),
        ("a % b\n- c", "$$\na % b\n- c\n$$"),
        ("```latex\n\\alpha\n```", "$$\n\\alpha\n$$"),
        (r"`\(x\)`", "$x$"),
        ("  ", ""),
    ],
)
def test_the_text_of_a_formula_leaves_in_dollar_signs(formula: str, expected: str) -> None:
    assert framed(f" {formula}\n") == expected


SIGNS = ["\\(", "\\)", "\\[", "\\]", "\\", "$", "$$", "`", "```", "~~~", "\n", " ", "x", "y = ", "- ", "> ", "<pre>"]
TEXTS = st.lists(st.sampled_from([*SIGNS, "</pre>", "\\begin{align}", "\\end{align}", "\\\\", "1"]), max_size=30)


@given(TEXTS.map("".join), st.lists(st.integers(0, 120), max_size=10))
def test_how_the_text_is_cut_changes_nothing(text: str, cuts: list[int]) -> None:
    ends = sorted({*(cut for cut in cuts if cut < len(text)), len(text)})
    assert parts([text[start:end] for start, end in zip([0, *ends], ends, strict=False)]) == parts([text])


@given(st.text() | TEXTS.map("".join))
def test_nothing_but_frames_changes(text: str) -> None:
    def bare(text: str) -> str:
        return re.sub(r"\\[()\[\]]|\$|\s", "", text)

    assert bare(dollars(text)) == bare(text)


CODE = st.text(st.characters(exclude_characters="`~\r", exclude_categories=["Cs", "Cc"]) | st.just("\n"))


@given(CODE, st.sampled_from(["```", "~~~", "`````"]), st.integers(1, 9))
def test_code_is_left_alone(code: str, fence: str, size: int) -> None:
    text = f"{fence}\n{code}\n{fence}\n\\(x\\)"
    found = parts([text[start : start + size] for start in range(0, len(text), size)])
    assert found == [("", False), (f"{fence}\n{code}\n{fence}", True), ("\n$x$", False)]


@pytest.mark.parametrize("unit", ["x", "\\a", "`` ", "$"])
@pytest.mark.parametrize("opening", ["", "\\[", "`", "<pre>"])
def test_the_time_grows_with_the_text_and_no_faster(unit: str, opening: str) -> None:
    longest = 3 * LONGEST  # up to which a formula without an end is waited for, and looked at again
    assert growth(lambda length: parts([opening, *[unit] * (length // len(unit))]), longest) < LINEAR
    assert growth(lambda length: parts([opening + unit * (length // len(unit))]), longest) < LINEAR
