"""A text in the form in which two readings of a page are compared: its letters and numbers. Knows no page."""

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass

_DASHES = dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d", "-")  # hyphens, dashes, minus
_POINTS = {"\u2044": "/", "\u2215": "/", "\u2236": ":", "\uff0e": ".", "\uff0c": ",", "\uff1a": ":", "\uff0f": "/"}
_VARIANTS = str.maketrans({**_DASHES, **_POINTS, "×": "x"})
_IN_NUMBERS = re.compile(r"(?<=\d)(?:[.,:/]|\s*-\s*)(?=\d)|(?<![\w)\]])-(?=\d)")  # the points of a number, or its minus
_ACCENTS = re.compile("[\u0300-\u036f]")
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff"  # of scripts that set no words apart
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_LONGEST_WORD = 40  # signs; no more of a word is looked for on either side


@dataclass(frozen=True)
class Signs:
    """What counts of a text: letters and digits without case, accents and white space, and the points in numbers."""

    text: str
    signs: str
    at: Sequence[int]  # where in the text each sign stands
    word: Sequence[int]  # the number of the word that each sign belongs to: white space, or an ideograph, ends one
    unknown: frozenset[int]  # the numbers of words that hold letters outside of the alphabet
    lost: int  # such letters; they are no signs

    def __len__(self) -> int:
        return len(self.signs)

    def is_border(self, index: int) -> bool:
        """Whether a word begins with this sign, or all are over before it."""
        return not 0 < index < len(self.signs) or self.word[index] != self.word[index - 1]

    def whole_words(self, start: int, end: int) -> tuple[int, int]:
        """These signs and the rest of the words in whose middle they begin and end."""
        first, last = max(start - _LONGEST_WORD, 0), min(end + _LONGEST_WORD, len(self.signs))
        while start > first and not self.is_border(start):
            start -= 1
        while end < last and not self.is_border(end):
            end += 1
        return start, end

    def shown(self, start: int, end: int) -> str:
        """These signs as they stand in the text, on one line, with the punctuation that stands at them."""
        if start == end:
            return ""
        first, last = self.at[start], self.at[end - 1] + 1
        least = self.at[start - 1] + 1 if start else 0
        most = self.at[end] if end < len(self.at) else len(self.text)
        while first > least and not self.text[first - 1].isspace():
            first -= 1
        while last < most and not self.text[last].isspace():
            last += 1
        return " ".join(self.text[first:last].split())

    def are_known(self, start: int, end: int) -> bool:
        """Whether the words that these signs are of have no letters outside of the alphabet."""
        return not self.unknown or self.unknown.isdisjoint(self.word[start:end])


class Alphabet:
    """The letters that a reader knows; None for all that there are."""

    def __init__(self, letters: Collection[str] | None = None) -> None:
        self._letters = letters if letters is None else frozenset(letters)
        self._forms: dict[str, str | None] = {}  # what was asked for so far

    def signs(self, text: str) -> Signs:
        """The signs of a text. Letters that are not in the alphabet are lost, as they are to a reader without them."""
        plain = text.translate(_VARIANTS)
        points = {match.start() + match[0].index(match[0].strip()) for match in _IN_NUMBERS.finditer(plain)}
        signs: list[str] = []
        at: list[int] = []
        word: list[int] = []
        unknown: list[int] = []
        for number, found in enumerate(_WORD.finditer(plain)):
            for index in range(found.start(), found.end()):
                form = plain[index] if index in points else self._form(text[index], plain[index])
                if form is None:
                    unknown.append(number)
                else:
                    signs += form
                    at += [index] * len(form)
                    word += [number] * len(form)
        return Signs(text, "".join(signs), at, word, frozenset(unknown), len(unknown))

    def _form(self, written: str, plain: str) -> str | None:
        """What a character is compared as, "" for nothing; None for a letter that is not in the alphabet."""
        if written not in self._forms:
            variants = {written, written.lower(), written.upper(), unicodedata.normalize("NFKC", written)}
            is_lost = self._letters is not None and written.isalpha() and variants.isdisjoint(self._letters)
            self._forms[written] = None if is_lost else _folded(plain)
        return self._forms[written]


def _folded(character: str) -> str:
    """A character without case, accents and its variants; "" unless it is a letter or a digit."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", character).casefold())
    composed = unicodedata.normalize("NFC", _ACCENTS.sub("", folded))
    return "".join(sign for sign in composed if sign.isalnum())


def tells(*readings: str) -> bool:
    """Whether a difference is worth telling, which reads so on the one side and on the other: a number, or a word.

    It holds a digit or a point of a number, or at least three letters, for which one ideograph stands too.
    """
    return any(
        any(not sign.isalpha() for sign in reading) or sum(3 if _is_ideograph(sign) else 1 for sign in reading) >= 3
        for reading in readings
    )


def _is_ideograph(sign: str) -> bool:
    return "\u3400" <= sign <= "\u9fff" or sign >= "\U00020000"
