"""What DeepSeek-OCR sees of a page: square views and a prompt. Knows no network and no torch."""

from collections.abc import Iterator
from dataclasses import dataclass

from tokenizers import Tokenizer

from ocr.engines.checkpoint import token_id
from ocr.engines.processor import Processor, Ready
from ocr.engines.prompts import fill
from ocr.models.deepseek.card import BOS, IMAGE, DeepSeekCard
from ocr.models.deepseek.views import SquareViews, Views, square_views, view_scale
from ocr.types import PageInput

FEATURE = 16 * 4  # px per side that one feature covers: SAM's patches of 16, downsampled 4 times
EXTENT = (999.0, 999.0)  # boxes run from 0 to 999 over each side of the page


@dataclass(frozen=True)
class Page(Ready):
    """One page ready to run, or several in one prompt."""

    views: Views
    more: tuple[Views, ...] = ()  # of the pages after the first


class DeepSeekProcessor(Processor[Page]):
    """Pages to square views and prompts."""

    skip_special_tokens = False  # the marks are part of the answer

    def __init__(self, tokenizer: Tokenizer, context: int, card: DeepSeekCard) -> None:
        super().__init__(tokenizer, context, card.end_tokens, card.ngram_limit)
        self._bos, self.image_token = token_id(tokenizer, BOS), token_id(tokenizer, IMAGE)
        self._has_newlines = card.has_newlines

    def prepare(self, page: PageInput) -> Page:
        """A page's views and prompt. Raises InputError for words that the model's special tokens stand in."""
        views, *more = (square_views(image, page.preset) for image in (page.image, *page.more))
        count = sum(image_token_count(each, self._has_newlines) for each in (views, *more))
        ids = self._prompt_ids(fill(page.prompt, page.text, self.reserved), count)
        return Page(self.checked(ids, count), count, EXTENT, views, tuple(more))

    def _prompt_ids(self, prompt: str, image_tokens: int) -> Iterator[int]:
        """[BOS], the tokens before <image>, all images' own, the tokens after: verbatim, no roles or spaces added."""
        before, after = (self.tokenizer.encode(part, add_special_tokens=False).ids for part in prompt.split(IMAGE))
        yield self._bos
        yield from before
        yield from [self.image_token] * image_tokens
        yield from after

    def scale(self, size: tuple[int, int], preset: SquareViews) -> float:
        """How many px the model sees at this preset for each px of a page, in the view that is closest to it."""
        return view_scale(size, preset)


def image_token_count(views: Views, has_newlines: bool = True) -> int:
    """How many `<image>` tokens stand for these views in the prompt.

    A grid of h rows by w features has, with newlines, one more at the end of each row; one separator closes the whole.
    """
    more = int(has_newlines)
    count = _grid_tokens(len(views.whole), more) + 1
    return count + (_grid_tokens(len(views.tiles[0]), more, views.rows, views.columns) if views.tiles else 0)


def _grid_tokens(side: int, more: int, rows: int = 1, columns: int = 1) -> int:
    """Of rows by columns square views with sides of so many px, in one grid of features with so many more to a row."""
    return rows * side // FEATURE * (columns * side // FEATURE + more)
