"""A TrueType font that tests make: a square for each of its letters."""

import struct
from collections.abc import Iterable

SQUARE = [(100, 0), (100, 700), (700, 700), (700, 0)]


def truetype(letters: Iterable[str]) -> bytes:
    """A font file with a square of 0.6 em as the glyph of each letter of the basic plane."""
    glyph = (
        struct.pack(">hhhhh", 1, 100, 0, 700, 700) + struct.pack(">HH", len(SQUARE) - 1, 0) + bytes([1] * len(SQUARE))
    )
    for axis in (0, 1):
        before = 0
        for point in SQUARE:
            glyph += struct.pack(">h", point[axis] - before)
            before = point[axis]
    glyph += bytes(-len(glyph) % 4)
    codes = sorted(set(map(ord, letters)))
    codes.append(0xFFFF)
    limits = struct.pack(f">{len(codes)}H", *codes)  # each code is a segment of its own
    shifts = struct.pack(f">{len(codes)}H", *((1 - code) % 0x10000 for code in codes))
    lists = limits + bytes(2) + limits + shifts + bytes(2 * len(codes))
    subtable = struct.pack(">HHHHHHH", 4, 14 + len(lists), 0, 2 * len(codes), 0, 0, 0) + lists
    tables = {
        b"cmap": struct.pack(">HHHHI", 0, 1, 3, 1, 12) + subtable,
        b"glyf": glyph,
        b"head": struct.pack(
            ">IIIIHHQQhhhhHHhhh", 65536, 65536, 0, 0x5F0F3CF5, 0, 1000, 0, 0, 0, 0, 800, 800, 0, 8, 2, 1, 0
        ),
        b"hhea": struct.pack(">IhhhHhhhhhhhhhhhH", 65536, 800, -200, 0, 800, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2),
        b"hmtx": struct.pack(">HhHh", 800, 0, 800, 100),
        b"loca": struct.pack(">III", 0, 0, len(glyph)),
        b"maxp": struct.pack(">IHHHHHHHHHHHHHH", 65536, 2, len(SQUARE), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0),
    }
    return _file(tables)


def _file(tables: dict[bytes, bytes]) -> bytes:
    start = 12 + 16 * len(tables)
    entries, body = b"", b""
    for name, content in sorted(tables.items()):
        entries += struct.pack(">4sIII", name, 0, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    return struct.pack(">IHHHH", 65536, len(tables), 0, 0, 0) + entries + body


def collection(font: bytes) -> bytes:
    """The font as the only face of a collection."""
    start = 16
    (count,) = struct.unpack_from(">H", font, 4)
    moved = bytearray(font)
    for number in range(count):
        at = 12 + 16 * number + 8
        struct.pack_into(">I", moved, at, struct.unpack_from(">I", font, at)[0] + start)
    return struct.pack(">4sIII", b"ttcf", 65536, 1, start) + bytes(moved)
