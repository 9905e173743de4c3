"""What GOT-OCR 2.0 sees of a page: square views and a prompt. Knows no network and no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image
from tokenizers import Tokenizer

from ocr.engines.checkpoint import check_fields, token_id
from ocr.engines.patches import Levels
from ocr.engines.processor import Processor, Ready
from ocr.engines.prompts import fill
from ocr.engines.regions import REGION, read_box
from ocr.engines.tiles import tile_grid, tiles
from ocr.errors import InputError
from ocr.models.card import Card
from ocr.models.got.card import FRAME, FRAME_TOKENS, IMAGE, OF_TILES, Look
from ocr.models.tasks import BASE
from ocr.types import PageInput

EXTENT = (1000.0, 1000.0)  # boxes, which stand in prompts alone, run from 0 to 1000 over each side of the page


@dataclass(frozen=True)
class ViewRules:
    """How a page becomes views, as a checkpoint has it."""

    side: int  # px of each square view
    tokens: int  # of each view
    levels: Levels
    fewest_tiles: int  # that a page is cut into
    most_tiles: int


def view_rules(preprocessor: Mapping[str, Any], *, side: int, patch: int) -> ViewRules:
    """How pages become views, from a checkpoint's preprocessor_config.json; `side` and `patch`, in px, are the tower's.

    The projector takes 4 by 4 patches together, those at the edges too where there are fewer. Raises SetupError if
    values are missing, or the pages are not made as large as the tower was built for.
    """
    fixed = {"size": {"height": side, "width": side}, "do_resize": True, "do_rescale": True, "do_normalize": True}
    check_fields("preprocessor_config.json", preprocessor, ("size", "image_mean", "image_std"), fixed)
    return ViewRules(
        side,
        tokens=(-(-(side // patch) // 4)) ** 2,
        levels=Levels.of(preprocessor),
        fewest_tiles=preprocessor.get("min_patches", 1),  # these two the hub's file leaves to the class
        most_tiles=preprocessor.get("max_patches", 12),
    )


@dataclass(frozen=True)
class Page(Ready):
    """One page ready to run."""

    views: tuple[Image.Image, ...]  # the tiles row by row, then the whole page; each is yet to be stretched to a view


class GotProcessor(Processor[Page]):
    """Pages to views and prompts."""

    skip_special_tokens = True

    def __init__(self, tokenizer: Tokenizer, context: int, card: Card, rules: ViewRules) -> None:
        super().__init__(tokenizer, context, card.end_tokens, card.ngram_limit)
        self.rules = rules
        for token in FRAME_TOKENS:
            token_id(tokenizer, token)  # raises where the tokenizer would spell it out
        self.image_token = token_id(tokenizer, IMAGE)

    def prepare(self, page: PageInput) -> Page:
        """A page's views and prompt. Raises InputError for a page, text or box it cannot be given."""
        text = FRAME.around(self._wording(page), page.prompt.system)
        seen = self._views(page.image, page.preset)
        count = len(seen) * self.rules.tokens
        return Page(self.spread(text, count), count, EXTENT, seen)

    def _wording(self, page: PageInput) -> str:
        """The prompt with everything filled in that its template names."""
        template = page.prompt.template
        if page.preset.tiled and template not in OF_TILES:
            raise InputError(f"This model reads no region of a page that it sees in tiles; choose the preset {BASE}.")
        if page.preset.tiled:
            template = OF_TILES[template]
        if REGION in template:
            return template.replace(REGION, region(page.text, page.image.size))
        return fill(replace(page.prompt, template=template), page.text, self.reserved)

    def _views(self, image: Image.Image, look: Look) -> tuple[Image.Image, ...]:
        grid = self._grid(image.size) if look.tiled else (1, 1)
        cut = tiles(image, self.rules.side, *grid, self.rules.levels.resample) if grid != (1, 1) else ()
        return (*cut, image)

    def _grid(self, size: tuple[int, int]) -> tuple[int, int]:
        rules = self.rules
        return tile_grid(*size, tile=rules.side, fewest=rules.fewest_tiles, most=rules.most_tiles)

    def scale(self, size: tuple[int, int], preset: Look) -> float:
        """How many px of its closest view there are for each px of a page; the side that is squeezed most counts."""
        columns, rows = self._grid(size) if preset.tiled else (1, 1)
        return self.rules.side * max(1 / max(size), min(columns / size[0], rows / size[1]))


def region(words: str, page: tuple[int, int]) -> str:
    """The box `x1,y1,x2,y2` in pixels of a page of this (width, height), as the prompt has it: in thousandths of it.

    Raises InputError for anything but four numbers in order inside the page. Source of how it is rounded: the makers'
    chat().
    """
    sides = zip(read_box(words, page), (*page, *page), strict=True)
    return str([int(at / length * 1000) for at, length in sides])
