"""A page with its elements drawn on it, and the crops of its pictures. Knows pixels and elements; no model, no file."""

import math
from collections.abc import Iterator, Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont, ImageStat

from ocr.output.markdown import picture_name
from ocr.types import Box, Check, Element, PageResult

# Each type's colour: dark enough for white letters on it and a line on paper, light enough for a line on a dark page.
COLOURS: Mapping[str, str] = {
    "title": "#de1829",
    "heading": "#c54b05",
    "text": "#176fd4",
    "list_item": "#077e8b",
    "table": "#0e8435",
    "formula": "#893ae2",
    "picture": "#cf1096",
    "caption": "#b45175",
    "footnote": "#7e7406",
    "header": "#587093",
    "footer": "#8d674c",
    "page_number": "#707070",
    "other": "#497d24",
}
LETTERS = "white"

PixelBox = tuple[int, int, int, int]  # left, top, right, bottom in whole px, right and bottom excluded


DISAGREEMENTS: Mapping[str, str] = {"omitted": "#d1003f", "unsupported": "#7a00cc", "conflict": "#b35900"}
NOISE = 8.0  # standard deviation of the levels of blank paper, at most
DASH = 4  # widths of a line, that a dash of it is long, and the gap after it


def annotate(page: Image.Image, elements: Sequence[Element], check: Check | None = None) -> Image.Image:
    """A copy of the page in RGB with a frame around each element, in the colour of its type, and a label: `3 table`.

    The number is the element's place in the order, from 1; an element without a box is counted and not drawn. Lines
    and letters grow with the page. A line runs outside of its element's box, but for the edge of the page; labels stay
    inside the page, off each other, and off what is printed, where there is room. What a check found has dashed frames:
    lines the answer lacks, lines it reads differently, and elements that hold text which is nowhere on the page.
    """
    copy = page.convert("RGB")
    canvas = ImageDraw.Draw(copy)
    letters, line = font_size(page.size), line_width(page.size)
    canvas.font = ImageFont.load_default(letters)
    framed = [
        (f"{number} {element.type}", COLOURS[element.type], frame(element.bbox, line, page.size))
        for number, element in enumerate(elements, 1)
        if element.bbox is not None
    ]
    for _, colour, (left, top, right, bottom) in framed:
        canvas.rectangle((left, top, right - 1, bottom - 1), outline=colour, width=line)
    for name, place in _disagreements(check):
        dashed = frame(place, 2 * line, page.size)
        _dashed_frame(canvas, dashed, DISAGREEMENTS[name], line)
        framed.append((name, DISAGREEMENTS[name], dashed))
    labels: list[PixelBox] = []
    levels = page.convert("L")
    for text, colour, box in framed:
        size = math.ceil(canvas.textlength(text)) + letters // 2, letters * 5 // 4
        left, top, right, bottom = place = _free_place(box, size, levels, labels)
        canvas.rectangle((left, top, right - 1, bottom - 1), fill=colour)
        canvas.text(((left + right) / 2, (top + bottom) / 2), text, fill=LETTERS, anchor="mm")
        labels.append(place)
    return copy


def _disagreements(check: Check | None) -> Iterator[tuple[str, Box]]:
    """What is framed of a check, each place once for all that is said of it."""
    if check is None:
        return
    places = [("omitted", each.bbox) for each in check.omitted]
    places += [("conflict", each.bbox) for each in check.conflicts]
    places += [("unsupported", each.bbox) for each in check.unsupported if each.bbox]
    yield from dict.fromkeys(places)


def _dashed_frame(canvas: ImageDraw.ImageDraw, box: PixelBox, colour: str, line: int) -> None:
    """A frame whose lines run inside of the box's edges, in dashes."""
    left, top, right, bottom = box
    dash = DASH * line
    for x in range(left, right, 2 * dash):
        for y in (top, bottom - line):
            canvas.rectangle((x, y, min(x + dash, right) - 1, y + line - 1), fill=colour)
    for y in range(top, bottom, 2 * dash):
        for x in (left, right - line):
            canvas.rectangle((x, y, x + line - 1, min(y + dash, bottom) - 1), fill=colour)


def picture_crops(page: Image.Image, result: PageResult) -> Iterator[tuple[str, Image.Image]]:
    """The crop of each picture that has a place, under the name by which the page's markdown links to it."""
    boxes = [element.bbox for element in result.elements if element.type == "picture" and element.bbox is not None]
    for number, box in enumerate(boxes, 1):
        yield picture_name(result.page, number), page.crop(pixel_box(box, page.size))


def pixel_box(box: Box, size: tuple[int, int]) -> PixelBox:
    """The whole pixels that a box touches on a page of this width and height: inside the page, and at least one."""
    (left, right), (top, bottom) = _span(box[0], box[2], size[0]), _span(box[1], box[3], size[1])
    return left, top, right, bottom


def _span(start: float, end: float, length: int) -> tuple[int, int]:
    first = min(max(math.floor(start), 0), length - 1)
    return first, min(max(math.ceil(end), first + 1), length)


def frame(box: Box, line: int, size: tuple[int, int]) -> PixelBox:
    """What a box covers together with a line of this width around it, as far as the page goes."""
    return pixel_box((box[0] - line, box[1] - line, box[2] + line, box[3] + line), size)


def line_width(size: tuple[int, int]) -> int:
    """px, for a page of this width and height: 1 on a thumbnail, 4 on A4 at 200 dpi, never over 12."""
    return min(max(round(math.sqrt(math.prod(size)) / 500), 1), 12)


def font_size(size: tuple[int, int]) -> int:
    """px, for a page of this width and height: 12 on a thumbnail, 22 on A4 at 200 dpi, never over 80."""
    return min(max(round(math.sqrt(math.prod(size)) / 90), 12), 80)


def _free_place(box: PixelBox, label: tuple[int, int], page: Image.Image, taken: Sequence[PixelBox]) -> PixelBox:
    """Where a label of this width and height stands: the first place at its frame that is free of other labels.

    Of these the first without print on the page, in mode L; where each has some, that with the least.
    """
    left, top, right, bottom = box
    width, height = label
    # At the right end of the line above, where text seldom reaches; at the left; beside it; then inside, then below.
    corners = [(right - width, top - height), (left, top - height), (right, top), (left - width, top)]
    corners += [(x, y) for y in (top, bottom - height, bottom) for x in (right - width, left)]
    inside = [(max(min(x, page.width - width), 0), max(min(y, page.height - height), 0)) for x, y in corners]
    places = [(x, y, x + width, y + height) for x, y in inside]
    free = [place for place in places if not any(_overlap(place, other) for other in taken)]
    return min(free or places, key=lambda place: _print_in(page, place))


def _print_in(page: Image.Image, place: PixelBox) -> int:
    """How much is printed in a place, in levels off its ground; 0 where there is no more than noise."""
    spread = ImageStat.Stat(page.crop(place)).stddev[0]
    return round(spread) if spread > NOISE else 0


def _overlap(a: PixelBox, b: PixelBox) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
