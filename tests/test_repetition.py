"""A model that has begun to repeat itself is stopped, whatever it repeats, and what came before is kept."""

import json
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from bench.shapes_dots import stand_in_tokenizer
from ocr.answers.boxes import Scale
from ocr.answers.dialects import PARSERS
from ocr.decoding.rules import RepetitionStop
from ocr.decoding.text import TextStream
from ocr.models.tasks import GUNDAM
from ocr.reading.reader import read_pages
from ocr.reading.request import Request
from ocr.types import Decoding, FinishReason, PageInput, Piece, Prepared
from tests.gathered import gather
from tests.pictures import page

TOKENIZER = stand_in_tokenizer(300, {"<|endoftext|>": 299})
SCALE = Scale(extent=(1000, 1000), page=(1000, 1000))
FIRST = {"bbox": [1, 2, 300, 40], "category": "Title", "text": "# Contents"}


def ended(answer: str) -> tuple[str, FinishReason]:
    """How much of the answer is read, and why no more: a dots.ocr that writes just this, read by the real route."""
    tokens = iter(TOKENIZER.encode(answer).ids)
    engine = SimpleNamespace(read=lambda pages, _decoding: _written(tokens, *pages), scale=lambda _size, _preset: 1.0)
    *_, result = read_pages(
        engine, Request(model="dots.ocr", resolution=GUNDAM), [(1, page())], Decoding(max_new_tokens=32768)
    )
    return result.text, result.finish_reason


def _written(tokens: Iterator[int], page: PageInput) -> Iterator[Prepared | Piece]:
    yield Prepared(0, 0, 0, (1000, 1000))
    written = TextStream(TOKENIZER, skip_special_tokens=True)
    watch, count = RepetitionStop(), 0
    for count, token in enumerate(tokens, 1):
        finish = watch.accept(token)
        yield Piece(0, written.feed(token), count, finish)
        if finish is None and (finish := page.stop()):
            yield Piece(0, "", count, finish)
        if finish:
            return
    yield Piece(0, written.close(), count, FinishReason.LENGTH)


@pytest.fixture(autouse=True)
def _one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocr.reading.attempts.FALLBACKS", ())


def listed(elements: Iterator[dict[str, Any]]) -> str:
    return "[" + ", ".join(json.dumps(element) for element in elements)


def drifting(texts: Sequence[str], count: int) -> Iterator[dict[str, Any]]:
    yield FIRST
    for index in range(count):
        box = [10, 20 + index, 500, 40 + index]
        yield {"bbox": box, "category": "Text", "text": texts[index % len(texts)]}


TABLE = ', {"bbox": [1, 2, 3, 4], "category": "Table", "text": "<table><tr>'
OPEN = listed(iter([FIRST]))[:-2]  # inside the text of the first element


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (OPEN + " 1 " + "." * 3000, "# Contents 1 ..."),
        (OPEN + " 1 " + ". " * 3000, "# Contents 1 . ."),
        (OPEN + "_" * 3000, "# Contents___"),
        (listed(iter([FIRST])) + TABLE + "<td></td>" * 1000, "# Contents"),
        (listed({"bbox": [5, 6, 7, 8], "category": "Text", "text": "again"} for _ in range(200)), "again"),
        (listed(drifting(["the same words"], 200)), "# Contents"),
        (listed(drifting(["the same words", "others", "and more"], 200)), "# Contents"),
    ],
    ids=["dots", "spaced dots", "underscores", "empty cells", "one element", "drifting element", "drifting elements"],
)
def test_endless_repetition_ends_the_page_and_what_came_before_is_kept(answer: str, kept: str) -> None:
    text, reason = ended(answer)
    assert reason is FinishReason.REPETITION
    assert len(text) < min(len(answer) / 2, 4000)
    assert answer.startswith(text)
    parser = PARSERS["layout_json"](SCALE)
    assert gather([*parser.feed(text), *parser.close()])[0].text.startswith(kept)


@pytest.mark.parametrize(
    "answer",
    [
        listed(drifting(["the same words"], 20)),
        listed(drifting(["Yes"], 100)),
        listed({"bbox": [1, index, 9, 9 + index], "category": "Picture"} for index in range(100)),
        listed(drifting([f"line {index}" for index in range(100)], 100)),
        OPEN + "." * 300,
    ],
    ids=["a few", "answers in a form", "pictures", "lines of a poem", "a line of dots"],
)
def test_a_page_that_only_looks_repetitive_is_read_to_its_end(answer: str) -> None:
    assert ended(answer) == (answer, FinishReason.LENGTH)
