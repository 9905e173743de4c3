"""Which paragraphs are items of lists, and how deep."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from ocr.models.pp_ocr.paragraphs import BULLET, NUMBER, Paragraph

DEEPER = 0.8  # heights that an item begins further right than another to be part of it
_SURE = "•●○◦▪■□‣"  # that stand before items alone


@dataclass(frozen=True)
class Item:
    """A paragraph with its mark in markdown."""

    paragraph: Paragraph
    mark: str  # "-", or its number with what follows it
    start: int  # letters of the paragraph's text that are its mark
    depth: int = 0  # how many letters the mark stands in, in markdown

    def text(self, whole: str) -> str:
        """The item in markdown, from its paragraph's text."""
        return " " * self.depth + f"{self.mark} {whole[self.start :]}"


def items(found: Sequence[Paragraph]) -> dict[int, Item]:
    """The items of lists among paragraphs that follow each other, by their places in the sequence."""
    marked = [(n, _marked(paragraph)) for n, paragraph in enumerate(found)]
    lists: dict[int, Item] = {}
    for is_marked, run in groupby(marked, key=lambda each: each[1] is not None):
        if is_marked:
            candidates = {n: item for n, item in run if item}
            lists |= _nested({n: item for n, item in candidates.items() if _is_item(item, list(candidates.values()))})
    return lists


def _marked(paragraph: Paragraph) -> Item | None:
    text = paragraph.spans[0].text
    if match := BULLET.match(text):
        return Item(paragraph, "-", match.end())
    if match := NUMBER.match(text):
        return Item(paragraph, match[1] + match[2], match.end())
    return None


def _is_item(item: Item, run: Sequence[Item]) -> bool:
    """Whether it is one for certain: by its mark, or because another of the run goes with it."""
    sign = item.paragraph.spans[0].text[0]
    if sign in _SURE:
        return True
    level = [other for other in run if other is not item and abs(_indent(item, other)) <= DEEPER]
    if item.mark == "-":
        return any(other.paragraph.spans[0].text[0] == sign for other in level)
    numbers = {int(other.mark[:-1]) for other in level if other.mark != "-"}
    return not numbers.isdisjoint((int(item.mark[:-1]) - 1, int(item.mark[:-1]) + 1))


def _indent(item: Item, other: Item) -> float:
    """Heights that the item begins further right than the other."""
    return (item.paragraph.x1 - other.paragraph.x1) / item.paragraph.height


def _nested(run: dict[int, Item]) -> dict[int, Item]:
    parents: list[Item] = []
    found: dict[int, Item] = {}
    for n, item in run.items():
        if n - 1 not in run:
            parents.clear()
        while parents and _indent(item, parents[-1]) <= DEEPER:
            parents.pop()
        if parents:
            item = replace(item, depth=parents[-1].depth + len(parents[-1].mark) + 1)
        parents.append(item)
        found[n] = item
    return found
