"""How far the lines of print on a page are off the level."""

import pytest
from PIL import Image, ImageDraw, ImageFont

from ocr.documents.skew import skew


def printed(angle: float = 0.0, lines: int = 30) -> Image.Image:
    """A page of lines that run down to the right at this angle."""
    page = Image.new("RGB", (1000, 1300), "white")
    for line in range(lines):
        words = f"Line {line} of a page that has nothing on it but its own lines"
        ImageDraw.Draw(page).text((120, 150 + 34 * line), words, "black", ImageFont.load_default(22))
    return page.rotate(-angle, Image.Resampling.BICUBIC, fillcolor="white")


@pytest.mark.parametrize("angle", [-12, -5, -2, 0, 1, 3, 8, 14])
def test_the_angle_of_the_lines_is_found(angle: float) -> None:
    assert skew(printed(angle)) == pytest.approx(angle, abs=0.3)


def test_white_print_on_black_has_its_angle_too() -> None:
    page = printed(3).point(lambda level: 255 - level)
    assert skew(page) == pytest.approx(3, abs=0.3)


def test_a_page_with_hardly_any_print_is_level() -> None:
    assert skew(printed(5, lines=1)) == 0


def test_a_page_on_its_side_is_level() -> None:
    assert skew(printed().transpose(Image.Transpose.ROTATE_90)) == 0


def test_what_has_no_lines_is_level() -> None:
    noise = Image.effect_noise((900, 900), 90).convert("RGB")
    assert skew(noise) == 0


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3), (12000, 900)])
def test_a_page_of_any_size_has_an_angle(size: tuple[int, int]) -> None:
    assert skew(Image.effect_noise(size, 90).convert("RGB")) == 0
