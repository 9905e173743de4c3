"""What every face says of the problems of a page, and of names that others gave, in a few words."""

from collections.abc import Sequence

from ocr.types import Check

LONGEST = 200  # characters of a problem, which may quote the model


def in_short(problems: Sequence[str]) -> str:
    """The first problem on one line, and how many there are if it is not the only one."""
    first = printable(" ".join(problems[0].split()))
    first = first if len(first) <= LONGEST else f"{first[:LONGEST]}…"
    return first if len(problems) == 1 else f"{count(len(problems), 'problem')}; the first: {first}"


def in_counts(check: Check) -> str:
    """What a second reading says of a page: `2 omitted, 1 unsupported, 3 conflicts`."""
    if check.failure:
        return "cannot be checked"
    if not check.disagreements:
        return "no disagreement"
    parts = (
        f"{len(check.omitted)} omitted" if check.omitted else "",
        f"{len(check.unsupported)} unsupported" if check.unsupported else "",
        count(len(check.conflicts), "conflict") if check.conflicts else "",
    )
    return ", ".join(filter(None, parts))


def printable(text: str) -> str:
    """Some text on one line: what a terminal would not print, line ends among it, as escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def count(number: int, noun: str) -> str:
    """A number of things: `1 page`, `2 pages`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
