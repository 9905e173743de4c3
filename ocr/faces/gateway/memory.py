"""How the C library deals with memory that is free again."""

import contextlib
import ctypes

# glibc's options in malloc.h, and what they are set to. Left alone it takes ever larger pieces out of heaps that it
# keeps, and out of many of them, where texts of some hundred kilobytes come and go.
OPTIONS = {
    -1: 1 << 17,  # M_TRIM_THRESHOLD: bytes free at the end of a heap, from which on they are given back
    -3: 1 << 16,  # M_MMAP_THRESHOLD: bytes of a piece, from which on it is no part of a heap and given back by itself
    -8: 2,  # M_ARENA_MAX: heaps
}


def give_back_what_is_free() -> None:
    """Have memory that is free again go back to the system; does nothing where the C library is another."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in OPTIONS.items():
            mallopt(option, value)
