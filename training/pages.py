"""Draws a page and says where everything on it is: the truth that a model is trained and judged with."""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate, pairwise
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from training import words
from training.fonts import KNOWN, Family, Type, load_font

GRAIN_SIDE = 2048  # px
INK, PAPER = 40, 230  # levels of grey while a page is set: room for noise on either side

Point = tuple[float, float]  # px of the page
Box = tuple[float, float, float, float]  # px of the page: x1, y1, x2, y2


@dataclass(frozen=True)
class Line:
    """One line of text with the centre of each of its characters."""

    text: str
    centres: tuple[Point, ...]
    box: Box


@dataclass(frozen=True)
class Block:
    """A heading or a paragraph."""

    label: str  # as DeepSeek-OCR has it: title, sub_title, text
    lines: tuple[Line, ...]

    @property
    def box(self) -> Box:
        x1, y1, x2, y2 = zip(*(line.box for line in self.lines), strict=True)
        return min(x1), min(y1), max(x2), max(y2)


@dataclass(frozen=True)
class Page:
    """A picture, what is on it, and how it was set."""

    image: Image.Image
    blocks: tuple[Block, ...]
    family: str
    pitch: float  # px of the page from line to line in its paragraphs

    @property
    def text(self) -> str:
        return "\n\n".join("\n".join(line.text for line in block.lines) for block in self.blocks)


@dataclass(frozen=True)
class Style:
    """What pages of one kind may be like; lengths in px of the view that the model gets."""

    view: int  # px, side of the square view that the page is stretched to
    max_characters: int = 420
    pitches: tuple[float, float] = (28, 64)  # from line to line, smallest and largest
    families: tuple[Family, ...] = KNOWN
    is_clean: bool = False  # no skew, no noise
    min_lines: int = 1
    min_width: int = 1  # characters of the longest line


def draw_page(random: Random, style: Style) -> Page:
    """A page of headings, paragraphs and tables in one family, at any aspect from 2:3 to 3:2."""
    aspect = 1.0 if random.random() < 0.4 else random.uniform(0.67, 1.5)
    width, height = round(style.view * aspect**0.5), round(style.view / aspect**0.5)
    paper = _Paper(random, style, width, height)
    paper.fill()
    image, blocks = paper.image, paper.blocks
    if not style.is_clean:
        image, blocks = _aged(random, image, blocks)
    return Page(_tinted(image, paper.ink, paper.colour), tuple(blocks), paper.family.name, paper.pitch)


class _Paper:
    """A page while it is set, from top to bottom: in INK on PAPER, which are given their colours at the end."""

    def __init__(self, random: Random, style: Style, width: int, height: int) -> None:
        self.random = random
        self.width, self.height = width, height
        self.family = random.choice(style.families)
        smallest, largest = style.pitches
        # The view is the page stretched: what counts there is the height of a line in it.
        self.pitch = smallest * (largest / smallest) ** random.random() ** 1.5 * height / style.view
        self.pitch = max(self.pitch, smallest * height / style.view)
        self.size = max(12, int(self.pitch / random.uniform(1.12, 1.5)))  # px per em
        self.left_over = style.max_characters
        self.style = style
        level = random.randint(205, 255)
        self.colour = tuple(min(255, level + random.randint(-12, 12)) for _ in range(3))
        ink = random.randint(0, 80) if random.random() < 0.8 else random.randint(0, 40)
        self.ink = (
            tuple(max(0, ink + random.randint(-30, 60)) for _ in range(3)) if random.random() < 0.3 else (ink,) * 3
        )
        self.image = Image.new("L", (width, height), PAPER)
        self.pen = ImageDraw.Draw(self.image)
        self.blocks: list[Block] = []

    def fill(self) -> None:
        random, margin = self.random, self.style.view * 0.02
        left = random.uniform(margin, self.width * random.choice((0.06, 0.1, 0.3)))
        bottom = self.height - margin
        if random.random() < 0.3:
            bottom = random.uniform(0.35, 1) * self.height
        y = random.uniform(margin, max(margin + 1, self.height * random.choice((0.04, 0.12, 0.5)) - self.pitch))
        while self.left_over > 0 and y + self.pitch <= bottom:
            is_heading = random.random() < (0.35 if not self.blocks else 0.15)
            y = self._heading(left, y, bottom) if is_heading else self._paragraph(left, y, bottom)
            y += self.pitch * random.uniform(0.5, 1.1)
        if not self.blocks:
            self._paragraph(margin, margin, self.height)

    def _heading(self, left: float, y: float, bottom: float) -> float:
        size = round(self.size * self.random.uniform(1.15, 1.7))
        pitch = size * 1.25
        if y + pitch > bottom:
            return self._paragraph(left, y, bottom)
        text = self._line_of(
            words.title, load_font(self.family.bold, size), self.width * 0.95 - left, self.random.randint(1, 5)
        )
        font = load_font(self.family.bold, size)
        if self.random.random() < 0.3:
            left = max(left, (self.width - font.length(text)) / 2)
        label = "sub_title" if any(block.label == "title" for block in self.blocks) else "title"
        if text:
            self.blocks.append(Block(label, (self._set(text, left, y, font),)))
            self.left_over -= len(text)
        return y + pitch

    def _paragraph(self, left: float, y: float, bottom: float) -> float:
        random = self.random
        file = self.family.italic if self.family.italic and random.random() < 0.1 else self.family.regular
        file = self.family.bold if random.random() < 0.08 else file
        font = load_font(file, self.size)
        if random.random() < 0.15:
            return self._table(left, y, bottom, font)
        kind = random.choice((words.piece, words.piece, words.prose))
        right = self.width * random.uniform(0.6, 0.98)
        if right - left < self.size * 3:
            right = self.width * 0.98
        lines: list[Line] = []
        for _ in range(random.randint(1, 7)):
            if self.left_over <= 0 or y + self.pitch > bottom:
                break
            is_short = random.random() < 0.12
            text = self._line_of(kind, font, right - left, random.randint(1, 3) if is_short else 99)
            if not text:
                break
            indent = self.size * random.uniform(0.5, 2) if random.random() < 0.06 else 0.0
            if left + indent + font.length(text) > self.width:
                indent = 0.0
            lines.append(self._set(text, left + indent, y, font))
            self.left_over -= len(text) + 1
            y += self.pitch
        if lines:
            self.blocks.append(Block("text", tuple(lines)))
        return y

    def _table(self, left: float, y: float, bottom: float, font: Type) -> float:
        random = self.random
        columns = random.randint(2, 4)
        step = (self.width * 0.97 - left) / columns
        lines: list[Line] = []
        for _ in range(random.randint(2, 6)):
            if self.left_over <= 0 or y + self.pitch > bottom:
                break
            cells: list[Line] = []
            for column in range(columns):
                text = words.cell(random)
                if font.length(text) < step - self.size * 0.6:
                    cells.append(self._set(text, left + column * step, y, font))
            if not cells:
                break
            lines.append(_joined(cells))
            self.left_over -= len(lines[-1].text) + 1
            y += self.pitch
        if lines:
            self.blocks.append(Block("text", tuple(lines)))
        return y

    def _line_of(self, kind: Callable[[Random], str], font: Type, room: float, most: int) -> str:
        """As many words as fit in the room, `most` at most."""
        text = ""
        for _ in range(most):
            longer = f"{text} {kind(self.random)}".lstrip()
            if font.length(longer) > room or len(longer) > self.left_over + 8:
                if text or most < 99:
                    break
                continue
            text = longer
        return text

    def _set(self, text: str, x: float, y: float, font: Type) -> Line:
        self.pen.text((x, y), text, fill=INK, font=font.font)
        x1, y1, x2, y2 = self.pen.textbbox((x, y), text, font=font.font)
        ends = [0.0, *accumulate(map(font.width, text))]
        kerned = font.font.getlength(text) / ends[-1]
        middle = y + font.font.getmetrics()[0] * 0.66  # half the height of an x
        centres = tuple((x + (start + end) / 2 * kerned, middle) for start, end in pairwise(ends))
        return Line(text, centres, (max(0, x1), max(0, y1), min(self.width, x2), min(self.height, y2)))


def _joined(cells: list[Line]) -> Line:
    """The cells of a row as one line, a blank between each two."""
    text, centres = cells[0].text, cells[0].centres
    for before, cell in pairwise(cells):
        gap = ((before.box[2] + cell.box[0]) / 2, cell.centres[0][1])
        text, centres = f"{text} {cell.text}", (*centres, gap, *cell.centres)
    x1, y1, x2, y2 = zip(*(cell.box for cell in cells), strict=True)
    return Line(text, centres, (min(x1), min(y1), max(x2), max(y2)))


def _tinted(image: Image.Image, ink: tuple[int, ...], paper: tuple[int, ...]) -> Image.Image:
    """The levels from INK to PAPER, and beyond, as colours from that of the ink to that of the paper, and beyond."""
    levels = (np.arange(256) - INK) / (PAPER - INK)
    channels = [
        image.point(np.clip(np.rint(dark + levels * (light - dark)), 0, 255).astype(int).tolist())
        for dark, light in zip(ink, paper, strict=True)
    ]
    return Image.merge("RGB", channels)


def _aged(random: Random, image: Image.Image, blocks: list[Block]) -> tuple[Image.Image, list[Block]]:
    """The page as a scanner or a camera would have it: a little skewed, blurred, noisy, compressed."""
    if random.random() < 0.3:
        image, blocks = _skewed(random.uniform(-1.5, 1.5), image, blocks)
    if random.random() < 0.25:
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.2, 0.8)))
    if random.random() < 0.5:
        image = _noisy(random, image)
    if random.random() < 0.2:
        data = io.BytesIO()
        image.save(data, "JPEG", quality=random.randint(35, 90))
        image = Image.open(data).convert("L")
    return image, blocks


def _skewed(degrees: float, image: Image.Image, blocks: list[Block]) -> tuple[Image.Image, list[Block]]:
    turned = image.rotate(degrees, resample=Image.Resampling.BILINEAR, fillcolor=PAPER)
    angle = np.deg2rad(degrees)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    mid_x, mid_y = image.width / 2, image.height / 2

    def move(point: Point) -> Point:
        x, y = point[0] - mid_x, point[1] - mid_y
        return mid_x + cos * x + sin * y, mid_y - sin * x + cos * y

    def moved(line: Line) -> Line:
        x1, y1, x2, y2 = line.box
        xs, ys = zip(*map(move, ((x1, y1), (x2, y1), (x1, y2), (x2, y2))), strict=True)
        box = (max(0.0, min(xs)), max(0.0, min(ys)), min(image.width, max(xs)), min(image.height, max(ys)))
        return Line(line.text, tuple(map(move, line.centres)), box)

    return turned, [replace(block, lines=tuple(map(moved, block.lines))) for block in blocks]


def _noisy(random: Random, image: Image.Image) -> Image.Image:
    height, width = image.height, image.width
    top, left = random.randrange(GRAIN_SIDE - height), random.randrange(GRAIN_SIDE - width)
    change = _grain()[top : top + height, left : left + width] * random.uniform(1, 10)
    if random.random() < 0.4:  # light that falls from one side
        across, down = (np.linspace(-0.5, 0.5, side, dtype=np.float32) for side in (width, height))
        change += across * random.uniform(-25, 25) + down[:, None] * random.uniform(-25, 25)
    levels = np.asarray(image, dtype=np.int16) + change.astype(np.int16)
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


@lru_cache(maxsize=1)
def _grain() -> NDArray[np.float32]:
    """Standard normal noise to cut pieces from: drawing it anew for each page costs more than the page."""
    return np.random.default_rng(0).standard_normal((GRAIN_SIDE, GRAIN_SIDE), dtype=np.float32)
