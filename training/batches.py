"""Pages and their answers as tensors: what one step of the training takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from torch import Tensor

from ocr.catalog import FREE_OCR, LOCATE, MARKDOWN, OCR_WITH_BOXES
from ocr.deepseek import BOS, EOS, FEATURE, IMAGE
from ocr.images import square_views
from ocr.types import Resolution
from training.answers import draw_task
from training.model import SPECIAL, byte_tokenizer
from training.pages import Page, Point, Style, draw_page

PATCH = 16  # px, side of one of SAM's patches
FIRST, LAST = 33, 126  # the printable characters of ASCII but for the blank; as classes 1 to 94, 0 is nothing
CLASSES = LAST - FIRST + 2
PATCH_SLOTS = (1, 2)  # rows and columns of places for one character that a patch of 16 px is parted in
TOKEN_SLOTS = (4, 8)  # likewise a feature of 64 px
IGNORED = -100


@dataclass(frozen=True)
class Stage:
    """A part of the training: how large the view is and what the pages hold."""

    name: str
    steps: int
    batch: int  # pages
    view: int  # px
    characters: tuple[int, ...]  # most characters of a page; a batch has one of these
    tasks: Mapping[str, float]  # how often each is asked; none: the vision learns alone
    pitch: tuple[float, float] = (28, 64)  # px of the view from line to line
    rate: float = 1.0  # the share of the optimisers' highest rates


ALL_TASKS = {FREE_OCR: 0.4, MARKDOWN: 0.35, LOCATE: 0.15, OCR_WITH_BOXES: 0.1}


@dataclass(frozen=True)
class Batch:
    """Some pages, tensors with a row for each."""

    pixels: Tensor  # (pages, view, view, 3), uint8
    ids: Tensor  # (pages, tokens): prompt, answer and end, padded on the right
    labels: Tensor  # (pages, tokens): the token to be said at each position, IGNORED where none is asked
    places: Tensor  # (pages, tokens): the index in ids of the feature which that token is read off, -1 for none
    parts: Tensor  # (pages, tokens): in which of the feature's parts that token stands, IGNORED for none
    patches: Tensor  # (pages, rows, columns, slots): the class of the character in each part of each patch
    features: Tensor  # (pages, rows, columns, slots): likewise of each feature


@dataclass(frozen=True)
class _Example:
    pixels: np.ndarray
    ids: list[int]
    labels: list[int]
    places: list[int]
    parts: list[int]
    patches: np.ndarray
    features: np.ndarray


class Batches(torch.utils.data.Dataset[list[Batch]]):
    """Groups of batches, each drawn anew from its number alone, so that a training goes on where it stopped.

    The pages of a group are sorted by length before they are parted into batches: little of a step goes into padding.
    """

    GROUP = 4  # batches

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage, self.seed = stage, seed
        self.ids = byte_tokenizer().get_vocab()

    def __len__(self) -> int:
        return self.stage.steps // self.GROUP

    def __getitem__(self, group: int) -> list[Batch]:
        torch.set_num_threads(1)
        random = Random(f"{self.seed} {self.stage.name} {group}")
        style = Style(
            self.stage.view,
            max_characters=random.choice(self.stage.characters),
            pitches=self.stage.pitch,
        )
        examples = [self._example(random, style) for _ in range(self.GROUP * self.stage.batch)]
        examples.sort(key=lambda example: len(example.ids))
        batches = [
            collate(examples[start : start + self.stage.batch]) for start in range(0, len(examples), self.stage.batch)
        ]
        random.shuffle(batches)
        return batches

    def _example(self, random: Random, style: Style) -> _Example:
        page = draw_page(random, style)
        prompt, answer = draw_task(page, random, self.stage.tasks or {FREE_OCR: 1.0})
        view = View(page, self.stage.view)
        ids = [self.ids[BOS], *[self.ids[IMAGE]] * view.tokens, *encoded(self.ids, prompt.removeprefix(IMAGE))]
        start = len(ids)
        places, parts = [-1] * start, [IGNORED] * start
        for text, point in answer:
            tokens = encoded(self.ids, text)
            ids += tokens
            places += [view.index(point) if point else -1] * len(tokens)
            parts += [view.part(point) if point else IGNORED] * len(tokens)
        ids.append(self.ids[EOS])
        # What stands at a position is what is to be said one position before.
        labels = [IGNORED] * (start - 1) + ids[start:]
        return _Example(
            view.pixels,
            ids[:-1],
            labels,
            places[1:],
            parts[1:],
            view.slots(PATCH, PATCH_SLOTS),
            view.slots(FEATURE, TOKEN_SLOTS),
        )


def encoded(ids: Mapping[str, int], text: str) -> list[int]:
    """The ids of an ASCII text, with the special tokens that stand in it."""
    if text in ids and text in SPECIAL:
        return [ids[text]]
    for mark in SPECIAL:
        if mark in text:
            before, _, after = text.partition(mark)
            return [*encoded(ids, before), ids[mark], *encoded(ids, after)]
    return [ids[{" ": "Ġ", "\n": "Ċ"}.get(character, character)] for character in text]


class View:
    """A page as the model gets it, stretched to a square of `side` px, and where its points are there."""

    def __init__(self, page: Page, side: int) -> None:
        self.page, self.side = page, side
        self.pixels = square_views(page.image, Resolution(base=side, tile=side, padded=False)).whole
        self.grid = self.side // FEATURE
        self.tokens = self.grid * (self.grid + 1) + 1

    def point(self, point: Point) -> Point:
        """A point of the page, px, in px of the view."""
        width, height = self.page.image.size
        x, y = point
        return x * self.side / width, y * self.side / height

    def index(self, point: Point) -> int:
        """The position in the prompt of the feature that holds this point of the page."""
        column, row = (min(max(int(side / FEATURE), 0), self.grid - 1) for side in self.point(point))
        return 1 + row * (self.grid + 1) + column

    def part(self, point: Point) -> int:
        """In which of the parts of its feature this point of the page is."""
        rows, columns = TOKEN_SLOTS
        x, y = (min(max(side, 0.0), self.side - 1e-3) % FEATURE / FEATURE for side in self.point(point))
        return int(y * rows) * columns + int(x * columns)

    def slots(self, cell: int, parts: tuple[int, int]) -> np.ndarray:
        """The class of the character in each part of each cell of `cell` px, (rows, columns, parts of a cell)."""
        rows, columns = parts
        cells = self.side // cell
        found = np.zeros((cells * rows, cells * columns), np.int64)
        for block in self.page.blocks:
            for line in block.lines:
                for character, centre in zip(line.text, line.centres, strict=True):
                    x, y = self.point(centre)
                    row, column = int(y * rows / cell), int(x * columns / cell)
                    if character != " " and 0 <= row < cells * rows and 0 <= column < cells * columns:
                        found[row, column] = ord(character) - FIRST + 1
        grid = found.reshape(cells, rows, cells, columns).transpose(0, 2, 1, 3)
        return grid.reshape(cells, cells, rows * columns)


def collate(examples: Sequence[_Example]) -> Batch:
    """Examples as one batch, padded on the right."""
    longest = max(len(example.ids) for example in examples)

    def padded(rows: Sequence[Sequence[int]], filler: int) -> Tensor:
        return torch.tensor([[*row, *[filler] * (longest - len(row))] for row in rows])

    return Batch(
        pixels=torch.from_numpy(np.stack([example.pixels for example in examples])),
        ids=padded([example.ids for example in examples], 2),
        labels=padded([example.labels for example in examples], IGNORED),
        places=padded([example.places for example in examples], -1),
        parts=padded([example.parts for example in examples], IGNORED),
        patches=torch.from_numpy(np.stack([example.patches for example in examples])),
        features=torch.from_numpy(np.stack([example.features for example in examples])),
    )
