"""Spans one below the other: which of them are one stack of lines, and which stacks are running text."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from ocr.models.pp_ocr.spans import Row, Span, is_cjk, rows

FARTHEST = 1.0  # heights between two lines of one stack
LEVELS = 64  # rows below a line among which its next is sought
LOOSE = 0.4  # heights that two lines of one stack are further apart than is usual on the page, at most
SAME_SIZE = 1.2  # times that the type of one of two lines in one stack is as large as that of the other, at most
OVERLAP = 0.5  # of the narrower of two lines that the other lies over

PROSE_LINES = 3  # that a stack needs to be running text for sure
PROSE_WEIGHT = 15  # letters in most of its lines
PROSE_FULL = 0.6  # of its lines that are as long as that, and that end where no more fitted
PROSE_SURELY_FULL = 0.85  # of them: then short spans beside it do not matter

Chain = list[Span]


def chains(spans: Sequence[Span]) -> list[Chain]:
    """Stacks of lines: each line has the next alone below it, and the next has it alone above it."""
    below = _neighbours(spans)
    above: dict[int, list[Span]] = {}
    for span in spans:
        for other in below[id(span)]:
            above.setdefault(id(other), []).append(span)
    pairs = [
        (span, others[0])
        for span in spans
        if len(others := below[id(span)]) == 1 and len(above[id(others[0])]) == 1 and _go_together(span, others[0])
    ]
    usual = median(map(_gap, *zip(*pairs, strict=True))) if pairs else 0.0
    following = {id(upper): lower for upper, lower in pairs if _gap(upper, lower) <= usual + LOOSE}
    inner = {id(span) for span in following.values()}
    found = []
    for span in spans:
        if id(span) not in inner:
            chain = [span]
            while next_ := following.get(id(chain[-1])):
                chain.append(next_)
            found.append(chain)
    return found


def _gap(upper: Span, lower: Span) -> float:
    """Heights between the frames of two lines."""
    return (lower.y1 - upper.y2) / min(upper.height, lower.height)


def _go_together(upper: Span, lower: Span) -> bool:
    small, large = sorted((upper.size, lower.size))
    overlap = min(upper.x2, lower.x2) - max(upper.x1, lower.x1)
    return large <= SAME_SIZE * small and overlap >= OVERLAP * min(upper.width, lower.width)


def _neighbours(spans: Sequence[Span]) -> dict[int, list[Span]]:
    """For each span, by its id, those near below it with nothing between."""
    levels = rows(spans)
    middles = [row.middle for row in levels]
    found: dict[int, list[Span]] = {}
    for level, row in enumerate(levels):
        for span in row:
            first = bisect_right(middles, span.middle, level)
            last = min(bisect_right(middles, span.y2 + (FARTHEST + 1) * span.height, first), first + LEVELS)
            seen: list[Span] = []
            for lower in levels[first:last]:
                for other in _over(lower, span):
                    is_near = _gap(span, other) <= FARTHEST
                    is_lower = other.middle - span.middle > 0.3 * min(span.height, other.height)
                    if is_near and is_lower and not any(_overlaps(one, other) for one in seen):
                        seen.append(other)
                if sum(other.width for other in seen) >= span.width:
                    break
            found[id(span)] = seen
    return found


def _over(row: Row, span: Span) -> Iterator[Span]:
    """Those of the row that lie below or above some of the span."""
    end = bisect_left(row, span.x2, key=lambda other: other.x1)
    for other in reversed(row[:end]):
        if other.x2 <= span.x1:
            break
        if _overlaps(other, span):
            yield other


def _overlaps(one: Span, other: Span) -> bool:
    """Whether they share more of the page's width than chance and slack in their frames bring about."""
    return min(one.x2, other.x2) - max(one.x1, other.x1) > 0.3 * min(one.height, other.height)


def is_full(upper: Span, lower: Span, right: float) -> bool:
    """Whether a line ends because the next word did not fit before the right edge."""
    letters = next((n for n, sign in enumerate(lower.text) if sign == " " or is_cjk(sign)), len(lower.text))
    needed = (letters + 1 if letters else 2) * lower.width / lower.weight  # a sign of CJK is as wide as two letters
    return upper.x2 + needed > right - 0.2 * upper.height


def is_prose(chain: Chain, beside: set[int]) -> bool:
    """Whether the stack is running text; `beside` has the ids of spans in a row with short ones."""
    if len(chain) < PROSE_LINES or sum(s.weight >= PROSE_WEIGHT for s in chain) < PROSE_FULL * len(chain):
        return False
    right = max(span.x2 for span in chain)
    full = sum(is_full(upper, lower, right) for upper, lower in pairwise(chain)) / (len(chain) - 1)
    is_table_column = sum(id(span) in beside for span in chain) > len(chain) / 2
    return full >= (PROSE_SURELY_FULL if is_table_column else PROSE_FULL)
