"""Model text as parsers handle it: what must wait for more of it, and pieces of it in messages."""

from collections.abc import Sequence


def held_back(text: str, markers: Sequence[str]) -> int:
    """How many last characters of the text may be the beginning of a marker, and must wait."""
    longest = min(len(text), max(map(len, markers), default=1) - 1)
    for length in range(longest, 0, -1):
        if any(len(marker) > length and marker.startswith(text[-length:]) for marker in markers):
            return length
    return 0


def shown(text: str) -> str:
    """A piece of model text as it stands in a message."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
