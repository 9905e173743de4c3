"""Pages drawn from what is on them: the picture for the reader, and the markdown that a faultless reader gives."""

import html
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from training.fonts import load_font

A4 = (1240, 1754)  # px, at 150 dpi
MARGIN = 110  # px
INK, PAPER = (20, 20, 20), (252, 251, 248)
CJK = "CJK"  # the name of the font of this file
CJK_FONT = Path("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc")  # Debian's fonts-wqy-microhei


@dataclass(frozen=True)
class Words:
    """A heading, a paragraph or a note."""

    text: str
    kind: str = "text"  # title, heading, text, note: how it is set, and which mark it has in markdown


@dataclass(frozen=True)
class Run:
    """Paragraphs without space between them, the first line of each but the first one indented."""

    texts: Sequence[str]


@dataclass(frozen=True)
class Items:
    """A list: items, an inner list after the item that it belongs to."""

    items: Sequence["str | Items"]
    mark: str = "•"  # or "1." for numbers


@dataclass(frozen=True)
class Grid:
    """A table: a column is as wide as its share; its numbers may stand at the right."""

    rows: Sequence[Sequence[str]]  # "" for an empty cell
    shares: Sequence[float]
    right: Sequence[int] = ()  # the columns set flush right
    is_ruled: bool = False
    leading: float = 1.5  # em from row to row, beside the lines of the tallest cell


@dataclass(frozen=True)
class Pairs:
    """Lines of a form or an address, each as it stands."""

    lines: Sequence[str]


Block = Words | Run | Items | Grid | Pairs


@dataclass(frozen=True)
class Sheet:
    """A page: blocks over its whole width, then those of columns side by side, then more over the whole width."""

    top: Sequence[Block]
    columns: Sequence[Sequence[Block]] = ()
    end: Sequence[Block] = ()
    head: tuple[str, str] = ("", "")  # at the left and the right of the page's head: no part of the markdown
    foot: str = ""  # in the middle of the page's foot: no part of the markdown
    size: int = 24  # px per em
    page: tuple[int, int] = A4
    fonts: tuple[str, str] = ("LiberationSerif-Regular.ttf", "LiberationSerif-Bold.ttf")


SCALES = {"title": 1.8, "heading": 1.35, "text": 1.0, "note": 0.75}  # em of each kind
MARKS = {"title": "# ", "heading": "## ", "text": "", "note": ""}


class Setter:
    """Sets blocks from top to bottom in one column."""

    def __init__(self, pen: ImageDraw.ImageDraw, sheet: Sheet, left: float, right: float, y: float) -> None:
        self.pen, self.sheet, self.left, self.right, self.y = pen, sheet, left, right, y
        self.em = sheet.size

    def set(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            if isinstance(block, Words):
                self._words(block)
            elif isinstance(block, Run):
                for n, text in enumerate(block.texts):
                    self._paragraph(text, self._font(), 1.5 * self.em if n else 0.0)
            elif isinstance(block, Items):
                self._items(block, 0)
            elif isinstance(block, Grid):
                self._grid(block)
            else:
                for line in block.lines:
                    self._line(line, self.left, self._font())
            self.y += self.em * 0.9

    def _font(self, scale: float = 1.0, is_bold: bool = False) -> ImageFont.FreeTypeFont:
        return font(self.sheet.fonts[is_bold], round(self.em * scale))

    def _line(self, text: str, x: float, type_: ImageFont.FreeTypeFont) -> None:
        self.pen.text((x, self.y), text, fill=INK, font=type_)
        self.y += type_.size * 1.3

    def _words(self, block: Words) -> None:
        type_ = self._font(SCALES[block.kind], is_bold=block.kind in ("title", "heading"))
        self._paragraph(block.text, type_)

    def _paragraph(self, text: str, type_: ImageFont.FreeTypeFont, indent: float = 0.0) -> None:
        for line in broken(text, type_, self.right - self.left, indent):
            self._line(line, self.left + indent, type_)
            indent = 0.0

    def _items(self, block: Items, depth: int) -> None:
        type_, number = self._font(), 0
        left = self.left + (1 + 1.6 * depth) * self.em
        for item in block.items:
            if isinstance(item, Items):
                self._items(item, depth + 1)
                continue
            number += 1
            self.pen.text((left, self.y), marked(block, number), fill=INK, font=type_)
            for line in broken(item, type_, self.right - left - 1.4 * self.em):
                self._line(line, left + 1.4 * self.em, type_)
            self.y += 0.15 * self.em

    def _grid(self, block: Grid) -> None:
        type_, room = self._font(), (self.right - self.left) / sum(block.shares)
        ends = [self.left + room * sum(block.shares[: n + 1]) for n in range(len(block.shares))]
        starts = [self.left, *ends[:-1]]
        top, pad = self.y, 0.4 * self.em
        for row in block.rows:
            if block.is_ruled:
                self.pen.line((self.left, self.y, self.right, self.y), fill=INK, width=2)
            cells = [broken(text, type_, e - s - 2 * pad) for text, s, e in zip(row, starts, ends, strict=True)]
            for column, lines in enumerate(cells):
                for n, line in enumerate(lines):
                    x = starts[column] + pad
                    if column in block.right:
                        x = ends[column] - pad - type_.getlength(line)
                    y = self.y + (block.leading - 1) / 2 * self.em + n * 1.2 * self.em
                    self.pen.text((x, y), line, fill=INK, font=type_)
            self.y += (block.leading + 1.2 * (max(map(len, cells)) - 1)) * self.em
        if block.is_ruled:
            for x in (self.left, *ends):
                self.pen.line((x, top, x, self.y), fill=INK, width=2)
            self.pen.line((self.left, self.y, self.right, self.y), fill=INK, width=2)


def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A font of Debian's at a size in px per em."""
    return ImageFont.truetype(str(CJK_FONT), size) if name == CJK else load_font(name, size).font


def broken(text: str, type_: ImageFont.FreeTypeFont, room: float, indent: float = 0.0) -> list[str]:
    """The text in lines no longer than the room, the first shorter by the indent; soft hyphens show where words may
    be cut."""
    parts = re.findall(r"[\u3000-\uffef]|[^\s\u00ad\u3000-\uffef]+[\u00ad]?|\s", text)
    lines, line = [], ""
    for part in parts:
        needed = type_.getlength((line + part).replace("\u00ad", "").rstrip()) + (0 if lines else indent)
        if needed > room and line.strip():
            lines.append(line.rstrip())
            line = ""
        line = (line + part).lstrip()
    lines.append(line)
    shown = [re.sub("\u00ad$", "-", line) for line in lines if line.strip()]
    return [line.replace("\u00ad", "").strip() for line in shown]


def marked(block: Items, number: int) -> str:
    return f"{number}." if block.mark == "1." else block.mark


def draw(sheet: Sheet) -> Image.Image:
    """The page as a picture."""
    image = Image.new("RGB", sheet.page, PAPER)
    pen = ImageDraw.Draw(image)
    left, right, gap = MARGIN, sheet.page[0] - MARGIN, 2 * sheet.size
    small = font(sheet.fonts[0], round(sheet.size * 0.8))
    pen.text((left, MARGIN * 0.6), sheet.head[0], fill=INK, font=small)
    pen.text((right - small.getlength(sheet.head[1]), MARGIN * 0.6), sheet.head[1], fill=INK, font=small)
    y = sheet.page[1] - MARGIN * 0.8
    pen.text(((left + right - small.getlength(sheet.foot)) / 2, y), sheet.foot, fill=INK, font=small)
    setter = Setter(pen, sheet, left, right, MARGIN * 1.3)
    setter.set(sheet.top)
    if sheet.columns:
        width = (right - left - gap * (len(sheet.columns) - 1)) / len(sheet.columns)
        starts = [left + n * (width + gap) for n in range(len(sheet.columns))]
        setters = [Setter(pen, sheet, x, x + width, setter.y) for x in starts]
        for each, blocks in zip(setters, sheet.columns, strict=True):
            each.set(blocks)
        setter.y = max(each.y for each in setters)
    setter.set(sheet.end)
    return image


def scanned(image: Image.Image, degrees: float = 1.1, grain: float = 7.0) -> Image.Image:
    """The page as a scanner in an office has it: a little askew, blurred and grainy, and compressed."""
    image = image.rotate(degrees, resample=Image.Resampling.BICUBIC, fillcolor=PAPER)
    image = image.filter(ImageFilter.GaussianBlur(0.7))
    noise = np.random.default_rng(5).normal(0, grain, (image.height, image.width, 1))
    levels = np.clip(np.asarray(image) * 0.94 + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "JPEG", quality=60)
    return Image.open(file).convert("RGB")


def markdown(sheet: Sheet) -> str:
    """What a faultless reader makes of it."""
    blocks = [*sheet.top, *(block for column in sheet.columns for block in column), *sheet.end]
    return "\n\n".join(_markdown(block) for block in blocks).replace("\u00ad", "") + "\n"


def plain(sheet: Sheet) -> str:
    """All that is printed on it, in reading order, but for hyphens at the ends of lines."""
    marks = re.compile(r"^ *- |^#+ |<[^>]*>", re.MULTILINE)
    text = html.unescape(marks.sub(" ", markdown(sheet)))
    return "\n".join((*sheet.head, text, sheet.foot))


def _markdown(block: Block) -> str:
    if isinstance(block, Words):
        return MARKS[block.kind] + block.text
    if isinstance(block, Run):
        return "\n\n".join(block.texts)
    if isinstance(block, Items):
        return "\n".join(_item_lines(block, 0))
    if isinstance(block, Grid):
        rows = ("".join(f"<td>{html.escape(cell, quote=False)}</td>" for cell in row) for row in block.rows)
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
    return "\n".join(block.lines)


def _item_lines(block: Items, indent: int) -> Iterator[str]:
    number, mark = 0, ""
    for item in block.items:
        if isinstance(item, Items):
            yield from _item_lines(item, indent + len(mark) + 1)
        else:
            number += 1
            mark = f"{number}." if block.mark == "1." else "-"
            yield f"{' ' * indent}{mark} {item}"
