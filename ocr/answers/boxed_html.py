"""Answers in HTML whose elements say where they are, `data-bbox="x1 y1 x2 y2"`, into elements in page pixels."""

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ocr.answers.boxes import Scale
from ocr.answers.text import Marks, shown
from ocr.types import AnswerEvent, Box, Opened, Text

# Tags that are elements of a page.
TAGS: Mapping[str, str] = {
    "h1": "title",
    **dict.fromkeys(("h2", "h3", "h4", "h5", "h6"), "heading"),
    "p": "text",
    "li": "list_item",
    "table": "table",
    "img": "picture",
    "figcaption": "caption",
    "header": "header",
    "footer": "footer",
}
# First words of the classes of a div that are elements; any other div is one where it says something itself.
CLASSES: Mapping[str, str] = {
    **dict.fromkeys(("image", "figure", "chart", "picture", "music", "chemical"), "picture"),
    "formula": "formula",
    "table": "table",
    "caption": "caption",
    "footnote": "footnote",
    "header": "header",
    "footer": "footer",
    "title": "title",
}
# Tags that hold elements, and say nothing.
_HOLDERS = frozenset(("html", "body", "div", "ul", "ol", "section", "article", "main", "figure", "nav"))
# Tags within text, and what stands for them in markdown: where they begin, where they end.
_INLINE: Mapping[str, tuple[str, str]] = {
    "br": ("\n", ""),
    **dict.fromkeys(("b", "strong"), ("**", "**")),
    **dict.fromkeys(("sub", "sup", "u"), ("<{}>", "</{}>")),
}
_IN_TABLES = frozenset(("thead", "tbody", "tfoot", "tr", "td", "th", "caption", "br", "sub", "sup", "b", "strong"))
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]{0,20})((?:\s[^<>]*)?/?)>|<![^<>]*>")
_MAYBE_TAG = re.compile(r"<(?:/?[A-Za-z!][^<>]*|/)?\Z|&#?\w{0,32}\Z")  # or half of an entity
_ATTRIBUTE = re.compile(r"""([\w-]{1,32})\s{0,9}=\s{0,9}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_NUMBER = re.compile(r"-?\d{1,9}(?:\.\d{1,15})?")
_SPAN = re.compile(r"[1-9]\d{0,3}")
_FENCES = re.compile(r"\s*(?:```\w{0,9}\s*){0,2}")
_MAYBE_FENCES = re.compile(r"\s*(?:```\w{0,9}\s*)?(?:`{1,3}|```\w{0,9}\s*)?")
MAX_TAG = 4000  # characters; a longer tag is a model gone astray and is not waited for
_MAX_STRAY = 40  # characters in which fences show themselves


class BoxedHtml:
    """Qwen-VL's answers: headings, paragraphs, lists, tables and pictures as HTML, each with a `data-bbox`.

    A heading has its number signs and a list item its mark, as in markdown; a table stays HTML, its spans the only
    attributes that stay. A paragraph beside a picture, inside one div with it, is its caption. Text outside of all
    elements is an element without a place.
    """

    def __init__(self, scale: Scale) -> None:
        self.problems: list[str] = []
        self._scale = scale
        self._marks = Marks(_TAG, _MAYBE_TAG, MAX_TAG)
        self._stray = ""  # text outside of all elements, while it may be no more than code fences
        self._divs: list[tuple[str, str, Box | None]] = []  # those that are open: type, class and place
        self._lists: list[int] = []  # those that are open: the number of the next item, 0 where there are none
        self._tables = 0  # those that are open, one in another
        self._opened: Opened | None = None  # an element of which nothing was said yet
        self._name = ""  # of the tag that opened the element
        self._prefix = ""  # of its text
        self._is_open = False  # whether an element is open for text to belong to
        self._has_stray = False

    def feed(self, text: str) -> Iterator[AnswerEvent]:
        for part in self._marks.feed(text):
            yield from self._take(part)

    def close(self) -> Iterator[AnswerEvent]:
        for part in self._marks.close():
            yield from self._take(part)
        rest = self._marks.rest
        if re.match(r"</?[A-Za-z!]", rest):
            self.problems.append(f"The answer breaks off inside a tag: {shown(rest)}")
        else:
            yield from self._say(rest)
        if self._tables:
            self.problems.append("The answer breaks off inside a table.")
        yield from self._settle()

    def _take(self, part: str | re.Match[str]) -> Iterator[AnswerEvent]:
        if isinstance(part, str):
            yield from self._say(part)
        elif part[2]:
            yield from self._tag(part[2].lower(), bool(part[1]), part[3])

    # Tags.

    def _tag(self, name: str, ends: bool, attributes: str) -> Iterator[AnswerEvent]:
        if self._tables and not (name == "table" and ends and self._tables == 1):
            yield from self._in_table(name, ends, attributes)
        elif name in _INLINE:
            if self._opened or self._is_open:
                yield from self._show(_INLINE[name][ends].format(name))
        elif ends:
            yield from self._end(name)
        elif name in TAGS or name in _HOLDERS:
            yield from self._begin(name, dict(_attributes(attributes)))

    def _in_table(self, name: str, ends: bool, attributes: str) -> Iterator[AnswerEvent]:
        if name == "table":
            self._tables += -1 if ends else 1
        elif name not in _IN_TABLES:
            return
        spans = "" if ends else _spans(attributes)
        yield from self._show(f"<{'/' if ends else ''}{name}{spans}>")

    def _begin(self, name: str, given: Mapping[str, str]) -> Iterator[AnswerEvent]:
        box, waiting = self._box(given), self._opened
        within = self._divs[-1] if self._divs else ("", "", None)
        if name in _HOLDERS:
            yield from self._hold(name, given.get("class", ""), box)
        elif waiting and name == "img" and self._name == "div":
            self._opened = replace(waiting, bbox=box or waiting.bbox)  # the picture's own place is the closer one
        elif waiting and name == "p" and waiting.type != "picture":
            self._opened = replace(waiting, bbox=waiting.bbox or box)
        elif name == "p" and within[0] == "picture":
            yield from self._open("caption", name, box)
        else:
            yield from self._open(TAGS[name], name, box or (within[2] if name == within[0] else None))
            self._name, self._prefix = name, self._mark(name)
            if name == "table":
                self._tables = 1
                yield from self._show("<table>")
            elif name == "img":
                yield from self._settle()

    def _hold(self, name: str, label: str, box: Box | None) -> Iterator[AnswerEvent]:
        """A tag begins that holds elements, or is one by its class."""
        if name in ("ul", "ol"):
            self._lists.append(1 if name == "ol" else 0)
            yield from self._settle()
            return
        first = next(iter(re.findall(r"[a-z]+", label.lower())), "")
        type_ = CLASSES.get(first, "")
        self._divs.append((type_, label, box))
        if type_ and type_ != "table":
            yield from self._open(type_, label, box)
            self._name = "div"
        elif not self._opened:
            yield from self._settle()

    def _mark(self, name: str) -> str:
        """What stands before an element's text in markdown."""
        if name[0] == "h" and name[1:].isdigit():
            return "#" * int(name[1:]) + " "
        if name != "li":
            return ""
        number = self._lists[-1] if self._lists else 0
        if number:
            self._lists[-1] += 1
        return "  " * max(0, len(self._lists) - 1) + (f"{number}. " if number else "- ")

    def _end(self, name: str) -> Iterator[AnswerEvent]:
        if name == "table" and self._tables:
            self._tables = 0
            yield from self._show("</table>")
        elif name in ("ul", "ol"):
            del self._lists[-1:]
        elif name in _HOLDERS:
            del self._divs[-1:]
        elif name != self._name:
            return
        yield from self._settle()

    # Elements and what they say.

    def _open(self, type_: str, label: str, box: Box | None) -> Iterator[AnswerEvent]:
        """An element begins; it comes out with its first text, or without any once it is over."""
        yield from self._settle()
        self._opened, self._name, self._prefix = Opened(type_, label, box), label, ""

    def _settle(self) -> Iterator[AnswerEvent]:
        """What was open is over. An element that said nothing is one all the same, where it has a place."""
        if not _FENCES.fullmatch(self._stray):
            yield from self._outside()
        self._stray = ""
        if self._opened and (self._opened.bbox or self._opened.type == "picture"):
            yield self._opened
        self._opened, self._name, self._is_open = None, "", False

    def _say(self, text: str) -> Iterator[AnswerEvent]:
        """Text between tags."""
        if not self._tables:
            text = html.unescape(text)
        if self._opened and not self._is_open:
            text = text.lstrip()
        if not text:
            return
        if self._opened or self._is_open:
            yield from self._show(text)
            return
        self._stray = (self._stray + text)[-_MAX_STRAY:] if (self._stray + text).isspace() else self._stray + text
        if len(self._stray) > _MAX_STRAY or not _MAYBE_FENCES.fullmatch(self._stray):
            yield from self._outside()

    def _outside(self) -> Iterator[AnswerEvent]:
        """Text that stands in no element of its own is that of the div around it, or of the page."""
        text, self._stray = self._stray.lstrip(), ""
        _, label, box = self._divs[-1] if self._divs else ("", "", None)
        if box is None and not self._has_stray:
            self._has_stray = True
            self.problems.append("There is text that stands in no element.")
        self._opened, self._prefix = Opened("text", label, box), ""
        yield from self._show(text)

    def _show(self, text: str) -> Iterator[AnswerEvent]:
        if self._opened:
            yield self._opened
            text = self._prefix + text
            self._opened = None
            self._is_open = True
        yield Text(text)

    def _box(self, given: Mapping[str, str]) -> Box | None:
        place = given.get("data-bbox")
        if place is None:
            return None
        numbers = [part for part in re.split(r"[\s,()\[\]]+", place) if part]
        if len(numbers) != 4 or not all(map(_NUMBER.fullmatch, numbers)):
            self.problems.append(f"A place that is not four numbers: {shown(place)}")
            return None
        x1, y1, x2, y2 = map(float, numbers)
        return self._scale.to_page((x1, y1, x2, y2))


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    for match in _ATTRIBUTE.finditer(text):
        yield match[1].lower(), html.unescape(match[2] or match[3] or match[4] or "")


def _spans(attributes: str) -> str:
    """Of a cell's attributes those that say how far it reaches."""
    given = dict(_attributes(attributes))
    kept = [(name, given[name]) for name in ("rowspan", "colspan") if _SPAN.fullmatch(given.get(name, ""))]
    return "".join(f' {name}="{value}"' for name, value in kept)
