"""dots.ocr's layout answers, a JSON list of elements, into elements in page pixels as they stream. Whatever the text
holds, each element that came whole comes out once, the rest is reported, and every character is looked at once."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from ocr.answers.boxes import Scale
from ocr.answers.json_text import unescape
from ocr.answers.text import shown
from ocr.types import AnswerEvent, Box, Opened, Text

# The model's categories; one that is not here is kept and typed "other".
CATEGORIES: Mapping[str, str] = {
    "Caption": "caption",
    "Footnote": "footnote",
    "Formula": "formula",
    "List-item": "list_item",
    "Page-footer": "footer",
    "Page-header": "header",
    "Picture": "picture",
    "Section-header": "heading",
    "Table": "table",
    "Text": "text",
    "Title": "title",
}
FORMULA = "Formula"
FIELDS = ("bbox", "category", "text")

# Longest run of white space, in characters, across which it is asked what follows: a model gone astray may write white
# space for ever, and all of it would be looked at again with each token.
_GAP = r"\s{0,32}"
_FIELD = rf'"(?:{"|".join(FIELDS)})"{_GAP}:'
_MAYBE_FIELD = rf'"\w{{0,8}}(?:"{_GAP})?'
# How an element begins. Well-formed JSON has this nowhere inside a string, where quotes have backslashes.
_START = re.compile(rf"\{{{_GAP}{_FIELD}")
_MAYBE_START = re.compile(rf"\{{{_GAP}(?:{_MAYBE_FIELD})?")
# A quote that ends a string, by what follows it; any other quote in a string is one that lacks its backslash.
_END = re.compile(rf'"(?:{_GAP}(?:}}|\]{_GAP}[,}}]|,{_GAP}["\d{{}}\[\]-]|{_FIELD}|{_START.pattern})|\s{{33}})')
_END_OF_NAME = re.compile(rf'"{_GAP}:')
_MAYBE_END = re.compile(rf'"{_GAP}(?:\]{_GAP}|,{_GAP}|{_MAYBE_FIELD}|{_MAYBE_START.pattern})?')
MAX_NAME = 32  # characters
_NAME = re.compile(rf"\w{{1,{MAX_NAME}}}")
# How an answer begins that is JSON, or may yet turn out to be.
_FENCE = r"```\w{0,9}\s{0,9}"
_LIST = re.compile(rf'(?:{_FENCE})?(?=\[\s{{0,9}}[{{\]]|\{{\s{{0,9}}["}}])')
_MAYBE_LIST = re.compile(rf"(?:`{{0,2}}|{_FENCE})(?:[\[{{]\s{{0,9}})?")
# How prose ends where elements follow, or may yet.
_OPENING = re.compile(rf"(?:{_FENCE})?(?:\[\s{{0,9}})?\Z")
_MAYBE_OPENING = re.compile(rf"(?:{_FENCE}|`{{1,2}})?(?:\[\s{{0,9}})?(?:{_MAYBE_START.pattern})?\Z")
_WINDOW = 192  # characters; longer than any match of the patterns above

_BETWEEN = re.compile(r"[\s,\[\]}`]+")
_PUNCTUATION = re.compile(r"[\s,\[\]]+")
_SCALAR = re.compile(r'[^\s"{}\[\],:]+')
_PLAIN = re.compile(r'[^"\\{]+')
_NUMBER = re.compile(r"-?\d{1,9}(?:\.\d{1,15})?")
_MAX_SCALAR = 32  # characters; anything longer is no number
_CODED_MATH = re.compile(r"`(\$[^`]*\$)`")  # the model's way of writing some formulas: in a code span


class LayoutJson:
    """Answers of the form `[{"bbox": [x1, y1, x2, y2], "category": "Text", "text": "…"}, …]`.

    An answer that is no JSON is text of the page. An
    element that is not whole is reported, and delivered if it has text, or a place and a category.
    """

    def __init__(self, scale: Scale) -> None:
        self.problems: list[str] = []
        self._scale = scale
        self._pending = ""  # what came and may not be understood yet
        self._at = 0  # index into it: everything before is done with
        self._is_last = False  # whether no more will come
        self._state: Callable[[], Iterable[AnswerEvent]] = self._head
        self._stray = ""  # the beginning of what stands between elements and is none
        self._depth = 1  # braces open
        self._values: list[str] = []  # of the field that is open: strings with a leading quote, others as they are
        self._fields: dict[str, list[str]] = {}
        self._scalar = ""  # a number or word that may go on
        self._parts: list[str] = []  # of the string that is open

    def feed(self, text: str) -> Iterator[AnswerEvent]:
        self._pending = self._pending[self._at :] + text
        self._at = 0
        yield from self._run()

    def close(self) -> Iterator[AnswerEvent]:
        self._is_last = True
        yield from self._run()
        if self._state in (self._object, self._string):
            yield from self._element(is_whole=False)
        self._report_stray()

    def _run(self) -> Iterator[AnswerEvent]:
        """Each state takes something, or hands over, or waits for more by doing neither."""
        while self._at < len(self._pending):
            before = self._at, self._state
            yield from self._state()
            if before == (self._at, self._state):
                return

    # The states: each looks at what is pending from `_at` on, and returns the events that are certain.

    def _head(self) -> Iterable[AnswerEvent]:
        """Only white space came so far: is the answer JSON?"""
        rest = self._pending[self._at :].lstrip()
        self._at = len(self._pending) - len(rest)
        if match := _LIST.match(rest):
            self._at += match.end()
            self._state = self._between
        elif rest and (self._is_last or not _MAYBE_LIST.fullmatch(rest)):
            self.problems.append("The answer is text and no list of elements.")
            self._state = self._prose
        return ()

    def _prose(self) -> Iterable[AnswerEvent]:
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
        return [Text(text)] if text else ()

    def _between(self) -> Iterable[AnswerEvent]:
        """Outside of any element."""
        if not self._stray and (match := _BETWEEN.match(self._pending, self._at)):
            self._at = match.end()
            return ()
        # After stray text a brace may be part of it, and only what begins like an element is one.
        begins = self._begins() if self._stray else self._pending[self._at] == "{"
        if begins:
            self._report_stray()
            self._begin_element()
            self._state = self._object
            self._at += 1
        elif begins is not None:
            end = self._pending.find("{", self._at + 1)
            start, self._at = self._at, end if end >= 0 else len(self._pending)
            self._stray = (self._stray + self._pending[start : self._at])[:100]
        return ()

    def _object(self) -> Iterable[AnswerEvent]:
        """Inside an element, outside of any string."""
        if match := _SCALAR.match(self._pending, self._at):
            self._scalar = (self._scalar + match[0])[: _MAX_SCALAR + 1]
            self._at = match.end()
            return ()
        self._end_scalar()
        if match := _PUNCTUATION.match(self._pending, self._at):
            self._at = match.end()
            return ()
        sign = self._pending[self._at]
        if sign == "{":
            return self._brace()
        self._at += 1
        if sign == '"':
            self._parts = []
            self._state = self._string
        elif sign == ":":
            self._name_values()
        elif sign == "}":
            self._depth -= 1
            return self._element(is_whole=True) if self._depth == 0 else ()
        return ()

    def _string(self) -> Iterable[AnswerEvent]:
        """Inside a string of an element."""
        if match := _PLAIN.match(self._pending, self._at):
            return self._keep(match.end())
        sign = self._pending[self._at]
        if sign == "{":
            return self._brace()
        if sign == '"':
            return self._quote()
        has_both = self._at + 1 < len(self._pending) or self._is_last
        return self._keep(self._at + 2) if has_both else ()

    def _keep(self, end: int) -> Iterable[AnswerEvent]:
        """What is pending up to `end` belongs to the string."""
        self._parts.append(self._pending[self._at : end])
        self._at = min(end, len(self._pending))
        return ()

    def _brace(self) -> Iterable[AnswerEvent]:
        """An opening brace inside an element: the next element if it begins like one, so that this one is broken."""
        begins = self._begins()
        if begins is None:
            return ()
        if begins:
            events = self._element(is_whole=False)
            self._state = self._between
            return events
        if self._state == self._string:
            return self._keep(self._at + 1)
        self._depth += 1
        self._at += 1
        return ()

    def _quote(self) -> Iterable[AnswerEvent]:
        """A quote inside a string: its end, or one that should have had a backslash."""
        # The name's length bounds the parts it may have come in, and so the work for each quote of a long text.
        is_name = len(self._parts) <= MAX_NAME and _NAME.fullmatch("".join(self._parts))
        if not _END.match(self._pending, self._at) and not (is_name and _END_OF_NAME.match(self._pending, self._at)):
            if not self._fits(_MAYBE_END):
                return self._keep(self._at + 1)
            if not self._is_last:
                return ()
        self._values.append('"' + "".join(self._parts))
        self._at += 1
        self._state = self._object
        return ()

    def _begins(self) -> bool | None:
        """Whether an element begins here; None while more text must tell."""
        if _START.match(self._pending, self._at):
            return True
        return None if self._fits(_MAYBE_START) and not self._is_last else False

    def _fits(self, beginning: re.Pattern[str]) -> bool:
        """Whether all that is pending may be the beginning of something."""
        return len(self._pending) - self._at < _WINDOW and bool(beginning.fullmatch(self._pending, self._at))

    # One element: its fields are collected as they end, and made sense of together.

    def _begin_element(self) -> None:
        self._depth = 1
        self._values = []
        self._fields = {"": self._values}
        self._scalar = ""

    def _end_scalar(self) -> None:
        if self._scalar:
            self._values.append(self._scalar)
        self._scalar = ""

    def _name_values(self) -> None:
        """A colon: the value before it was the name of the next field."""
        name = self._values.pop().removeprefix('"') if self._values else ""
        self._values = self._fields[name] = []

    def _element(self, is_whole: bool) -> Iterable[AnswerEvent]:
        """The events of the element that ends here; whatever is amiss with it is reported."""
        if self._state == self._string and self._values is self._fields.get("text"):
            self._values.append('"' + "".join(self._parts))
        self._state = self._between
        category = "".join(self._strings("category")[:1]).strip()
        text = "\n".join(unescape(inside, category == FORMULA) for inside in self._strings("text")).strip()
        if coded := _CODED_MATH.fullmatch(text):
            text = coded[1]
        box = self._box()
        self._report(is_whole, category, text, box)
        if not text and not (category and (box or is_whole)):
            return ()
        opened = Opened(CATEGORIES.get(category, "other" if category else "text"), category, box)
        return [opened, Text(text)] if text else [opened]

    def _strings(self, field: str) -> list[str]:
        return [value[1:] for value in self._fields.get(field, ()) if value[0] == '"']

    def _box(self) -> Box | None:
        values = [value.removeprefix('"').strip() for value in self._fields.get("bbox", ())]
        if len(values) != 4 or not all(map(_NUMBER.fullmatch, values)):
            return None
        x1, y1, x2, y2 = map(float, values)
        return self._scale.to_page((x1, y1, x2, y2))

    def _report(self, is_whole: bool, category: str, text: str, box: Box | None) -> None:
        what = f"{category or 'no category'}, {shown(text)}"
        if not is_whole:
            self.problems.append(f"An element that is not whole: {what}")
        elif not any(field in self._fields for field in FIELDS):
            if self._values or len(self._fields) > 1:
                self.problems.append(f"An object that is no element: {shown(', '.join(filter(None, self._fields)))}")
        elif box is None:
            self.problems.append(f"An element without a box of four numbers: {what}")
        elif not category:
            self.problems.append(f"An element without a category: {what}")

    def _report_stray(self) -> None:
        if self._stray:
            self.problems.append(f"Text that belongs to no element: {shown(self._stray.strip())}")
        self._stray = ""
