"""What a JSON string means when a model wrote it that does not always double its backslashes. Knows no layout."""

import re
from collections.abc import Collection
from itertools import pairwise

# What stands after a backslash in JSON, and what it means. LaTeX has commands that begin with each of the letters.
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

# Commands that begin with an escape for white space that pages do hold: a tab or a line break may stand before a word.
_COMMANDS = frozenset(
    re.findall(
        r"\w+",
        """
    tabcolsep tabularnewline tag tan tanh tau tbinom text textasciitilde textbackslash textbf textbullet textcircled
    textcolor textcopyright textdagger textdegree textellipsis textemdash textendash textgreater textit textless
    textmd textmu textnormal textquotedblleft textquotedblright textquoteleft textquoteright textregistered textrm
    textsc textsf textsl textstyle textsubscript textsuperscript texttrademark texttt textunderscore textup textwidth
    tfrac tg th therefore theta thickapprox thicksim thickspace thinspace tilde times tiny to top triangle
    triangledown triangleleft trianglelefteq triangleq triangleright trianglerighteq tt twoheadleftarrow
    twoheadrightarrow
    nLeftarrow nLeftrightarrow nRightarrow nVDash nVdash nabla natural ncong ne nearrow neg neq newline nexists ngeq
    ngeqq ngeqslant ngtr ni nicefrac nleftarrow nleftrightarrow nleq nleqq nleqslant nless nmid nobreak noindent
    nolimits nonumber normalfont normalsize not notag notin nparallel nprec npreceq nrightarrow nshortmid nsim nsubset
    nsubseteq nsucc nsucceq nsupset nsupseteq ntriangleleft ntriangleright nu nvDash nvdash nwarrow
        """,
    )
)
# Those among them that no page means by white space and a word, so that they are commands outside of formulas too.
_CLEAR = frozenset(
    re.findall(
        r"\w+",
        """
    tabularnewline tbinom textasciitilde textbackslash textbf textbullet textcircled textcolor textcopyright
    textdagger textdegree textellipsis textemdash textendash textgreater textit textless textmd textnormal
    textquotedblleft textquotedblright textquoteleft textquoteright textregistered textrm textsc textsf textsl
    textstyle textsubscript textsuperscript texttrademark texttt textunderscore textup textwidth tfrac therefore theta
    thickapprox thicksim thickspace thinspace tilde times triangle triangledown triangleleft trianglelefteq triangleq
    triangleright trianglerighteq twoheadleftarrow twoheadrightarrow
    nabla nearrow newline nicefrac nolimits nonumber notin ntriangleleft ntriangleright nvDash nvdash nwarrow
        """,
    )
)
# Those that are a word after a line break in some language too: outside of formulas commands only after a space.
_WORDS = frozenset({"ne", "ni"})
_UNICODE = re.compile(r"\\u[0-9a-fA-F]{4}")
_PIECE = re.compile(_UNICODE.pattern + r"|\\(?:[A-Za-z]+|.)|\$\$?|[^\\$]+|\\", re.DOTALL)


def unescape(inside: str, is_math: bool) -> str:
    r"""The text of a JSON string, given what stands between its quotes; `is_math` if all of it is LaTeX.

    Strict JSON is read as JSON, with exceptions where a model left a backslash single before a LaTeX command:

    - an escape that JSON lacks (`\alpha`) keeps its backslash;
    - so do `\b`, `\f` and `\r` before a letter (`\beta`, `\frac`, `\rho`): no page holds those control characters;
    - so do `\t` and `\n` where the letters after the backslash are a LaTeX command (`\times`, `\nabla`), in formulas,
      between dollar signs, and in a string with one of the first two cases; elsewhere only where they could not be a
      word after a tab or a line break;
    - but not where the string doubles the backslashes of other commands or of rows, and none of the first two cases
      occurs in it: there `\nu` is a line break before a u;
    - `\\` stays two, the end of a LaTeX row, in a string whose commands all have single backslashes.

    Halves of a surrogate pair that stand alone become the replacement character.
    """
    pieces = _PIECE.findall(inside)
    has_single = any(_is_single(piece) for piece in pieces)
    has_doubled = any(piece == r"\\" and (after[0].isalpha() or after == r"\\") for piece, after in pairwise(pieces))
    is_strict = has_doubled and not has_single
    known = _COMMANDS if is_math else _CLEAR
    has_command = has_single or any(piece[0] == "\\" and piece[1:] in known for piece in pieces)
    backslash = r"\\" if has_command and not has_doubled else "\\"
    out: list[str] = []
    in_math = is_math
    for piece in pieces:
        if piece[0] == "$":
            in_math = is_math or not in_math
            out.append(piece)
        elif piece[0] != "\\":
            out.append(piece)
        else:
            is_spaced = not out or out[-1].endswith(" ")
            known = _COMMANDS if in_math or (has_single and (is_spaced or piece[1:] not in _WORDS)) else _CLEAR
            out.append(backslash if piece == r"\\" else _meaning(piece, _CLEAR if is_strict else known))
    return _whole("".join(out))


def _is_single(piece: str) -> bool:
    """Whether this is a backslash that strict JSON would have doubled, whatever stands around it."""
    if piece[0] != "\\" or _is_unicode(piece):
        return False
    return piece[1:2] not in _ESCAPES or (piece[1] in "bfr" and len(piece) > 2)


def _meaning(piece: str, commands: Collection[str]) -> str:
    if _is_unicode(piece):
        return chr(int(piece[2:], 16))
    if _is_single(piece) or piece[1:] in commands:
        return piece
    return _ESCAPES[piece[1]] + piece[2:]


def _is_unicode(piece: str) -> bool:
    return _UNICODE.fullmatch(piece) is not None


def _whole(text: str) -> str:
    """The text with surrogate pairs joined, and halves of one replaced."""
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
