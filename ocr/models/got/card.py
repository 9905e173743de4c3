"""What is known of GOT-OCR 2.0 without loading it."""

from collections.abc import Mapping
from dataclasses import dataclass

from ocr.decoding.rules import NgramLimit
from ocr.engines.prompts import Frame
from ocr.engines.regions import REGION
from ocr.models.card import Card
from ocr.models.tasks import BASE, FREE_OCR, GUNDAM, LARGE, MARKDOWN, READ_REGION
from ocr.types import MAX_NEW_TOKENS, Prompt


@dataclass(frozen=True)
class Look:
    """A preset of this kind: which views the model has of a page, each of one size."""

    tiled: bool = False  # whether it sees the page in tiles, and then as a whole, or as a whole alone


IMAGE = "<imgpad>"  # stands once for each image token
FRAME = Frame(
    before=f"<|im_start|>user\n<img>{IMAGE}</img>\n",
    after="<|im_end|><|im_start|>assistant\n",
    before_system="<|im_start|>system\n",
    after_system="<|im_end|>",
)
FRAME_TOKENS = ("<|im_start|>", "<|im_end|>", "<img>", IMAGE, "</img>")

# The wording is the training contract: edit only with a new checkpoint. Each ends in a space, and none begins with one:
# transformers' processor puts one there that the makers' code does not.
_SYSTEM = "You should follow the instructions carefully and explain your answers in detail."
_PLAIN = Prompt("OCR: ", system=_SYSTEM)
_FORMATTED = Prompt("OCR with format: ", dialect="mathpix", system=_SYSTEM)
_OWN = Prompt("{text} ", dialect="mathpix", system=_SYSTEM)  # such as [red] OCR: or [0, 0, 500, 250] OCR with format:
# What is asked of a page in tiles, by the template for one that is seen as a whole.
OF_TILES: Mapping[str, str] = {
    _PLAIN.template: "OCR upon the patch reference: ",
    _FORMATTED.template: "OCR with format upon the patch reference: ",
    _OWN.template: _OWN.template,
}

GOT_OCR2 = Card(
    engine="ocr.models.got.engine",
    tasks={
        MARKDOWN: _FORMATTED,
        FREE_OCR: _PLAIN,
        READ_REGION: Prompt(f"{REGION} OCR: ", system=_SYSTEM),
    },
    own_prompt=_OWN,
    presets={GUNDAM: Look(), BASE: Look(), LARGE: Look(tiled=True)},
    end_tokens=("<|im_end|>", "<|endoftext|>"),
    ngram_limit=NgramLimit(n=20, window=MAX_NEW_TOKENS),  # the makers' own, over the whole answer
    licence="Apache-2.0; data CC BY-NC 4.0",
    languages="English and Chinese above all",
)
