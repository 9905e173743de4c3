"""What a task asks of a page and what the right answer is, in the words of DeepSeek-OCR."""

from collections.abc import Iterable, Iterator, Mapping
from random import Random

from ocr.catalog import FREE_OCR, LOCATE, MARKDOWN, MODELS, OCR_WITH_BOXES
from training.pages import Box, Line, Page, Point

MODEL = "deepseek-ocr"  # whose prompts, answers and format these are
SCALE = 999  # boxes run from 0 to 999 over each side of the page

# One character after the other with the place on the page, px, that it is read off; None where there is no such place.
Answer = list[tuple[str, Point | None]]


def prompt_of(task: str, words: str = "") -> str:
    """The prompt of a task, as the package sends it."""
    return MODELS[MODEL].tasks[task].template.replace("{text}", words)


def free_ocr(page: Page) -> Answer:
    """The lines as they stand, a blank line between blocks."""
    return list(_between(((item for item in _lines(block.lines)) for block in page.blocks), "\n\n"))


def markdown(page: Page) -> Answer:
    """Each block with its label and its box, headings as such."""
    marks = {"title": "# ", "sub_title": "## "}
    return list(
        _between(
            (
                (
                    *_grounded(page, block.label, block.box),
                    *_plain("\n" + marks.get(block.label, "")),
                    *_lines(block.lines),
                )
                for block in page.blocks
            ),
            "\n\n",
        )
    )


def ocr_with_boxes(page: Page) -> Answer:
    """Each line as the label of its own box."""
    lines = [line for block in page.blocks for line in block.lines]
    return list(_between((_found(page, line.text, line.centres, line.box) for line in lines), "\n"))


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
            return wanted, list(
                _found(page, wanted, line.centres[start : start + len(wanted)], _box_of(line, start, wanted))
            )
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


def _plain(text: str) -> Iterator[tuple[str, None]]:
    return ((character, None) for character in text)


def _lines(lines: Iterable[Line]) -> Iterator[tuple[str, Point | None]]:
    return _between((zip(line.text, line.centres, strict=True) for line in lines), "\n")


def _between(parts: Iterable[Iterable[tuple[str, Point | None]]], mark: str) -> Iterator[tuple[str, Point | None]]:
    for index, part in enumerate(parts):
        if index:
            yield from _plain(mark)
        yield from part


def _found(page: Page, text: str, centres: Iterable[Point], box: Box) -> Iterator[tuple[str, Point | None]]:
    yield "<|ref|>", None
    yield from zip(text, centres, strict=True)
    yield "<|/ref|>", None
    yield from _place(page, box)


def _grounded(page: Page, label: str, box: Box) -> Iterator[tuple[str, Point | None]]:
    yield "<|ref|>", None
    yield from _plain(label)
    yield "<|/ref|>", None
    yield from _place(page, box)


def _place(page: Page, box: Box) -> Iterator[tuple[str, Point | None]]:
    """`<|det|>[[x1, y1, x2, y2]]<|/det|>`; the digits are read off the corner that they name."""
    sides = (page.image.width, page.image.height) * 2
    numbers = [str(round(side / whole * SCALE)) for side, whole in zip(box, sides, strict=True)]
    x1, y1, x2, y2 = box
    yield "<|det|>", None
    yield from _plain("[[")
    for index, (number, corner) in enumerate(zip(numbers, ((x1, y1), (x1, y1), (x2, y2), (x2, y2)), strict=True)):
        yield from _plain(", " if index else "")
        yield from ((digit, corner) for digit in number)
    yield from _plain("]]")
    yield "<|/det|>", None
