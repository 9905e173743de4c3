"""How the work of a function grows with its input, measured so that a busy machine does not matter."""

import time
from collections.abc import Callable

TIMES = 4  # by which the longer input is longer
LINEAR = 9.0  # work in proportion gives a ratio of 4, work with the square of the length 16
LEAST = 0.002  # seconds; less is the clock's noise


def growth(work: Callable[[int], object], length: int) -> float:
    """How many times longer `work(length)` takes than for an input `TIMES` shorter, in processor time at best."""
    shorter, longer = (min(_seconds(work, size) for _ in range(3)) for size in (length // TIMES, length))
    return max(longer, LEAST) / max(shorter, LEAST)


def _seconds(work: Callable[[int], object], length: int) -> float:
    started = time.thread_time()
    work(length)
    return time.thread_time() - started
