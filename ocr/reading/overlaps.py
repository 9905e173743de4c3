"""What two parts of a page that overlap both show, kept once. Knows parsed answers alone."""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ocr.types import AnswerEvent, Box, Opened, Text

SAME = 0.5  # of the area of two boxes, together, that both cover where two parts show the same thing
WORDS = 200  # looked at where one part ends and the next begins; the lines that both show have fewer
COMPARED = 100  # elements with the same words, the last ones of the part before; lists of zeros have many
TELLING = 3  # words; fewer are the same words only where they are whole lines
_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Block:
    """An element as it was opened, or None for text outside of elements, and what it says."""

    opened: Opened | None
    text: str

    @property
    def box(self) -> Box | None:
        """Where it is, if that is known."""
        return self.opened.bbox if self.opened else None

    def events(self) -> Iterator[AnswerEvent]:
        """What a parser would yield of it."""
        if self.opened:
            yield self.opened
        if self.text:
            yield Text(self.text)


def blocks(events: Iterable[AnswerEvent]) -> list[Block]:
    """The blocks of an answer, in order."""
    found: list[tuple[Opened | None, list[str]]] = []
    for event in events:
        if isinstance(event, Opened):
            found.append((event, []))
        elif found:
            found[-1][1].append(event.text)
        else:
            found.append((None, [event.text]))
    return [Block(opened, "".join(texts)) for opened, texts in found]


def without_repeated(before: Sequence[Block], after: Sequence[Block], overlap: Box) -> list[Block]:
    """What a part says, without what the part before it, of which it shows this overlap once more, has said.

    Elements with a box are the same where their boxes are and their words are. Of the others that lie in the overlap
    the words are left out that end the one part and begin the other.
    """
    places = defaultdict[tuple[str, ...], list[Box]](list)  # by the words that are there
    for block in before:
        if block.box:
            places[tuple(block.text.split())].append(block.box)
    kept = [block for block in after if not _is_among(block, places.get(tuple(block.text.split()), ()))]
    shared = [block.box is None or common_box(block.box, overlap) is not None for block in kept]
    count = repeated_words(_text(before), _text(itertools.compress(kept, shared)))
    return list(_without_first_words(kept, shared, count))


def _is_among(block: Block, boxes: Sequence[Box]) -> bool:
    return block.box is not None and any(_are_same(block.box, box) for box in boxes[-COMPARED:])


def _are_same(box: Box, other: Box) -> bool:
    common = common_box(box, other)
    covered = area(common) if common else 0.0
    return covered > SAME * (area(box) + area(other) - covered)


def _text(some: Iterable[Block]) -> str:
    return "\n".join(block.text for block in some)


def common_box(box: Box, other: Box) -> Box | None:
    """What both boxes cover, if anything."""
    x1, y1 = max(box[0], other[0]), max(box[1], other[1])
    x2, y2 = min(box[2], other[2]), min(box[3], other[3])
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def area(box: Box) -> float:
    """How much a box covers, in square px."""
    return (box[2] - box[0]) * (box[3] - box[1])


def _without_first_words(all_blocks: Iterable[Block], shared: Iterable[bool], count: int) -> Iterator[Block]:
    """Blocks without so many words of those that are shared; what has none left is left out with its box."""
    for block, is_shared in zip(all_blocks, shared, strict=True):
        words = list(itertools.islice(_WORD.finditer(block.text), count if is_shared else 0))
        count -= len(words)
        rest = block.text[words[-1].end() :].lstrip() if words else block.text
        if rest or not words:
            yield Block(block.opened, rest)


def repeated_words(before: str, after: str) -> int:
    """How many words at the beginning of a text are to be left out, because the text before it ends with them.

    They are the longest run that ends one and begins the other. Before it in the one, and after it in the other, there
    may be a line more: the cut went through it, and what was read of it is whole in the other text.
    """
    (tail, tail_lines), (head, head_lines) = _words(before), _words(after)
    best = (0, 0)  # words of the run, and before it
    for skipped in (0, next((end for end in head_lines if end), 0)):
        for end in tail_lines[-1:-3:-1]:
            run = _longest_run(tail[max(0, end - WORDS) : end], head[skipped : skipped + WORDS])
            is_lines = end - run in tail_lines and skipped + run in head_lines
            if run > best[0] and (run >= TELLING or is_lines):
                best = run, skipped
    return sum(best)


def _words(text: str) -> tuple[list[str], list[int]]:
    """The words of a text, and the numbers of words before each of its lines and after the last, each once."""
    words: list[str] = []
    ends = [0]
    for line in text.splitlines():
        words += _WORD.findall(line)
        if len(words) > ends[-1]:
            ends.append(len(words))
    return words, ends


def _longest_run(before: Sequence[str], after: Sequence[str]) -> int:
    lengths = range(min(len(before), len(after)), 0, -1)
    return next((length for length in lengths if before[-length:] == after[:length]), 0)
