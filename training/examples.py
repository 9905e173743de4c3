"""Draws the pages in examples/ with their markdown: `python -m training.examples`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from training.fonts import load_font

FOLDER = Path(__file__).resolve().parent.parent / "examples"
SIDE = 640  # px
INK, PAPER = (25, 25, 30), (250, 249, 246)


@dataclass(frozen=True)
class Example:
    """One page: its heading, its lines, and what they are set in."""

    heading: str
    lines: tuple[str, ...]  # an empty one parts two paragraphs; a bar parts the columns of a table
    font: str
    bold: str
    size: int = 34  # px per em
    pitch: int = 48  # px from line to line


EXAMPLES = {
    "invoice": Example(
        "Invoice 2047",
        (
            "Date 14.03.2026",
            "Customer 88-1203",
            "",
            "Paper A4 white|12.50",
            "Ink cartridge|39.90",
            "Desk lamp|24.00",
            "Shipping|4.95",
            "",
            "Total EUR|81.35",
        ),
        "LiberationSans-Regular.ttf",
        "LiberationSans-Bold.ttf",
        size=38,
        pitch=54,
    ),
    "prose": Example(
        "The Lighthouse",
        (
            "The old keeper climbed the",
            "stairs in the evening.",
            "He carried oil, a lamp and",
            "one book about the stars.",
            "",
            "In winter the sea was loud,",
            "but the light never failed.",
            "Ships from 12 countries",
            "passed safely by the rocks.",
        ),
        "DejaVuSans.ttf",
        "DejaVuSans-Bold.ttf",
        pitch=46,
    ),
    "table": Example(
        "Rainfall in mm",
        (
            "Month|2024|2025",
            "January|61.0|39.7",
            "April|29.8|44.1",
            "July|18.6|15.3",
            "October|66.4|81.2",
            "Sum|175.8|180.3",
        ),
        "Lato-Regular.ttf",
        "Lato-Bold.ttf",
        size=36,
        pitch=52,
    ),
    "noisy": Example(
        "Platform 9",
        (
            "Train 418 to Harbor City",
            "departs at 17:45 today.",
            "Please keep your ticket",
            "and mind the gap!",
        ),
        "DejaVuSans.ttf",
        "DejaVuSans-Bold.ttf",
        size=38,
        pitch=56,
    ),
}


def draw(example: Example) -> tuple[Image.Image, str]:
    """The page, and its markdown."""
    image = Image.new("RGB", (SIDE, SIDE), PAPER)
    pen = ImageDraw.Draw(image)
    left, y = 40, 36
    pen.text((left, y), example.heading, fill=INK, font=load_font(example.bold, round(example.size * 1.4)).font)
    y += round(example.pitch * 1.8)
    font = load_font(example.font, example.size).font
    for line in example.lines:
        cells = line.split("|")
        for column, cell in enumerate(cells):
            pen.text(
                (left + column * (SIDE - left * 2) * (0.74 if len(cells) == 2 else 0.28), y), cell, fill=INK, font=font
            )
        y += example.pitch if line else example.pitch * 3 // 5
    paragraphs = "\n".join(line.replace("|", " ") for line in example.lines)
    return image, f"# {example.heading}\n\n{paragraphs}\n"


def photographed(image: Image.Image) -> Image.Image:
    """As a telephone would have it: askew, a little blurred, grainy, lit from one side."""
    image = image.rotate(1.2, resample=Image.Resampling.BICUBIC, fillcolor=PAPER).filter(ImageFilter.GaussianBlur(0.6))
    grain = np.random.default_rng(7).normal(0, 8, (SIDE, SIDE, 1)) - np.linspace(0, 28, SIDE)[None, :, None]
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def main() -> None:
    """Write examples/NAME.png, or .jpg for the photograph, and NAME.md."""
    FOLDER.mkdir(exist_ok=True)
    for name, example in EXAMPLES.items():
        image, text = draw(example)
        if name == "noisy":
            photographed(image).save(FOLDER / f"{name}.jpg", quality=80)
        else:
            image.save(FOLDER / f"{name}.png", optimize=True)
        (FOLDER / f"{name}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
