"""dots.ocr's real weights on a real page, against a run of an independent engine: vLLM, bf16, temperature 0.

Runs where the weights are: `pytest --real-weights DIR tests/test_dots_real.py`.
"""

from pathlib import Path

import pytest

from ocr.answers.boxes import Scale
from ocr.answers.dialects import PARSERS
from ocr.documents.images import read_image
from ocr.models.catalog import MODELS
from ocr.models.dots import engine as dots
from ocr.models.dots.card import DOTS_OCR
from ocr.models.tasks import GUNDAM
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Box, Decoding, FinishReason, PageInput, Piece, Prepared
from tests.gathered import gather

SEEN = (1708, 2240)  # px, width and height in which the boxes below are
REFERENCE: list[tuple[str, Box]] = [
    ("Page-header", (628, 172, 1077, 194)),
    ("Page-header", (1487, 169, 1540, 193)),
    ("Caption", (278, 217, 1428, 238)),
    ("Table", (164, 240, 1540, 700)),
    ("Text", (188, 715, 1213, 741)),
    ("Caption", (315, 824, 1390, 844)),
    ("Table", (164, 846, 1540, 1266)),
    ("Table", (164, 1268, 1540, 1683)),
    ("Text", (188, 1698, 1395, 1724)),
    ("Text", (164, 1774, 839, 1854)),
    ("Text", (164, 1858, 839, 2068)),
    ("Text", (867, 1774, 1540, 1854)),
    ("Text", (867, 1858, 1540, 2068)),
]


def apart(ours: Box | None, theirs: Box) -> float:
    """How far apart the farthest two sides are, in px."""
    assert ours is not None
    return max(abs(a - b) for a, b in zip(ours, theirs, strict=True))


def test_a_real_page_is_read_as_by_an_independent_engine(real_weights: Path, shared: Path) -> None:
    folder = real_weights / "dots.ocr"
    if not folder.is_dir():
        pytest.skip(f"{real_weights} has no folder dots.ocr")
    with (shared / "images" / "paper_page_1700x2250.jpg").open("rb") as file:
        image = read_image(file, max_pixels=10**8).image
    request = Request(model="dots.ocr", resolution=GUNDAM)
    page = PageInput(image, request.asked, request.words, MODELS["dots.ocr"].presets[request.resolution])
    prepared, *pieces = dots.load(folder, DOTS_OCR, Settings()).read([page], Decoding(max_new_tokens=8192))
    # That run's prompt had one token more, which its chat template puts in; test_real_tokenizers.py holds this one.
    assert prepared == Prepared(page=0, prompt_tokens=5096, image_tokens=4880, extent=SEEN)

    last = pieces[-1]
    assert isinstance(last, Piece)
    assert last.finish is FinishReason.STOP
    assert last.tokens == pytest.approx(4634, rel=0.05)  # bf16 in another order parts ways here and there

    parser = PARSERS[request.asked.layout](Scale(extent=SEEN, page=SEEN))  # boxes as the model gave them
    events = [event for piece in pieces if isinstance(piece, Piece) for event in parser.feed(piece.text)]
    elements = gather([*events, *parser.close()])
    assert not parser.problems
    assert [element.label for element in elements] == [label for label, _ in REFERENCE]
    assert max(apart(element.bbox, box) for element, (_, box) in zip(elements, REFERENCE, strict=True)) <= 12
    assert elements[0].text == "EXPOSURE TO MEAT AND RISK OF LYMPHOMA"
