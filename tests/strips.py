"""Pages of numbered lines that tests draw, with the places of the lines."""

from PIL import Image, ImageDraw, ImageFont

from ocr.types import Box

Lines = tuple[Image.Image, list[Box]]


def lines(size: tuple[int, int], count: int, *, pitch: int, font_px: int, words: str = "Line number") -> Lines:
    """A white page of so many lines, `pitch` px apart, and the box of each line's ink."""
    image = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(font_px)
    boxes = []
    for number in range(1, count + 1):
        place, text = (20, 20 + (number - 1) * pitch), f"{words} {number}"
        draw.text(place, text, font=font, fill="black")
        boxes.append(draw.textbbox(place, text, font=font))
    return image, boxes


def long_strip() -> Lines:
    """600 x 9000 px with 40 numbered lines."""
    return lines((600, 9000), 40, pitch=220, font_px=24)


def wide_strip() -> Lines:
    """9000 x 200 px with 20 numbered columns of two lines."""
    image, boxes = Image.new("RGB", (9000, 200), "white"), []
    for number in range(20):
        column, (first, second) = lines((400, 200), 2, pitch=60, font_px=40, words=f"Column {number}, line")
        image.paste(column, (20 + 440 * number, 0))
        x1, y1, x2, y2 = first[0], first[1], max(first[2], second[2]), second[3]
        boxes.append((20 + 440 * number + x1, y1, 20 + 440 * number + x2, y2))
    return image, boxes


def without_gaps() -> Image.Image:
    """600 x 9000 px with two columns of lines, each beside the gap between two of the other."""
    image, _ = lines((600, 9000), 300, pitch=29, font_px=20)
    right, _ = lines((280, 8980), 300, pitch=29, font_px=20)
    image.paste(right, (310, 15))
    return image
