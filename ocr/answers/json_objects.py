"""JSON as models write it, into objects as it streams: quotes, brackets and names may be missing or of another kind.
Every character is looked at once, and every value comes out. Knows the names that mark an element, and no layout."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from ocr.answers.text import Pieces

# An object that begins with one of these names is an element.
MARKERS = ("bbox", "bbox_2d", "category", "text", "text_content")
_LONGEST_MARKER = max(map(len, MARKERS))
MAX_NAME = 32  # characters

# Longest run of white space, in characters, across which it is asked what follows: a model gone astray may write white
# space for ever, and all of it would be looked at again with each token.
_GAP = r"\s{0,32}"
_QUOTES = {'"': '"', "'": "'", "“": "”"}  # what opens a string, and what closes it
_NEVER = r"(?!)"


@dataclass(frozen=True)
class Prose:
    """Some more text before the first object: the answer is not, or not yet, JSON."""

    text: str


@dataclass(frozen=True)
class Stray:
    """Text between or after objects that belongs to none."""

    text: str


@dataclass(frozen=True)
class Value:
    """A string as it stands between its quotes, or a number or word as it stands."""

    text: str
    quote: str  # that opened it; "" for one without


@dataclass
class Field:
    """A name and the values after it, those of lists and objects in it one after the other."""

    name: str
    values: list[Value] = field(default_factory=list)


@dataclass(frozen=True)
class JsonObject:
    """An outermost object."""

    fields: list[Field]  # the first without a name, for values that stand before any
    is_whole: bool
    cut: Value | None = None  # the value of the last field that has no end, where the object has none


Scanned = Prose | Stray | JsonObject


class _Patterns:
    """How strings end and elements begin, in objects whose names stand in this kind of quote, or in none."""

    def __init__(self, opening: str) -> None:
        closing, most = _QUOTES.get(opening, ""), _LONGEST_MARKER
        markers = "|".join(MARKERS)
        marker = rf"{opening}(?:{markers}){closing}{_GAP}:"
        maybe_marker = rf"{opening}\w{{0,{most}}}(?:{closing}{_GAP})?" if opening else rf"\w{{1,{most}}}{_GAP}"
        name = rf"{opening}\w[\w .-]{{0,{MAX_NAME - 1}}}{closing}{_GAP}:" if opening else rf"\w{{1,{MAX_NAME}}}{_GAP}:"
        maybe_name = (
            rf"{opening}(?:\w[\w .-]{{0,{MAX_NAME - 1}}}(?:{closing}{_GAP})?)?"
            if opening
            else rf"\w{{1,{MAX_NAME}}}{_GAP}"
        )
        start, maybe_start = rf"\{{{_GAP}{marker}", rf"\{{{_GAP}(?:{maybe_marker})?"
        self.start, self.maybe_start = re.compile(start), re.compile(maybe_start)
        # Bare names may stand in any string; those in quotes would have backslashes there.
        self.start_in_string = self.start if opening else re.compile(_NEVER)
        # A quote ends a string by what follows it; any other quote in a string is one that lacks its backslash.
        after_field = rf"\}}|\]{_GAP}[,}}\]]|,{_GAP}(?:{name}|[}}\]]|{start})|{marker}|{start}"
        word = rf"(?:null|true|false|None|True|False){_GAP}[,\]}}]"
        after_item = rf"\}}|\]{_GAP}[,}}\]]|,{_GAP}(?:[\"'“\d{{}}\[\]-]|{word})|{marker}|{start}"
        maybe_field = rf"\]{_GAP}|,{_GAP}(?:{maybe_name}|{maybe_start})?|{maybe_marker}|{maybe_start}"
        maybe_item = rf"\]{_GAP}|,{_GAP}(?:[A-Za-z]{{1,5}}{_GAP})?|{maybe_marker}|{maybe_start}"
        self.field_ends, self.item_ends = (
            (re.compile(rf".(?:{_GAP}(?:{after})|\s{{33}})"), re.compile(rf".{_GAP}(?:{maybe_after})?"))
            for after, maybe_after in ((after_field, maybe_field), (after_item, maybe_item))
        )


_PATTERNS = {opening: _Patterns(opening) for opening in (*_QUOTES, "")}
_WINDOW = 256  # characters; longer than any match of the patterns above
_NAME = re.compile(rf"\w[\w .-]{{0,{MAX_NAME - 1}}}")
_END_OF_NAME = re.compile(rf".{_GAP}:")
_START = re.compile("|".join(_PATTERNS[opening].start.pattern for opening in _QUOTES))
_MAYBE_START = re.compile("|".join(_PATTERNS[opening].maybe_start.pattern for opening in _QUOTES))
# How an answer begins that is JSON, or may yet turn out to be.
_FENCE = r"```\w{0,9}\s{0,9}"
_BRACKETS = r"(?:\[\s{0,9}){1,9}"
_LIST = re.compile(rf"(?:{_FENCE})?(?={_BRACKETS}[{{\]]|\{{\s{{0,9}}[\"'“}}]|{_PATTERNS[''].start.pattern})")
_MAYBE_LIST = re.compile(rf"(?:`{{0,2}}|{_FENCE})(?:{_BRACKETS}|{_PATTERNS[''].maybe_start.pattern})?")
# How prose ends where elements follow, or may yet.
_OPENING = re.compile(rf"(?:{_FENCE})?(?:{_BRACKETS})?\Z")
_MAYBE_OPENING = re.compile(rf"(?:{_FENCE}|`{{1,2}})?(?:{_BRACKETS})?(?:{_MAYBE_START.pattern})?\Z")

_BETWEEN = re.compile(r"[\s,\[\]}`]+")
_SPACE = re.compile(r"\s+")
_BARE_WORD = re.compile(r'[^\s"{}\[\],:]+')
# What no string ends in, and no element begins in: of several quotes only the last two may do so.
_PLAIN = {
    opening: re.compile(rf"(?:[^{closing}\\{{]|\\.|{closing}(?={closing}{closing}))++", re.DOTALL)
    for opening, closing in _QUOTES.items()
}


class JsonObjects:
    """The outermost objects of an answer that is a list of them, or nearly."""

    def __init__(self) -> None:
        self._pieces = Pieces()
        self._pending = ""  # what came and may not be understood yet
        self._at = 0  # index into it: everything before is done with
        self._is_last = False  # whether no more will come
        self._state: Callable[[], Iterable[Scanned]] = self._head
        self._stray: list[str] = []
        self._begin_object()

    def feed(self, text: str) -> Iterable[Scanned]:
        """Take in more of the answer; what is certain comes out at once."""
        return self._take(piece) if (piece := self._pieces.take(text)) else ()

    def _take(self, piece: str) -> Iterator[Scanned]:
        self._pending = self._pending[self._at :] + piece
        self._at = 0
        yield from self._run()

    def close(self) -> Iterator[Scanned]:
        """The answer is over: what was held back comes out as it stands."""
        self._is_last = True
        yield from self._take(self._pieces.rest())
        if self._state in (self._object, self._string):
            yield from self._end_object(is_whole=False)
        yield from self._end_stray()

    def _run(self) -> Iterator[Scanned]:
        """Each state takes something, or hands over, or waits for more by doing neither."""
        while self._at < len(self._pending):
            at, state = self._at, self._state
            found = state()
            if found:
                yield from found
            elif at == self._at and state == self._state:
                return

    # The states: each looks at what is pending from `_at` on, and returns what is certain.

    def _head(self) -> Iterable[Scanned]:
        """Only white space came so far: is the answer JSON?"""
        rest = self._pending[self._at :].lstrip()
        self._at = len(self._pending) - len(rest)
        if match := _LIST.match(rest):
            self._at += match.end()
            self._state = self._between
        elif rest and (self._is_last or not _MAYBE_LIST.fullmatch(rest)):
            self._state = self._prose
        return ()

    def _prose(self) -> Iterable[Scanned]:
        """Text of the page itself, until an element begins."""
        start = self._at
        if match := _START.search(self._pending, start):
            self._at = match.start()
            self._state = self._between
            text = _OPENING.sub("", self._pending[start : self._at])
        else:
            window = max(start, len(self._pending) - _WINDOW)
            held = None if self._is_last else _MAYBE_OPENING.search(self._pending, window)
            self._at = held.start() if held else len(self._pending)
            text = self._pending[start : self._at]
        return [Prose(text)] if text else ()

    def _between(self) -> Iterable[Scanned]:
        """Outside of any object."""
        if not self._stray and (match := _BETWEEN.match(self._pending, self._at)):
            self._at = match.end()
            return ()
        # After stray text a brace may be part of it, and only what begins like an element is one.
        begins = self._begins(_START, _MAYBE_START) if self._stray else self._pending[self._at] == "{"
        if begins:
            self._begin_object()
            self._state = self._object
            self._at += 1
            return self._end_stray()
        if begins is not None:
            end = self._pending.find("{", self._at + 1)
            start, self._at = self._at, end if end >= 0 else len(self._pending)
            self._stray.append(self._pending[start : self._at])
        return ()

    def _object(self) -> Iterable[Scanned]:
        """Inside an object, outside of any string."""
        sign = self._pending[self._at]
        is_word = self._bare and not self._bare[-1].isspace()  # in which an apostrophe is no quote
        if sign in "{}[],:":
            return self._structure(sign)
        if sign in _QUOTES and (sign == '"' or not is_word):
            self._end_bare()
            self._parts.clear()
            self._opening = sign
            self._state = self._string
            self._at += 1
        elif match := (_SPACE.match(self._pending, self._at) or _BARE_WORD.match(self._pending, self._at)):
            self._bare.append(match[0])
            self._at = match.end()
        return ()

    def _structure(self, sign: str) -> Iterable[Scanned]:
        """A sign that stands between values."""
        if sign == "{":
            return self._brace(self._patterns.start)
        self._end_bare()
        self._at += 1
        self._is_value_due = sign == ":"
        self._may_be_name = False
        if sign == ":":
            self._name_values()
        elif sign == "[":
            self._inside.append(sign)
        elif sign == "]" and self._inside[-1] == "[":
            self._inside.pop()
        elif sign == "}":
            self._leave_lists()
            self._inside.pop()
            return () if self._inside else self._end_object(is_whole=True)
        return ()

    def _string(self) -> Iterable[Scanned]:
        """Inside a string of an object."""
        if match := _PLAIN[self._opening].match(self._pending, self._at):
            return self._keep(match.end())
        sign = self._pending[self._at]
        if sign == "{":
            return self._brace(self._patterns.start_in_string)
        if sign == _QUOTES[self._opening]:
            return self._quote()
        has_both = self._at + 1 < len(self._pending) or self._is_last
        return self._keep(self._at + 2) if has_both else ()

    def _keep(self, end: int) -> Iterable[Scanned]:
        """What is pending up to `end` belongs to the string."""
        self._parts.append(self._pending[self._at : end])
        self._at = min(end, len(self._pending))
        return ()

    def _brace(self, start: re.Pattern[str]) -> Iterable[Scanned]:
        """An opening brace inside an object: an element if it begins like one, so that this one is broken."""
        begins = self._begins(start, self._patterns.maybe_start)
        if begins is None:
            return ()
        in_string = self._state == self._string
        if begins and (in_string or not self._holds_text(start)):
            found = self._end_object(is_whole=False)
            self._state = self._between
            return found
        if in_string:
            return self._keep(self._at + 1)
        self._end_bare()
        self._inside.append("{")
        self._is_value_due = False
        self._at += 1
        return ()

    def _holds_text(self, start: re.Pattern[str]) -> bool:
        """Whether the object that begins here is the value of a field, or in a list there, and begins with a text."""
        is_value = (self._is_value_due or self._inside[-1] == "[") and self._fields[-1].name != "bbox"
        match = start.match(self._pending, self._at)
        return is_value and match is not None and "text" in match[0]

    def _quote(self) -> Iterable[Scanned]:
        """A quote inside a string: its end, or one that should have had a backslash."""
        in_list = self._inside[-1] == "["
        end, maybe_end = self._patterns.item_ends if in_list else self._patterns.field_ends
        # The name's length bounds the parts it may have come in, and so the work for each quote of a long text.
        text = "".join(self._parts) if len(self._parts) <= MAX_NAME else ""
        is_name = text in MARKERS or not (in_list or self._is_value_due)
        ends_name = is_name and _NAME.fullmatch(text) and _END_OF_NAME.match(self._pending, self._at)
        if not ends_name and not end.match(self._pending, self._at):
            if not self._fits(maybe_end):
                return self._keep(self._at + 1)
            if not self._is_last:
                return ()
        self._fields[-1].values.append(Value("".join(self._parts), self._opening))
        self._may_be_name = not (in_list or self._is_value_due)
        self._is_value_due = False
        self._at += 1
        self._state = self._object
        return ()

    def _begins(self, start: re.Pattern[str], maybe_start: re.Pattern[str]) -> bool | None:
        """Whether an element begins here; None while more text must tell."""
        if start.match(self._pending, self._at):
            return True
        return None if self._fits(maybe_start) and not self._is_last else False

    def _fits(self, beginning: re.Pattern[str]) -> bool:
        """Whether all that is pending may be the beginning of something."""
        return len(self._pending) - self._at < _WINDOW and bool(beginning.fullmatch(self._pending, self._at))

    # One object: its fields are collected as they end.

    def _begin_object(self) -> None:
        self._inside = ["{"]  # what is open: the object itself, and the objects and lists in it
        self._fields = [Field("")]
        self._patterns = _PATTERNS['"']
        self._is_value_due = False  # whether a colon came, and no value after it
        self._may_be_name = False  # whether the last value is a name, should a colon follow
        self._bare: list[str] = []  # words that stand without quotes, and white space after them
        self._parts: list[str] = []  # of the string that is open
        self._opening = '"'  # the quote that opened it

    def _end_bare(self) -> None:
        if text := "".join(self._bare).strip():
            self._fields[-1].values.append(Value(text, ""))
            self._is_value_due = False
        self._bare = []

    def _leave_lists(self) -> None:
        """Take lists that are open inside the innermost object for ended."""
        while self._inside[-1] == "[":
            self._inside.pop()

    def _name_values(self) -> None:
        """A colon: the value before it was the name of what follows."""
        values = self._fields[-1].values
        name = values.pop() if values else Value("", '"')
        self._leave_lists()
        if len(self._inside) == 1:
            self._fields.append(Field(name.text))
            self._patterns = _PATTERNS[name.quote]

    def _end_object(self, is_whole: bool) -> Iterable[Scanned]:
        cut = None
        if self._state == self._string and (self._is_value_due or self._inside[-1] == "["):
            cut = Value("".join(self._parts), self._opening)
        elif not is_whole and (bare := "".join(self._bare).strip()):
            cut = Value(bare, "")
        elif not is_whole and self._may_be_name and self._fields[-1].values[-1].text in MARKERS:
            self._fields[-1].values.pop()
        self._state = self._between
        return [JsonObject(self._fields, is_whole, cut)]

    def _end_stray(self) -> Iterable[Scanned]:
        stray, self._stray = "".join(self._stray), []
        return [Stray(stray)] if stray else ()
