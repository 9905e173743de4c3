"""What the engines do alike: pages made ready, embedded, decoded together, timed, and how many of them memory has room
for. Knows no architecture, no pixels and no prompts."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from tokenizers import Tokenizer
from torch import Tensor

from ocr.decoding.loop import GrowingLayer, decode, read_text, sampler
from ocr.decoding.rules import SharedClock, TokenRule, common_rules
from ocr.engines.hardware import free_bytes
from ocr.errors import ModelError, SetupError
from ocr.types import Decoding, PageInput, Piece, Prepared, Prompt, Resolution

# Pages decoded together at most, by device. More would say nothing for longer: the vision of all comes before any text,
# and on a processor that is seconds a page. There four pages gain a third (bench/batches.md); a GPU was not measured.
MOST_TOGETHER = {"cuda": 8, "cpu": 4}
FOR_CACHES = 0.5  # of the free memory; the rest is for vision, the prefill and what is not foreseen


@dataclass(frozen=True)
class Ready:
    """One page ready to run; engines add their pixels."""

    ids: tuple[int, ...]  # the whole prompt's
    image_tokens: int
    extent: tuple[float, float]  # the width and height over which the boxes in the model's answer run


R = TypeVar("R", bound=Ready)


class PageEngine(ABC, Generic[R]):
    """A loaded language model that sees pages; an `ocr.types.Engine` once its pixels and prompts are filled in."""

    def __init__(self, model: Any, tokenizer: Tokenizer) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.context = int(model.config.get_text_config().max_position_embeddings)  # tokens, prompt and answer together

    @abstractmethod
    def check(self, prompt: Prompt, text: str) -> None:
        """See `ocr.types.Engine`."""

    @abstractmethod
    def prepare(self, page: PageInput) -> R:
        """A page's pixels and prompt. Raises InputError for a page or text that the model cannot be given."""

    @abstractmethod
    def embed(self, page: R) -> Tensor:
        """The prompt's embeddings with the image's features in their places, (tokens, hidden)."""

    @abstractmethod
    def most_image_tokens(self, resolution: Resolution) -> int:
        """How many tokens an image can take at this preset."""

    @abstractmethod
    def end_ids(self) -> Sequence[int]:
        """The tokens that each end an answer."""

    @abstractmethod
    def own_rules(self, page: R) -> list[TokenRule]:
        """The token rules of this model beside the common ones."""

    @abstractmethod
    def decode_ids(self, ids: Sequence[int]) -> str:
        """Ids to text."""

    def read(self, pages: Sequence[PageInput], decoding: Decoding) -> Generator[Prepared | Piece]:
        """Decode pages together; see `ocr.types.Engine`."""
        clock = SharedClock(len(pages))
        ready = [self.prepare(page) for page in pages]
        for index, page in enumerate(ready):
            yield Prepared(index, len(page.ids), page.image_tokens, page.extent)
        with failures_explained(len(pages)):
            prompts = [self.embed(page) for page in ready]
            rules = [self._rules(decoding, page, partial(clock.spent, index)) for index, page in enumerate(ready)]
            samplers = [sampler(decoding.temperature or page.prompt.temperature, decoding.seed) for page in pages]
            steps = decode(self.model, prompts, rules, samplers)
            yield from read_text(steps, self.decode_ids, clock)

    def _rules(self, decoding: Decoding, page: R, spent: partial[float]) -> list[TokenRule]:
        room = self.context - len(page.ids)
        return [*common_rules(decoding, self.end_ids(), room, spent), *self.own_rules(page)]

    def room(self, resolution: Resolution, decoding: Decoding) -> int:
        """How many pages, at least one, the free memory has room for; see `ocr.types.Engine`."""
        device = self.model.device
        fitting = free_bytes(device) * FOR_CACHES // self.page_bytes(resolution, decoding)
        return max(1, min(MOST_TOGETHER[device.type], int(fitting)))

    def page_bytes(self, resolution: Resolution, decoding: Decoding) -> float:
        """What the cache of one page takes at most; the words of the prompt are few enough to leave out."""
        tokens = min(self.context, self.most_image_tokens(resolution) + decoding.max_new_tokens)
        return GrowingLayer.GROWTH * tokens * self._token_bytes()

    def _token_bytes(self) -> int:
        """What one token takes in the cache: a key and a value for each layer and head."""
        config = self.model.config.get_text_config()
        head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        values: int = 2 * config.num_hidden_layers * config.num_key_value_heads * head
        return values * int(self.model.dtype.itemsize)


@contextmanager
def failures_explained(pages: int) -> Iterator[None]:
    """Within the block, what torch raises becomes an error for the one who can mend it.

    Memory that runs out is a SetupError; whatever else goes wrong in computing is a ModelError.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        if isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in first:
            what = f"{pages} pages together" if pages > 1 else "a page"
            raise SetupError(
                f"There is not enough memory to read {what}; choose a smaller resolution_size or fewer "
                f"max_new_tokens, or set OCR_BATCH lower. ({first})"
            ) from error
        raise ModelError(f"The model failed while it computed: {first}") from error
