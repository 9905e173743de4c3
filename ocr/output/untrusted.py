r"""What a page says, where it must not speak for us: marks that it cannot forge, and no signs that steer a terminal.

A mark of ours in a page's text gets a backslash after its first sign, `<\--- Page Split --->`: read as markdown it says
the same, and nobody who looks for the mark finds it.
"""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ocr.answers.text import held_back

PAGE_MARK = "<--- Page"  # how the marks between pages begin, and those of a page that begins again
COMMENT_MARK = "<!-- Page"  # how the comment on a page that could not be read begins
PICTURE_MARK = "![]("  # how a link to the crop of a picture begins
MARKS = (PAGE_MARK, COMMENT_MARK, PICTURE_MARK)

# What no page shows: it moves a terminal's cursor, colours it, rings its bell or turns the order of the text.
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
_TURNS = "\u202a-\u202e\u2066-\u2069"
_STEERING = re.compile(f"[{_CONTROLS}{_TURNS}]")
_STEERING_IN_JSON = re.compile(f"[\x7f-\x9f{_TURNS}]")  # the others json itself escapes
_JSON = json.JSONEncoder(ensure_ascii=False)  # made once, for events are many
_SPACES = (*range(0x0B, 0x0E), *range(0x1C, 0x20), 0x85)  # white space to Unicode and to str.isspace
_AS_MARKDOWN = dict.fromkeys((*range(9), *range(14, 32), *range(127, 160)), "�") | dict.fromkeys(_SPACES, " ")


class Disarmed:
    """Text as it streams, with a backslash in each of these marks, in whatever pieces one comes."""

    def __init__(self, *marks: str) -> None:
        self._marks = marks
        self._first_signs = frozenset(mark[0] for mark in marks)
        self._half = ""  # the end of the text, while it may be half of a mark

    def feed(self, text: str) -> str:
        """The text that is certain."""
        if not self._half and self._first_signs.isdisjoint(text):  # nearly always, and pieces are many
            return text
        text = self._half + text
        certain = len(text) - held_back(text, self._marks)
        self._half = text[certain:]
        return disarmed(text[:certain], self._marks)

    def close(self) -> str:
        """What was held back: it is no mark."""
        half, self._half = self._half, ""
        return half


def disarmed(text: str, marks: Sequence[str] = MARKS) -> str:
    """The text with a backslash in each of these marks."""
    return _pattern(tuple(marks)).sub(r"\g<0>\\", text)


@lru_cache
def _pattern(marks: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"{re.escape(mark[0])}(?={re.escape(mark[1:])})" for mark in marks) or r"(?!)")


def as_markdown(text: str) -> str:
    """The text without control characters: the replacement character for each, a space for those that are white."""
    return text.translate(_AS_MARKDOWN)


def as_shown(text: str) -> str:
    r"""The text as a terminal may have it: what would steer it as escapes, `\x1b`."""
    return _STEERING.sub(lambda match: ascii(match[0])[1:-1], text)


def as_json(value: Any) -> str:
    """JSON in Unicode, but for what could steer a terminal: that is escaped and comes to the same."""
    text = _JSON.encode(value)
    return _STEERING_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
