"""What a JSON string means when a model wrote it that does not always double its backslashes. Knows no layout."""

import re
from itertools import pairwise

# What stands after a backslash in JSON, and what it means. LaTeX has commands that begin with each of the letters.
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

# Commands that begin with an escape for white space that pages do hold: a tab or a line break may stand before a word.
_COMMANDS = frozenset(
    re.findall(
        r"\w+",
        """
    tag tan tanh tau tbinom text textasciitilde textbackslash textbf textbullet textcircled textcolor textdegree textit
    textmd textnormal textrm textsc textsf textsl textstyle textsubscript textsuperscript texttt textup tfrac theta
    therefore thickapprox thicksim thinspace tilde times tiny to top triangle triangledown triangleleft trianglelefteq
    triangleq triangleright trianglerighteq tt twoheadleftarrow twoheadrightarrow
    nabla natural ncong ne nearrow neg neq newline nexists ngeq ngtr ni nleftarrow nleftrightarrow nleq nless nmid
    nobreak nolimits nonumber normalfont normalsize not notag notin nparallel nprec npreceq nrightarrow nsim nsubset
    nsubseteq nsucc nsucceq nsupset nsupseteq ntriangleleft ntriangleright nu nvdash nwarrow nLeftarrow nRightarrow
    nLeftrightarrow nvDash
        """,
    )
)
# Those among them that no page means by white space and a word, so that they are commands outside of formulas too.
_CLEAR = frozenset(
    re.findall(
        r"\w+",
        """
    tbinom textasciitilde textbackslash textbf textbullet textcircled textcolor textdegree textit textmd textnormal
    textrm textsc textsf textsl textstyle textsubscript textsuperscript texttt textup tfrac theta therefore thickapprox
    thicksim thinspace tilde times triangle triangledown triangleleft trianglelefteq triangleq triangleright
    trianglerighteq twoheadleftarrow twoheadrightarrow
    nabla nearrow newline nolimits nonumber notin nwarrow ntriangleleft ntriangleright nvdash nvDash
        """,
    )
)
_UNICODE = re.compile(r"\\u[0-9a-fA-F]{4}")
_PIECE = re.compile(_UNICODE.pattern + r"|\\(?:[A-Za-z]+|.)|\$\$?|[^\\$]+|\\", re.DOTALL)


def unescape(inside: str, is_math: bool) -> str:
    r"""The text of a JSON string, given what stands between its quotes; `is_math` if all of it is LaTeX.

    Strict JSON is read as JSON, with exceptions where a model left a backslash single before a LaTeX command:

    - an escape that JSON lacks (`\alpha`) keeps its backslash;
    - so do `\b`, `\f` and `\r` before a letter (`\beta`, `\frac`, `\rho`): no page holds those control characters;
    - so do `\t` and `\n` where the letters after the backslash are a LaTeX command (`\times`, `\nabla`), in formulas
      and between dollar signs; elsewhere only where they could not be a word after a tab or a line break;
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
            out.append(backslash if piece == r"\\" else _meaning(piece, in_math, is_strict))
    return _whole("".join(out))


def _is_single(piece: str) -> bool:
    """Whether this is a backslash that strict JSON would have doubled, whatever stands around it."""
    if piece[0] != "\\" or _is_unicode(piece):
        return False
    return piece[1:2] not in _ESCAPES or (piece[1] in "bfr" and len(piece) > 2)


def _meaning(piece: str, in_math: bool, is_strict: bool) -> str:
    if _is_unicode(piece):
        return chr(int(piece[2:], 16))
    known = _COMMANDS if in_math else _CLEAR
    if _is_single(piece) or (not is_strict and piece[1:] in known):
        return piece
    return _ESCAPES[piece[1]] + piece[2:]


def _is_unicode(piece: str) -> bool:
    return _UNICODE.fullmatch(piece) is not None


def _whole(text: str) -> str:
    """The text with surrogate pairs joined, and halves of one replaced."""
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
