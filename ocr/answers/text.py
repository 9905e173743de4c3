"""Model text as parsers handle it: what must wait for more of it, and pieces of it in messages."""

from collections.abc import Sequence

FENCE_SIGNS = ("`", "~")


def held_back(text: str, markers: Sequence[str]) -> int:
    """How many last characters of the text may be the beginning of a marker, and must wait."""
    longest = min(len(text), max(map(len, markers), default=1) - 1)
    for length in range(longest, 0, -1):
        if any(len(marker) > length and marker.startswith(text[-length:]) for marker in markers):
            return length
    return 0


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
