"""Where a line and the answer part, and what stands in the one and the other there. Knows signs alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from rapidfuzz.distance import Indel

from ocr.checking.matching import SHORT, Matching
from ocr.checking.signs import Signs, tells

LONG = 24  # signs; two longer readings of one place must be alike to be taken for such
ALIKE = 0.5  # from 0 to 1
TIMES = 2  # as long as one reading of a place may the other be, and SHORT signs more
_LOOK_ALIKES = str.maketrans("oli", "011")


@dataclass(frozen=True)
class Gap:
    """Signs of a line that were not found where they belong in the answer, and those that stand there."""

    start: int  # in the line
    end: int
    place: int  # in the answer; with no signs there, place and place_end are the same
    place_end: int
    line: str = ""  # the signs that differ
    answer: str = ""

    @property
    def tells(self) -> bool:
        """Whether a reader would call it a difference: numbers or words, and not 0 for o or 1 for l."""
        are_alike = self.line.translate(_LOOK_ALIKES) == self.answer.translate(_LOOK_ALIKES)
        return not are_alike and tells(self.line, self.answer)


def gaps(matching: Matching, index: int) -> list[Gap]:
    """The gaps of a line in order, those in the same words as one, widened to whole words."""
    line, answer = matching.lines[index], matching.answer
    found: list[Gap] = []
    for gap in _gaps(matching, index):
        gap = replace(gap, line=line.signs[gap.start : gap.end], answer=answer.signs[gap.place : gap.place_end])
        wide = _widened(gap, line, answer)
        if found and wide.start < found[-1].end:
            last = found.pop()
            wide = Gap(
                last.start, wide.end, last.place, wide.place_end, last.line + wide.line, last.answer + wide.answer
            )
        found.append(wide)
    return found


def _gaps(matching: Matching, index: int) -> Iterator[Gap]:
    """The signs of a line that were not found, each with what is left of the answer at the same place."""
    length, blocks = len(matching.lines[index]), matching.blocks[index]
    if not blocks:
        yield _beside(matching, index, 0, length, matching.ends_before(index), matching.begins_after(index))
        return
    if blocks[0].start:
        yield _beside(matching, index, 0, blocks[0].start, [], [blocks[0].place])
    for block, following in pairwise(blocks):
        width, room = following.start - block.end, following.place - block.place_end
        if not width and not room:
            continue
        if 0 <= room <= TIMES * width + SHORT and matching.is_free(block.place_end, following.place):
            yield Gap(block.end, following.start, block.place_end, following.place)
        elif width:
            yield _beside(matching, index, block.end, following.start, [block.place_end], [following.place])
    if blocks[-1].end < length:
        yield _beside(matching, index, blocks[-1].end, length, [blocks[-1].place_end], [])


def _beside(matching: Matching, index: int, start: int, end: int, ends: Sequence[int], begins: Sequence[int]) -> Gap:
    """These signs of a line with what is left of the answer after one of `ends` or before one of `begins`."""
    line, answer = matching.lines[index], matching.answer
    wanted = line.signs[start:end]
    most = TIMES * len(wanted) + SHORT
    for place in ends:
        stop = _free_until(matching, place, 1, most)
        if stop > place:
            whole = stop - place < most
            words = stop if whole else _words(answer, place, stop, _count(line, start, end))
            if _are_readings(wanted, answer.signs[place:words], whole):
                return Gap(start, end, place, words)
    for place in begins:
        stop = _free_until(matching, place, -1, most)
        if stop < place:
            whole = place - stop < most
            words = stop if whole else _last_words(answer, stop, place, _count(line, start, end))
            if _are_readings(wanted, answer.signs[words:place], whole):
                return Gap(start, end, words, place)
    place = next(iter((*ends, *begins)), 0)
    return Gap(start, end, place, place)


def _free_until(matching: Matching, place: int, step: int, most: int) -> int:
    """How far the answer is left over from here on, forwards or backwards."""
    stop = place
    while abs(stop - place) < most:
        following = stop if step > 0 else stop - 1
        if not 0 <= following < len(matching.answer) or matching.taken[following]:
            break
        stop += step
    return stop


def _count(signs: Signs, start: int, end: int) -> int:
    return len(set(signs.word[start:end]))


def _words(signs: Signs, place: int, stop: int, count: int) -> int:
    """Where so many words that begin here are over."""
    known = sorted(set(signs.word[place:stop]))[:count]
    return place + sum(word in known for word in signs.word[place:stop])


def _last_words(signs: Signs, stop: int, place: int, count: int) -> int:
    known = sorted(set(signs.word[stop:place]))[-count:]
    return place - sum(word in known for word in signs.word[stop:place])


def _are_readings(line: str, answer: str, is_all: bool) -> bool:
    """Whether two texts may be readings of the same print; `is_all` where nothing else is left at that place."""
    if max(len(line), len(answer)) < LONG and (is_all or (_has_digits(line) and _has_digits(answer))):
        return True
    return Indel.normalized_similarity(line, answer) >= ALIKE


def _has_digits(text: str) -> bool:
    return any(sign.isdigit() for sign in text)


def _widened(gap: Gap, line: Signs, answer: Signs) -> Gap:
    """The gap with the rest of the words it is in on either side, as far as they are the same on both."""
    start, end, place, place_end = gap.start, gap.end, gap.place, gap.place_end
    for _ in range(2):
        left = max(start - line.whole_words(start, end)[0], place - answer.whole_words(place, place_end)[0])
        right = max(line.whole_words(start, end)[1] - end, answer.whole_words(place, place_end)[1] - place_end)
        left, right = min(left, start, place), min(right, len(line) - end, len(answer) - place_end)
        start, end, place, place_end = start - left, end + right, place - left, place_end + right
    return replace(gap, start=start, end=end, place=place, place_end=place_end)
