"""Every format of the table is read from a drawn sample; every kind of sample comes out as the levels that were drawn.

The values were checked against ImageMagick 6, which gives the same but where a comment says otherwise.
"""

import io
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from subprocess import run
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from ocr.documents import formats
from ocr.documents.document import open_document
from ocr.documents.formats import FORMATS, SUFFIXES, names
from ocr.documents.page import DrawnPage
from ocr.errors import InputError
from ocr.settings import Settings
from tests.pdfs import pdf
from tests.pictures import encoded

SETTINGS = Settings()
# A sheet of white with a black bar and a grey one; in color the bars stand apart in each channel.
GREY = np.ones((40, 60))
GREY[10:15, 10:50], GREY[20:25, 10:40] = 0, 100 / 255
COLOR = np.stack([GREY, np.roll(GREY, 5, 0), np.ones_like(GREY)], axis=-1)
ALPHA = np.ones_like(GREY)
ALPHA[:, :8] = 0  # where the sheet is white


def drawn(data: bytes, settings: Settings = SETTINGS) -> np.ndarray:
    """The levels of a file's only page, (height, width, 3)."""
    ((_, page),) = open_document(data, "", settings)
    assert isinstance(page, DrawnPage)
    assert page.problems == ()
    assert not page.is_blank
    return np.asarray(page.image)


def refused(data: bytes, settings: Settings = SETTINGS) -> str:
    with pytest.raises(InputError) as raised:
        open_document(data, "", settings)
    return str(raised.value)


def integers(fractions: np.ndarray, bits: int) -> np.ndarray:
    """Levels of so many bits, in the smallest type that holds them."""
    return np.rint(fractions * (2**bits - 1)).astype(np.min_scalar_type(2**bits - 1))


def tiff(values: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **{"photometric": "minisblack", "metadata": None} | options)
    return file.getvalue()


def heic(image: Image.Image) -> bytes:
    """A HEIC without loss."""
    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file, quality=-1)
    return file.getvalue()


def assert_is(levels: np.ndarray, fractions: np.ndarray, within: int = 1) -> None:
    expected = np.rint(fractions * 255).astype(int)
    expected = np.broadcast_to(expected[..., None], (*expected.shape, 3)) if expected.ndim == 2 else expected
    assert levels.shape == expected.shape
    assert np.abs(levels.astype(int) - expected).max() <= within


PICTURE = Image.fromarray(integers(COLOR, 8))
SAMPLES: dict[str, Callable[[], bytes]] = {
    "PDF": lambda: pdf(PICTURE, dpi=200),
    "HEIF": lambda: heic(PICTURE),
} | {name: lambda name=name: encoded(PICTURE, name) for name in FORMATS if name not in ("PDF", "HEIF")}


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_of_the_table_is_read(name: str) -> None:
    levels = drawn(SAMPLES[name]())
    assert levels.shape[2] == 3
    levels = np.asarray(Image.fromarray(levels).resize((60, 40)))  # a PDF's page may have a row more
    assert np.abs(levels / 255 - COLOR).mean() < 0.04  # the JPEG in a PDF, WebP and others lose some


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "PDF"])
def test_an_image_that_mentions_a_pdf_is_the_image(name: str) -> None:
    """Within the bytes in which readers look for the mark of a PDF."""
    mark = b"%PDF-1.7\n%\n"
    marked: dict[str, Callable[[], bytes]] = {
        "JPEG": lambda: encoded(PICTURE, "JPEG", comment=mark),
        "GIF": lambda: encoded(PICTURE.quantize(4), "GIF", comment=mark),
        "PPM": lambda: SAMPLES["PPM"]().replace(b"P6\n", b"P6\n#" + mark.replace(b"\n", b"") + b"\n"),
        "PNG": lambda: encoded(PICTURE, "PNG", pnginfo=commented(mark)),
        "BMP": lambda: SAMPLES["BMP"]()[:54] + mark + SAMPLES["BMP"]()[54 + len(mark) :],
        "TIFF": lambda: tiff(np.asarray(PICTURE), photometric="rgb", description=mark.decode()),
    }
    data = marked[name]() if name in marked else SAMPLES[name]()
    assert formats.PDF_MARK in data[: formats.PDF_WITHIN] or name not in marked
    assert not formats.is_pdf(data[: formats.PDF_WITHIN // 2] + mark)
    assert drawn(data).shape == (40, 60, 3)


def commented(text: bytes) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", text.decode())
    return info


@pytest.mark.parametrize(
    "before",
    [b"HTTP/1.1 200 OK\r\n\r\n", b"\0" * 512, b"\xef\xbb\xbf", b"BM", b"P5", b"II of III\n", b"GIF\n"],
    ids=repr,
)
def test_a_pdf_after_other_bytes_is_a_pdf(before: bytes) -> None:
    assert formats.is_pdf(before + SAMPLES["PDF"]())
    if not before.startswith(b"HTTP"):
        assert drawn(before + SAMPLES["PDF"]()).shape[2] == 3


def test_the_table_names_what_is_read_and_the_ends_of_names() -> None:
    assert all(format_.name in names() and format_.pages and format_.samples for format_ in FORMATS.values())
    assert len(SUFFIXES) == sum(len(format_.suffixes) for format_ in FORMATS.values())
    known = {suffix for suffix, format_ in Image.registered_extensions().items() if format_ in FORMATS}
    assert known - SUFFIXES == set()


DEEP_TIFFS: dict[str, tuple[np.ndarray, np.ndarray, dict[str, Any]]] = {  # what was drawn, its samples, how written
    **{f"{bits} bits": (GREY, integers(GREY, bits), {"bitspersample": bits}) for bits in (10, 12, 14)},
    **{f"{bits} bits whole": (GREY, integers(GREY, bits), {}) for bits in (16, 32)},
    "white is zero, 8 bits": (GREY, integers(1 - GREY, 8), {"photometric": "miniswhite"}),
    "white is zero, 16 bits": (GREY, integers(1 - GREY, 16), {"photometric": "miniswhite"}),
    "white is zero, 32 bits": (GREY, integers(1 - GREY, 32), {"photometric": "miniswhite"}),  # ImageMagick: black
    "signed, 16 bits": (GREY, (integers(GREY, 16).astype(np.int32) - 2**15).astype(np.int16), {}),
    "signed, 32 bits": (GREY, (integers(GREY, 32).astype(np.int64) - 2**31).astype(np.int32), {}),
    "half float": (GREY, GREY.astype(np.float16), {}),
    "float": (GREY, GREY.astype(np.float32), {}),
    "double": (GREY, GREY.astype(np.float64), {}),
    "float to 255": (GREY, (GREY * 255).astype(np.float32), {}),  # ImageMagick: grey becomes white
    "float to 1000": (GREY, (GREY * 1000).astype(np.float32), {}),  # likewise
    "float from -1": (GREY, (GREY * 2 - 1).astype(np.float32), {}),  # ImageMagick: grey becomes black
    "float in color": (COLOR, COLOR.astype(np.float32), {"photometric": "rgb"}),
    "16 bits in color": (COLOR, integers(COLOR, 16), {"photometric": "rgb"}),
    "32 bits in color": (COLOR, integers(COLOR, 32), {"photometric": "rgb"}),
    "12 bits in color": (COLOR, integers(COLOR, 12), {"photometric": "rgb", "bitspersample": 12}),
    **{
        f"{bits} bits in planes": (
            COLOR,
            integers(COLOR, bits).transpose(2, 0, 1),
            {"photometric": "rgb", "planarconfig": "separate"},
        )
        for bits in (8, 16)
    },
    **{
        f"CMYK of {bits} bits with alpha": (
            COLOR,
            integers(np.dstack([1 - COLOR, 0 * GREY, ALPHA]), bits),
            {"photometric": "separated", "extrasamples": ["unassalpha"]},
        )
        for bits in (8, 16)
    },
    "grey of 16 bits with alpha": (GREY, integers(np.dstack([GREY, ALPHA]), 16), {"extrasamples": ["unassalpha"]}),
    "premultiplied alpha": (
        COLOR,
        integers(np.dstack([COLOR * ALPHA[..., None], ALPHA]), 16),
        {"photometric": "rgb", "extrasamples": ["assocalpha"]},
    ),
    **{
        f"{codec} of {name}": (GREY, values, {"compression": codec})
        for codec in ("lerc", "zstd", "jpeg2000", "jpegxl", "lzw")
        for name, values in {"8 bits": integers(GREY, 8), "16 bits": integers(GREY, 16)}.items()
    },
    "lerc of float": (GREY, GREY.astype(np.float32), {"compression": "lerc"}),
}


@pytest.mark.parametrize("kind", DEEP_TIFFS)
def test_a_tiff_of_any_depth_and_kind_is_read_right(kind: str) -> None:
    expected, values, options = DEEP_TIFFS[kind]
    assert_is(drawn(tiff(values, **options)), expected)
    assert_is(drawn(tiff(values, **options, bigtiff=True)), expected)


def test_what_is_no_number_is_paper() -> None:
    """ImageMagick draws it black: a line that nobody drew."""
    for photometric in ("minisblack", "miniswhite"):
        values = (GREY if photometric == "minisblack" else 1 - GREY).astype(np.float32)
        values[:, 55] = np.nan
        assert_is(drawn(tiff(values, photometric=photometric)), GREY)


def test_the_range_that_a_float_tiff_declares_counts() -> None:
    tags = [(340, "f", 1, -50.0, True), (341, "f", 1, 250.0, True)]  # SMinSampleValue, SMaxSampleValue
    assert_is(drawn(tiff((GREY * 300 - 50).astype(np.float32), extratags=tags)), GREY)


def test_where_nothing_was_measured_there_is_paper() -> None:
    values = GREY.astype(np.float32)
    values[:, 55] = -9999
    assert_is(drawn(tiff(values, extratags=[(42113, "s", 0, "-9999", True)])), GREY)


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        (integers(GREY, 8), {"photometric": "cfa"}, "raw camera data"),
        (GREY.astype(np.complex64), {}, "complex numbers"),
        (integers(COLOR, 16), {"photometric": "cielab"}, "Lab of 3 samples of 16 bits"),
        (integers(np.stack([GREY] * 4), 8), {"volumetric": True, "tile": (16, 16, 16)}, "a volume"),
        (integers(np.stack([GREY] * 9, -1), 8), {"planarconfig": "contig"}, "grey of 9 samples"),
    ],
    ids=["raw", "complex", "lab", "volume", "spectrum"],
)
def test_a_tiff_of_a_kind_that_is_not_read_is_refused_by_its_name(
    values: np.ndarray, options: dict[str, Any], words: str
) -> None:
    message = refused(tiff(values, **options))
    assert words in message
    assert "Save it with 8 bits a sample" in message
    assert "Send it again" not in message


def test_deep_samples_have_a_limit_of_their_own() -> None:
    data = tiff(np.dstack([COLOR, ALPHA]).astype(np.float64), photometric="rgb", extrasamples=["unassalpha"])
    assert "60 x 40 pixels of 256 bits" in refused(data, Settings(max_pixels=2_400))
    assert "60 x 40 = 2,400 pixels" in refused(data, Settings(max_pixels=2_399))


def png(values: np.ndarray, kind: int, transparent: tuple[int, ...]) -> bytes:
    """A PNG of 16 bits a sample with a transparent level or color."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
        + chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_a_transparent_level_of_16_bits_is_that_level_alone() -> None:
    """Black print, level 1, on a transparent ground of level 0: 8 bits cannot tell them apart."""
    levels = np.where(GREY == 1, 0, np.where(GREY == 0, 1, 100 * 257)).astype(np.uint16)
    assert_is(drawn(png(levels, 0, (0,))), GREY)
    assert_is(drawn(png(np.dstack([levels] * 3), 2, (0, 0, 0))), GREY)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("what", ["grey", "color", "grey with alpha", "color with alpha"])
def test_jpeg_2000_of_any_depth_is_read_right(bits: int, what: str) -> None:
    expected = GREY if "grey" in what else COLOR
    values = integers(np.dstack([expected, ALPHA]) if "alpha" in what else expected, bits)
    data = imagecodecs.jpeg2k_encode(values, bitspersample=bits, reversible=True, codecformat="jp2")
    assert_is(drawn(data), expected)


@pytest.mark.parametrize("expected", [GREY, COLOR], ids=["grey", "color"])
def test_a_jpeg_of_12_bits_is_read(expected: np.ndarray) -> None:
    data = imagecodecs.jpeg_encode(integers(expected, 12), level=100, bitspersample=12)
    assert_is(drawn(data), expected, within=150)  # its colors are coded at half the width
    assert drawn(data)[12, 20:40, 0].max() < 5
    assert "60 x 40 = 2,400 pixels" in refused(data, Settings(max_pixels=2_399))


@pytest.mark.parametrize("top", [100, 255, 1023, 65535])
def test_a_pgm_of_any_top_level_is_read_right(top: int) -> None:
    levels = np.rint(GREY * top).astype(">u2" if top > 255 else "u1")
    assert_is(drawn(b"P5 60 40 %d\n" % top + levels.tobytes()), GREY)


def test_a_float_pgm_is_read_right() -> None:
    assert_is(drawn(b"Pf\n60 40\n-1.0\n" + GREY[::-1].astype("<f4").tobytes()), GREY)


def bmp(alpha: np.ndarray) -> bytes:
    """A BMP of 32 bits with a mask for alpha."""
    header = struct.pack("<IiiHHIIiiII", 108, 60, -40, 1, 32, 3, 0, 0, 0, 0, 0)
    header += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000).ljust(68, b"\0")
    pixels = np.dstack([integers(COLOR, 8)[..., ::-1], integers(alpha, 8)])
    start = 14 + len(header)
    return b"BM" + struct.pack("<IHHI", start + pixels.size, 0, 0, start) + header + pixels.tobytes()


def test_a_bmp_whose_alpha_is_0_throughout_is_opaque() -> None:
    assert_is(drawn(bmp(0 * ALPHA)), COLOR)
    assert_is(drawn(bmp(ALPHA)), COLOR)
    half = drawn(bmp(ALPHA / 2))
    assert half[12, 20, 0] in (127, 128)  # elsewhere it counts


@pytest.mark.parametrize("name", ["heic", "mif1"])
def test_a_heic_is_read_upright_and_within_limits(name: str) -> None:
    data = heic(PICTURE).replace(b"ftypheic", b"ftyp" + name.encode())
    assert np.abs(drawn(data) / 255 - COLOR).mean() < 0.02  # its colors are coded at half the width
    assert "60 x 40 = 2,400 pixels" in refused(data, Settings(max_pixels=2_399))


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"8BPS\0\1", "Photoshop"),
        (b"%!PS-Adobe-3.0", "PostScript"),
        (b"\0\0\0\x0cJXL \r\n", "JPEG XL"),
        (b"AT&TFORM", "DjVu"),
        (b"PK\3\4", "Office"),
        (b"\0\0\0\x18ftypmp42", "a film"),
        (b"\0" * 128 + b"DICM", "DICOM"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>", "XML"),
        (b"P7\nWIDTH 60\n", "PAM"),
    ],
)
def test_what_is_not_read_is_refused_by_its_name(start: bytes, name: str) -> None:
    message = refused(start + bytes(300))
    assert name in message
    assert "Send it again" not in message
    assert "HEIC" in message  # among those that are


def test_the_libraries_for_rare_files_are_imported_when_one_comes() -> None:
    rare = {"tifffile", "imagecodecs", "pillow_heif", "torch", "pypdfium2"}
    code = (
        "import io, sys; from ocr.documents.pages import open_pages;"
        f"open_pages(io.BytesIO({encoded(PICTURE)!r}), dpi=200, max_pixels=10**6);"
        f"sys.exit(bool({rare!r} & set(sys.modules)))"
    )
    assert run([sys.executable, "-c", code], cwd=Path(__file__).parent.parent, check=False).returncode == 0


@pytest.mark.parametrize("name", FORMATS)
def test_the_documentation_lists_the_format_as_the_table_has_it(name: str) -> None:
    row = FORMATS[name]
    assert f"| {row.name} | {row.pages} | {row.samples} | {row.limits} |" in Path("docs/documents.md").read_text()
