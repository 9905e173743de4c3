"""Whether a text can be what stands on a page: a model that cannot read one writes noise, and nothing else says so.

Each measure looks at what no language does. It knows no words and no language, takes time in proportion to the text,
and errs on the side of silence: short texts, numbers and code are not judged. bench/implausible.md has the figures.
"""

import re
import unicodedata
import zlib
from collections.abc import Iterator
from itertools import groupby, pairwise

from ocr.checking.trigrams import LETTERS, is_known

FEW_WORDS, FEW_TRIGRAMS = 15, 45  # different ones; with fewer a text is not judged by them
NOISE = 0.014  # odd words times unknown trigrams, both as shares; of 417 languages one has more than 0.006, 0.0128
STRANGE = 0.6  # of trigrams unknown, from which on these are enough; 0.47 in the strangest language
FEW_LETTERS = 60  # with fewer of one kind nothing is said of them
BROKEN = 0.1  # of the letters beyond ASCII, or of all signs for those that stand for none
REPEATED = 20.0  # times that a text is longer than what says the same; lists of yes and no have 10
LONG = 600  # letters of a text that may be repeated
CHANGES = 8  # within lines from one of these scripts to another
SCRIPTS = {
    **{name: name for name in ("CYRILLIC", "ARMENIAN", "HEBREW", "ARABIC", "DEVANAGARI", "BENGALI", "GURMUKHI")},
    **{name: name for name in ("GUJARATI", "TAMIL", "TELUGU", "KANNADA", "MALAYALAM", "SINHALA", "THAI", "LAO")},
    **{name: name for name in ("MYANMAR", "GEORGIAN", "ETHIOPIC", "KHMER", "MONGOLIAN", "TIBETAN")},
    **dict.fromkeys(("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"), "CJK"),
}
MOST_TEXT = 100_000  # characters that are looked at

_MARKUP = re.compile(r"<[^<>\n]{1,200}>|\[\[[\d, ]*\]\]|!?\[[^\[\]\n]*\]\([^()\s]*\)|https?:\S+|\\[a-zA-Z]+")
_FORMULA = re.compile(r"\\\(.*?\\\)|\\\[.*?\\\]|\$\$[^$]*\$\$|\$[^$\n]*\$", re.DOTALL)
_AROUND = ".,;:!?()[]\"'«»“”„…*#<>|"  # stands around words
_CODE = re.compile(r"[_=(){}\[\]<>/\\|@&*+:]")
_WORD = re.compile(r"[^\W_]+")
_HEX = re.compile(r"(?:0[xX])?[0-9a-fA-F]+")
_DIGITS_WITHIN = re.compile(r"[^\W\d]\d+[^\W\d]|\d[^\W\d]+\d|^\d+[^\W\d]{4,}")
_THRICE = re.compile(r"([^\Wixwmcd\d])\1\1", re.IGNORECASE)  # other letters come three in a row in III and www
_CAPITALS_WITHIN = re.compile(r"(?:[a-z][A-Z]{2,}|[A-Z]{2,}[a-z]).*(?:[a-z][A-Z]{2,}|[A-Z]{2,}[a-z])")
# UTF-8 that was read as Windows-1252 or Latin-1: the first byte of two or three, and the next one.
_MOJIBAKE = re.compile(
    "[\u00c2-\u00ef][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u2026\u2030\u2039\u203a\u20ac\u2122]"
)
_OTHER_LETTERS = re.compile(r"[^\W\d_\x00-\x7f]")
_NOTHING = re.compile("[\ufffd\ue000-\uf8ff\x80-\x9f]")


def implausible(text: str) -> str:
    """What keeps a text from being what stands on a page, as a sentence; "" where nothing is found."""
    text = _MARKUP.sub(" ", _FORMULA.sub(" ", text[:MOST_TEXT]))
    return _broken(text) or _repeated(text) or _mixed(text) or _noise(text)


def _broken(text: str) -> str:
    """Characters that were read in the wrong encoding, or stand for nothing."""
    signs = len(text) - text.count(" ")
    if (nothing := len(_NOTHING.findall(text))) > max(BROKEN * signs, FEW_LETTERS / 6):
        return f"The text has {nothing} characters that have no meaning."
    pairs, others = len(_MOJIBAKE.findall(text)), len(_OTHER_LETTERS.findall(text))
    if pairs >= FEW_LETTERS / 6 and pairs > others / 4:
        return f"The text has {pairs} pairs of signs, such as Ã¼, of letters that were taken apart."
    return ""


def _repeated(text: str) -> str:
    signs = "".join(text.split()).encode()
    times = len(signs) / len(zlib.compress(signs)) if sum(map(str.isalpha, text)) >= LONG else 0
    return f"The text says {times:.0f} times over what it says." if times >= REPEATED else ""


def _mixed(text: str) -> str:
    """Words of many scripts one after the other, as tokens have that are drawn at random."""
    changes = sum(
        one != other
        for line in text.splitlines()
        for one, other in pairwise(script for script, _ in groupby(_scripts(line)))
    )
    return f"The text changes between scripts {changes} times within lines." if changes >= CHANGES else ""


def _scripts(line: str) -> Iterator[str]:
    """The scripts of the letters of a line, as far as they stand beside no other but Latin."""
    names = (
        unicodedata.name(letter, "").partition(" ")[0] for letter in line if letter > "\u03ff" and letter.isalpha()
    )
    return (SCRIPTS[name] for name in names if name in SCRIPTS)


def _noise(text: str) -> str:
    """Words of Latin letters in no order that a language has, and such as are none: with digits amid letters."""
    words = list(dict.fromkeys(_words(text)))
    plain = [word for word in words if word.isalpha() and len(word) > 2]
    trigrams = {gram for word in plain for gram in _trigrams(word)}
    if len(words) < FEW_WORDS or len(trigrams) < FEW_TRIGRAMS:
        return ""
    odd = sum(map(_is_odd, words)) / len(words)
    unknown = sum(not is_known(gram) for gram in trigrams) / len(trigrams)
    if odd * unknown < NOISE and unknown < STRANGE:
        return ""
    return (
        f"The text reads as noise: {odd:.0%} of its words are none, and {unknown:.0%} of their letters are in no order "
        "that words have."
    )


def _words(text: str) -> Iterator[str]:
    """The words of Latin letters, with or without digits, that are not part of code."""
    for token in text.split():
        token = token.strip(_AROUND)
        if not _CODE.search(token):
            for word in _WORD.findall(token):
                folded = _folded(word)
                if len(word) > 1 and not word.isdecimal() and not _HEX.fullmatch(word) and folded.isascii():
                    yield folded


def _folded(word: str) -> str:
    """The word without marks on its letters."""
    if word.isascii():
        return word
    return "".join(
        sign for sign in unicodedata.normalize("NFKD", word.translate(LETTERS)) if not unicodedata.combining(sign)
    )


def _is_odd(word: str) -> bool:
    return bool(_DIGITS_WITHIN.search(word) or _THRICE.search(word) or _CAPITALS_WITHIN.search(word))


def _trigrams(word: str) -> Iterator[str]:
    word = f" {word.lower()} "
    return (word[start : start + 3] for start in range(len(word) - 2))
