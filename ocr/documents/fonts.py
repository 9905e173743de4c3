"""The fonts that are installed, and the letters that each has. Reads TrueType and OpenType files; knows no PDF."""

import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import IO, Any

FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts", "/Library/Fonts")
SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
# Names of files, the first chosen first: plain faces with many letters.
FAVORITES = (
    *("LiberationSans-Regular", "DejaVuSans", "NotoSans-Regular", "wqy-microhei", "NotoSansCJK-Regular", "FreeSans"),
)
SISTERS = {"Helvetica": "Sans", "Times": "Serif", "Courier": "Mono"}  # of Liberation
MOST_FILES = 1000  # that are looked into
PACKAGES = (
    "fonts-liberation fonts-dejavu-core fonts-wqy-microhei fonts-freefont-ttf"  # of Debian, which the images install
)
SCRIPTS: Mapping[str, str] = {
    "Polish and Czech": "łęřů",
    "Greek": "ΩΔλ",
    "Cyrillic": "ЖДя",
    "Chinese": "中文發票",
    "Japanese": "日本かナ",
    "Korean": "한국어",
    "Thai": "กขค",
    "Devanagari": "नमस",
}


def missing_scripts() -> list[str]:
    """The scripts of which no installed font has the letters."""
    return [script for script, letters in SCRIPTS.items() if choose(set(map(ord, letters)))[1]]


def choose(wanted: set[int], most: int = 2) -> tuple[list[Path], set[int]]:
    """Installed fonts, `most` of them at most, that together have the wanted letters, and the letters that none has.

    Letters are Unicode code points. A font that has all comes alone; else each is the one that adds the most.
    """
    chosen: list[Path] = []
    left = set(wanted)
    while left and len(chosen) < most:
        best = max(_until_whole(left), key=lambda path: len(left & letters(path)), default=None)
        if best is None or not left & letters(best):
            break
        chosen.append(best)
        left -= letters(best)
    return chosen, left


def _until_whole(wanted: set[int]) -> Iterator[Path]:
    """The installed fonts up to the first one that has all these letters."""
    for path in installed():
        yield path
        if wanted <= letters(path):
            return


@cache
def installed() -> tuple[Path, ...]:
    """The font files of this machine, favorites first."""
    found = {
        Path(parent, name): (FAVORITES.index(stem) if stem in FAVORITES else len(FAVORITES), name, parent)
        for folder in FOLDERS
        for parent, _, names in os.walk(Path(folder).expanduser())
        for name in names
        for stem, suffix in [os.path.splitext(name)]  # noqa: PTH122  a Path for each would take longer than the walk
        if suffix.lower() in SUFFIXES
    }
    return tuple(sorted(found, key=lambda path: found[path])[:MOST_FILES])


@cache
def letters(path: Path) -> frozenset[int]:
    """The letters that a font file's first face has; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            start = first_face(file)
            (count,) = _unpack(file, ">H", start + 4)
            tables = dict(_unpack(file, ">4s4xI4x", start + 12 + 16 * number) for number in range(count))
            return frozenset(_mapped(file, tables[b"cmap"]))
    except (OSError, KeyError, struct.error, IndexError):
        return frozenset()


def as_wide_as(path: Path, face: str) -> Path:
    """The font whose letters are as wide as this face's, where the chosen one has such sisters; else the chosen one.

    A face is one of PDF's standard ones, such as Helvetica-BoldOblique. Letters of another width would overlap.
    """
    family = next((sister for standard, sister in SISTERS.items() if face.startswith(standard)), "")
    if path.stem != "LiberationSans-Regular" or not family:
        return path
    style = ("Bold" if "Bold" in face else "") + ("Italic" if "Italic" in face or "Oblique" in face else "")
    sister = path.with_name(f"Liberation{family}-{style or 'Regular'}{path.suffix}")
    return sister if sister.exists() else path


def first_face(file: IO[bytes]) -> int:
    """Where in a font file its first face begins: a collection holds several."""
    return int(_unpack(file, ">I", 12)[0]) if _unpack(file, ">4s", 0) == (b"ttcf",) else 0


def _unpack(file: IO[bytes], layout: str, offset: int) -> tuple[Any, ...]:
    file.seek(offset)
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _mapped(file: IO[bytes], table: int) -> Iterator[int]:
    """The code points that a `cmap` table has glyphs for, from its Unicode subtables (OpenType 1.9, `cmap`)."""
    (count,) = _unpack(file, ">H", table + 2)
    for number in range(count):
        platform, encoding, offset = _unpack(file, ">HHI", table + 4 + 8 * number)
        if (platform, encoding) in ((3, 1), (3, 10), (0, 3), (0, 4)):
            (format_,) = _unpack(file, ">H", table + offset)
            yield from {4: _segments, 12: _groups}.get(format_, _nothing)(file, table + offset)


def _nothing(_file: IO[bytes], _start: int) -> Iterable[int]:
    return ()


def _segments(file: IO[bytes], start: int) -> Iterator[int]:
    """Format 4: runs of code points, each with a shift to glyphs or a place in a list of them."""
    length, _, doubled = _unpack(file, ">HHH", start + 2)
    count = doubled // 2
    file.seek(start)
    data = file.read(length)
    ends, starts = struct.unpack_from(f">{count}H", data, 14), struct.unpack_from(f">{count}H", data, 16 + doubled)
    shifts, places = (struct.unpack_from(f">{count}H", data, 16 + n * doubled) for n in (2, 3))
    for number, (first, last, shift, place) in enumerate(zip(starts, ends, shifts, places, strict=True)):
        at = 16 + 3 * doubled + 2 * number + place
        for code in range(first, min(last, 0xFFFE) + 1):
            glyph = int.from_bytes(data[at + 2 * (code - first) :][:2]) if place else (code + shift) % 0x10000
            if glyph:
                yield code


def _groups(file: IO[bytes], start: int) -> Iterator[int]:
    """Format 12: runs of code points with runs of glyphs."""
    (count,) = _unpack(file, ">I", start + 12)
    file.seek(start + 16)
    for first, last, _glyph in struct.iter_unpack(">III", file.read(12 * count)):
        yield from range(first, min(last, 0x10FFFF) + 1)
