"""Damage beside the pixels costs no pixels, and is told where it matters: which way is up may be lost with it."""

import io
import random
import struct
import zlib
from collections.abc import Iterator

import pillow_heif
import pytest
from PIL import Image, ImageCms, ImageDraw, PngImagePlugin

from ocr.documents.decoding import UNKNOWN_ORIENTATION
from ocr.documents.document import open_document
from ocr.documents.images import NO_END
from ocr.documents.page import DrawnPage
from ocr.errors import InputError
from ocr.settings import Settings
from tests.pictures import encoded

PAGE = Image.new("RGB", (120, 80), "white")
ImageDraw.Draw(PAGE).text((8, 20), "Invoice 42", fill="black", font_size=20)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + b"y" * 300 + b"</x:xmpmeta>"


def drawn(data: bytes) -> DrawnPage:
    ((_, page),) = open_document(data, "", Settings())
    assert isinstance(page, DrawnPage)
    return page


def assert_whole(data: bytes, *problems: str, page: Image.Image = PAGE) -> None:
    """The file's page is this one to the last bit, with these problems."""
    read = drawn(data)
    assert (read.image.size, read.image.tobytes()) == (page.size, page.tobytes())
    assert read.problems == problems


def exif(orientation: int = 1) -> Image.Exif:
    values = Image.Exif()
    values[0x0112] = orientation
    values[0x010F] = "A maker of cameras"
    return values


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_with(*chunks: bytes) -> bytes:
    """The page as a PNG with these chunks after its header."""
    data = encoded(PAGE)
    return data[:33] + b"".join(chunks) + data[33:]


DAMAGED_EXIF = {
    "no directory": b"MM\0*",
    "no TIFF": b"something else",
    "directory beyond the end": b"II*\0\xff\xff\0\0",
}


@pytest.mark.parametrize("damage", DAMAGED_EXIF)
def test_a_png_with_damaged_exif_is_read_and_told(damage: str) -> None:
    content = DAMAGED_EXIF[damage]
    told = () if damage == "directory beyond the end" else (UNKNOWN_ORIENTATION,)  # Pillow takes it for an empty one
    assert_whole(png_with(chunk(b"eXIf", content)), *told)
    text = b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n  8\n" + content.hex().encode() + b"\n")
    assert_whole(png_with(chunk(b"zTXt", text)), *told)


def test_a_png_whose_exif_text_is_no_hexadecimal_is_read_and_told() -> None:
    assert_whole(png_with(chunk(b"tEXt", b"Raw profile type exif\0\nexif\n  4\nzzzz\n")), UNKNOWN_ORIENTATION)
    assert_whole(png_with(chunk(b"zTXt", b"Raw profile type exif\0\0no zlib")), UNKNOWN_ORIENTATION)


def test_the_exif_text_of_a_png_turns_it() -> None:
    """As ImageMagick writes it."""
    content = exif(6).tobytes()
    text = b"Raw profile type exif\0\nexif\n%8d\n%s\n" % (len(content), content.hex().encode())
    for made in (chunk(b"tEXt", text), chunk(b"zTXt", text.replace(b"\0", b"\0\0", 1)[:23] + zlib.compress(text[22:]))):
        assert_whole(png_with(made), page=PAGE.transpose(Image.Transpose.ROTATE_270))


@pytest.mark.parametrize("kind", [b"tEXt", b"iCCP", b"gAMA", b"pHYs", b"tIME", b"acTL", b"eXIf", b"iTXt", b"tRNS"])
def test_a_wrong_checksum_of_what_is_no_pixel_costs_nothing(kind: bytes) -> None:
    wrong = chunk(kind, b"Comment\0hello")[:-1] + b"!"
    assert_whole(png_with(wrong), *([UNKNOWN_ORIENTATION] if kind == b"eXIf" else []))


def test_a_wrong_length_of_what_is_no_pixel_costs_nothing() -> None:
    assert_whole(png_with(struct.pack(">I", 9) + chunk(b"tEXt", b"Comment\0hello")[4:]))


@pytest.mark.parametrize("kind", ["text", "profile"])
def test_a_png_with_metadata_that_is_large_unpacked_is_read(kind: str) -> None:
    large = zlib.compress(b"\nexif\n  8\n" + b"4d4d" * 2**20)
    name = b"Comment\0\0" if kind == "text" else b"sRGB\0\0"
    assert_whole(png_with(chunk(b"zTXt" if kind == "text" else b"iCCP", name + large)))
    assert_whole(png_with(chunk(b"zTXt", b"Raw profile type exif\0\0" + large)), UNKNOWN_ORIENTATION)


def test_a_png_without_its_end_is_read() -> None:
    data = encoded(PAGE)
    assert data.endswith(chunk(b"IEND", b""))
    assert_whole(data[:-12])
    assert_whole(data[:-12] + b"\0\0\0\0IE")


def damaged(data: bytes, start: int, end: int) -> Iterator[bytes]:
    """The file with other bytes here and there between these."""
    chance = random.Random(17)
    for _ in range(60):
        copy = bytearray(data)
        for _ in range(chance.choice((1, 3, 20))):
            copy[chance.randrange(start, end)] = chance.choice((0, 255, chance.randrange(256)))
        yield bytes(copy)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "AVIF", "MPO"])
@pytest.mark.parametrize("what", ["exif", "profile", "xmp"])
def test_damaged_metadata_costs_no_pixel(format_: str, what: str) -> None:
    options: dict[str, object] = {"exif": exif(), "icc_profile": PROFILE, "xmp": XMP, "dpi": (200, 200)}
    if format_ == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", options.pop("xmp").decode())  # type: ignore[attr-defined]
    if format_ in ("WEBP", "AVIF"):
        options |= {"lossless": True} if format_ == "WEBP" else {"quality": 100}
    data = encoded(PAGE, format_, **options)
    content = {"exif": b"A maker of cameras", "profile": PROFILE, "xmp": XMP}[what]
    start = data.find(content)
    if start < 0:
        assert (format_, what) in {("PNG", "profile"), ("MPO", "profile")}  # packed, or not written
        return
    before = 30 if what == "exif" else 0  # where the directory stands
    whole = drawn(data).image.tobytes()
    for file in damaged(data, start - before, start + len(content)):
        page = drawn(file)
        assert page.image.tobytes() == whole or page.image.size == PAGE.size[::-1]  # or turned, as it says
        assert set(page.problems) <= {UNKNOWN_ORIENTATION}


def test_damaged_exif_costs_a_heic_no_pixel() -> None:
    file = io.BytesIO()
    pillow_heif.from_pillow(PAGE).save(file, quality=-1, exif=exif().tobytes(), xmp=XMP)
    data = file.getvalue()
    content = exif().tobytes()[6:]
    start, whole = data.index(content), drawn(data).image.tobytes()
    for other in damaged(data, start, start + len(content)):
        assert drawn(other).image.tobytes() == whole


@pytest.mark.parametrize("options", [{}, {"quality": 95, "subsampling": 0}, {"restart_marker_rows": 1}], ids=str)
def test_a_jpeg_without_its_end_mark_is_read(options: dict[str, int]) -> None:
    data = encoded(PAGE, "JPEG", **options)
    for cut in (1, 2):
        assert_whole(data[:-cut], page=drawn(data).image)


def test_a_progressive_jpeg_without_its_end_mark_is_read_and_told() -> None:
    """It may lack the scans that make it finer."""
    data = encoded(PAGE, "JPEG", progressive=True)
    assert_whole(data[:-2], NO_END, page=drawn(data).image)


def test_a_jpeg_that_lacks_pixels_is_refused() -> None:
    data = encoded(PAGE, "JPEG", quality=95)
    for cut in range(4, 400, 12):
        with pytest.raises(InputError, match="Send it again"):
            drawn(data[:-cut])


def test_a_progressive_jpeg_that_lacks_pixels_is_refused_and_one_that_lacks_fineness_told() -> None:
    data = encoded(PAGE, "JPEG", quality=95, progressive=True)
    told = 0
    for cut in range(4, 400, 12):
        try:
            told += drawn(data[:-cut]).problems == (NO_END,)
        except InputError as error:
            assert "damaged or incomplete" in str(error)
    assert 0 < told < 5  # cut between two scans


def test_a_jpeg_2000_without_its_end_mark_is_read() -> None:
    data = encoded(PAGE, "JPEG2000", no_jp2=True)
    assert_whole(data[:-2])
    with pytest.raises(InputError, match="damaged or incomplete"):
        drawn(data[:-8])


def test_a_gif_without_its_end_mark_is_read() -> None:
    data = encoded(PAGE.convert("1"), "GIF")
    assert data.endswith(b"\0;")
    assert_whole(data[:-1], page=drawn(data).image)


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_sending_again_is_advised_where_the_file_is_cut_off(format_: str) -> None:
    data = encoded(PAGE, format_)
    with pytest.raises(InputError, match="damaged or incomplete") as raised:
        drawn(data[: len(data) // 2])
    assert format_ == "WEBP" or "Send it again" in str(raised.value)  # whose decoder does not say why


def test_sending_again_is_not_advised_where_it_cannot_help() -> None:
    data = bytearray(encoded(PAGE))
    start = data.index(b"IDAT") + 4
    data[start : start + 20] = b"\xaa" * 20
    with pytest.raises(InputError) as raised:
        drawn(bytes(data))
    assert "Send it again" not in str(raised.value)
