"""A model that has begun to repeat itself is stopped, whatever it repeats, and what came before is kept."""

import json
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.shapes_dots import stand_in_tokenizer
from ocr.answers.boxes import Scale
from ocr.answers.dialects import PARSERS
from ocr.decoding.loop import decode, read_text
from ocr.decoding.rules import Budget, RepetitionStop, SharedClock
from ocr.reading.repetition import RepeatedElements
from ocr.types import FinishReason
from tests.gathered import gather

TOKENIZER = stand_in_tokenizer(300, {"<|endoftext|>": 299})
SCALE = Scale(extent=(1000, 1000), page=(1000, 1000))
FIRST = {"bbox": [1, 2, 300, 40], "category": "Title", "text": "# Contents"}


class Script:
    """A language model that answers with the tokens of a script."""

    config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(num_hidden_layers=1))

    def __init__(self, tokens: Sequence[int]) -> None:
        self.tokens = iter(tokens)
        self.embedding = torch.nn.Embedding(300, 4)

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.embedding

    def __call__(self, **inputs: Any) -> SimpleNamespace:
        logits = torch.zeros(1, 1, 300)
        logits[0, -1, next(self.tokens)] = 1.0
        return SimpleNamespace(logits=logits)


def ended(answer: str) -> tuple[str, FinishReason]:
    """How much of the answer is read, and why no more."""
    tokens = TOKENIZER.encode(answer).ids
    rules = [
        RepetitionStop(),
        Budget(len(tokens)),
        RepeatedElements(TOKENIZER.decode, PARSERS["layout_json"](SCALE)),
    ]
    pieces = list(read_text(decode(Script(tokens), [torch.zeros(1, 4)], [rules]), TOKENIZER.decode, SharedClock(1)))
    assert pieces[-1].finish is not None
    return "".join(piece.text for piece in pieces), pieces[-1].finish


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
