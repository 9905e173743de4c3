"""The pages of a TIFF, found in its directories. Pillow decodes what it does right, tifffile the other samples."""

import io
import math
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import IO, Any

import numpy as np
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from ocr.documents.decoding import check_size, decoding, orientation_of, to_rgb, turned
from ocr.documents.formats import RESAVE
from ocr.documents.page import DrawnPage
from ocr.documents.samples import COLORS, Samples, float_range, integer_range
from ocr.errors import InputError

MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # how a TIFF begins; + is BigTIFF
MAX_FRAMES = 10_000  # of a TIFF, which keeps no count of them: each says where the next one is
MAX_SAMPLES = 8  # of a pixel; those beyond color and alpha are left out
BYTES_A_PIXEL = 8  # of OCR_MAX_PIXELS pixels is the most memory that the samples of a page may take


class Tag(IntEnum):
    """What a directory says, numbered as in the TIFF 6.0 specification and its supplements."""

    NEW_SUBFILE_TYPE = 254
    SUBFILE_TYPE = 255  # the older one
    WIDTH = 256
    LENGTH = 257
    BITS_PER_SAMPLE = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    ORIENTATION = 274
    SAMPLES_PER_PIXEL = 277
    PLANAR = 284
    INK_SET = 332
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    LEAST = 340  # value of a sample
    MOST = 341
    DEPTH = 32997  # of a volume, in pictures
    NO_DATA = 42113  # the value that a geographer's file has where nothing was measured, as text


REDUCED, MASK = 1, 4  # bits of Tag.NEW_SUBFILE_TYPE
UNSIGNED, SIGNED, FLOAT, UNDEFINED = 1, 2, 3, 4  # values of Tag.SAMPLE_FORMAT
ALPHAS = {1: "premultiplied", 2: "straight"}  # by the value of Tag.EXTRA_SAMPLES
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED, YCBCR, CIELAB = 0, 1, 2, 3, 5, 6, 8  # values of Tag.PHOTOMETRIC
PHOTOMETRICS = {4: "a mask", 32803: "raw camera data", 34892: "raw camera data", 32844: "LogL", 32845: "LogLuv"}
COLOR = {WHITE_IS_ZERO: "L", BLACK_IS_ZERO: "L", RGB: "RGB", SEPARATED: "CMYK"}
# What Pillow decodes: bits and samples of a pixel, unsigned, not in planes.
PLAIN: Mapping[int, frozenset[tuple[int, int]]] = {
    WHITE_IS_ZERO: frozenset({(1, 1), (2, 1), (4, 1), (8, 1)}),
    BLACK_IS_ZERO: frozenset({(1, 1), (2, 1), (4, 1), (8, 1), (8, 2)}),
    RGB: frozenset({(8, 3), (8, 4)}),
    PALETTE: frozenset({(1, 1), (2, 1), (4, 1), (8, 1)}),
    SEPARATED: frozenset({(8, 4)}),
    YCBCR: frozenset({(8, 3)}),
    CIELAB: frozenset({(8, 3)}),
}
PILLOWS_OPTIONAL = frozenset({34676, 34677, 34925, 50000, 50001})  # compressions that a Pillow may be built without

# By the type of a tag's values, its struct code. Of a tag that matters here no more than a few values are needed.
_TYPES = {1: "B", 2: "c", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_MOST_VALUES = 64
_TAGS = frozenset(Tag)


@dataclass(frozen=True)
class Directory:
    """What a TIFF says of one picture."""

    offset: int  # where in the file it stands
    order: str  # of bytes, as struct says it
    tags: Mapping[int, tuple[Any, ...]]

    def first(self, tag: int, otherwise: int = 0) -> Any:
        """The first value of a tag."""
        return self.tags.get(tag, (otherwise,))[0]

    @property
    def is_page(self) -> bool:
        """Whether it is no reduced copy and no mask of another picture."""
        return not self.first(Tag.NEW_SUBFILE_TYPE) & (REDUCED | MASK) and self.first(Tag.SUBFILE_TYPE) != 2

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, in pixels."""
        return self.first(Tag.WIDTH), self.first(Tag.LENGTH)

    @property
    def bits(self) -> int:
        """Of a sample: the most, where they differ."""
        return int(max(self.tags.get(Tag.BITS_PER_SAMPLE, (1,))))

    @property
    def is_plain(self) -> bool:
        """Whether Pillow decodes it right."""
        count = self.first(Tag.SAMPLES_PER_PIXEL, 1)
        return (
            (self.bits, count) in PLAIN.get(self.first(Tag.PHOTOMETRIC, -1), ())
            and len(set(self.tags.get(Tag.BITS_PER_SAMPLE, (1,)))) == 1
            and set(self.tags.get(Tag.SAMPLE_FORMAT, (UNSIGNED,))) <= {UNSIGNED, UNDEFINED}
            and (self.first(Tag.PLANAR, 1) == 1 or count == 1)
            and self.first(Tag.DEPTH, 1) == 1
            and self.first(Tag.COMPRESSION, 1) in TiffImagePlugin.COMPRESSION_INFO
            and self.first(Tag.COMPRESSION, 1) not in PILLOWS_OPTIONAL
        )


class Tiff:
    """The pages of a TIFF, each decoded when it is asked for.

    A directory that cannot be reached counts as a page, so that its loss is told. Raises InputError for a file with
    more than MAX_FRAMES pictures.
    """

    def __init__(self, file: IO[bytes], *, max_pixels: int) -> None:
        self._file = file
        self._max_pixels = max_pixels
        found = list(_directories(file))
        if len(found) > MAX_FRAMES:
            raise InputError(f"The file has more than {MAX_FRAMES:,} pages; split it.")
        self._pages = [one for one in found if one is None or one.is_page] or found[:1]
        self.count = len(self._pages)

    def draw(self, number: int) -> DrawnPage:
        """A page, from 1, upright. Raises InputError for one that is damaged, exceeds a limit or is of no kind read."""
        what = f"Page {number}" if self.count > 1 else "The image"
        directory = self._pages[number - 1]
        with decoding(what):
            if directory is None:
                raise EOFError("the file is truncated before its directory")
            check_size(directory.size, self._max_pixels, what)
            stream = io.BufferedReader(_From(self._file, directory))
            if not directory.is_plain:
                samples = _samples(directory, stream, what, self._max_pixels).to_rgb()
                page = turned(samples, directory.first(Tag.ORIENTATION))
            else:
                image = Image.open(stream, formats=("TIFF",))
                image.load()
                page = turned(to_rgb(image), orientation_of(image))
            check_size(page.image.size, self._max_pixels, what)  # of two widths in a directory tifffile takes the other
            return page

    def text(self, _number: int) -> Mapping[str, Any]:
        """Nothing: a picture has no text of its own."""
        return {}

    def close(self) -> None:
        """Nothing is open but the file, which is its opener's to close."""


class _From(io.RawIOBase):
    """A TIFF whose first picture is the one of this directory, whatever its header says."""

    def __init__(self, file: IO[bytes], directory: Directory) -> None:
        file.seek(0)
        start = file.read(16)
        self._header = start[:8] + struct.pack(directory.order + "Q", directory.offset)
        if start[2:4] in (b"*\0", b"\0*"):
            self._header = start[:4] + struct.pack(directory.order + "I", directory.offset)
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()  # libtiff reads from there, and is told the directory

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}
        end = self._file.seek(0, os.SEEK_END) if whence == os.SEEK_END else 0
        self._position = base.get(whence, end) + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        if self._position < len(self._header):
            data = self._header[self._position : self._position + len(view)]
        else:
            self._file.seek(self._position)
            data = self._file.read(len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


def _directories(file: IO[bytes]) -> Iterator[Directory | None]:
    """The directories of a TIFF in their order, each once; None, and the end, for one that cannot be read."""
    file.seek(0)
    order = "<" if file.read(2) == b"II" else ">"
    is_big = struct.unpack(order + "H", file.read(2))[0] == 43
    pointer, count, entry = ("Q", "Q", "HHQ8s") if is_big else ("I", "H", "HHI4s")
    seen = {0}
    try:
        (offset,) = _unpack(file, order + pointer, 8 if is_big else 4)
        while offset not in seen and len(seen) <= MAX_FRAMES + 1:
            seen.add(offset)
            (entries,) = _unpack(file, order + count, offset)
            start, size = offset + struct.calcsize(order + count), struct.calcsize(order + entry)
            table = _read(file, start, int(entries) * size)
            found = struct.iter_unpack(order + entry, table)
            yield Directory(offset, order, {tag: _values(file, order, *rest) for tag, *rest in found if tag in _TAGS})
            (offset,) = _unpack(file, order + pointer, start + len(table))
    except (EOFError, struct.error, OverflowError):
        yield None


def _values(file: IO[bytes], order: str, type_: int, count: int, inline: bytes) -> tuple[Any, ...]:
    """The values of a tag, from its entry or from where the entry says."""
    layout = f"{order}{min(count, _MOST_VALUES)}{_TYPES[type_]}" if type_ in _TYPES else "<0B"
    size = struct.calcsize(layout)
    if size > len(inline):
        (offset,) = struct.unpack(order + ("Q" if len(inline) == 8 else "I"), inline)
        inline = _read(file, offset, size)
    return struct.unpack_from(layout, inline) or (0,)


def _unpack(file: IO[bytes], layout: str, offset: int) -> tuple[Any, ...]:
    return struct.unpack(layout, _read(file, offset, struct.calcsize(layout)))


def _read(file: IO[bytes], offset: int, size: int) -> bytes:
    file.seek(offset)
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _samples(directory: Directory, stream: IO[bytes], what: str, max_pixels: int) -> Samples:
    """The samples of a picture that Pillow does not decode right. Raises InputError for kinds that are not read."""
    _check_kind(directory, what, max_pixels)
    import tifffile

    with tifffile.TiffFile(stream) as file:
        page = file.pages.first
        compression = directory.first(Tag.COMPRESSION, 1)
        if compression not in tifffile.TIFF.DECOMPRESSORS:
            raise InputError(f"{what} is a TIFF with the compression {compression}, which is not read. {RESAVE}")
        values = rearrange(page.asarray().reshape(page.shaped), "planes 1 h w samples -> h w (planes samples)")
    if values.dtype.kind == "f" and Tag.NO_DATA in directory.tags:
        values = np.where(values == _no_data(directory), np.nan, values)
    color = COLOR[directory.first(Tag.PHOTOMETRIC)]
    extra = directory.first(Tag.EXTRA_SAMPLES) if values.shape[2] > COLORS[color] else 0
    low, high = _range(directory, values)
    is_inverted = directory.first(Tag.PHOTOMETRIC) == WHITE_IS_ZERO
    return Samples(values, color, low, high, alpha=ALPHAS.get(extra, ""), is_inverted=is_inverted)


def _no_data(directory: Directory) -> float:
    """The value that a geographer's file has where nothing was measured."""
    try:
        return float(b"".join(directory.tags[Tag.NO_DATA]).strip(b"\0 "))
    except ValueError:
        return math.nan


def _check_kind(directory: Directory, what: str, max_pixels: int) -> None:
    """Raise InputError for a picture whose samples do not say a color that is known here, or are too many."""
    count, bits = directory.first(Tag.SAMPLES_PER_PIXEL, 1), directory.bits
    kind = _strange_kind(directory, count)
    if kind:
        raise InputError(f"{what} is a TIFF with pixels that are not read: {kind}. {RESAVE}")
    width, height = directory.size
    if (size := width * height * count * math.ceil(bits / 8)) > BYTES_A_PIXEL * max_pixels:
        raise InputError(
            f"{what} has {width} x {height} pixels of {count * bits} bits, {size / 2**20:,.0f} MiB; at most "
            f"{BYTES_A_PIXEL * max_pixels / 2**20:,.0f} are read. {RESAVE}"
        )


_NAMES = {WHITE_IS_ZERO: "grey", BLACK_IS_ZERO: "grey", RGB: "RGB", SEPARATED: "CMYK"} | {
    PALETTE: "palette colors",
    YCBCR: "YCbCr",
    CIELAB: "Lab",
}


def _strange_kind(directory: Directory, count: int) -> str:
    """What the samples of a pixel are that nothing here makes a color of; "" for those of which it can be made."""
    photometric = directory.first(Tag.PHOTOMETRIC, -1)
    color, bits = COLOR.get(photometric), set(directory.tags.get(Tag.BITS_PER_SAMPLE, (1,)))
    if color is None and photometric in _NAMES:
        return f"{_NAMES[photometric]} of {count} samples of {max(bits)} bits"
    if color is None:
        return PHOTOMETRICS.get(photometric, f"of the photometric interpretation {photometric}")
    kinds = {
        f"{_NAMES[photometric]} of {count} samples": not COLORS[color] <= count <= MAX_SAMPLES,
        "samples of different depths": len(bits) > 1,
        "of other inks than CMYK": color == "CMYK" and directory.first(Tag.INK_SET, 1) != 1,
        "a volume": directory.first(Tag.DEPTH, 1) > 1,
        "complex numbers": max(directory.tags.get(Tag.SAMPLE_FORMAT, (1,))) > UNDEFINED,
    }
    return next((kind for kind, is_it in kinds.items() if is_it), "")


def _range(directory: Directory, values: NDArray[Any]) -> tuple[float, float]:
    """The values that stand for none and all of a color: as the file says, else as the samples' type does."""
    if Tag.LEAST in directory.tags and Tag.MOST in directory.tags:
        low, high = float(directory.first(Tag.LEAST)), float(directory.first(Tag.MOST))
        if high > low:
            return low, high
    if values.dtype.kind == "f":
        return float_range(values)
    return integer_range(directory.bits, is_signed=values.dtype.kind == "i")
