"""Bytes to an upright RGB page within limits. Knows no model and no torch."""

import contextlib
import os
import warnings
from collections.abc import Iterator
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ocr.errors import InputError, choices

# Formats whose decoders are part of Pillow; others (EPS among them) would start programs of the host's.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "AVIF")
MIN_SIDE = 8  # px; smaller than any letter
WHITE = (255, 255, 255)


def open_image(file: IO[bytes]) -> Image.Image:
    """An image file, identified and not decoded. Raises InputError for a file that is none or is damaged."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise InputError("The file is empty (0 bytes); send an image or a PDF.")
    file.seek(0)
    start = file.read(64)
    file.seek(0)
    Image.MAX_IMAGE_PIXELS = None  # Pillow's fixed limit would come before ours, which the operator sets
    try:
        with decoding("The image"):
            return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise InputError(
            f"The file is not an image that can be read ({_looks_like(start, size)}); "
            f"send a PDF or one of: {_formats()}."
        ) from None


def decode(image: Image.Image, *, max_pixels: int, what: str = "The image") -> Image.Image:
    """The frame that an opened image file is at, as an upright page, mode RGB, transparency on white.

    Raises InputError for one that is damaged or exceeds a limit; the limits are checked before it is decoded.
    """
    check_size(image.size, max_pixels, what)
    with decoding(what):
        image.load()
        return to_rgb(ImageOps.exif_transpose(image))


@contextlib.contextmanager
def decoding(what: str) -> Iterator[None]:
    """A block that decodes `what`: an error in it means that what was sent is damaged, and is an InputError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata; what matters here raises
            yield
    except (InputError, UnidentifiedImageError):
        raise
    except Exception as error:  # a decoder fed with damaged bytes may raise nearly anything
        raise InputError(f"{what} is damaged or incomplete and cannot be decoded: {error}. Send it again.") from error


def check_size(
    size: tuple[int, int], max_pixels: int, what: str = "The image", advice: str = "Send a smaller one"
) -> None:
    """Raise InputError for a page of this width and height in pixels that is too large or too small to be read."""
    width, height = size
    if width * height > max_pixels:
        raise InputError(
            f"{what} has {width} x {height} = {width * height:,} pixels; at most {max_pixels:,} are read. "
            f"{advice}, or raise OCR_MAX_PIXELS on the server."
        )
    if min(size) < MIN_SIDE:
        raise InputError(f"{what} has {width} x {height} pixels; each side needs at least {MIN_SIDE} to hold a letter.")


def _looks_like(start: bytes, size: int) -> str:
    return "it is a web page, SVG or XML" if start.lstrip()[:1] == b"<" else f"{size:,} bytes"


def _formats() -> str:
    return choices(sorted(FORMATS))


def to_rgb(image: Image.Image) -> Image.Image:
    """Any PIL image in mode RGB: transparency on white, 16 bits and more a channel scaled down to 8."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _to_eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        page = Image.new("RGB", image.size, WHITE)
        page.paste(image, mask=image.getchannel("A"))
        return page
    return image.convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Grey levels of 16 or 32 bits as 8; Pillow's own conversion clips them to white instead.

    Integers are taken as 16 bits unless larger values occur; floats up to 1 as fractions, larger ones as integers.
    """
    levels = np.asarray(image).astype(np.float64)
    top = levels.max()
    if image.mode == "F" and top <= 1:
        full = 1.0
    elif top <= 65535:
        full = 65535.0
    else:
        full = top
    return Image.fromarray(np.clip(np.rint(levels / full * 255), 0, 255).astype(np.uint8))
