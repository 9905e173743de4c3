"""How alike two pages of markdown are as trees: the edit distance of their blocks, as TEDS has it for tables.

A page is a tree of its headings, paragraphs, lists and tables; a table one of rows and cells. TEDS is 1 - distance /
nodes of the larger tree, where changing a node into another costs 1, or for two of a kind the share of their text that
differs (Zhong et al., Image-based table recognition, 2020). The distance is that of Zhang and Shasha (1989).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser

from rapidfuzz.distance import Levenshtein

_HEADING = re.compile(r"(#{1,6}) (.*)", re.DOTALL)
_ITEM = re.compile(r"( *)(-|\d+[.)]) (.*)")


@dataclass
class Node:
    """A part of a page with the parts in it."""

    kind: str
    text: str = ""
    children: list["Node"] = field(default_factory=list)

    def __len__(self) -> int:
        return 1 + sum(map(len, self.children))


def teds(one: str, other: str) -> float:
    """How alike two pages of markdown are, 0 to 1."""
    first, second = tree(one), tree(other)
    return 1 - distance(first, second) / max(len(first), len(second))


def tree(markdown: str) -> Node:
    """The blocks of a page of markdown: headings, HTML tables, lists and paragraphs apart by blank lines."""
    page = Node("page")
    for block in re.split(r"\n\s*\n", markdown.strip("\n")):
        lines = block.split("\n")
        if block.startswith("<table>"):
            page.children.append(_Table(block).node)
        elif match := _HEADING.fullmatch(block):
            page.children.append(Node(f"h{len(match[1])}", _plain(match[2])))
        elif _ITEM.match(lines[0]):
            last = page.children[-1] if page.children else page
            following = last if last.kind == "list" else Node("list")
            if following is not last:
                page.children.append(following)
            _add_items(following, lines)
        else:
            page.children.append(Node("p", _plain(block)))
    return page


def _add_items(top: Node, lines: list[str]) -> None:
    """The items of a list in its tree; a line without a mark goes on in the item before."""
    inner = [(-1, top)]  # how far each open item is indented, and the list that it may hold
    item = Node("item")
    for line in lines:
        match = _ITEM.fullmatch(line)
        if not match:
            item.text = _plain(f"{item.text} {line}")
            continue
        while len(match[1]) <= inner[-1][0]:
            inner.pop()
        item = Node("item", _plain(match[3]))
        inner[-1][1].children.append(item)
        inner.append((len(match[1]), item))


def _plain(text: str) -> str:
    return " ".join(text.split())


class _Table(HTMLParser):
    """A table's rows and cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.node = Node("table")
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.node.children.append(Node("row"))
        elif tag in ("td", "th"):
            self.node.children[-1].children.append(Node(f"cell {dict(attrs).get('colspan') or 1}"))

    def handle_data(self, data: str) -> None:
        if data.strip():
            cell = self.node.children[-1].children[-1]
            cell.text = _plain(cell.text + data)


@cache
def _cost(kind: str, text: str, other_kind: str, other_text: str) -> float:
    """Of changing a node into another."""
    return Levenshtein.normalized_distance(text, other_text) if kind == other_kind else 1.0


def distance(one: Node, other: Node) -> float:
    """The least cost of changing one tree into the other: 1 for each node gone or new, less for a changed text."""
    first, second = list(_postorder(one)), list(_postorder(other))
    trees = [[0.0] * len(second) for _ in first]
    for i in _key_roots(first):
        for j in _key_roots(second):
            _fill(first, second, i, j, trees)
    return trees[-1][-1]


Numbered = tuple[Node, int]  # a node with the number of the leftmost leaf below it


def _postorder(node: Node, start: int = 0) -> Iterator[Numbered]:
    at = start
    for child in node.children:
        for each in _postorder(child, at):
            yield each
            at += 1
    yield node, start


def _key_roots(nodes: list[Numbered]) -> list[int]:
    """The last node of each leftmost leaf."""
    return sorted({leaf: n for n, (_, leaf) in enumerate(nodes)}.values())


def _fill(first: list[Numbered], second: list[Numbered], i: int, j: int, trees: list[list[float]]) -> None:
    """The distances of the trees at i and j and of all pairs that begin where these do."""
    left, top = first[i][1], second[j][1]
    forest = [[float(row + column) for column in range(j - top + 2)] for row in range(i - left + 2)]
    for row in range(1, i - left + 2):
        node, leaf = first[left + row - 1]
        for column in range(1, j - top + 2):
            other, other_leaf = second[top + column - 1]
            edits = min(forest[row - 1][column], forest[row][column - 1]) + 1
            if leaf == left and other_leaf == top:
                cost = _cost(node.kind, node.text, other.kind, other.text)
                forest[row][column] = min(edits, forest[row - 1][column - 1] + cost)
                trees[left + row - 1][top + column - 1] = forest[row][column]
            else:
                apart = forest[leaf - left][other_leaf - top]
                forest[row][column] = min(edits, apart + trees[left + row - 1][top + column - 1])
