"""Bytes to pages, pages to pixels: equal to the reference to the last bit, and clear about what cannot be read."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from ocr.catalog import RESOLUTIONS
from ocr.deepseek import image_token_count, normalise
from ocr.errors import InputError
from ocr.images import decode, open_image, square_views, tile_grid, to_rgb
from tests.checkpoints import GOLDEN
from tests.pictures import GOLDEN_SIZES, encoded, golden_picture, page, png_header

PIXELS = np.load(GOLDEN / "deepseek" / "preprocess_upstream.npz")
TILES = np.load(GOLDEN / "deepseek" / "tiles_upstream.npz")
PRESETS = {name.split()[0].lower(): resolution for name, resolution in RESOLUTIONS.items()}


def crc(pixels: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(pixels).tobytes())


def read(data: bytes) -> Image.Image:
    return decode(open_image(io.BytesIO(data)), max_pixels=200_000_000)


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
    grids = [tile_grid(int(width), int(height), max_tiles=most) for width, height in TILES["wh"]]
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
        (png_header(30_000, 30_000), ["30000 x 30000", "200,000,000", "OCR_MAX_PIXELS"]),
    ],
    ids=["empty", "text", "svg", "cut png", "cut jpeg", "one pixel", "900 megapixels"],
)
def test_what_cannot_be_read_gets_one_clear_sentence(data: bytes, words: list[str]) -> None:
    with pytest.raises(InputError) as raised:
        read(data)
    for word in words:
        assert word in str(raised.value)
