"""Bytes of one picture to an upright RGB page within limits. TIFFs are read in `tiff.py`. Knows no model."""

import io
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, UnidentifiedImageError

from ocr.documents.containers import pixels_of
from ocr.documents.decoding import check_size, decoding, orientation_of, to_rgb, turned
from ocr.documents.formats import FORMATS, RESAVE, names, true_name
from ocr.documents.page import DrawnPage
from ocr.documents.samples import Samples, integer_range
from ocr.errors import InputError

# Formats whose decoders are part of Pillow; others (EPS among them) would start programs of the host's.
PILLOWS = tuple(name for name in FORMATS if name not in ("PDF", "TIFF", "HEIF"))
HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
SYCC, CMYK = b"\0\0\0\x12", b"\0\0\0\x0c"  # color spaces of a JPEG 2000
WHAT = "The image"
END_MARK = b"\xff\xd9"  # of a JPEG, and of a JPEG 2000
NO_DATA = b"\x5a\xa5" * 64  # in the place of what may be missing: it decodes to other pixels than an end does
NO_END = "The JPEG's end mark is missing, and finer detail may be missing too."


def read_image(file: IO[bytes], *, max_pixels: int) -> DrawnPage:
    """An image file's only picture, or its first, upright, mode RGB, transparency on white.

    Raises InputError for a file that is none, is damaged or exceeds a limit; limits are checked before it is decoded.
    """
    if file.seek(0, os.SEEK_END) == 0:
        raise InputError("The file is empty (0 bytes); send an image or a PDF.")
    stream, info = pixels_of(file)
    if frame := _deep_jpeg(stream):
        check_size(frame, max_pixels)
        with decoding(WHAT):
            return DrawnPage(_deep_jpeg_samples(stream).to_rgb())
    image = _opened(stream)
    image.info |= info
    check_size(image.size, max_pixels)
    with decoding(WHAT):
        take = DEEP.get(image.format or "")
        if take and (samples := take(image, stream)):
            return turned(samples.to_rgb(), orientation_of(image))
        image, problems = _loaded(image, stream)
        page = turned(to_rgb(image), orientation_of(image))
        return replace(page, problems=problems + page.problems)


def _opened(stream: IO[bytes]) -> Image.Image:
    """An image file, identified and not decoded. Raises InputError for a file that is none or is damaged."""
    stream.seek(0)
    start = stream.read(256)
    stream.seek(0)
    Image.MAX_IMAGE_PIXELS = None  # Pillow's fixed limit would come before ours, which the operator sets
    try:
        with decoding(WHAT):
            if _is_heif(start):
                from pillow_heif import HeifImageFile

                image: Image.Image = HeifImageFile(stream)
                return image
            return Image.open(stream, formats=PILLOWS)
    except UnidentifiedImageError:
        what = true_name(start)
        looks = f"it is {what}" if what else f"{stream.seek(0, os.SEEK_END):,} bytes"
        raise InputError(f"The file is not an image that can be read ({looks}); send one of: {names()}.") from None


def _is_heif(start: bytes) -> bool:
    """Whether this is how a HEIF file begins; AVIF files, which Pillow reads, may call themselves HEIF too."""
    brands = {start[at : at + 4] for at in (8, *range(16, min(int.from_bytes(start[:4]), len(start)), 4))}
    return start[4:8] == b"ftyp" and bool(brands & HEIF_BRANDS) and not brands & {b"avif", b"avis"}


def _loaded(image: Image.Image, stream: IO[bytes]) -> tuple[Image.Image, tuple[str, ...]]:
    """The image with its pixels, and problems with them.

    A BMP whose alpha is 0 throughout comes of programs that know no alpha: it is opaque.
    """
    try:
        image.load()
    except OSError:
        if image.format not in ("JPEG", "JPEG2000") or (whole := _without_end(stream, image.format)) is None:
            raise
        return whole, (NO_END,) if "progressive" in image.info else ()
    if image.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        image = image.convert("RGB")
    return image, ()


def _without_end(stream: IO[bytes], format_: str) -> Image.Image | None:
    """The picture of a JPEG or JPEG 2000 that lacks nothing but its end mark; None for one that lacks pixels too.

    Pixels that are missing become what the decoder finds in their place, so other data there would show.
    """
    stream.seek(0)
    data = stream.read().rstrip(END_MARK[:1])
    whole = Image.open(io.BytesIO(data + END_MARK), formats=[format_])
    whole.load()
    if format_ == "JPEG":  # the decoder of the other lets nothing be missing
        other = Image.open(io.BytesIO(data + NO_DATA + END_MARK), formats=[format_])
        return None if ImageChops.difference(whole, other).getbbox(alpha_only=False) else whole
    return whole


def _deep_jpeg(stream: IO[bytes]) -> tuple[int, int] | None:
    """Width and height of a JPEG with 12 bits a sample, which Pillow does not open; None for any other file."""
    stream.seek(0)
    if stream.read(2) != b"\xff\xd8":
        return None
    while len(head := stream.read(4)) == 4 and head[0] == 0xFF:
        kind, length = struct.unpack(">xBH", head)
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):  # a frame; the others are tables
            bits, height, width = struct.unpack(">BHH", stream.read(5).ljust(5, b"\0"))
            return (width, height) if bits == 12 else None
        stream.seek(length - 2, os.SEEK_CUR)
    return None


def _deep_jpeg_samples(stream: IO[bytes]) -> Samples:
    import imagecodecs

    stream.seek(0)
    return _integers(imagecodecs.jpeg_decode(stream.read()), 12, has_alpha=False)


def _deep_png(image: Image.Image, stream: IO[bytes]) -> Samples | None:
    """A PNG with 16 bits a sample and a transparent level or color, which Pillow compares with 8 bits."""
    stream.seek(24)
    if stream.read(1) != b"\x10" or "transparency" not in image.info:
        return None
    import imagecodecs

    stream.seek(0)
    return _integers(imagecodecs.png_decode(stream.read()), 16, has_alpha=True)


def _deep_jpeg2000(_image: Image.Image, stream: IO[bytes]) -> Samples | None:
    """A JPEG 2000 with more than 8 bits a sample, which Pillow cuts."""
    stream.seek(0)
    data = stream.read()
    start = data.find(b"\xff\x4f\xff\x51") + 4  # SOC and SIZ, after which the length of SIZ stands
    (count,) = struct.unpack_from(">H", data, start + 36)
    depths = data[start + 38 : start + 38 + 3 * count : 3]  # of each component, less 1; the top bit says signed
    bits = max(depth % 128 for depth in depths) + 1
    if bits <= 8:
        return None
    space = data[data.find(b"colr\1") + 7 :][:4] if b"colr\1" in data[:start] else b""
    if space in (SYCC, CMYK) or len(set(depths)) > 1:
        raise InputError(f"The image is a JPEG 2000 of {bits} bits in colors that are not read. {RESAVE}")
    import imagecodecs

    return _integers(imagecodecs.jpeg2k_decode(data), bits, has_alpha=count in (2, 4))


def _integers(values: NDArray[Any], bits: int, *, has_alpha: bool) -> Samples:
    """Grey or RGB integers."""
    values = np.atleast_3d(values)
    low, high = integer_range(bits, is_signed=values.dtype.kind == "i")
    return Samples(values, "L" if values.shape[2] < 3 else "RGB", low, high, alpha="straight" if has_alpha else "")


DEEP: Mapping[str, Callable[[Image.Image, IO[bytes]], Samples | None]] = {
    "PNG": _deep_png,
    "JPEG2000": _deep_jpeg2000,
}
