"""The parts of a file that hold its pixels, taken from among its metadata. Knows no decoder.

Decoders read the metadata too and give up where it is damaged. Pixels are all that is needed, and which way is up.
"""

import io
import re
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import IO

PNG_MARK = b"\x89PNG\r\n\x1a\n"
PNG_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT"})
PNG_TEXTS = {b"Raw profile type exif": "Raw profile type exif", b"XML:com.adobe.xmp": "XML:com.adobe.xmp"}
MAX_HEAD = 2**16  # bytes within which an AVIF or HEIF says what it holds
MAX_TEXT = 2**20  # bytes of a text that says which way is up
DAMAGED = b"damaged"  # in the place of EXIF data that cannot be had: no decoder takes it for any

Info = dict[str | tuple[int, int], bytes | str]  # by the names that Pillow has for them: what says which way is up


def pixels_of(file: IO[bytes]) -> tuple[IO[bytes], Info]:
    """A file with its pixels alone, and what it says of which way is up; other formats' files as they are."""
    file.seek(0)
    start = file.read(16)
    file.seek(0)
    take = next((take for mark, (offset, take) in _TAKERS.items() if start.startswith(mark, offset)), None)
    if take is None:
        return file, {}
    data, info = take(memoryview(file.read()))
    return io.BytesIO(data), info


def _png(data: memoryview) -> tuple[bytes, Info]:
    """A PNG of its critical chunks and its transparency; an end is set where it has none."""
    parts: list[bytes | memoryview] = [PNG_MARK]
    info: Info = {}
    position = len(PNG_MARK)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if kind == b"IEND":
            break
        if not kind.isalpha():  # the length of the chunk before was wrong
            position = bytes(data).find(b"IDAT", position) - 4
            if position < 0:
                break
            continue
        chunk = data[position:end]
        if kind in PNG_CRITICAL:
            parts.append(chunk)
        elif kind in (b"tRNS", b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
            is_sound = len(chunk) == 12 + length and zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:])
            if kind == b"eXIf":
                info["exif"] = bytes(chunk[8:-4]) if is_sound else DAMAGED
            elif kind == b"tRNS" and is_sound:
                parts.append(chunk)
            elif is_sound:
                info |= _png_text(kind, bytes(chunk[8:-4]))
        position = end
    return b"".join((*parts, _chunk(b"IEND"))), info


def _chunk(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png_text(kind: bytes, content: bytes) -> Info:
    """A text chunk's text, where it is one that may say which way is up."""
    keyword, _, text = content.partition(b"\0")
    if keyword not in PNG_TEXTS:
        return {}
    is_packed = kind == b"zTXt" or (kind == b"iTXt" and text[:1] == b"\1")
    _, _, international = text[2:].split(b"\0", 2) if text[2:].count(b"\0") > 1 else (b"", b"", b"")
    text = {b"tEXt": text, b"zTXt": text[1:], b"iTXt": international}[kind]
    if is_packed:
        try:
            text = zlib.decompressobj().decompress(text, MAX_TEXT)
        except zlib.error:
            return {"exif": DAMAGED}
    return {PNG_TEXTS[keyword]: text.decode("latin-1")}


def _webp(data: memoryview) -> tuple[bytes, Info]:
    """A WebP without EXIF, XMP and color profile, the flags for them cleared."""
    parts: list[bytes | memoryview] = []
    info: Info = {}
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        chunk = data[position : position + 8 + length]
        is_whole = len(chunk) == 8 + length
        if kind == b"EXIF":
            info["exif"] = bytes(chunk[8:]) if is_whole else DAMAGED
        elif kind == b"VP8X" and is_whole:
            parts.append(bytes(chunk[:8]) + bytes((chunk[8] & ~0x2C,)) + bytes(chunk[9:]))
        elif kind in (b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"):
            parts.append(bytes(chunk) + b"\0" * (length % 2))
        position += 8 + length + length % 2
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body, info


_ITEM = re.compile(rb"(infe[\2\3].{7,9})(Exif|mime)", re.DOTALL)  # version 2 or 3, flags, number, protection; type


def _isobmff(data: memoryview) -> tuple[bytes, Info]:
    """An AVIF or HEIF without EXIF and XMP. Neither says which way is up: properties of the picture do."""
    start = bytes(data[:MAX_HEAD])
    return _ITEM.sub(rb"\1skip", start) + bytes(data[MAX_HEAD:]), {}


# By how a file begins, at which byte: what takes its pixels.
_TAKERS: Mapping[bytes, tuple[int, Callable[[memoryview], tuple[bytes, Info]]]] = {
    PNG_MARK: (0, _png),
    b"WEBP": (8, _webp),
    b"ftyp": (4, _isobmff),
}
