"""Pages that stand on their side or on their head, turned upright before a model sees them. Knows no model."""

import logging
from collections.abc import Mapping
from dataclasses import replace

from PIL import Image

from ocr.documents.page import DrawnPage
from ocr.documents.skew import skew
from ocr.engines.regions import read_box
from ocr.errors import OCRError
from ocr.lines.reader import Corners, LineReader

log = logging.getLogger(__name__)

AUTO, OFF = "auto", "off"
ORIENTS: Mapping[str, int] = {AUTO: 0, OFF: 0, "90": 90, "180": 180, "270": 270}  # degrees clockwise that are certain

LIKELY = 0.8  # from 0 to 1: how likely a turn must be to be tried; the network says 0.92 of pages it is sure of
SEEN = 960  # px, longest side at which print is searched for on a page that may be turned
TRIED = 5  # lines, the longest, that are read both ways up
SURE = 0.8  # mean score that these have on a page which is turned
CLEARER = 0.1  # by which it is above that of the same lines the other way up
SKEWED = 1.5  # degrees that are told: noise alone can look like one, and models read less as if it were level

_TRANSPOSED = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}


def upright(page: DrawnPage, orient: str, reader: LineReader | None) -> DrawnPage:
    """The page as it is to be read: turned as `orient` says, at `auto` as its print stands, with a word on its skew.

    At `auto` a page is turned only where the network for it is sure enough, print is found, and the print reads better
    that way up. Without a reader it stays as it is, and likewise where looking at it fails: that costs no page. Where
    the page has a text layer without doubt, that says how its print stands, and no network is asked.
    """
    if orient == OFF or page.is_blank:
        return page
    turn = ORIENTS[orient]
    layer = page.layer
    if orient == AUTO and layer is not None and not layer.doubt:
        turn = layer.turn
    elif orient == AUTO and reader is not None:
        try:
            turn = _turn(page.image, reader)
        except OCRError as error:
            log.warning("Which way up a page stands cannot be told: %s", error)
    if turn:
        layer = layer and layer.turned(turn, page.image.size)
        image = page.image.transpose(_TRANSPOSED[turn])
        page = replace(page, image=image, turned=turn, found_blank=page.is_blank, layer=layer)
    angle = skew(page.image)
    return page if abs(angle) < SKEWED else replace(page, problems=(*page.problems, _skewed(angle)))


def _skewed(angle: float) -> str:
    return (
        f"The lines are {abs(angle):.1f} degrees off the level, {'down' if angle > 0 else 'up'} to the right; scan the "
        "page straight if much of it was misread."
    )


def _turn(image: Image.Image, reader: LineReader) -> int:
    """By how many degrees clockwise a page is to be turned to stand upright; 0 unless its print is proof of it."""
    likely = reader.turns(image)
    stands = max(likely, key=lambda degrees: likely[degrees])
    if not stands or likely[stands] < LIKELY:
        return 0
    turn = 360 - stands
    turned = image.transpose(_TRANSPOSED[turn])
    frames = sorted(reader.find(turned, SEEN), key=_width, reverse=True)[:TRIED]
    if not frames or sum(_width(frame) > _height(frame) for frame in frames) * 2 <= len(frames):
        return 0
    score = sum(reader.read_frame(turned, frame).score for frame in frames) / len(frames)
    other = sum(reader.read_frame(turned, (*frame[2:], *frame[:2])).score for frame in frames) / len(frames)
    return turn if score >= SURE and score >= other + CLEARER else 0


def _width(frame: Corners) -> float:
    return abs(frame[1][0] - frame[0][0])


def _height(frame: Corners) -> float:
    return abs(frame[2][1] - frame[1][1])


def turned_box(words: str, page: DrawnPage) -> str:
    """The box `x1,y1,x2,y2`, given in pixels of a page as it came, in those of the page as it was turned.

    Raises InputError for anything but four numbers in order inside the page.
    """
    width, height = page.image.size if page.turned in (0, 180) else page.image.size[::-1]
    x1, y1, x2, y2 = read_box(words, (width, height))
    match page.turned:
        case 90:
            box = height - y2, x1, height - y1, x2
        case 180:
            box = width - x2, height - y2, width - x1, height - y1
        case 270:
            box = y1, width - x2, y2, width - x1
        case _:
            box = x1, y1, x2, y2
    return ",".join(f"{side:g}" for side in box)
