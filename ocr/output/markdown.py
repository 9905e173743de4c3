"""A page's answer as markdown, as it streams. Knows no other pages."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from ocr.answers.text import held_back
from ocr.output.formulas import DollarFormulas, Part, framed
from ocr.output.untrusted import MARKS, PICTURE_MARK, as_markdown, disarmed
from ocr.types import AnswerEvent, Opened

LEFT_OUT = ("header", "footer", "page_number")  # page furniture: in the JSON output and the raw text alone
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")
# Four whole numbers in brackets, as the place of an element stands at its end, and what may become such.
_PLACE = re.compile(r"(\[-?\d{1,9}(?:, ?-?\d{1,9}){3})\]")
_MAYBE_PLACE = re.compile(r"\[[-\d, ]{0,50}\Z")
_LONGEST_PLACE = 50  # characters
_BLOCK_ENDS = ("$$", "```", "~~~")  # the last line of a block, after which nothing may stand on it

Link = Callable[[int, int], str]  # where the crop of a page's n-th picture with a place is linked to; both from 1


def picture_name(page: int, picture: int) -> str:
    """A path beside the markdown, `images/page-1-1.png`: what is linked to unless the caller says otherwise."""
    return f"images/page-{page}-{picture}.png"


class MarkdownPage:
    """One page's answer as pieces of markdown, each final as it stands; a page read again takes a fresh one.

    Marks and boxes are gone, elements stand apart by one blank line, pictures that have a place are links to their
    crops, formulas stand in dollar signs, code is as the model wrote it, page headers, footers and numbers are left
    out. With `lists_boxes` nothing is left
    out, and each element ends in its place, `[x1, y1, x2, y2]` in whole page pixels. Each of `replacements` stands for
    its key wherever the model wrote that. Control characters are replaced, and what a page says that would pass for a
    mark of ours (`ocr.output.untrusted`), or for a place where such are listed, has a backslash in it.
    """

    def __init__(
        self,
        page: int,
        *,
        lists_boxes: bool = False,
        replacements: Mapping[str, str] = MappingProxyType({}),
        link: Link = picture_name,
    ) -> None:
        self._page = page
        self._link = link
        self._lists_boxes = lists_boxes
        self._replacements = replacements
        self._replaced = re.compile("|".join(map(re.escape, replacements)) or r"(?!)")  # an empty table matches nothing
        self._pictures = 0
        self._element: Opened | None = None
        self._said = False  # whether that element has shown any text
        self._formula: list[
            str
        ] = []  # a formula's text, held to its end: only then is it known whether it brings its frame
        self._dollars = DollarFormulas()  # of that element
        self._watched = (*MARKS, *replacements)
        self._half = ""  # the end of the text, while it may be half of a mark or of a replaced command
        self._is_half_code = False
        self._gap: list[str] = []  # white space that is shown only if something follows
        self._is_code = False  # whether the text that came last is code
        self._last = ""  # the last characters that were shown
        self._is_blank = True  # whether nothing was shown on this page yet

    def write(self, event: AnswerEvent) -> str:
        """The markdown that is certain with this event."""
        if isinstance(event, Opened):
            return self.close() + self._open(event)
        kind = self._element.type if self._element else "text"
        if kind in LEFT_OUT and not self._lists_boxes:
            return ""
        if kind == "formula":
            self._formula.append(event.text)
            return ""
        parts = self._dollars.feed(event.text)
        return "".join(map(self._part, parts)) if parts else ""

    def close(self) -> str:
        """The markdown held back so far: the element that was open is over."""
        out = "".join(map(self._part, self._dollars.close()))
        out += self._show_half() + self._show(framed(as_markdown("".join(self._formula))))
        self._dollars = DollarFormulas()
        element, self._element = self._element, None
        if element is not None and element.bbox is not None and self._lists_boxes:
            place = str([round(side) for side in element.bbox])
            if not self._said:
                out += self._show(as_markdown(element.label))
            if self._said:
                self._gap = ["\n" if self._last.endswith(_BLOCK_ENDS) else " "]
            out += self._show_own(place)
        self._formula = []
        return out

    def _open(self, element: Opened) -> str:
        self._element = element
        self._said = False
        self._gap = ["\n\n"]
        if element.type != "picture" or element.bbox is None or self._lists_boxes:
            return ""
        self._pictures += 1
        return self._show_own(f"{PICTURE_MARK}{self._link(self._page, self._pictures)})")

    def _part(self, part: Part) -> str:
        before = self._show_half() if part.is_code != self._is_half_code else ""
        text = self._half + as_markdown(part.text)
        held = held_back(text, MARKS if part.is_code else self._watched)
        if self._lists_boxes and (place := _MAYBE_PLACE.search(text, max(0, len(text) - _LONGEST_PLACE))):
            held = max(held, len(text) - place.start())
        certain = len(text) - held
        self._half, self._is_half_code = text[certain:], part.is_code
        return before + self._show(text[:certain], is_code=part.is_code)

    def _show_half(self) -> str:
        half, self._half = self._half, ""
        return self._show(half, is_code=self._is_half_code) if half else ""

    def _show(self, text: str, *, is_code: bool = False) -> str:
        """Some of what the page says, in which no mark is cut."""
        if is_code and not self._is_code:
            self._gap = [_BLANK_LINES.sub("\n\n", "".join(self._gap))]
        self._is_code = is_code
        if not text or text.isspace():
            self._gap.append(text)
            return ""
        text = "".join(self._gap) + text
        if not is_code:
            text = self._replaced.sub(lambda match: self._replacements[match[0]], text)
            text = _BLANK_LINES.sub("\n\n", text)
        text = disarmed(text)
        if self._lists_boxes:
            text = _PLACE.sub(r"\1\\]", text)
        shown = text.rstrip()
        self._gap = [text[len(shown) :]]
        return self._note(shown)

    def _show_own(self, mark: str) -> str:
        gap, self._gap = "".join(self._gap), []
        return self._note(gap + mark)

    def _note(self, shown: str) -> str:
        if self._is_blank:
            shown = shown.lstrip("\n")
        self._is_blank = False
        self._said = True
        self._last = (self._last + shown)[-3:]
        return shown
