"""What lines of print say of what is missing in them. Knows no networks and no pixels."""

import re
from collections.abc import Iterator, Mapping, Sequence

from ocr.types import Line, Problem

# Scripts of which the network was taught some letters only: those that it lacks are missing from the text, and no low
# score tells. The letters that it has betray the script.
_SIGNS: Mapping[str, re.Pattern[str]] = {
    "This seems to be Vietnamese, of which letters with two marks or one below (ế, ạ) were lost without a trace": (
        re.compile("[ơưƠƯ]")  # horned letters are in no other language's alphabet
    ),
    "This seems to be Greek, of which letters with accents (ά, ή) were lost without a trace": (
        re.compile("[\u0391-\u03c9]{4}")  # fewer in a row may be a formula
    ),
    "A low opening quotation mark („) seems to have been lost": re.compile(r"^(?!.*„).*\w[.,!?]?“(?!\w)"),
}


def problems(lines: Sequence[Line]) -> Iterator[Problem]:
    """What is missing in a page, as far as its lines tell: those without text, and those whose text betrays it."""
    if unread := tuple(line.bbox for line in lines if not line.text):
        count = "a place" if len(unread) == 1 else f"{len(unread)} places"
        yield Problem(
            f"Print in {count} was found and could not be read: it is of a script that this model does not know, too "
            "faint, or no print",
            unread,
        )
    for says, sign in _SIGNS.items():
        if places := tuple(line.bbox for line in lines if sign.search(line.text)):
            yield Problem(says, places)
