"""How the work of a function grows with its input, measured so that a busy machine does not matter."""

import math
import time
from collections.abc import Callable

TIMES = 4  # by which the longer input is longer
LINEAR = 9.0  # work in proportion gives a ratio of 4, work with the square of the length 16
TURNS, MOST_TURNS = 3, 12
LEAST = 0.002  # seconds; less is the clock's noise


def growth(work: Callable[[int], object], length: int) -> float:
    """How many times longer `work(length)` takes than for an input `TIMES` shorter, in processor time at best.

    At best of a few turns, and of more as long as it seems to grow faster: a busy machine only makes work slower.
    """
    times = {length // TIMES: math.inf, length: math.inf}
    for turn in range(MOST_TURNS):
        if turn >= TURNS and _ratio(*times.values()) < LINEAR:
            break
        times = {size: min(best, _seconds(work, size)) for size, best in times.items()}
    return _ratio(*times.values())


def _ratio(shorter: float, longer: float) -> float:
    return max(longer, LEAST) / max(shorter, LEAST)


def _seconds(work: Callable[[int], object], length: int) -> float:
    started = time.thread_time()
    work(length)
    return time.thread_time() - started
