"""What is known of the detector without loading it: its labels, and what each stands for."""

from collections.abc import Mapping
from dataclasses import dataclass

CHECKPOINT = "pp-doclayout-v3"  # its name in the table of checkpoints
ENGINE = "ocr.models.layout.detector"  # the module that has load(folder, settings) -> Detector


@dataclass(frozen=True)
class Kind:
    """What a region is on the page."""

    type: str  # one of ocr.answers.elements.ELEMENT_TYPES
    holds: str = "text"  # as what it may be read: a name in a prompt's `regions`
    head: str = ""  # stands before what it says
    is_frame: bool = False  # whether it is one around regions that are found by themselves


# By the labels in the checkpoint's config.json.
KINDS: Mapping[str, Kind] = {
    "abstract": Kind("text"),
    "algorithm": Kind("text"),
    "aside_text": Kind("other"),
    "chart": Kind("picture", holds="chart"),
    "content": Kind("text"),  # a table of contents
    "display_formula": Kind("formula", holds="formula"),
    "doc_title": Kind("title", head="# "),
    "figure_title": Kind("caption"),
    "footer": Kind("footer"),
    "footer_image": Kind("footer", holds="image"),
    "footnote": Kind("footnote"),
    "formula_number": Kind("other"),
    "header": Kind("header"),
    "header_image": Kind("header", holds="image"),
    "image": Kind("picture", holds="image"),
    "inline_formula": Kind("formula", holds="formula"),
    "number": Kind("page_number"),
    "paragraph_title": Kind("heading", head="## "),
    "reference": Kind("text", is_frame=True),
    "reference_content": Kind("text"),
    "seal": Kind("picture", holds="seal"),
    "table": Kind("table", holds="table"),
    "text": Kind("text"),
    "vertical_text": Kind("text"),
    "vision_footnote": Kind("footnote"),  # of a picture or a table
}
TEXT = "text"  # the label of plain print


def kind(label: str) -> Kind:
    """What a region with this label is; one that is not known holds text."""
    return KINDS.get(label, Kind("other"))
