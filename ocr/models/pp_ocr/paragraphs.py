"""A stack of lines as paragraphs and items of lists."""

import math
import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from ocr.models.pp_ocr.chains import is_full
from ocr.models.pp_ocr.spans import Span, is_cjk

INDENT = 0.8  # heights that a line begins further right to be indented
SURE = 30  # letters of a line that surely ends because it is full; a shorter one may be one of an address
WIDE_PITCH = 1.35  # times the usual distance between lines, from which on a paragraph ends
BULLET = re.compile(r"([•●○◦▪■□‣·]|[*–—-](?=\s))\s*(?=\S)")
NUMBER = re.compile(r"(\d{1,3})([.)])\s*(?![\d\s])")
_ENDS_SENTENCE = re.compile(r"[.!?:;\u3002\uff01\uff1f\uff1a\uff1b][\"'\u201d\u2019)\]\uff09\u300d\u300f]*$")
_OPEN_END = re.compile(r"\w[/–—-]$")  # of a line that the next goes on without a space: 0.95–1.46
_WORD = re.compile(r"[^\W\d_]+")
_CUT_WORD = re.compile(r"([^\W\d_]{2,}-)$")


@dataclass(frozen=True)
class Paragraph:
    """Lines that belong together."""

    spans: tuple[Span, ...]
    right: float  # px, where its column ends

    @property
    def height(self) -> float:
        return median(span.height for span in self.spans)

    @property
    def size(self) -> float:
        return median(span.size for span in self.spans)

    @property
    def x1(self) -> float:
        return min(span.x1 for span in self.spans)

    @property
    def weight(self) -> int:
        return sum(span.weight for span in self.spans)

    def text(self, compounds: Container[str] = ()) -> str:
        """Its lines as one text: a line that ends short keeps its end, a word cut in two is whole again unless it is
        one of the `compounds`, which are written with a hyphen."""
        texts = [self.spans[0].text]
        for upper, lower in pairwise(self.spans):
            goes_on = upper.weight >= SURE or lower.text[0].islower() or is_cjk(lower.text[0])
            if goes_on and is_full(upper, lower, self.right):
                texts[-1:] = _joined(texts[-1], lower.text, compounds)
            else:
                texts += ["\n", lower.text]
        return "".join(texts)


def _joined(text: str, more: str, compounds: Container[str]) -> tuple[str, str]:
    """Two lines that follow each other, as they are written in one."""
    if (cut := _CUT_WORD.search(text)) and more[0].islower():
        rest = _WORD.match(more)
        return (text if rest and cut[1] + rest[0] in compounds else text[:-1]), more
    goes_on = is_cjk(text[-1]) or is_cjk(more[0]) or _OPEN_END.search(text)
    return (text if goes_on else f"{text} "), more


def paragraphs(chain: Sequence[Span]) -> list[Paragraph]:
    """The stack cut where a paragraph or an item of a list begins."""
    right = max(span.x2 for span in chain)
    starts = [0, *_starts(chain, right), len(chain)]
    return [Paragraph(tuple(chain[first:last]), right) for first, last in pairwise(starts)]


def _starts(chain: Sequence[Span], right: float) -> Iterator[int]:
    """Which lines after the first begin something."""
    pitches = [lower.middle - upper.middle for upper, lower in pairwise(chain)]
    pitch = median(pitches) if len(pitches) > 1 else math.inf
    left = min(span.x1 for span in chain)
    fulls = [is_full(upper, lower, right) for upper, lower in pairwise(chain)]
    indented = [span.x1 > left + INDENT * span.height for span in chain]
    hangs = _hangs(indented, fulls)
    begun = chain[0]
    for n in range(1, len(chain)):
        text, is_broken = chain[n].text, not fulls[n - 1] or bool(_ENDS_SENTENCE.search(chain[n - 1].text))
        if (
            _is_next_item(begun, chain[n])
            or pitches[n - 1] > WIDE_PITCH * pitch
            or BULLET.match(text)
            or (NUMBER.match(text) and is_broken)
            or (hangs and not indented[n] and (indented[n - 1] or not fulls[n - 1]))
            or (not hangs and indented[n] and not indented[n - 1] and is_broken)
            or (not fulls[n - 1] and is_broken and _ENDS_SENTENCE.search(chain[n - 1].text) and not text[0].islower())
        ):
            begun = chain[n]
            yield n


def _is_next_item(item: Span, other: Span) -> bool:
    """Whether the other begins with the number that follows the item's, at the same place."""
    first, second = NUMBER.match(item.text), NUMBER.match(other.text)
    follows = first and second and int(second[1]) == int(first[1]) + 1
    return bool(follows) and abs(item.x1 - other.x1) <= INDENT * item.height


def _hangs(indented: Sequence[bool], fulls: Sequence[bool]) -> bool:
    """Whether the lines after a paragraph's first are the ones that are indented: those go on after full lines."""
    after = [full for full, is_indented in zip(fulls, indented[1:], strict=True) if is_indented]
    return not indented[0] and sum(after) * 2 > len(after)
