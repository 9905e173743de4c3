"""Bytes to pages, pages to pixels: equal to the reference to the last bit, and clear about what cannot be read."""

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ocr.documents.blank import is_blank
from ocr.documents.decoding import to_rgb
from ocr.documents.document import open_document
from ocr.documents.images import read_image
from ocr.documents.page import DrawnPage
from ocr.engines.tiles import tile_grid
from ocr.errors import InputError
from ocr.models.catalog import MODELS
from ocr.models.deepseek.engine import normalise
from ocr.models.deepseek.processor import image_token_count
from ocr.models.deepseek.views import square_views
from ocr.settings import Settings
from tests.checkpoints import GOLDEN
from tests.pictures import GOLDEN_SIZES, encoded, golden_picture, page, png_header

PIXELS = np.load(GOLDEN / "deepseek" / "preprocess_upstream.npz")
TILES = np.load(GOLDEN / "deepseek" / "tiles_upstream.npz")
PRESETS = {name.split()[0].lower(): resolution for name, resolution in MODELS["deepseek-ocr"].presets.items()}


def crc(pixels: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(pixels).tobytes())


def read(data: bytes) -> Image.Image:
    ((_, page),) = open_document(data, "1", Settings())
    assert isinstance(page, DrawnPage)
    assert page.problems == ()
    return page.image


@pytest.mark.parametrize("name", GOLDEN_SIZES)
def test_every_preset_gives_the_references_pixels(name: str) -> None:
    picture = golden_picture(name)
    assert crc(np.asarray(picture)) == PIXELS[f"{name}/src_crc"]
    assert picture.size == tuple(PIXELS[f"{name}/size"])
    for preset, resolution in PRESETS.items():
        golden = {key.rsplit("/", 1)[1]: PIXELS[key] for key in PIXELS.files if key.startswith(f"{name}/{preset}/")}
        views = square_views(picture, resolution)
        assert crc(views.whole) == golden["global_crc"], preset
        assert np.array_equal(views.whole[::32, ::32], golden["global_sub"])
        assert (views.columns, views.rows) == tuple(golden["ratio"])
        assert len(views.tiles) == golden["ncrops"]
        assert image_token_count(views) == golden["ntok"]
        # The reference averages in float32, whose rounding depends on the order of a million additions.
        np.testing.assert_allclose(normalise([views.whole]).mean((0, 2, 3)), golden["global_mean"], atol=1e-5)
        if views.tiles:
            assert [crc(tile) for tile in views.tiles] == golden["crop_crc"].tolist()
            assert np.array_equal(np.stack([tile[::64, ::64] for tile in views.tiles]), golden["crop_sub"])
            np.testing.assert_allclose(normalise(views.tiles).mean((1, 2, 3)), golden["crop_mean"], atol=1e-5)


def test_every_golden_pixel_array_is_compared() -> None:
    kinds = {key.rsplit("/", 1)[1] for key in PIXELS.files}
    assert kinds == {
        *("src_crc", "size", "ratio", "ntok", "ncrops", "global_crc", "global_mean", "global_sub"),
        *("crop_crc", "crop_mean", "crop_sub"),
    }
    assert {key.split("/")[0] for key in PIXELS.files} == set(GOLDEN_SIZES)


@pytest.mark.parametrize("most", [6, 9])
def test_tile_grids_are_the_references(most: int) -> None:
    grids = [tile_grid(int(width), int(height), tile=640, fewest=2, most=most) for width, height in TILES["wh"]]
    assert np.array_equal(grids, TILES[f"max{most}"])


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter
    image = page(200, 120)
    image.putpixel((0, 119), (255, 0, 0))
    turned = read(encoded(image, "PNG", exif=exif))
    assert turned.size == (120, 200)
    assert turned.getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((20, 30), 65535, np.uint16))
    elif mode in ("I", "F"):
        image = Image.fromarray(np.full((20, 30), 65535, np.int32 if mode == "I" else np.float32))
    elif mode in ("LAB", "HSV"):
        image = Image.new("RGB", (30, 20), "white").convert("RGB")
        image = Image.merge(mode, image.split()) if mode == "LAB" else image.convert(mode)
    else:
        image = Image.new("RGB", (30, 20), "white").convert(mode)
    assert image.mode == mode
    converted = to_rgb(image)
    assert (converted.mode, converted.size) == ("RGB", (30, 20))
    if mode != "LAB":  # white in RGB levels is another colour in LAB
        assert converted.getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_white(mode: str) -> None:
    image = Image.new("RGBA", (20, 20), (0, 0, 0, 0)).convert("LA" if mode == "LA" else "RGBA")
    if mode == "P":
        image = Image.new("P", (20, 20), 0)
        image.info["transparency"] = 0
    assert to_rgb(image).getpixel((3, 3)) == (255, 255, 255)


def test_sixteen_bit_grey_keeps_its_levels() -> None:
    levels = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(16, axis=0)
    image = read(encoded(Image.fromarray(levels)))
    assert np.array_equal(np.asarray(image)[0, :, 0], np.arange(256))


@pytest.mark.parametrize("format_", ["GIF", "TIFF"])
def test_the_first_frame_of_several_is_read(format_: str) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], format_, save_all=True, append_images=frames[1:])
    assert read(data).getpixel((5, 5)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ["empty", "0 bytes"]),
        (b"not an image at all", ["not an image", "PNG"]),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", ["SVG"]),
        (encoded(page())[:200], ["damaged or incomplete"]),
        (encoded(page(), "JPEG")[:300], ["damaged or incomplete"]),
        (encoded(Image.new("RGB", (1, 1))), ["1 x 1", "at least 8"]),
        (png_header(30_000, 30_000), ["30000 x 30000", "64,000,000", "OCR_MAX_PIXELS"]),
    ],
    ids=["empty", "text", "svg", "cut png", "cut jpeg", "one pixel", "900 megapixels"],
)
def test_what_cannot_be_read_gets_one_clear_sentence(data: bytes, words: list[str]) -> None:
    with pytest.raises(InputError) as raised:
        read(data)
    for word in words:
        assert word in str(raised.value)


SMALL, MIDDLE, LARGE = (362, 512), (1240, 1754), (3536, 5000)  # px; all three in the shape of A4
Shade = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (x, y), each from 0 to 1 across the page, to levels


def sheet(size: tuple[int, int], shade: Shade = lambda x, y: 255 + 0 * x * y, *, noise: float = 0) -> Image.Image:
    """A page without print: its levels, and Gaussian noise of this deviation on them."""
    width, height = size
    x, y = np.linspace(0, 1, width, dtype=np.float32)[None], np.linspace(0, 1, height, dtype=np.float32)[:, None]
    levels = shade(x, y) + np.zeros((height, width), np.float32)
    if noise:
        levels += np.random.default_rng(0).standard_normal(levels.shape, dtype=np.float32) * np.float32(noise)
    return Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8)).convert("RGB")


def level(value: float) -> Shade:
    return lambda x, y: value + 0 * x * y


def printed(
    page: Image.Image, text: str, at: tuple[float, float], font_px: int, ink: int = 0, spacing: float = 0
) -> Image.Image:
    """The page with some text at this place, as fractions of its sides; with a spacing in lines down to its end."""
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(font_px)
    y = at[1] * page.height
    while y < page.height - font_px:
        draw.text((at[0] * page.width, y), text, font=font, fill=(ink, ink, ink))
        y += spacing * font_px or page.height
    return page


def as_jpeg(page: Image.Image, quality: int) -> Image.Image:
    return read(encoded(page, "JPEG", quality=quality))


BLANK_SHEETS: dict[str, Shade] = {
    "white": level(255),
    "off-white": level(238),
    "dark grey": level(60),
    "black": level(0),
    "shaded from side to side": lambda x, y: 130 + 120 * x + 0 * y,
    "shaded from corner to corner": lambda x, y: 120 + 70 * x + 60 * y,
    "darker towards its corners": lambda x, y: 250 - 150 * ((x - 0.5) ** 2 + (y - 0.5) ** 2),
    "under a lamp": lambda x, y: 150 + 100 * np.exp(-4 * ((x - 0.4) ** 2 + (y - 0.3) ** 2)),
    "with a shadow along an edge": lambda x, y: 250 - 150 * np.clip(1 - x / 0.03, 0, 1) + 0 * y,
    "with a black edge, askew": lambda x, y: np.where(x + 0.007 * y < 0.03, 30, 250),
    "with shadows along two edges": lambda x, y: (
        250 - 100 * (np.clip(1 - x / 0.03, 0, 1) + np.clip(1 - y / 0.03, 0, 1))
    ),
    "on the black of the scanner": lambda x, y: np.where((abs(x - 0.5) > 0.48) | (abs(y - 0.5) > 0.48), 30, 250),
    "with a fold": lambda x, y: 250 - 40 * np.exp(-(((y - 0.5) / 0.01) ** 2)) + 0 * x,
    "with a rule from edge to edge": lambda x, y: np.where(abs(y - 0.1) < 0.003, 0, 255) + 0 * x,
}


@pytest.mark.parametrize("size", [SMALL, MIDDLE], ids=["512", "1754"])
@pytest.mark.parametrize("name", BLANK_SHEETS)
def test_a_sheet_without_print_is_blank(name: str, size: tuple[int, int]) -> None:
    assert is_blank(sheet(size, BLANK_SHEETS[name]))


@pytest.mark.parametrize("name", ["off-white", "dark grey", "shaded from side to side", "with a shadow along an edge"])
@pytest.mark.parametrize("noise", [2, 5, 8])
def test_the_noise_of_a_scanner_is_blank(name: str, noise: float) -> None:
    page = sheet(SMALL, BLANK_SHEETS[name], noise=noise)
    assert is_blank(page)
    assert is_blank(as_jpeg(page, 75))


@pytest.mark.parametrize("size", [(8, 8), (9, 200), (63, 65), SMALL, MIDDLE, LARGE, (12_000, 900)], ids=str)
def test_a_page_of_any_size_can_be_blank(size: tuple[int, int]) -> None:
    assert is_blank(sheet(size, level(245), noise=4))


def test_specks_of_a_pixel_are_blank() -> None:
    page = np.asarray(sheet(SMALL, level(245), noise=3)).copy()
    page[np.random.default_rng(1).random(page.shape[:2]) < 0.0001] = 0
    assert is_blank(Image.fromarray(page))


PRINT: dict[str, tuple[str, tuple[float, float]]] = {
    "a line": ("A single line of small text", (0.1, 0.3)),
    "a page number at the foot": ("12", (0.49, 0.95)),
    "a page number in the corner": ("7", (0.93, 0.96)),
    "the thinnest page number": ("1", (0.93, 0.03)),
    "one letter": ("H", (0.3, 0.3)),
}


@pytest.mark.parametrize("size", [SMALL, MIDDLE, LARGE], ids=["512", "1754", "5000"])
@pytest.mark.parametrize("what", PRINT)
def test_the_smallest_print_is_not_blank(what: str, size: tuple[int, int]) -> None:
    """In black and in light grey, of 8 px and of 8 points, on white and, lighter, on dark grey."""
    text, place = PRINT[what]
    for font_px in {8, round(size[1] / 842 * 8)}:
        assert not is_blank(printed(sheet(size), text, place, max(8, font_px), ink=0))
        assert not is_blank(printed(sheet(size), text, place, max(8, font_px), ink=200))
        assert not is_blank(printed(sheet(size, level(60)), text, place, max(8, font_px), ink=115))


@pytest.mark.parametrize("noise", [2, 5])
def test_faint_print_among_noise_is_not_blank(noise: float) -> None:
    page = printed(sheet(SMALL), "A single line of small text", (0.1, 0.3), 10, ink=200)
    levels = np.asarray(page) + np.random.default_rng(0).normal(0, noise, (page.height, page.width, 1))
    assert not is_blank(Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)))


def test_print_on_a_shaded_sheet_is_not_blank() -> None:
    for name in ("shaded from side to side", "under a lamp", "on the black of the scanner"):
        assert not is_blank(printed(sheet(SMALL, BLANK_SHEETS[name]), "12", (0.5, 0.9), 8, ink=40))


def test_large_letters_are_not_blank() -> None:
    """Also where a stroke is wider than the squares that tell the ground."""
    for font_px in (40, 150, 400):
        assert not is_blank(printed(sheet(MIDDLE), "I", (0.4, 0.3), font_px, ink=200))
        assert not is_blank(printed(sheet(MIDDLE), "OH", (0.1, 0.3), font_px, ink=0))


@pytest.mark.parametrize(
    ("ground", "ink"),
    [((0, 128, 128), (255, 24, 0)), ((200, 120, 120), (120, 161, 120)), ((90, 90, 250), (138, 90, 117))],
    ids=["red on teal", "green on pink", "brown on blue"],
)
def test_print_that_is_as_light_as_its_ground_is_not_blank(
    ground: tuple[int, int, int], ink: tuple[int, int, int]
) -> None:
    page, print_ = Image.new("RGB", MIDDLE, ground), Image.new("L", MIDDLE)
    ImageDraw.Draw(print_).text((200, 300), "TOTAL 81.35", font=ImageFont.load_default(20), fill=255)
    page.paste(Image.new("RGB", MIDDLE, ink), mask=print_.point(lambda level: 255 * (level > 127)))
    assert np.ptp(np.asarray(page.convert("L"))) <= 8  # almost nothing is left in grey
    assert not is_blank(page)
    assert is_blank(Image.new("RGB", MIDDLE, ground))


@pytest.mark.parametrize("height", [10, 16, 40, 90])
def test_a_word_on_a_strip_is_not_blank_and_the_strip_is(height: int) -> None:
    strip = sheet((20_000, height))
    assert is_blank(strip)
    assert not is_blank(printed(strip, "TOTAL 81.35", (0.4, 0), 8, ink=0))


@pytest.mark.parametrize("ink", [0, 200])
def test_a_page_full_of_print_is_not_blank(ink: int) -> None:
    """Its print must not pass for noise."""
    page = printed(
        sheet(SMALL), "The quick brown fox jumps over the lazy dog. " * 9, (0.01, 0.01), 8, ink, spacing=1.15
    )
    assert not is_blank(page)
    assert not is_blank(as_jpeg(page, 60))


def test_the_blank_test_leaves_the_page_as_it_is() -> None:
    image = page()
    before = image.tobytes()
    assert is_blank(image) is is_blank(image) is False
    assert image.tobytes() == before


def test_real_pages_and_pictures_are_not_blank(shared: Path) -> None:
    for path in sorted((shared / "images").glob("*.[pj]*g")):
        with path.open("rb") as file:
            assert not read_image(file, max_pixels=10**8).is_blank, path.name
