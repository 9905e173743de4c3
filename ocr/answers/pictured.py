"""Answers in markdown in which pictures stand as links that say where they are, into elements in page pixels."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from ocr.answers.boxes import Scale
from ocr.answers.text import Pieces, begun, shown
from ocr.types import AnswerEvent, Box, Opened, Text

MAX_LINK = 1000  # characters; what has no end within them is no link and is not waited for
MAX_HEAD = 1000  # characters; a longer head is none


class Picture(NamedTuple):
    """What a link says of its picture."""

    box: Box | None  # in the model's coordinates
    words: str = ""  # what it shows
    problem: str = ""  # what is wrong with the link, one sentence


class LinkForm:
    """How a model writes a picture: what begins a link, a whole one, and what it says."""

    def __init__(self, start: str, whole: str, maybe: str, read: Callable[[re.Match[str]], Picture]) -> None:
        """`whole` matches a link, `maybe` all that may yet become one or a longer one; both begin with `start`."""
        self.start = start
        self.whole, self.maybe = re.compile(whole), re.compile(maybe)
        self.read = read


def _corner_and_size(match: re.Match[str]) -> Picture:
    x, y, width, height = map(float, match.groups()[1:])
    return Picture((x, y, x + width, y + height), match[1])


def _corners(match: re.Match[str]) -> Picture:
    x1, y1, x2, y2 = map(float, match.groups())
    return Picture((x1, y1, x2, y2))


def _place(match: re.Match[str]) -> Picture:
    if match[1] is None:
        return Picture(None)
    sides = _FOUR_SIDES.fullmatch(match[1])
    return _corners(sides) if sides else Picture(None, match[1], f"A place that is not four numbers: {shown(match[1])}")


_SIDE = r"(\d{1,6})"
_SIDES = "_".join([_SIDE] * 4)
# `![what it shows](page_x_y_width_height.png)`: olmOCR.
PAGE_LINK = LinkForm(
    "![",
    rf"!\[([^\[\]\n]{{0,{MAX_LINK}}})\]\(page_{_SIDES}\.png\)",
    rf"!(?:\[[^\[\]\n]{{0,{MAX_LINK}}}(?:\](?:\([a-z0-9_.]{{0,40}})?)?)?",
    _corner_and_size,
)
# `<img src="images/bbox_left_top_right_bottom.jpg" />`: OvisOCR2.
BOX_IMAGE = LinkForm(
    "<img",
    rf'<img\s{{1,9}}src="images/bbox_{_SIDES}\.jpg"\s{{0,9}}/?>',
    r"<(?:i(?:m(?:g[^<>\n]{0,80})?)?)?",
    _corners,
)
# `![image](image_1.png) x1,y1,x2,y2`, or without a place: LightOnOCR. A place has at least one comma.
_COMMA = r"[ \t]{0,4},[ \t]{0,4}"
_FOUR_SIDES = re.compile(_COMMA.join([_SIDE] * 4))
PLACED_LINK = LinkForm(
    "![",
    rf"!\[image\]\(image_\d{{1,9}}\.(?:png|jpg)\)(?:[ \t]{{0,4}}(\d{{1,9}}(?:{_COMMA}\d{{0,9}}){{1,9}}))?",
    r"!(?:\[[image]{0,5}(?:\](?:\([a-z0-9_.]{0,40}(?:\)[\d, \t]{0,200})?)?)?)?",
    _place,
)


class Pictured:
    """Markdown in which each picture is a link with its box. What stands between pictures is text without a place."""

    def __init__(self, scale: Scale, form: LinkForm) -> None:
        self.problems: list[str] = []
        self._scale, self._form = scale, form
        self._pieces = Pieces()
        self._pending = ""  # the end of the text, while it may be half of a link
        self._is_open = False  # whether an element is open for text to belong to

    def feed(self, text: str) -> Iterable[AnswerEvent]:
        return self._take(piece) if (piece := self._pieces.take(text)) else ()

    def _take(self, piece: str, *, is_last: bool = False) -> Iterator[AnswerEvent]:
        text, at = self._pending + piece, 0
        while (start := text.find(self._form.start[0], at)) >= 0:
            yield from self._text(text[at:start])
            at = start
            if not is_last and self._form.maybe.fullmatch(text, start):
                break
            if match := self._form.whole.match(text, start):
                at = match.end()
                yield from self._picture(self._form.read(match))
            else:
                at = start + 1
                yield from self._text(text[start])
        else:
            yield from self._text(text[at:])
            at = len(text)
        self._pending = text[at:]

    def close(self) -> Iterator[AnswerEvent]:
        yield from self._take(self._pieces.rest(), is_last=True)

    def _picture(self, picture: Picture) -> Iterator[AnswerEvent]:
        if picture.problem:
            self.problems.append(picture.problem)
        yield Opened("picture", "", self._scale.to_page(picture.box) if picture.box else None)
        if picture.words:
            yield Text(f"\n\n{picture.words}")  # below it
        self._is_open = False

    def _text(self, text: str) -> Iterator[AnswerEvent]:
        if not self._is_open:
            text = begun(text)
            if not text:
                return
            self._is_open = True
            yield Opened("text", "", None)
        if text:
            yield Text(text)


_HEAD = re.compile(rf"\s{{0,9}}---[ \t]*\n(.{{0,{MAX_HEAD}}}?)(?<=\n)---[ \t]*\n", re.DOTALL)
_LONE_HEAD = re.compile(r"\s{0,9}---[ \t]*\n(.*?)(?<=\n)---\s*", re.DOTALL)  # with nothing after it
_MAYBE_HEAD = re.compile(r"\s{0,9}(?:-{0,2}\Z|---[ \t]*(?:\n|\Z))")
_NO_HEAD = "The answer has no head that says how the page lies."


class FrontMatter:
    """olmOCR's answers: a head of `name: value` lines between two lines of `---`, then markdown with its pictures.

    The head is no text of the page. That the page is turned, or that there is no head, is reported.
    """

    def __init__(self, scale: Scale) -> None:
        self._body = Pictured(scale, PAGE_LINK)
        self.problems = self._body.problems
        self._head: str | None = ""  # what came of it; None once it is over

    def feed(self, text: str) -> Iterable[AnswerEvent]:
        if self._head is None:
            return self._body.feed(text)
        self._head += text
        head = _HEAD.match(self._head)
        if head:
            self._understand(head[1])
            return self._enter(self._head[head.end() :])
        if len(self._head) > MAX_HEAD or not _MAYBE_HEAD.match(self._head):
            self.problems.append(_NO_HEAD)
            return self._enter(self._head)
        return ()

    def close(self) -> Iterator[AnswerEvent]:
        if self._head is not None:
            rest, self._head = self._head, None
            lone = _LONE_HEAD.fullmatch(rest)
            if lone:
                self._understand(lone[1])
            elif rest.strip():
                is_begun = rest.lstrip().startswith("---")
                self.problems.append(f"The answer breaks off inside its head: {shown(rest)}" if is_begun else _NO_HEAD)
                yield from () if is_begun else self._body.feed(rest)
        yield from self._body.close()

    def _enter(self, rest: str) -> Iterable[AnswerEvent]:
        self._head = None
        return self._body.feed(rest)

    def _understand(self, head: str) -> None:
        values = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in head.splitlines())}
        if values.get("is_rotation_valid", "").lower() == "false":
            turn = values.get("rotation_correction", "")
            how = f"; a turn of {turn} degrees clockwise mends it" if turn in ("90", "180", "270") else ""
            self.problems.append(f"The model says that the page is not upright{how}.")
