"""Pages as plain text: no marks of markdown, the cells of a table apart by tabs, a form feed between pages."""

from collections.abc import Iterator, Sequence

from ocr.output.blocks import Block, Kind, blocks, grid
from ocr.types import PageResult

PAGE_BREAK = "\f"


def plain_text(pages: Sequence[PageResult]) -> str:
    """The text of a whole document. A page that could not be read says so in brackets."""
    return f"\n{PAGE_BREAK}".join(map(_page, pages)) + "\n"


def _page(page: PageResult) -> str:
    failure = [f"[Page {page.page} could not be read: {page.error}]"] if page.error else []
    return "\n\n".join([*_paragraphs(page.markdown), *failure])


def _paragraphs(markdown: str) -> Iterator[str]:
    """What stands apart by a blank line; the items of a list do not."""
    items: list[str] = []
    for block in blocks(markdown):
        if block.kind is Kind.ITEM:
            items.append("  " * (block.level - 1) + f"{block.mark} {block.text}")
            continue
        if items:
            yield "\n".join(items)
            items = []
        if text := _text(block):
            yield text
    if items:
        yield "\n".join(items)


def _text(block: Block) -> str:
    if block.kind is Kind.TABLE:
        return "\n".join("\t".join(row) for row in grid(block.rows))
    return block.text.strip()
