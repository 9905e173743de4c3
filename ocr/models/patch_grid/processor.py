"""What models of a patch grid see of a page: its size for them and a prompt. Knows no network and no torch."""

import math
import re
from dataclasses import dataclass, replace

from PIL import Image
from tokenizers import Tokenizer

from ocr.engines.checkpoint import token_id
from ocr.engines.patches import PatchRules
from ocr.engines.processor import Processor, Ready
from ocr.engines.prompts import fill
from ocr.models.patch_grid.card import GridCard, Look
from ocr.models.patch_grid.family import Size
from ocr.types import PageInput

_TOKEN = re.compile(r"<\|[^<>|]+\|>")  # how special tokens stand in a frame


@dataclass(frozen=True)
class Page(Ready):
    """One page ready to run."""

    image: Image.Image
    size: Size  # px, what the model sees
    grid: tuple[int, int]  # patches: rows, columns


class GridProcessor(Processor[Page]):
    """Pages to their size for the model, and prompts."""

    def __init__(self, tokenizer: Tokenizer, context: int, card: GridCard, rules: PatchRules) -> None:
        """Raises SetupError where the tokenizer lacks a token of the frame, and would spell it out."""
        super().__init__(tokenizer, context, card.end_tokens, card.ngram_limit)
        self.rules = rules
        self.skip_special_tokens = not card.answers_in_tokens
        self._card = card
        for token in _TOKEN.findall(card.frame.around("")):
            token_id(tokenizer, token)
        self.image_token = token_id(tokenizer, card.image)

    def prepare(self, page: PageInput) -> Page:
        """A page's size for the model and its prompt. Raises InputError for a page or text it cannot be given."""
        image, limit = self._looked_at(page)
        size = self._seen(image.size, page.preset, limit)
        count = math.prod(size) // self.rules.multiple**2
        text = self._card.frame.around(fill(page.prompt, page.text, self.reserved), page.prompt.system)
        grid = size[1] // self.rules.patch, size[0] // self.rules.patch
        return Page(self.spread(text, count), count, self._card.extent or size, image, size, grid)

    def _looked_at(self, page: PageInput) -> tuple[Image.Image, float]:
        """The page as its prompt wants it, and the most px of it that are then seen."""
        closer, image = self._card.closer.get(page.prompt.template), page.image
        if closer is None:
            return image, self.rules.max_pixels
        if max(image.size) < closer.doubled_below:
            image = image.resize((2 * image.width, 2 * image.height), Image.Resampling.LANCZOS)
        return image, closer.area

    def _seen(self, size: Size, look: Look, limit: float) -> Size:
        if look.side:
            factor = look.side / max(size)
            size = max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
        return self._card.family.sizing(*size, replace(self.rules, max_pixels=min(look.area or limit, limit)))

    def scale(self, size: Size, preset: Look) -> float:
        """How many px the model sees at this preset for each px of a page, but for the rounding to whole patches."""
        side = preset.side / max(size) if preset.side else 1.0
        most = min(preset.area or self.rules.max_pixels, self.rules.max_pixels)
        return min(1.0, side, math.sqrt(most / math.prod(size)))
