"""Sound files made unsound, the same for the same seed. Knows no format beyond where its numbers may stand."""

import random
import struct
from collections.abc import Callable, Mapping
from functools import cache

from ocr.documents.formats import FORMATS
from tests.test_formats import DEEP_TIFFS, SAMPLES, tiff

HEAD = 64  # bytes in which most formats say how large a picture is
EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def _flipped(chance: random.Random, data: bytearray, head: int) -> bytearray:
    """Some bits the other way round."""
    for _ in range(chance.choice((1, 1, 4, 64))):
        data[chance.randrange(head)] ^= 1 << chance.randrange(8)
    return data


def flipped(chance: random.Random, data: bytearray) -> bytearray:
    return _flipped(chance, data, len(data))


def cut(chance: random.Random, data: bytearray) -> bytearray:
    return data[: chance.randrange(len(data))]


def doubled(chance: random.Random, data: bytearray) -> bytearray:
    """A piece comes several times."""
    start = chance.randrange(len(data))
    piece = data[start : start + chance.randint(1, 2000)]
    return data[:start] + piece * chance.choice((2, 3, 50)) + data[start:]


def without(chance: random.Random, data: bytearray) -> bytearray:
    """A piece is missing."""
    start = chance.randrange(len(data))
    return data[:start] + data[start + chance.randint(1, 200) :]


def of_other_length(chance: random.Random, data: bytearray) -> bytearray:
    """A number somewhere, which may be a length or an offset, is another one."""
    size, format_ = chance.choice(((1, "B"), (2, "H"), (4, "I")))
    number = chance.choice(EXTREMES) & (256**size - 1)
    start = chance.randrange(max(1, len(data) - size))
    data[start : start + size] = struct.pack(chance.choice("<>") + format_, number)
    return data


def lying(chance: random.Random, data: bytearray) -> bytearray:
    """The head says something else."""
    head = bytearray(data[:HEAD])
    changed = chance.choice((of_other_length, flipped))(chance, head)
    return changed + data[HEAD:]


def joined(chance: random.Random, data: bytearray) -> bytearray:
    """It goes on as a file of another format."""
    other = samples()[chance.choice(list(samples()))]
    return data[: chance.randrange(len(data))] + other[chance.randrange(len(other)) :]


MUTATIONS: Mapping[str, Callable[[random.Random, bytearray], bytearray]] = {
    "bits flipped": flipped,
    "cut": cut,
    "a piece doubled": doubled,
    "a piece missing": without,
    "another number": of_other_length,
    "a lying head": lying,
    "two formats": joined,
}


@cache
def samples() -> Mapping[str, bytes]:
    """A sound file of each format of the table, and TIFFs of many kinds of sample; small, for each is read often."""
    deep = {f"TIFF, {name}": tiff(values, **how) for name, (_, values, how) in DEEP_TIFFS.items()}
    return {name: SAMPLES[name]() for name in FORMATS} | deep


def mutated(number: int, seed: int) -> tuple[str, str, bytes]:
    """The format, the kinds of change and the content of the file of this number."""
    chance = random.Random(f"{seed} {number}")
    formats = list(FORMATS)
    format_ = formats[number % len(formats)]
    kinds = [name for name in samples() if name.split(",")[0] == format_]
    data = bytearray(samples()[chance.choice(kinds)])
    changes = [chance.choice(list(MUTATIONS)) for _ in range(chance.choice((1, 1, 2)))]
    for change in changes:
        data = MUTATIONS[change](chance, data) if data else data
    return format_, " + ".join(changes), bytes(data)
