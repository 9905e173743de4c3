"""What dots.ocr and dots.mocr see of a page: its size for them and a prompt. Knows no network and no torch."""

import math
from dataclasses import dataclass, replace

from PIL import Image
from tokenizers import Tokenizer

from ocr.engines.checkpoint import token_id
from ocr.engines.patches import PatchRules, resized_size
from ocr.engines.processor import Processor, Ready
from ocr.engines.prompts import fill
from ocr.engines.regions import REGION
from ocr.models.card import Card
from ocr.models.dots.card import FRAME, FRAME_TOKENS, IMAGE
from ocr.models.dots.region import region
from ocr.types import PageInput


@dataclass(frozen=True)
class Page(Ready):
    """One page ready to run; the size that the model sees is the extent of its boxes too."""

    image: Image.Image
    size: tuple[int, int]  # px, width and height that the model sees
    grid: tuple[int, int]  # patches: rows, columns


class DotsProcessor(Processor[Page]):
    """Pages to their size for the model, and prompts."""

    skip_special_tokens = True

    def __init__(self, tokenizer: Tokenizer, context: int, card: Card, rules: PatchRules) -> None:
        super().__init__(tokenizer, context, card.end_tokens)
        self.rules = rules
        self.reserved += (FRAME.before_system, FRAME.after_system.strip())
        for token in FRAME_TOKENS:
            token_id(tokenizer, token)  # raises where the tokenizer would spell it out
        self.image_token = token_id(tokenizer, IMAGE)

    def prepare(self, page: PageInput) -> Page:
        """A page's size for the model and its prompt. Raises InputError for a page, text or box it cannot be given."""
        size = resized_size(
            *page.image.size,
            multiple=self.rules.multiple,
            min_pixels=self.rules.min_pixels,
            max_pixels=self._most_pixels(page.preset),
        )
        count = size[0] * size[1] // self.rules.multiple**2
        ids = self.spread(FRAME.around(self._wording(page, size), page.prompt.system), count)
        return Page(ids, count, size, page.image, size, (size[1] // self.rules.patch, size[0] // self.rules.patch))

    def _most_pixels(self, preset: int | None) -> float:
        return min(preset or self.rules.max_pixels, self.rules.max_pixels)

    def scale(self, size: tuple[int, int], preset: int | None) -> float:
        """How many px the model sees at this preset for each px of a page, but for the rounding to whole patches."""
        return min(1.0, math.sqrt(self._most_pixels(preset) / math.prod(size)))

    def _wording(self, page: PageInput, size: tuple[int, int]) -> str:
        """The prompt with everything filled in that its template names."""
        width, height = page.image.size
        template = page.prompt.template.replace("{width}", str(width)).replace("{height}", str(height))
        if REGION in template:
            return template.replace(REGION, region(page.text, page.image.size, size))
        return fill(replace(page.prompt, template=template), page.text, self.reserved)
