"""What is known of pp-ocr without loading it.

A token of this model is a line of print: that is what it finds, reads and yields one after the other. It has no tokens
of a prompt or an image.
"""

from collections.abc import Mapping

from ocr.models.card import Card
from ocr.models.tasks import (
    BASE,
    FREE_OCR,
    GUNDAM,
    LARGE,
    LOCATE,
    MARKDOWN,
    OCR_WITH_BOXES,
    READ_REGION,
    SMALL,
    TINY,
)
from ocr.types import Prompt

# No network reads these words: they name the form in which the engine gives the lines.
BLOCKS, LINES, TEXT, REGION = "blocks", "lines", "text", "text in {text}"

# px, longest side at which the page is searched for lines; each is then read as large as it stands on the page. With
# less than 2000 small print goes missing and neighbouring cells of tables run together.
_PRESETS: Mapping[str, int] = {GUNDAM: 2000, TINY: 800, SMALL: 1200, BASE: 1600, LARGE: 2000}

PP_OCR = Card(
    engine="ocr.models.pp_ocr.engine",
    tasks={
        MARKDOWN: Prompt(BLOCKS, dialect="element_json"),
        FREE_OCR: Prompt(TEXT),
        LOCATE: Prompt(LINES, dialect="element_json", lists_boxes=True, selects=True),
        OCR_WITH_BOXES: Prompt(LINES, dialect="element_json"),
        READ_REGION: Prompt(REGION),
    },
    own_prompt=None,
    presets=_PRESETS,
    end_tokens=(),
    runtime="onnxruntime",
    checks_cheaply=False,
    licence="Apache-2.0",
    languages="Latin, Chinese, Japanese; not Vietnamese",
)
