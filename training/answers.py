"""What a task asks of a page and what the right answer is, in the words of DeepSeek-OCR."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random

from ocr.models.catalog import MODELS
from ocr.models.tasks import FREE_OCR, LOCATE, MARKDOWN, OCR_WITH_BOXES
from training.pages import Box, Line, Page, Point
from training.vocabulary import COLUMN, COORDINATE, NOWHERE, ROW, place_of, value_of

MODEL = "deepseek-ocr-tiny"  # whose prompts, answers and format these are


@dataclass(frozen=True)
class Sign:
    """One token of an answer."""

    symbol: str  # a special token, a character, ROW, COLUMN or COORDINATE
    place: int = NOWHERE
    point: Point | None = None  # of the page, px: what it is read off

    @property
    def text(self) -> str:
        """As it is read by people."""
        return {ROW: "", COLUMN: "", COORDINATE: str(value_of(self.place))}.get(self.symbol, self.symbol)


Answer = list[Sign]


def prompt_of(task: str, words: str = "") -> str:
    """The prompt of a task, as the package sends it."""
    return MODELS[MODEL].tasks[task].template.replace("{text}", words)


def free_ocr(page: Page) -> Answer:
    """The lines as they stand, a blank line between blocks."""
    return list(_between((_lines(page, block.lines) for block in page.blocks), "\n\n"))


def markdown(page: Page) -> Answer:
    """Each block with its label and its box, headings as such."""
    marks = {"title": "# ", "sub_title": "## "}
    return list(
        _between(
            (
                (
                    *_grounded(page, _plain(block.label), block.box),
                    *_plain("\n" + marks.get(block.label, "")),
                    *_lines(page, block.lines),
                )
                for block in page.blocks
            ),
            "\n\n",
        )
    )


def ocr_with_boxes(page: Page) -> Answer:
    """Each line as the label of its own box."""
    lines = [line for block in page.blocks for line in block.lines]
    return list(_between((_grounded(page, _line(page, line), line.box) for line in lines), "\n"))


def locate(page: Page, random: Random) -> tuple[str, Answer] | None:
    """Some words that stand once on the page, and the answer to where; None where there are none."""
    text = page.text
    lines = [line for block in page.blocks for line in block.lines]
    for line in random.sample(lines, len(lines)):
        words = line.text.split(" ")
        first = random.randrange(len(words))
        wanted = " ".join(words[first : first + random.randint(1, 3)])
        start = len(" ".join(words[:first])) + (first > 0)
        if len(wanted) > 1 and text.count(wanted) == 1:
            found = Line(wanted, line.centres[start : start + len(wanted)], _box_of(line, start, wanted))
            return wanted, list(_grounded(page, _line(page, found), found.box))
    return None


def draw_task(page: Page, random: Random, weights: Mapping[str, float]) -> tuple[str, Answer]:
    """A prompt and its answer, the tasks as often as their weights say."""
    (task,) = random.choices(list(weights), list(weights.values()))
    if task == LOCATE and (found := locate(page, random)):
        return prompt_of(LOCATE, found[0]), found[1]
    makers = {FREE_OCR: free_ocr, MARKDOWN: markdown, OCR_WITH_BOXES: ocr_with_boxes}
    task = task if task in makers else MARKDOWN
    return prompt_of(task), makers[task](page)


def _box_of(line: Line, start: int, wanted: str) -> Box:
    """The box of some characters of a line: half a character beyond the centres of the first and the last."""
    xs = [x for x, _ in line.centres]
    end = start + len(wanted) - 1
    left = line.box[0] if start == 0 else (xs[start - 1] + xs[start]) / 2
    right = line.box[2] if end == len(xs) - 1 else (xs[end] + xs[end + 1]) / 2
    return left, line.box[1], right, line.box[3]


def _plain(text: str) -> Iterator[Sign]:
    return map(Sign, text)


def _lines(page: Page, lines: Iterable[Line]) -> Iterator[Sign]:
    return _between((_line(page, line) for line in lines), "\n")


def _line(page: Page, line: Line) -> Iterator[Sign]:
    """How far down it runs, the place that it begins right of, then its characters with how far right they stand."""
    start = line.centres[0]
    yield Sign(ROW, place_of(start[1] / page.image.height), start)
    yield Sign(COLUMN, max(place_of(start[0] / page.image.width) - 1, 0), start)
    for character, centre in zip(line.text, line.centres, strict=True):
        yield Sign(character, place_of(centre[0] / page.image.width), centre)


def _between(parts: Iterable[Iterable[Sign]], mark: str) -> Iterator[Sign]:
    for index, part in enumerate(parts):
        if index:
            yield from _plain(mark)
        yield from part


def _grounded(page: Page, name: Iterable[Sign], box: Box) -> Iterator[Sign]:
    """`<|ref|>…<|/ref|><|det|>[[x1, y1, x2, y2]]<|/det|>`; the coordinates are read off the corners they are of."""
    x1, y1, x2, y2 = box
    yield from (Sign("<|ref|>"), *name, Sign("<|/ref|>"), Sign("<|det|>"))
    yield from _plain("[[")
    for index, corner in enumerate(((x1, y1), (x1, y1), (x2, y2), (x2, y2))):
        yield from _plain(", " if index else "")
        side = page.image.height if index % 2 else page.image.width
        yield Sign(COORDINATE, place_of(box[index] / side), corner)
    yield from (*_plain("]]"), Sign("<|/det|>"))
