"""Which elements of a page are meant by some words of the user's. Knows no model."""

import html
import re
import unicodedata
from collections.abc import Sequence

from rapidfuzz import fuzz

from ocr.types import Element

CUTOFF = 85.0  # similarity from 0 to 100: one wrong letter in seven still matches
_TAG = re.compile(r"<[^<>]*>")
_NUMBER = re.compile(r"\d+")
# What stands for one key of the keyboard, or for nothing that is seen.
_APOSTROPHES = "\u2018\u2019\u201a\u201b\u2039\u203a\u02bb\u02bc\u2032\u0060\u00b4"  # and primes, and accents alone
_QUOTES = "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\u301d\u301e"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\u2e3a\u2e3b"  # hyphens, dashes, minus
_UNSEEN = "\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"  # soft hyphen, joiners, directions
_KEYS = {_APOSTROPHES: "'", _QUOTES: '"', _DASHES: "-", _UNSEEN: ""}
_KEYBOARD = str.maketrans({sign: key for signs, key in _KEYS.items() for sign in signs})


def best_matches(elements: Sequence[Element], reference: str) -> list[Element]:
    """The elements whose text holds the reference, best first.

    Case, spacing, the tags of tables and the many ways to write one character do not count (see `_plain`).

    Text that differs in a few letters matches too, after what is equal, but not where a number of the reference is
    missing: "Figure 3" is not "Figure 2" misread. Among equally good ones those with the least text beside the
    reference come first, then those that come first on the page.
    """
    wanted = _plain(reference)
    scored = [(_scores(wanted, _plain(_TAG.sub(" ", element.text))), element) for element in elements]
    found = [(scores, element) for scores, element in scored if scores[0] >= CUTOFF]
    return [element for _, element in sorted(found, key=lambda pair: pair[0], reverse=True)]


def _plain(text: str) -> str:
    """The text in one form for all that a reader takes for the same.

    Entities of HTML are read; quotes and dashes are the keyboard's; characters that are not seen are gone; what is left
    is NFKC without case (Unicode 3.13, toNFKC_Casefold), so that composed and decomposed letters, full width and
    ligatures agree.
    """
    text = html.unescape(text).translate(_KEYBOARD)
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).translate(_KEYBOARD)
    return " ".join(text.split())


def _scores(wanted: str, text: str) -> tuple[float, float]:
    """How well the best part of the text fits, and how well all of it does, from 0 to 100; both texts are plain."""
    close_wanted, close_text = wanted.replace(" ", ""), text.replace(" ", "")
    whole = fuzz.ratio(wanted, text)
    if not close_wanted:
        return 0.0, whole
    if close_wanted in close_text:
        return 100.0, whole
    if not set(_NUMBER.findall(wanted)) <= set(_NUMBER.findall(text)):
        return 0.0, whole
    # A text shorter than the reference must fit as a whole: a single letter is part of any reference.
    compare = fuzz.partial_ratio if len(close_text) >= len(close_wanted) else fuzz.ratio
    return min(compare(close_wanted, close_text, score_cutoff=CUTOFF), 99.0), whole
