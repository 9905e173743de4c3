"""The text that a PDF itself has of a page, in lines with their places. Part of the process that draws: knows PDFium.

PDFium tells one character after the other, in the order in which the file has them. Left out here are those that the
file hides, those outside of the page, and copies in the same place. What is as light as its ground, or covered, shows
in the drawing alone: see `text_layer.py`.
"""

import contextlib
import ctypes
import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from ocr.documents.pdf_fonts import HIDDEN

MOST_CHARACTERS = 50_000  # that are looked at; a page of a newspaper has fewer
GAP = 1.0  # heights of the type between two characters that are not of one line: columns of tables are farther apart
SAME_LEVEL = 0.5  # of the height of the lower one that two characters of one line share
SAME_PLACE = 0.12  # heights between a character and its copy at most; two l side by side are 0.2 apart
LEVEL = 5.0  # degrees that print runs off the level, or off the plumb line, at most
TALLEST = 3.0  # times as high as the tallest print in it that the box of a line is at most, whatever its fonts say
MOST_OBJECTS = 10_000  # of a page that are looked through for pictures; one with more counts as all picture
DEEPEST = 8  # forms within forms, likewise
HYPHEN = 2  # PDFium's sign for a hyphen at the end of a line
LIGATURES = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)}  # ff, fi, fl
MEANINGLESS = ("Cc", "Cn", "Co", "Cs")  # categories of code points that are no letter in any script

Box = tuple[float, float, float, float]  # left, top, right, bottom
Matrix = tuple[float, float, float, float, float, float]  # as PDF has them: x' = ax + cy + e, y' = bx + dy + f


@dataclass(frozen=True)
class Character:
    """One character that shows. Its places are along and across its line, in px, as if that ran to the right."""

    text: str
    quarter: int  # by how many right angles, clockwise, its line runs away from that
    print: Box  # around its shape
    type: Box  # as high as its font
    begins_word: bool  # whether there is white space before it
    piece: int | None  # by which the text object is told that it is of


def text_of(page: pdfium.PdfPage, size: tuple[int, int]) -> Mapping[str, Any]:
    """What the text layer of a page holds, for JSON; nothing where there is none.

    Boxes are in px of the page drawn in this (width, height).

    `characters`: how many there are, white space and what is hidden left out. `lost`: those of them of which the file
    does not say what they are, or that run aslant. `lines`: the others; of each by how many right angles it is turned,
    the box around its type, and its words, each with the box around its print. Too many are counted, and all lost.
    `pictures`: what share of the page is under pictures; where these overlap, more.
    """
    places = _Places(page, size)
    pictures = sum(map(places.share, _pictures(page)))
    with contextlib.closing(page.get_textpage()) as text:
        count = raw.FPDFText_CountChars(text)
        if count <= 0:
            return {}
        if count > MOST_CHARACTERS:
            return {"characters": count, "lost": count, "lines": [], "pictures": pictures}
        found = list(_characters(text, count, places))
    known = list(_without_copies(filter(None, found)))
    lost, drawn = found.count(None), [_line(run) for run in _runs(known)]
    return {"characters": len(known) + lost, "lost": lost, "lines": drawn, "pictures": pictures}


def _pictures(page: pdfium.PdfPage) -> Iterator[Box]:
    """The boxes of a page's pictures in points: left, top, right, bottom; those in forms too."""
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    whole: Box = (-math.inf, math.inf, math.inf, -math.inf)
    looked_at = 0

    def of(parent: Any, depth: int, matrix: Matrix) -> Iterator[Box]:
        nonlocal looked_at
        count, get = (
            (raw.FPDFFormObj_CountObjects, raw.FPDFFormObj_GetObject)
            if depth
            else (raw.FPDFPage_CountObjects, raw.FPDFPage_GetObject)
        )
        for index in range(count(parent)):
            looked_at += 1
            if looked_at > MOST_OBJECTS or depth > DEEPEST:
                yield whole
                return
            item = get(parent, index)
            kind = raw.FPDFPageObj_GetType(item)
            if kind == raw.FPDF_PAGEOBJ_IMAGE and raw.FPDFPageObj_GetBounds(item, left, bottom, right, top):
                yield _mapped((left.value, top.value, right.value, bottom.value), matrix)
            elif kind == raw.FPDF_PAGEOBJ_FORM:
                own = raw.FS_MATRIX()
                raw.FPDFPageObj_GetMatrix(item, own)
                yield from of(item, depth + 1, _after((own.a, own.b, own.c, own.d, own.e, own.f), matrix))

    yield from of(page, 0, (1, 0, 0, 1, 0, 0))


def _after(first: Matrix, second: Matrix) -> Matrix:
    """The one matrix that does what two do one after the other."""
    a, b, c, d, e, f = first
    m = second
    return (
        *(a * m[0] + b * m[2], a * m[1] + b * m[3], c * m[0] + d * m[2], c * m[1] + d * m[3]),
        *(e * m[0] + f * m[2] + m[4], e * m[1] + f * m[3] + m[5]),
    )


def _mapped(box: Box, matrix: Matrix) -> Box:
    """The upright box around a box in other coordinates, whose y runs up."""
    a, b, c, d, e, f = matrix
    corners = [(x * a + y * c + e, x * b + y * d + f) for x in (box[0], box[2]) for y in (box[1], box[3])]
    xs, ys = zip(*corners, strict=True)
    return min(xs), max(ys), max(xs), min(ys)


class _Places:
    """Where on the drawn page, in px, points of a PDF's page are."""

    def __init__(self, page: pdfium.PdfPage, size: tuple[int, int]) -> None:
        self.width, self.height = size
        x, y = ctypes.c_double(), ctypes.c_double()

        def in_points(across: int, down: int) -> tuple[float, float]:
            raw.FPDF_DeviceToPage(page, 0, 0, *size, 0, across, down, x, y)  # the other way it tells whole px alone
            return x.value, y.value

        self._origin, right, bottom = in_points(0, 0), in_points(self.width, 0), in_points(0, self.height)
        a, c = ((right[axis] - self._origin[axis]) / self.width for axis in (0, 1))
        b, d = ((bottom[axis] - self._origin[axis]) / self.height for axis in (0, 1))
        one = a * d - b * c
        self._map = d / one, -b / one, -c / one, a / one

    def direction(self, x: float, y: float) -> float:
        """Degrees, clockwise, by which what runs along this vector in the PDF runs off the level."""
        a, b, c, d = self._map
        return math.degrees(math.atan2(c * x + d * y, a * x + b * y))

    def box(self, left: float, top: float, right: float, bottom: float) -> Box:
        """A box in points in px."""
        (x1, y1), (x2, y2) = self._point(left, top), self._point(right, bottom)
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)

    def _point(self, x: float, y: float) -> tuple[float, float]:
        x, y = x - self._origin[0], y - self._origin[1]
        a, b, c, d = self._map
        return a * x + b * y, c * x + d * y

    def share(self, points: Box) -> float:
        """What share of the page lies in a box in points, from 0 to 1."""
        if not all(map(math.isfinite, points)):
            return 1.0
        x1, y1, x2, y2 = self.box(*points)
        width, height = min(x2, self.width) - max(x1, 0), min(y2, self.height) - max(y1, 0)
        return max(width, 0) * max(height, 0) / (self.width * self.height)

    def shows(self, box: Box) -> bool:
        """Whether the middle of a box is on the page."""
        return 0 <= box[0] + box[2] <= 2 * self.width and 0 <= box[1] + box[3] <= 2 * self.height


def _characters(text: pdfium.PdfTextPage, count: int, places: _Places) -> Iterator[Character | None]:
    """The characters of a page that show, white space left out; None for each that is lost."""
    matrix = raw.FS_MATRIX()
    hidden: dict[int | None, bool] = {}  # by the address of the text object
    begins_word = True
    for index in range(count):
        code = raw.FPDFText_GetUnicode(text, index)
        if raw.FPDFText_IsGenerated(text, index) or (code != HYPHEN and chr(code).isspace()):
            begins_word = True
            continue
        piece = raw.FPDFText_GetTextObject(text, index)
        address = ctypes.cast(piece, ctypes.c_void_p).value
        if address not in hidden:
            hidden[address] = bool(address) and raw.FPDFTextObj_GetTextRenderMode(piece) in HIDDEN
        shape, font = _boxes(text, index, places)
        if hidden[address] or not places.shows(shape):
            continue
        raw.FPDFText_GetMatrix(text, index, matrix)
        off = places.direction(matrix.a, matrix.b)  # PDFium's own angle is that of the slant of italic type
        quarter = round(off / 90)
        written = _written(text, index, code)
        if not written or abs(off - 90 * quarter) > LEVEL:
            yield None
            continue
        quarter %= 4
        yield Character(written, quarter, _along(shape, quarter), _along(font, quarter), begins_word, address)
        begins_word = False


def _boxes(text: pdfium.PdfTextPage, index: int, places: _Places) -> tuple[Box, Box]:
    """Where the print of a character is, and its type."""
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    raw.FPDFText_GetCharBox(text, index, left, right, bottom, top)
    loose = raw.FS_RECTF()
    raw.FPDFText_GetLooseCharBox(text, index, loose)
    shape = places.box(left.value, top.value, right.value, bottom.value)
    font = places.box(loose.left, loose.top, loose.right, loose.bottom)
    return (shape, font) if all(map(math.isfinite, (*shape, *font))) else ((-1.0,) * 4, (-1.0,) * 4)


def _written(text: pdfium.PdfTextPage, index: int, code: int) -> str:
    """What a character is; empty where that is not known."""
    if code == HYPHEN:
        return "-"
    is_unknown = raw.FPDFText_HasUnicodeMapError(text, index) or unicodedata.category(chr(code)) in MEANINGLESS
    return "" if is_unknown or code == 0xFFFD else LIGATURES.get(code, chr(code))


def _along(box: Box, quarter: int) -> Box:
    """A box on the page, along and across a line that is turned by so many right angles."""
    x1, y1, x2, y2 = box
    return ((x1, y1, x2, y2), (y1, -x2, y2, -x1), (-x2, -y2, -x1, -y1), (-y2, x1, -y1, x2))[quarter]


def _without_copies(characters: Iterable[Character]) -> Iterator[Character]:
    """The characters, of those that are written over themselves, as for bold type or a shadow, one.

    Those of one text object are no copies: the letters of a ligature are all where it is.
    """
    seen: dict[tuple[str, int, int], list[Character]] = {}
    for character in characters:
        x1, y1, _, y2 = character.type
        near = SAME_PLACE * (y2 - y1) or 1.0
        column, row = math.floor(x1 / near), math.floor(y1 / near)
        # A copy may differ a little in its size, and so in its place among the squares.
        around = ((column + across, row + down) for across in (-1, 0, 1) for down in (-1, 0, 1))
        others = (other for at in around for other in seen.get((character.text, *at), ()))
        if not any(
            other.piece != character.piece and abs(other.type[0] - x1) <= near and abs(other.type[1] - y1) <= near
            for other in others
        ):
            seen.setdefault((character.text, column, row), []).append(character)
            yield character


def _runs(characters: Iterable[Character]) -> Iterator[list[Character]]:
    """The characters of each line, in the order of the file, which is that in which they are read."""
    run: list[Character] = []
    box: Box = (0, 0, 0, 0)
    for character in characters:
        if run and _is_of_line(character, run[-1].quarter, box):
            box = _around(box, character.type)
            run.append(character)
        else:
            if run:
                yield run
            run, box = [character], character.type
    if run:
        yield run


def _is_of_line(character: Character, quarter: int, line: Box) -> bool:
    x1, y1, x2, y2 = character.type
    left, top, right, bottom = line
    height = min(y2 - y1, bottom - top)
    return (
        character.quarter == quarter
        and min(y2, bottom) - max(y1, top) >= SAME_LEVEL * height
        and max(x1 - right, left - x2) <= GAP * height
    )


def _around(one: Box, other: Box) -> Box:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _line(run: list[Character]) -> list[Any]:
    """A line as `text_of` tells it."""
    words: list[tuple[str, Box]] = []
    box = run[0].type
    for character in run:
        box = _around(box, character.type)
        if words and not character.begins_word:
            text, place = words[-1]
            words[-1] = text + character.text, _around(place, character.print)
        else:
            words.append((character.text, character.print))
    tops, bottoms = [place[1] for _, place in words], [place[3] for _, place in words]
    slack = (TALLEST - 1) / 2 * max(bottom - top for top, bottom in zip(tops, bottoms, strict=True))
    box = (box[0], max(box[1], min(tops) - slack), box[2], min(box[3], max(bottoms) + slack))
    back = -run[0].quarter % 4
    return [
        run[0].quarter,
        _rounded(_along(box, back)),
        [[text, *_rounded(_along(place, back))] for text, place in words],
    ]


def _rounded(box: Box) -> list[float]:
    return [round(side, 1) for side in box]
