"""Formulas in dollar signs, whatever frame a model gave them, as the text streams. Code is left as it is."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ocr.answers.text import Pieces

MAX_SIGNS = 64  # of the backticks or tildes around code; more of them are a line across the page
LONGEST = 4000  # characters; what has no end within them is no formula and no code, and is not waited for
_ENVIRONMENT = r"(?:equation|align|alignat|gather|multline|eqnarray|displaymath|math)\*?"
# What something may begin with: a formula, an escape, code, a formula that is in dollar signs already.
_SIGN = re.compile(rf"\\begin\{{{_ENVIRONMENT}\}}|(?:\\[^b(\[])++|\\.|`+|~{{3,}}|\$\$|<(?:pre|code)\b", re.DOTALL)
_MAYBE_SIGN = re.compile(
    rf"(?:\\(?:b[a-z]{{0,4}}(?:\{{[a-z]{{0,12}}\*?)?)?|`{{1,{MAX_SIGNS}}}|~{{1,{MAX_SIGNS}}}|\$|<[a-z]{{0,4}})\Z"
)
_STOP = re.compile(r"\\.|\$\$|\n[ \t]*\n", re.DOTALL)  # what may be the end of a formula
_MAYBE_STOP = re.compile(r"(?:\\|\$|\n[ \t]*)\Z")
_TICKS = re.compile(r"(?<!`)`+|\n[ \t]*\n")
_RUN = re.compile(r"`+|~+")
_WINDOW = 80  # characters; longer than what the patterns for beginnings match
# What may stand before a fence on its line: white space, and the marks of quotations and lists.
_BEFORE_FENCE = re.compile(r"[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+|>[ \t]*)*")
_MAX_LINE = 200  # characters; a longer line neither opens nor closes a fence
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")
# Before a line that CommonMark takes for the beginning of a list, a quotation, a heading, a fence or HTML.
_OTHER_BLOCK = re.compile(
    r"\n[ \t]*(?=(?:[-+*]|\d{1,9}[.)]|#{1,6})(?:\s|\Z)|>|```|~~~|<[A-Za-z/!?]"
    r"|(?:(?:=+|-+)[ \t]*|(?:[-*_][ \t]*){3,})(?:\n|\Z))"
)
_DOLLAR = re.compile(r"(?<!\\)\$")
# Words and numbers: between escaped brackets a reference or a remark, and no formula.
_WORDS = re.compile(r"(?=.*[^\W\d_]{2}|[\d\W]+\Z)[\w ,.;:&'\u2019\u2013-]+")
_FRAME = re.compile(r"[^\\{}$`]*(?:\$|\\[\[(])")  # the beginning of a formula that brings its own frame
_WHOLE = re.compile(r"\\\[((?:[^\\]|\\[^\[\]])*)\\\]", re.DOTALL)
_CODED = re.compile(r"(`{1,6})(?:(?<=```)[a-z]*\n)?([^`]*)\1")


@dataclass(frozen=True)
class Part:
    """Some more text, final as it stands."""

    text: str
    is_code: bool = False  # whether it is to be left alone


class DollarFormulas:
    r"""The text of one element with its formulas in dollar signs.

    `\(…\)` becomes `$…$`, `\[…\]` and environments of their own become `$$…$$`. Nothing changes in code, nor where a
    frame has no end, nor where escaped brackets hold a reference or words.
    """

    def __init__(self) -> None:
        self._pieces = Pieces()
        self._pending = ""  # what came and may not be understood yet
        self._at = 0  # index into it: everything before is done with
        self._searched = 0  # index into it: no end of what begins at `_at` stands before
        self._line = ""  # the beginning of the line that it goes on with
        self._is_last = False  # whether no more will come
        self._state: Callable[[], Iterator[Part]] = self._text
        self._end = ""  # of the code that is open: a tag, or the signs of a fence

    def feed(self, text: str) -> Iterable[Part]:
        """Take in more of the text; what is certain comes out at once."""
        return self._read(piece) if (piece := self._pieces.take(text)) else ()

    def _read(self, piece: str) -> Iterator[Part]:
        self._line = self._before(self._at)[:_MAX_LINE]
        self._searched -= self._at
        self._pending = self._pending[self._at :] + piece
        self._at = 0
        yield from self._run()

    def close(self) -> Iterator[Part]:
        """The text is over: what was held back comes out as it stands."""
        self._is_last = True
        yield from self._read(self._pieces.rest())

    def _run(self) -> Iterator[Part]:
        """Each state takes something, or hands over, or waits for more by doing neither."""
        while self._at < len(self._pending):
            before = self._at, self._state
            yield from self._state()
            if before == (self._at, self._state):
                return

    def _take(self, end: int, *, is_code: bool = False) -> Part:
        """What is pending up to `end`, as it stands."""
        start, self._at = self._at, end
        self._searched = end
        return Part(self._pending[start:end], is_code)

    def _before(self, at: int) -> str:
        """What stands before this index on its line; of a line too long for a fence, some of it."""
        nearest = max(0, at - _MAX_LINE)
        start = self._pending.rfind("\n", nearest, at) + 1 or nearest
        return self._pending[start:at] if start else self._line + self._pending[:at]

    def _certain(self, beginning: re.Pattern[str]) -> int:
        """Up to where what is pending cannot be such a beginning."""
        found = None if self._is_last else beginning.search(self._pending, max(self._at, len(self._pending) - _WINDOW))
        return found.start() if found else len(self._pending)

    # The states: each looks at what is pending from `_at` on, and yields what is certain.

    def _text(self) -> Iterator[Part]:
        sign = _SIGN.search(self._pending, self._at)
        start = sign.start() if sign else self._certain(_MAYBE_SIGN)
        if start > self._at:
            yield self._take(start)
        elif sign and (self._is_last or not _MAYBE_SIGN.match(self._pending, start)):
            yield from self._begin(sign)

    def _begin(self, sign: re.Match[str]) -> Iterator[Part]:
        """Something begins with this sign, and all of the sign is there."""
        self._searched = max(self._searched, sign.end())
        if sign[0][0] in "`~" and len(sign[0]) > MAX_SIGNS:
            self._state, self._end = self._signs, sign[0][0]
            yield self._take(sign.end())
        elif sign[0][0] in "`~":
            yield from self._ticks(sign)
        elif sign[0] in (r"\(", r"\[") or sign[0].startswith(r"\begin{"):
            yield from self._formula(sign)
        elif sign[0] == "$$":
            self._state = self._display
            yield self._take(sign.end())
        elif sign[0][0] == "<":
            self._state, self._end = self._code, f"</{sign[0][1:]}>"
        else:
            yield self._take(sign.end())

    def _formula(self, sign: re.Match[str]) -> Iterator[Part]:
        closing = {r"\(": r"\)", r"\[": r"\]"}.get(sign[0]) or sign[0].replace("begin", "end")
        refused = {r"\(": (r"\(", r"\[", "\n"), r"\[": (r"\[",)}.get(sign[0], (sign[0],))  # what none holds
        for stop in _STOP.finditer(self._pending, self._searched):
            if stop.start() - self._at > LONGEST:
                break
            rest = self._pending[stop.start() : stop.start() + _WINDOW]
            if rest.startswith(closing):
                self._take(stop.start() + len(closing))
                yield Part(_in_dollars(sign[0], self._pending[sign.end() : stop.start()], closing))
                return
            if rest.startswith(refused):
                yield self._take(sign.end())
                return
            if any(end.startswith(rest) for end in (closing, *refused)):
                break  # more must tell
            self._searched = stop.end()
        if self._is_last or len(self._pending) - self._at > LONGEST:
            yield self._take(sign.end())

    def _ticks(self, sign: re.Match[str]) -> Iterator[Part]:
        """Signs that open a fence, or a code span, or nothing."""
        before = self._before(self._at)
        if len(sign[0]) >= 3 and len(before) < _MAX_LINE and _BEFORE_FENCE.fullmatch(before):
            end = self._pending.find("\n", sign.end())
            info = self._pending[sign.end() : end if end >= 0 else len(self._pending)]
            if sign[0][0] == "~" or "`" not in info:
                if end >= 0 or self._is_last or len(info) > _MAX_LINE:
                    self._state, self._end = self._fence, sign[0]
                    yield self._take(sign.end() + len(info), is_code=True)
                return
        for stop in _TICKS.finditer(self._pending, self._searched) if sign[0][0] == "`" else ():
            if stop.start() - self._at > LONGEST:
                break
            if stop.end() == len(self._pending) and len(stop[0]) <= LONGEST and not self._is_last:
                return
            if stop[0] == sign[0]:
                yield self._take(stop.end(), is_code=True)
                return
            if stop[0][0] == "\n":
                yield self._take(sign.end())
                return
            self._searched = stop.end()
        if self._is_last or sign[0][0] == "~" or len(self._pending) - self._at > LONGEST:
            yield self._take(sign.end())

    def _signs(self) -> Iterator[Part]:
        """In a run of signs that are too many for code."""
        run = _RUN.match(self._pending, self._at)
        if run and run[0][0] == self._end:
            yield self._take(run.end())
        else:
            self._state = self._text

    def _display(self) -> Iterator[Part]:
        """In a formula that is in dollar signs already: up to them, or the end of the paragraph."""
        for stop in _STOP.finditer(self._pending, self._at):
            if stop[0][0] != "\\":
                self._state = self._text
                yield self._take(stop.end())
                return
        if (end := self._certain(_MAYBE_STOP)) > self._at:
            yield self._take(end)

    def _code(self) -> Iterator[Part]:
        """In code that ends with a tag."""
        end = self._pending.find(self._end, self._at)
        if end >= 0:
            self._state = self._text
            yield self._take(end + len(self._end), is_code=True)
        elif self._is_last or len(self._pending) - self._at > _WINDOW:
            yield self._take(len(self._pending) - (0 if self._is_last else len(self._end)), is_code=True)

    def _fence(self) -> Iterator[Part]:
        """In a fenced block, line by line."""
        end = self._pending.find("\n", self._at)
        line = self._pending[self._at : end if end >= 0 else len(self._pending)]
        is_whole, is_start = end >= 0 or self._is_last, not self._before(self._at)
        signs = line.lstrip(" \t>").rstrip()
        may_close = is_start and len(line) <= _MAX_LINE and not signs.strip(self._end[0])
        if may_close and not is_whole:
            return
        if may_close and len(signs) >= len(self._end):
            self._state = self._text
            yield self._take(self._at + len(line), is_code=True)
        else:
            yield self._take(self._at + len(line) + (end >= 0), is_code=True)


def _one_block(formula: str) -> str:
    """A formula in its dollar signs so that no line of it ends the paragraph.

    To LaTeX a line break is a space, except after a comment.
    """
    formula = _BLANK_LINES.sub("\n", formula)
    return formula if "%" in formula else _OTHER_BLOCK.sub(" ", formula)


def _in_dollars(opening: str, inside: str, closing: str) -> str:
    """A formula that stood between these."""
    whole = f"{opening}{inside}{closing}"
    if opening == r"\(":
        return f"${inside.strip()}$" if inside.strip() and not _DOLLAR.search(inside) else whole
    if opening != r"\[":
        return _one_block(f"$${whole}$$")
    if not inside.strip() or "$$" in inside or _WORDS.fullmatch(inside):
        return whole
    return _one_block(f"$${inside}$$")


def framed(formula: str) -> str:
    r"""The whole text of a formula in dollar signs: a `$$` block, unless it brings a frame of its own; "" for none."""
    formula = formula.strip()
    if coded := _CODED.fullmatch(formula):
        formula = coded[2].strip()
    if whole := _WHOLE.fullmatch(formula):
        formula = whole[1].strip()
    if not formula:
        return ""
    if _FRAME.match(formula):
        dollars = DollarFormulas()
        out = "".join(part.text for part in (*dollars.feed(formula), *dollars.close()))
        if "$" in out:
            return _one_block(out)
        formula = formula.removeprefix(r"\[").removeprefix(r"\(").strip()
    return _one_block(f"$$\n{formula}\n$$")
