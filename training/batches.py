"""Pages and their answers as tensors: what one step of the training takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from random import Random

import numpy as np
import torch
from torch import Tensor

from ocr.models.deepseek.card import BOS, EOS, IMAGE
from ocr.models.deepseek.processor import FEATURE
from ocr.models.deepseek.views import SquareViews, square_views
from ocr.models.tasks import FREE_OCR, LOCATE, MARKDOWN, OCR_WITH_BOXES
from training.answers import Answer, draw_task
from training.pages import Page, Point, Style, draw_page
from training.vocabulary import COLUMN, NOWHERE, PLACES, PRINTABLE, ROW, SPECIAL, place_of, symbol

PATCH = 16  # px, side of one of SAM's patches
FIRST, LAST = 33, 126  # the printable characters of ASCII but for the blank; as classes 1 to 94, 0 is nothing
CLASSES = LAST - FIRST + 2
PATCH_SLOTS = (1, 2)  # rows and columns of places for one character that a patch of 16 px is parted in
TOKEN_SLOTS = (4, 8)  # likewise a feature of 64 px
IGNORED = -100
WRONG_SYMBOLS, WRONG_PLACES = 0.05, 0.2  # of the characters that the decoder is given


@dataclass(frozen=True)
class Stage:
    """A part of the training: how large the view is and what the pages hold."""

    name: str
    steps: int
    batch: int  # pages
    view: int  # px
    characters: tuple[int, ...]  # most characters of a page; a batch has one of these
    tasks: Mapping[str, float]  # how often each is asked; none: the vision learns alone
    pitch: tuple[float, float]  # px of the view from line to line


ALL_TASKS = {FREE_OCR: 0.4, MARKDOWN: 0.35, LOCATE: 0.15, OCR_WITH_BOXES: 0.1}


@dataclass(frozen=True)
class Reading:
    """What the decoder is given and asked, a row for each page: prompt, answer and end, padded on the right.

    At each position stand what the token there says and where, what the next one says and where, and the positions
    that it helps to attend to, -1 for none.
    """

    symbols: Tensor  # (pages, tokens)
    places: Tensor  # (pages, tokens)
    next_symbols: Tensor  # (pages, tokens), IGNORED where none is asked
    next_places: Tensor  # (pages, tokens), likewise
    parts: Tensor  # (pages, tokens): in which of its feature's parts the next token stands, IGNORED for none
    row: Tensor  # (pages, tokens): the ROW of the line that this token is in
    here: Tensor  # (pages, tokens): the feature that this token is read off
    after: Tensor  # (pages, tokens): the one to the right of it
    next: Tensor  # (pages, tokens): the one that the next token is read off


@dataclass(frozen=True)
class Batch:
    """Some pages."""

    pixels: Tensor  # (pages, view, view, 3), uint8
    patches: Tensor  # (pages, rows, columns, slots): the class of the character in each part of each patch
    features: Tensor  # (pages, rows, columns, slots): likewise of each feature
    reading: Reading


@dataclass(frozen=True)
class _Example:
    pixels: np.ndarray
    patches: np.ndarray
    features: np.ndarray
    reading: Mapping[str, list[int]]


class Batches(torch.utils.data.Dataset[list[Batch]]):
    """Groups of batches, each drawn anew from its number alone, so that a training goes on where it stopped.

    The pages of a group are sorted by length before they are parted into batches: little of a step goes into padding.
    """

    GROUP = 4  # batches

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage, self.seed = stage, seed

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
        examples.sort(key=lambda example: len(example.reading["symbols"]))
        batches = [
            collate(examples[start : start + self.stage.batch]) for start in range(0, len(examples), self.stage.batch)
        ]
        random.shuffle(batches)
        return batches

    def _example(self, random: Random, style: Style) -> _Example:
        page = draw_page(random, style)
        prompt, answer = draw_task(page, random, self.stage.tasks or {FREE_OCR: 1.0})
        view = View(page, self.stage.view)
        return _Example(
            view.pixels,
            view.slots(PATCH, PATCH_SLOTS),
            view.slots(FEATURE, TOKEN_SLOTS),
            reading(view, prompt, answer, random),
        )


def reading(view: "View", prompt: str, answer: Answer, random: Random) -> dict[str, list[int]]:
    """The fields of `Reading` for one page, to its last token but one.

    A few of the tokens that are given are not the true ones, so that one wrong token does not lead to the next.
    """
    given = [symbol(BOS), *[symbol(IMAGE)] * view.tokens, *spelled(prompt.removeprefix(IMAGE))]
    start, last_row = len(given), -1
    symbols, places = list(given), [NOWHERE] * start
    rows, here, after = [-1] * start, [-1] * start, [-1] * start
    true_symbols, true_places, parts, eyes = [IGNORED] * start, [IGNORED] * start, [IGNORED] * start, [-1] * start
    for sign in answer:
        said, place = symbol(sign.symbol), sign.place
        true_symbols.append(said)
        true_places.append(place)
        point = sign.point if sign.symbol in (*PRINTABLE, COLUMN) else None  # what this token goes on to read from
        if sign.symbol == ROW:
            last_row = len(symbols)
        here.append(view.index(point, place) if point else -1)
        after.append(view.index(point, place, right=1) if point else -1)
        parts.append(view.part(sign.point) if sign.point else IGNORED)
        eyes.append(view.index(sign.point, place_of(sign.point[0] / view.page.image.width)) if sign.point else -1)
        rows.append(last_row)
        if point and sign.symbol != COLUMN and random.random() < WRONG_SYMBOLS:
            said = symbol(random.choice(PRINTABLE))
        if point and random.random() < WRONG_PLACES:
            place = min(max(place + random.choice((-1, 1)), 0), PLACES - 1)
        symbols.append(said)
        places.append(place)
    # What stands at a position is what is to be said one position before.
    return {
        "symbols": symbols,
        "places": places,
        "next_symbols": [*true_symbols[1:], symbol(EOS)],
        "next_places": [*true_places[1:], NOWHERE],
        "parts": [*parts[1:], IGNORED],
        "row": rows,
        "here": here,
        "after": after,
        "next": [*eyes[1:], -1],
    }


def spelled(text: str) -> list[int]:
    """The symbols of an ASCII text, with the special tokens that stand in it."""
    if text in SPECIAL:
        return [symbol(text)]
    for mark in SPECIAL:
        if mark in text:
            before, _, after = text.partition(mark)
            return [*spelled(before), symbol(mark), *spelled(after)]
    return [symbol(character) for character in text]


class View:
    """A page as the model gets it, stretched to a square of `side` px, and where its points are there."""

    def __init__(self, page: Page, side: int) -> None:
        self.page, self.side = page, side
        self.pixels = square_views(page.image, SquareViews(base=side, padded=False)).whole
        self.grid = self.side // FEATURE
        self.tokens = self.grid * (self.grid + 1) + 1

    def point(self, point: Point) -> Point:
        """A point of the page, px, in px of the view."""
        width, height = self.page.image.size
        x, y = point
        return x * self.side / width, y * self.side / height

    def index(self, point: Point, place: int, right: int = 0) -> int:
        """The position in the prompt of the feature as far down as a point and as far right as a place, or `right`."""
        row = min(max(int(self.point(point)[1] / FEATURE), 0), self.grid - 1)
        return 1 + row * (self.grid + 1) + min(place * self.grid // PLACES + right, self.grid - 1)

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


FILLERS = {"symbols": symbol(EOS), "places": NOWHERE, "next_symbols": IGNORED, "next_places": IGNORED, "parts": IGNORED}


def collate(examples: Sequence[_Example]) -> Batch:
    """Examples as one batch."""
    longest = max(len(example.reading["symbols"]) for example in examples)

    def padded(name: str) -> Tensor:
        rows = [example.reading[name] for example in examples]
        return torch.tensor([[*row, *[FILLERS.get(name, -1)] * (longest - len(row))] for row in rows])

    return Batch(
        pixels=torch.from_numpy(np.stack([example.pixels for example in examples])),
        patches=torch.from_numpy(np.stack([example.patches for example in examples])),
        features=torch.from_numpy(np.stack([example.features for example in examples])),
        reading=Reading(**{field.name: padded(field.name) for field in fields(Reading)}),
    )
