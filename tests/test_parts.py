"""Where long and large pages are cut, and how high their lines are: pixels alone."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ocr.models.catalog import MODELS
from ocr.models.deepseek.views import view_scale
from ocr.reading.parts import DEPTH, MAX_ASPECT, READABLE, Area, areas, line_height
from ocr.types import Box
from tests.pictures import GOLDEN_SIZES, golden_picture, page
from tests.strips import Lines, lines, long_strip, wide_strip, without_gaps

PRESETS = MODELS["deepseek-ocr"].presets
GUNDAM = PRESETS["Gundam (Recommended)"]


def cut(image: Image.Image, preset: str = "Gundam (Recommended)") -> list[Area]:
    """The areas of a page as DeepSeek-OCR would read them."""
    return areas(image, lambda size: view_scale(size, PRESETS[preset]), line_height(image))


def parts_with(drawn: list[Box], found: list[Area]) -> set[int]:
    """In how many areas each line lies wholly."""
    return {
        sum(x1 <= left and y1 <= top and right <= x2 and bottom <= y2 for x1, y1, x2, y2 in found)
        for left, top, right, bottom in drawn
    }


def covered(size: tuple[int, int], found: list[Area]) -> NDArray[np.uint8]:
    """How often each pixel is in an area."""
    times = np.zeros((size[1], size[0]), np.uint8)
    for x1, y1, x2, y2 in found:
        times[y1:y2, x1:x2] += 1
    return times


@pytest.mark.parametrize("strip", [long_strip, wide_strip])
def test_a_strip_is_cut_between_its_lines(strip: Callable[[], Lines]) -> None:
    image, drawn = strip()
    found = cut(image)
    assert len(found) > 5
    assert parts_with(drawn, found) == {1}
    assert (covered(image.size, found) == 1).all()
    assert found == sorted(found)
    assert all(max(x2 - x1, y2 - y1) <= 1200 for x1, y1, x2, y2 in found)


@pytest.mark.parametrize(("pitch", "font_px"), [(29, 20), (24, 20), (26, 24), (16, 12)])
def test_close_lines_are_kept_whole(pitch: int, font_px: int) -> None:
    image, drawn = lines((600, 9000), 8900 // pitch, pitch=pitch, font_px=font_px, words="Équipage gjpqy")
    assert parts_with(drawn, cut(image)) == {1}


def test_where_there_is_no_gap_parts_overlap_by_more_than_a_line() -> None:
    image = without_gaps()
    found = cut(image)
    overlaps = [before[3] - after[1] for before, after in pairwise(found)]
    assert len(found) > 5 and min(overlaps) > 20
    assert (covered(image.size, found) >= 1).all()


def test_a_rule_from_end_to_end_hides_no_gap() -> None:
    image, drawn = long_strip()
    for x in (5, 300, 590):
        image.paste((0, 0, 0), (x, 0, x + 3, image.height))
    assert parts_with(drawn, cut(image)) == {1}


def test_print_as_light_as_its_ground_is_not_cut_through() -> None:
    """Red and teal of one luminance, which a grey picture would not tell apart."""
    image, drawn = lines((600, 9000), 300, pitch=29, font_px=20)
    is_ink = np.asarray(image)[:, :, :1] < 128
    coloured = Image.fromarray(np.where(is_ink, (210, 60, 60), (0, 134, 134)).astype(np.uint8))
    assert parts_with(drawn, cut(coloured)) == {1}


def test_noise_hides_no_gap() -> None:
    image, drawn = lines((600, 9000), 300, pitch=29, font_px=20)
    noise = np.random.default_rng(1).normal(0, 8, (9000, 600, 3))
    noisy = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    assert parts_with(drawn, cut(noisy)) == {1}


@pytest.mark.parametrize(("length", "is_cut"), [(6000, False), (6100, True)])
def test_aspects_over_ten_are_cut(length: int, is_cut: bool) -> None:
    image, _ = lines((600, length), 100, pitch=58, font_px=30)
    assert (len(cut(image)) > 1) is is_cut
    assert MAX_ASPECT == 10


@pytest.mark.parametrize("size", [(900, 60), (60, 900), (3000, 12)])
def test_a_single_line_and_a_rule_are_read_whole(size: tuple[int, int]) -> None:
    assert cut(page(*size)) == [(0, 0, *size)]


def test_a_large_page_is_cut_between_lines_until_its_print_can_be_read() -> None:
    """A drawing in print that Gundam would see 4 px high."""
    image, drawn = lines((3300, 4680), 350, pitch=13, font_px=10, words="Bolt M8 x 40, galvanised " * 20)
    line = line_height(image)
    assert line is not None
    assert view_scale(image.size, GUNDAM) * line < READABLE
    found = cut(image)
    assert parts_with(drawn, found) == {1}
    assert all(view_scale((x2 - x1, y2 - y1), GUNDAM) * line >= READABLE for x1, y1, x2, y2 in found)


def test_there_are_never_more_parts_than_a_few() -> None:
    image, _ = lines((300, 60000), 2000, pitch=29, font_px=12)
    assert 16 < len(cut(image)) <= 2**DEPTH == 32


def test_parts_that_would_not_be_seen_larger_are_not_made() -> None:
    image, _ = lines((1200, 1600), 200, pitch=7, font_px=6)
    assert areas(image, lambda _size: 0.5, line_height(image)) == [(0, 0, 1200, 1600)]


@pytest.mark.parametrize("font_px", [8, 12, 20, 32, 60])
def test_the_height_of_lines_is_that_of_their_ink(font_px: int) -> None:
    image, drawn = lines((1000, 1400), 1300 // (2 * font_px), pitch=2 * font_px, font_px=font_px, words="Agjpq " * 20)
    height = line_height(image)
    assert height == pytest.approx(max(y2 - y1 for _, y1, _, y2 in drawn), rel=0.15, abs=1)


def test_a_photograph_has_no_lines() -> None:
    image = Image.effect_noise((75, 100), 90).resize((1200, 1600), Image.Resampling.BICUBIC).convert("RGB")
    assert line_height(image) is None


@pytest.mark.parametrize("name", sorted(GOLDEN_SIZES))
def test_the_references_pages_are_read_whole(name: str) -> None:
    assert len(cut(golden_picture(name))) == 1


@pytest.mark.parametrize("path", sorted(path for path in Path("examples").iterdir() if path.suffix != ".md"), ids=str)
@pytest.mark.parametrize("preset", PRESETS)
def test_examples_are_read_whole(path: Path, preset: str) -> None:
    image = Image.open(path).convert("RGB")
    line = line_height(image)
    assert line is not None and line * view_scale(image.size, PRESETS[preset]) > READABLE
    assert cut(image, preset) == [(0, 0, *image.size)]


def test_ordinary_pages_are_read_whole(shared: Path) -> None:
    for path in sorted((shared / "images").iterdir()):
        if path.suffix != ".pdf":
            image = Image.open(path).convert("RGB")
            assert cut(image) == [(0, 0, *image.size)], path
