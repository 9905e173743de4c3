"""Model text as parsers handle it: how it comes, what must wait for more of it, and pieces of it in messages."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

FENCE_SIGNS = ("`", "~")
AT_ONCE = 32_768  # characters of a page that are handed on as they come; dense pages have up to 30,000
GATHERED = 64  # characters, of which the pieces of a longer text are made


class Pieces:
    """The pieces of a page's text, as they come; those of a text longer than any page's are put together first.

    What it costs to take in a piece, however little it holds, then hardly counts.
    """

    def __init__(self) -> None:
        self._length = 0  # characters that came
        self._due = AT_ONCE + GATHERED  # the length at which what waits is handed on
        self._held: list[str] = []

    def take(self, text: str) -> str:
        """What is to be taken in, with this piece; "" while it waits for more."""
        self._length += len(text)
        if self._length <= AT_ONCE:
            return text
        self._held.append(text)
        return self.rest() if self._length >= self._due else ""

    def rest(self) -> str:
        """What waits."""
        text = "".join(self._held)
        self._held.clear()
        self._due = self._length + GATHERED
        return text


class Marks:
    """An answer as it comes, taken apart: its marks, as matches, and what stands between them, as text.

    The end of the text waits while it may be half of a mark.
    """

    def __init__(self, mark: re.Pattern[str], maybe: re.Pattern[str], longest: int) -> None:
        """`maybe` finds at the end of a text what may become a mark, of which `longest` characters are waited for."""
        self._mark, self._maybe, self._longest = mark, maybe, longest
        self._pieces = Pieces()
        self.rest = ""  # the end of the text, while it may be half of a mark

    def feed(self, text: str) -> Iterator[str | re.Match[str]]:
        """What is certain with this piece."""
        if piece := self._pieces.take(text):
            yield from self._taken_apart(piece)

    def close(self) -> Iterator[str | re.Match[str]]:
        """What waited; half of a mark is left in `rest`."""
        yield from self._taken_apart(self._pieces.rest())

    def _taken_apart(self, piece: str) -> Iterator[str | re.Match[str]]:
        text, at = self.rest + piece, 0
        for mark in self._mark.finditer(text):
            yield text[at : mark.start()]
            yield mark
            at = mark.end()
        held = self._maybe.search(text, max(at, len(text) - self._longest))
        certain = held.start() if held else len(text)
        self.rest = text[certain:]
        yield text[at:certain]


def held_back(text: str, markers: Sequence[str]) -> int:
    """How many last characters of the text may be the beginning of a marker, and must wait."""
    beginning, longest = _beginning(tuple(markers))
    match = beginning.search(text, max(0, len(text) - longest))
    return len(text) - match.start() if match else 0


@lru_cache
def _beginning(markers: Sequence[str]) -> tuple[re.Pattern[str], int]:
    """What finds the beginning of a marker at the end of a text, and how long the longest is."""
    beginnings = {marker[:length] for marker in markers for length in range(1, len(marker))}
    if not beginnings:
        return re.compile(r"(?!)"), 0
    return re.compile(rf"(?:{'|'.join(map(re.escape, beginnings))})\Z"), max(map(len, beginnings))


def begun(text: str) -> str:
    """The text without the white space before it, but for the indent of a code fence: it belongs to each line of it.

    The first sign of a fence is enough, so that text which streams need not wait.
    """
    stripped = text.lstrip()
    indent = text[: len(text) - len(stripped)].rpartition("\n")[2]
    return indent + stripped if stripped.startswith(FENCE_SIGNS) and 0 < len(indent) <= 3 else stripped


def trimmed(text: str) -> str:
    """The text without white space around it, but for the indent of a code fence that it begins with."""
    text = text.rstrip()
    return begun(text) if text.lstrip().startswith(tuple(sign * 3 for sign in FENCE_SIGNS)) else text.lstrip()


def shown(text: str) -> str:
    """A piece of model text as it stands in a message."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
