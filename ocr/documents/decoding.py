"""What decoders of pictures share: limits, errors, which way is up, transparency on white. Knows no file format."""

import contextlib
import warnings
from collections.abc import Iterator, Mapping

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from ocr.documents.page import DrawnPage
from ocr.documents.samples import Samples, on_white
from ocr.errors import InputError

MIN_SIDE = 8  # px; smaller than any letter
CUT_OFF = ("truncat", "incomplete", "unexpected end", "not enough", "end of file", "premature", "too short", "too few")
TURNS: Mapping[int, Image.Transpose] = {  # by EXIF's orientation, how the picture is turned upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
UNKNOWN_ORIENTATION = "The image's EXIF data is damaged: which way is up is unknown, and it is read as it is stored."


@contextlib.contextmanager
def decoding(what: str) -> Iterator[None]:
    """A block that decodes `what`: an error in it means that what was sent is damaged, and is an InputError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata; what matters here raises
            yield
    except (InputError, UnidentifiedImageError, MemoryError):
        raise
    except Exception as error:  # a decoder fed with damaged bytes may raise nearly anything
        reason = str(error) or type(error).__name__
        again = " Send it again." if any(word in reason.lower() for word in CUT_OFF) else ""
        raise InputError(f"{what} is damaged or incomplete and cannot be decoded: {reason}.{again}") from error


def check_size(size: tuple[int, int], max_pixels: int, what: str = "The image") -> None:
    """Raise InputError for a page of this width and height in pixels that is too large or too small to be read."""
    width, height = size
    if width * height > max_pixels:
        raise InputError(
            f"{what} has {width} x {height} = {width * height:,} pixels; at most {max_pixels:,} are read. "
            "Send a smaller one, or raise OCR_MAX_PIXELS on the server."
        )
    if min(size) < MIN_SIDE:
        raise InputError(f"{what} has {width} x {height} pixels; each side needs at least {MIN_SIDE} to hold a letter.")


def orientation_of(image: Image.Image) -> int | None:
    """An image's orientation as its EXIF data has it, 1 where there is none; None where the data cannot be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # as from any decoder fed with damaged bytes
        return None


def turned(page: Image.Image, orientation: int | None) -> DrawnPage:
    """The page turned upright, from an orientation as EXIF numbers them; values that mean nothing turn nothing."""
    if orientation is None:
        return DrawnPage(page, (UNKNOWN_ORIENTATION,))
    return DrawnPage(page.transpose(TURNS[orientation]) if orientation in TURNS else page)


# White, by the start of the mode: Pillow makes I of a PGM's levels, scaled to 16 bits, and F of a PFM's.
FULL = {"I;16": 65535, "I": 65535, "F": 1}


def to_rgb(image: Image.Image) -> Image.Image:
    """Any PIL image with its pixels loaded in mode RGB: transparency on white, 16 bits and floats scaled down to 8."""
    if full := next((white for mode, white in FULL.items() if image.mode.startswith(mode)), 0):
        return Samples(np.asarray(image)[..., None], "L", 0, full).to_rgb()
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return on_white(image.convert("RGB"), image.getchannel("A"))
    return image if image.mode == "RGB" else image.convert("RGB")
