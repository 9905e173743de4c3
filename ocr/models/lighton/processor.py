"""What LightOnOCR sees of a page: its size for it, and a prompt without words. Knows no network and no torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image
from tokenizers import Tokenizer

from ocr.engines.checkpoint import check_fields, token_id
from ocr.engines.patches import Levels, check_aspect
from ocr.engines.processor import Processor, Ready
from ocr.engines.prompts import fill
from ocr.models.card import Card
from ocr.models.lighton.card import FRAME, IMAGE
from ocr.types import PageInput

FRAME_TOKENS = ("<|im_start|>", IMAGE, "<|im_end|>")
EXTENT = (1000.0, 1000.0)  # over which the boxes of pictures run, whatever a page's size
Size = tuple[int, int]  # px, width and height


@dataclass(frozen=True)
class PixelRules:
    """How a page becomes pixels."""

    longest: int  # px; a page with a longer side is shrunk, none is ever enlarged
    square: int  # px, side of what one image token covers; each side becomes a multiple of it
    levels: Levels

    def size(self, page: Size, longest: int | None) -> Size:
        """The size at which a page is seen whose longer side may have so many px, or as many as the checkpoint's.

        A page that is too long is shrunk, its sides rounded down; then each side grows to the next multiple. Raises
        InputError for an aspect above MAX_ASPECT. Source: Pixtral's processor, with a square in place of a patch.
        """
        check_aspect(*page)
        ratio = max(side / min(longest or self.longest, self.longest) for side in page)
        shrunk = [max(1, math.floor(side / ratio)) if ratio > 1 else side for side in page]
        width, height = (math.ceil(side / self.square) * self.square for side in shrunk)
        return width, height


def pixel_rules(preprocessor: Mapping[str, Any], square: int) -> PixelRules:
    """Those of a checkpoint's image processor. Raises SetupError where a value is missing."""
    given = {**preprocessor, **(preprocessor.get("size") or {})}
    check_fields("image processor", given, ("longest_edge", "image_mean", "image_std"), {})
    return PixelRules(given["longest_edge"], square, Levels.of(given))


@dataclass(frozen=True)
class Page(Ready):
    """One page ready to run."""

    image: Image.Image
    size: Size  # px, what the model sees


class LightOnProcessor(Processor[Page]):
    """Pages to their size for the model, and prompts."""

    skip_special_tokens = True

    def __init__(self, tokenizer: Tokenizer, context: int, card: Card, rules: PixelRules) -> None:
        super().__init__(tokenizer, context, card.end_tokens, card.ngram_limit)
        self.rules = rules
        for token in FRAME_TOKENS:
            token_id(tokenizer, token)  # raises where the tokenizer would spell it out
        self.image_token = token_id(tokenizer, IMAGE)

    def prepare(self, page: PageInput) -> Page:
        """A page's size for the model and its prompt. Raises InputError for a page or text it cannot be given."""
        size = self.rules.size(page.image.size, page.preset)
        count = math.prod(size) // self.rules.square**2
        text = FRAME.around(fill(page.prompt, page.text, self.reserved))
        return Page(self.spread(text, count), count, EXTENT, page.image, size)

    def scale(self, size: Size, preset: int | None) -> float:
        """How many px the model sees at this preset for each px of a page, but for the rounding to whole squares."""
        return min(1.0, min(preset or self.rules.longest, self.rules.longest) / max(size))
