"""A model's answer beside the lines of its page: what the one has and the other lacks, and what they read differently.

They disagree; which of them is right, nobody knows here. Knows no pixels and no network.
"""

from collections.abc import Collection, Iterator, Sequence

from ocr.checking.answers import Answer, compared
from ocr.checking.gaps import Gap, gaps
from ocr.checking.matching import SHORT, Matching
from ocr.checking.neighbours import Neighbours
from ocr.checking.signs import Alphabet, tells
from ocr.types import Box, Check, Conflict, Element, Line, Omitted, Unsupported

SURE = (
    0.8  # score of a line that is believed where the answer lacks it; logos and formulas are read as less certain ones
)
UNREAD = 0.5  # of the print on a page, by length of its lines, that could not be read: the page cannot be checked
FOREIGN = 0.3  # of the answer's letters, that the lines cannot have: likewise
MOST_LINES = 3000  # a page of a newspaper has fewer
MOST_SIGNS = 200_000  # of an answer; the longest that can be asked for, 32,768 tokens, has about as many characters


def check(lines: Sequence[Line], elements: Sequence[Element], letters: Collection[str] | None = None) -> Check:
    """Compare a page's answer, as its elements in order, with the lines found on the page.

    An answer that is text alone is one element of type text without a box. `letters` are all that a line can have; None
    for any. Boxes are in page pixels. Pictures, formulas and what lies inside of them are left out. White space, case,
    accents, punctuation but for that in numbers, markdown's marks and the tags of tables do not count.
    """
    alphabet = Alphabet(letters)
    answer = compared(elements, alphabet)
    read = [line for line in lines if line.text.strip()]
    if failure := _failure(lines, read, answer):
        return Check(0, failure=failure)
    neighbours = Neighbours([line.bbox for line in read])
    signs = [alphabet.signs(line.text) for line in read]
    matching = Matching(signs, neighbours, list(_homes(read, elements, answer)), answer.signs)
    found = list(_differences(read, elements, answer, matching))
    return Check(
        len(read),
        tuple(each for each in found if isinstance(each, Omitted)),
        tuple(_unsupported(elements, answer, matching)),
        tuple(each for each in found if isinstance(each, Conflict)),
    )


def _failure(lines: Sequence[Line], read: Sequence[Line], answer: Answer) -> str:
    """Why a page cannot be checked; "" if it can."""
    if sum(map(_length, read)) < (1 - UNREAD) * sum(map(_length, lines)):
        return "Most of the print that was found on the page could not be read."
    letters = answer.signs.lost + sum(map(str.isalpha, answer.signs.signs))
    if answer.signs.lost > FOREIGN * letters:
        share = round(100 * answer.signs.lost / letters)
        return f"{share}% of the answer's letters are in a script that pp-ocr does not read."
    if len(lines) > MOST_LINES or len(answer.signs) > MOST_SIGNS:
        return f"The page has {len(lines):,} lines and the answer {len(answer.signs):,} signs: too many to compare."
    return ""


def _length(line: Line) -> float:
    x1, y1, x2, y2 = line.bbox
    return max(x2 - x1, y2 - y1)


def _homes(lines: Sequence[Line], elements: Sequence[Element], answer: Answer) -> Iterator[range]:
    """For each line the signs of the smallest element in whose box its middle lies; none where there is no such."""
    spans = {element: range(start, end) for element, start, end in answer.of(0, len(answer.signs))}
    boxes = [(element.bbox, index) for index, element in enumerate(elements) if element.bbox and index in spans]
    boxes.sort(key=lambda pair: (pair[0][2] - pair[0][0]) * (pair[0][3] - pair[0][1]))
    for line in lines:
        home = next((index for box, index in boxes if _lies_in(line, box)), None)
        yield range(0) if home is None else spans[home]


def _lies_in(line: Line, box: Box) -> bool:
    x1, y1, x2, y2 = line.bbox
    return box[0] <= (x1 + x2) / 2 <= box[2] and box[1] <= (y1 + y2) / 2 <= box[3]


def _differences(
    lines: Sequence[Line], elements: Sequence[Element], answer: Answer, matching: Matching
) -> Iterator[Omitted | Conflict]:
    """What of the lines is not in the answer, or reads differently there, in the order of the page."""
    apart = [element.bbox for element in elements if element.type in ("picture", "formula") and element.bbox]
    for index in map(int, matching.neighbours.order):
        line = lines[index]
        found = gaps(matching, index)
        for gap in found:
            matching.take(gap.place, gap.place_end)
        if line.score >= SURE and not any(_lies_in(line, box) for box in apart):
            for gap in found:
                if not _is_beside_formula(answer, gap):
                    yield from _difference(line, gap, index, answer, matching)


def _is_beside_formula(answer: Answer, gap: Gap) -> bool:
    return any(answer.is_formula[max(gap.place - 1, 0) : gap.place_end + 1])


def _difference(line: Line, gap: Gap, index: int, answer: Answer, matching: Matching) -> Iterator[Omitted | Conflict]:
    signs = matching.lines[index]
    text = signs.shown(gap.start, gap.end)
    is_lacking = gap.place == gap.place_end and (gap.end - gap.start >= SHORT or not matching.blocks[index])
    if is_lacking and tells(signs.signs[gap.start : gap.end]):
        yield Omitted(text, line.bbox)
    elif not is_lacking and gap.tells and answer.signs.are_known(gap.place, gap.place_end):
        element = answer.element[gap.place] if gap.place < len(answer.signs) else None
        yield Conflict(text, answer.signs.shown(gap.place, gap.place_end), line.bbox, element)


def _unsupported(elements: Sequence[Element], answer: Answer, matching: Matching) -> Iterator[Unsupported]:
    """What is left of the answer when every line has taken what is its own, in pieces of at least SHORT signs."""
    start, length = 0, len(answer.signs)
    while start < length:
        if matching.taken[start]:
            start += 1
            continue
        end = matching.taken.find(1, start)
        end = length if end < 0 else end
        for element, first, last in answer.of(start, end):
            if last - first - sum(answer.is_formula[first:last]) >= SHORT:
                yield Unsupported(answer.signs.shown(first, last), element, elements[element].bbox)
        start = end
