"""One page of ours as Mistral's API describes a page."""

from collections.abc import Mapping
from typing import Any

from ocr.faces.gateway.drawing import Sheet
from ocr.faces.gateway.service import field
from ocr.output.blocks import blocks, grid
from ocr.output.markdown import picture_name
from ocr.output.untrusted import PICTURE_MARK

DPI = 200  # as PDFs are drawn unless a request says otherwise
TYPES: Mapping[str, str] = {
    "title": "title",
    "heading": "title",
    "text": "text",
    "list_item": "list",
    "table": "table",
    "formula": "equation",
    "picture": "image",
    "caption": "caption",
    "footnote": "text",
    "header": "header",
    "footer": "footer",
    "page_number": "footer",
    "other": "text",
}
CORNERS = ("top_left_x", "top_left_y", "bottom_right_x", "bottom_right_y")


class MistralPage:
    """A page as the JSON document has it, and its markdown, out of which pictures and tables are taken."""

    def __init__(self, page: Mapping[str, Any], markdown: str) -> None:
        self._page = page
        self._markdown = markdown
        self.number = int(page["page"])
        self.pictures: list[dict[str, Any]] = []
        self._tables: list[dict[str, Any]] = []
        self._ids: dict[int, dict[str, str]] = {}  # of elements by their place: the name of their picture or table

    @property
    def sheet(self) -> Sheet:
        """The page to be drawn, with the places of its pictures."""
        size = self._page["width"], self._page["height"]
        return Sheet(self.number, self._page["turned"], size, [picture["box"] for picture in self.pictures])

    def take_out(self, asked: Mapping[str, Any], before: int) -> None:
        """Give pictures their names, `before` of them being on earlier pages, and take tables out where asked."""
        most, smallest = field(asked, "image_limit", int), field(asked, "image_min_size", int) or 0
        count = 0
        for place, element in enumerate(self._page["elements"]):
            if element["type"] == "picture" and element["bbox"]:
                count += 1
                x1, y1, x2, y2 = element["bbox"]
                is_left = min(x2 - x1, y2 - y1) < smallest or (most is not None and before + len(self.pictures) >= most)
                self._name_picture(place, count, "" if is_left else f"img-{before + len(self.pictures)}.jpeg")
            elif element["type"] == "table" and asked.get("table_format"):
                self._take_table(place, asked["table_format"])

    def _name_picture(self, place: int, count: int, name: str) -> None:
        """The link to a page's n-th picture as theirs; without a name there is none."""
        ours = f"{PICTURE_MARK}{picture_name(self.number, count)})"
        self._markdown = self._markdown.replace(ours, f"![{name}]({name})" if name else "", 1)
        if name:
            self.pictures.append({"id": name, "box": self._page["elements"][place]["bbox"], "content": None})
            self._ids[place] = {"image_id": name}

    def _take_table(self, place: int, form: str) -> None:
        """Move a table into a field of its own; one that the markdown has in another wording stays where it is."""
        content = self._page["elements"][place]["text"].strip()
        if not content or content not in self._markdown:
            return
        name = f"tbl-{len(self._tables)}.{'md' if form == 'markdown' else 'html'}"
        self._markdown = self._markdown.replace(content, f"[{name}]({name})", 1)
        self._tables.append({"id": name, "content": _piped(content) if form == "markdown" else content, "format": form})
        self._ids[place] = {"table_id": name}

    def json(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The page in their form; what theirs has no place for stands under `ocr`."""
        own = {name: self._page[name] for name in ("finish_reason", "problems", "check", "error")}
        return {
            "index": self.number - 1,
            "markdown": self._markdown,
            "images": [_image(picture) for picture in self.pictures],
            "dimensions": {"dpi": DPI, "height": self._page["height"], "width": self._page["width"]},
            "tables": self._tables,
            "hyperlinks": [],
            "header": self._furniture(("header",)) if asked.get("extract_header") else None,
            "footer": self._furniture(("footer", "page_number")) if asked.get("extract_footer") else None,
            "blocks": self._blocks() if asked.get("include_blocks") else None,
            "ocr": own,
        }

    def _furniture(self, types: tuple[str, ...]) -> str | None:
        """What the page says at its edge, which our markdown leaves out."""
        return "\n".join(it["text"] for it in self._page["elements"] if it["type"] in types) or None

    def _blocks(self) -> list[dict[str, Any]]:
        """The elements that have a place, which theirs must."""
        return [
            {"type": TYPES[it["type"]], **_corners(it["bbox"]), "content": it["text"], **self._ids.get(place, {})}
            for place, it in enumerate(self._page["elements"])
            if it["bbox"]
        ]


def _image(picture: Mapping[str, Any]) -> dict[str, Any]:
    place = _corners(picture["box"])
    return {"id": picture["id"], **place, "image_base64": picture["content"], "image_annotation": None}


def _corners(box: Any) -> dict[str, int]:
    return dict(zip(CORNERS, map(round, box), strict=True))


def _piped(table: str) -> str:
    """A table as markdown has it; cells that cover several are empty but for the first."""
    rows = [row for block in blocks(table) for row in grid(block.rows)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([*lines[:1], "|" + " --- |" * len(rows[0]), *lines[1:]]) if rows else table
