"""Finds each line of a page in a model's answer; what was found is taken, so that repeats are left over.

Lines that read the same, and numbers that stand in many cells of a table, are told apart by the lines beside them: what
stands side by side on the page does so in the answer.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from rapidfuzz.distance import Levenshtein

from ocr.checking.neighbours import IN_ROWS, ON_ALL_SIDES, Neighbours
from ocr.checking.signs import Signs

SHORT = 8  # signs; a shorter line counts as found only where it is whole words of the answer
PLACES = 500  # where a whole line is looked for at most, and
SEEDS = 50  # where GRAM signs of it are: of an endless repetition the first
GRAM = 4  # signs, looked up to find what a line and the answer have in common
SEED = 6  # signs that a line which is not found whole must have in common with the answer, in one piece
TOGETHER = 8  # signs that both have, or
SHARE = 0.6  # this share of the line, for a place of the answer to be the line's
GAP = 12  # signs that may differ at most between two pieces that are the same
SLACK = 8  # signs by which the line may be longer in the answer at either end
DEPTH = 6  # pieces of a line at most that are looked for one by one
CHANCE = 2  # signs of a word that are the same in another one for no reason
BESIDE = 2  # signs left over between two lines that still stand side by side


@dataclass(frozen=True)
class Block:
    """Signs that a line and the answer have in common."""

    start: int  # in the line
    place: int  # in the answer
    length: int

    @property
    def end(self) -> int:
        """In the line, after its last sign."""
        return self.start + self.length

    @property
    def place_end(self) -> int:
        """In the answer, after its last sign."""
        return self.place + self.length

    def without_first(self, signs: int) -> "Block":
        """The block that begins so many signs later."""
        return Block(self.start + signs, self.place + signs, self.length - signs)

    def without_last(self, signs: int) -> "Block":
        """The block that ends so many signs earlier."""
        return Block(self.start, self.place, self.length - signs)


class Matching:
    """The lines of a page and an answer, and which signs of the two are the same."""

    def __init__(self, lines: Sequence[Signs], neighbours: Neighbours, homes: Sequence[range], answer: Signs) -> None:
        """Finds everything. `homes` has for each line the part of the answer that is of the element it lies in."""
        self.lines, self.answer = lines, answer
        self.neighbours = neighbours
        self.taken = bytearray(len(answer))
        self.blocks: list[list[Block]] = [[] for _ in lines]  # of each line, in order
        self._homes = homes
        self._known: dict[str, list[int]] = {}
        self._runs: dict[int, dict[str, list[int]]] = {}
        longest = sorted(range(len(lines)), key=lambda index: -len(lines[index]))
        self._find_unmistakable(longest)
        left = [index for index in map(int, neighbours.order) if not self.blocks[index] and len(lines[index])]
        self._find_beside(left)
        for index in longest:
            if not self.blocks[index] and len(lines[index]) >= SHORT and not self._free(index):
                self._find_in_pieces(index, 0, len(lines[index]), DEPTH)
        self._find_beside(left)
        for index in left:
            if not self.blocks[index] and not self._take_beside(index) and (places := self._free(index)):
                self._take(index, min(places, key=lambda place: (place not in homes[index], place)))
        for index in map(int, neighbours.order):
            self._find_ends(index)

    def begin(self, index: int) -> int | None:
        """Where in the answer a line begins, if its beginning was found."""
        blocks = self.blocks[index] if index >= 0 else []
        return blocks[0].place if blocks and blocks[0].start == 0 else None

    def end(self, index: int) -> int | None:
        """Where in the answer a line is over, if its end was found."""
        blocks = self.blocks[index] if index >= 0 else []
        return blocks[-1].place_end if blocks and blocks[-1].end == len(self.lines[index]) else None

    def take(self, start: int, end: int) -> None:
        """These signs of the answer are accounted for."""
        self.taken[start:end] = b"\1" * (end - start)

    def is_free(self, start: int, end: int) -> bool:
        """Whether none of these signs of the answer are taken."""
        return self.taken.find(1, start, end) < 0

    def _find_unmistakable(self, longest: Iterable[int]) -> None:
        count = Counter(line.signs for line in self.lines)
        for index in longest:
            if count[self.lines[index].signs] == 1 and len(places := self._free(index)) == 1:
                self._take(index, places[0])

    def _find_beside(self, left: Sequence[int]) -> None:
        """Take places next to those of other lines: along rows first, for below a cell there is another row."""
        for sides in (IN_ROWS, ON_ALL_SIDES):
            for is_forward in (True, False, True):
                for index in left if is_forward else reversed(left):
                    if not self.blocks[index]:
                        self._take_beside(index, sides)

    def _take_beside(self, index: int, sides: int = ON_ALL_SIDES) -> bool:
        """Take the place next to that of a line beside this one, if the line stands there."""
        length = len(self.lines[index])
        beside = [end + gap for end in self.ends_before(index, sides) for gap in range(BESIDE + 1)]
        beside += [begin - length - gap for begin in self.begins_after(index, sides) for gap in range(BESIDE + 1)]
        place = next((place for place in beside if self._stands_at(index, place)), None)
        if place is not None:
            self._take(index, place)
        return place is not None

    def ends_before(self, index: int, sides: int = ON_ALL_SIDES) -> list[int]:
        """Where in the answer those lines end that stand before this one."""
        before = map(self.end, map(int, self.neighbours.before[index, :sides]))
        return [end for end in before if end is not None]

    def begins_after(self, index: int, sides: int = ON_ALL_SIDES) -> list[int]:
        """Where in the answer those lines begin that stand after this one."""
        after = map(self.begin, map(int, self.neighbours.after[index, :sides]))
        return [begin for begin in after if begin is not None]

    def _find_ends(self, index: int) -> None:
        """Take the first and last words of a line that were not found with the rest, next to lines beside it."""
        line, blocks = self.lines[index], self.blocks[index]
        first = blocks[0].start if blocks else len(line)
        for place in self.ends_before(index) if first else ():
            if length := self._words_at(line, 0, first, place, 1):
                self._add(index, [Block(0, place, length)])
                break
        last = self.blocks[index][-1].end if self.blocks[index] else 0
        for place in self.begins_after(index) if last < len(line) else ():
            if length := self._words_at(line, last, len(line), place, -1):
                self._add(index, [Block(len(line) - length, place - length, length)])
                break

    def _words_at(self, line: Signs, start: int, end: int, place: int, step: int) -> int:
        """How many signs of a part of a line, in whole words, the answer has from a place on; at step -1 before it."""
        length = 0
        for sign in line.signs[start:end][::step]:
            there = place + length if step > 0 else place - length - 1
            if not 0 <= there < len(self.answer) or self.taken[there] or self.answer.signs[there] != sign:
                break
            length += 1
        origin = start if step > 0 else end
        while length and not (line.is_border(origin + step * length) and self.answer.is_border(place + step * length)):
            length -= 1
        return length

    def _stands_at(self, index: int, place: int) -> bool:
        line = self.lines[index].signs
        end = place + len(line)
        return (
            place >= 0
            and self.answer.signs.startswith(line, place)
            and self.is_free(place, end)
            and (len(line) >= SHORT or (self.answer.is_border(place) and self.answer.is_border(end)))
        )

    def _take(self, index: int, place: int) -> None:
        self._add(index, [Block(0, place, len(self.lines[index]))])

    def _add(self, index: int, blocks: Iterable[Block]) -> None:
        for block in blocks:
            self.take(block.place, block.place_end)
            self.blocks[index].append(block)
        self.blocks[index].sort(key=lambda block: block.start)

    def _free(self, index: int) -> list[int]:
        """Where a line may be found whole; as whole words, where there are such places."""
        length = len(self.lines[index])
        places = [place for place in self._places(self.lines[index].signs) if self.is_free(place, place + length)]
        border = self.answer.is_border
        whole = [place for place in places if border(place) and border(place + length)]
        return whole if whole or length < SHORT else places

    def _places(self, line: str) -> list[int]:
        """Where signs stand in the answer, taken or not; short ones as whole words."""
        if len(line) < SHORT:
            return self._words(len(line)).get(line, [])[:PLACES]
        if line not in self._known:
            self._known[line] = list(islice(_all_places(self.answer.signs, line), PLACES))
        return self._known[line]

    def _words(self, length: int) -> dict[str, list[int]]:
        """Where runs of whole words of this length stand in the answer."""
        if length not in self._runs:
            runs = self._runs[length] = defaultdict(list)
            for start in self._borders:
                if self.answer.is_border(start + length):
                    runs[self.answer.signs[start : start + length]].append(start)
        return self._runs[length]

    @cached_property
    def _borders(self) -> list[int]:
        return [place for place in range(len(self.answer)) if self.answer.is_border(place)]

    @cached_property
    def _grams(self) -> dict[str, list[int]]:
        """Where each GRAM signs stand in what is left of the answer when this is first asked for."""
        grams: dict[str, list[int]] = defaultdict(list)
        signs = self.answer.signs
        for place in range(len(signs) - GRAM + 1):
            if self.is_free(place, place + GRAM):
                grams[signs[place : place + GRAM]].append(place)
        return grams

    def _find_in_pieces(self, index: int, start: int, end: int, depth: int) -> None:
        """Take what a part of a line and the answer have in common around the longest piece, then the rest likewise."""
        seed = self._longest_piece(self.lines[index].signs[start:end], self._homes[index])
        if seed is None or not depth:
            return
        blocks = self._around(index, start, end, Block(start + seed.start, seed.place, seed.length))
        same = sum(block.length for block in blocks)
        if not blocks or (same < TOGETHER and same < SHARE * (end - start)):
            return
        self._add(index, blocks)
        for first, last in ((start, blocks[0].start), (blocks[-1].end, end)):
            if last - first >= SHORT:
                self._find_in_pieces(index, first, last, depth - 1)

    def _longest_piece(self, part: str, home: range) -> Block | None:
        """The longest piece of a text that stands in what is left of the answer; of equal ones one in the home."""
        best, best_worth = None, (SEED - 1, True)
        lengths: dict[int, int] = {}  # of the piece that ends with the gram at each place
        for start in range(len(part) - GRAM + 1):
            places = self._grams.get(part[start : start + GRAM], [])[:SEEDS]
            following = {}
            for place in places:
                if self.is_free(place, place + GRAM):
                    length = following[place] = lengths.get(place - 1, GRAM - 1) + 1
                    if (length, place in home) > best_worth:
                        best_worth = length, place in home
                        end = start + GRAM
                        best = Block(end - length, place + GRAM - length, length)
            lengths = following
        return best

    def _around(self, index: int, start: int, end: int, seed: Block) -> list[Block]:
        """The pieces of a part of a line that are the same in the answer around the seed, with short gaps between."""
        first, last = seed.place, seed.place_end
        most_first, most_last = first - (seed.start - start) - SLACK, last + (end - seed.end) + SLACK
        while first > max(most_first, 0) and not self.taken[first - 1]:
            first -= 1
        while last < min(most_last, len(self.answer)) and not self.taken[last]:
            last += 1
        line, answer = self.lines[index].signs[start:end], self.answer.signs[first:last]
        operations = Levenshtein.opcodes(line, answer)
        same = [
            Block(start + each.src_start, first + each.dest_start, each.src_end - each.src_start)
            for each in operations
            if each.tag == "equal"
        ]
        blocks = _connected(same)
        if blocks[0].start > start:
            blocks[0] = blocks[0].without_first(self._of_word(index, blocks[0].start, 1))
        if blocks[-1].end < end:
            blocks[-1] = blocks[-1].without_last(self._of_word(index, blocks[-1].end, -1))
        return [block for block in blocks if block.length > 0]

    def _of_word(self, index: int, place: int, step: int) -> int:
        """How many signs from here on are of a word whose other end was not found: one or two are there by chance."""
        line = self.lines[index]
        return next((signs for signs in range(CHANCE + 1) if line.is_border(place + step * signs)), 0)


def _all_places(text: str, part: str) -> Iterator[int]:
    place = text.find(part)
    while place >= 0:
        yield place
        place = text.find(part, place + 1)


def _connected(blocks: Sequence[Block]) -> list[Block]:
    """The longest block and those around it, as far as the gaps are short beside them."""
    longest = max(range(len(blocks)), key=lambda number: blocks[number].length)
    first = last = longest
    while first > 0 and _are_near(blocks[first - 1], blocks[first], blocks[first - 1].length):
        first -= 1
    while last < len(blocks) - 1 and _are_near(blocks[last], blocks[last + 1], blocks[last + 1].length):
        last += 1
    return list(blocks[first : last + 1])


def _are_near(block: Block, following: Block, length: int) -> bool:
    gap = max(following.start - block.end, following.place - block.place_end)
    return gap <= min(GAP, 2 * length)
