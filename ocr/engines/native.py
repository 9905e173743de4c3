"""An engine that runs its network here, in torch: pages are made ready, embedded and decoded together, and as many of
them as memory has space for. Knows no architecture, no pixels and no prompts."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Generic

import torch
from torch import Tensor

from ocr.decoding import cache
from ocr.decoding.loop import RunningBatch
from ocr.decoding.rules import Clock, common_rules
from ocr.decoding.runner import PaddedRunner
from ocr.decoding.sampling import Sampler
from ocr.decoding.sequence import FirstPass
from ocr.decoding.sequence import Sequence as DecodedSequence
from ocr.engines.hardware import free_bytes
from ocr.engines.processor import Processor, R
from ocr.errors import ModelError, SetupError
from ocr.types import Decoding, PageInput, Piece, Prepared, Prompt

# Pages decoded together at most, by device. More would say nothing for longer: the vision of all comes before any text,
# and on a processor that is seconds a page. There four pages gain a third (bench/batches.md); a GPU was not measured.
MOST_TOGETHER = {"cuda": 8, "cpu": 4}
FOR_CACHES = 0.5  # of the free memory; the rest is for vision, the prefill and what is not foreseen


class Network(ABC, Generic[R]):
    """A loaded language model that sees pages."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @abstractmethod
    def first_pass(self, page: R) -> FirstPass:
        """A page's prompt as the model takes it, the image's features in their places."""

    @torch.inference_mode()
    def merge(self, ids: Sequence[int], features: Tensor, image_token: int) -> Tensor:
        """The embeddings of these ids, (tokens, hidden), with the features (image tokens, hidden) at each image token.

        Raises ModelError unless there are as many features as image tokens: one too few would shift all that follow.
        """
        all_ids = torch.tensor(ids, device=self.model.device)
        embeds: Tensor = self.model.get_input_embeddings()(all_ids)
        is_image = all_ids == image_token
        if int(is_image.sum()) != len(features):
            raise ModelError(f"The image has {len(features)} features for {int(is_image.sum())} tokens in the prompt.")
        embeds[is_image] = features
        return embeds


class NativeEngine(Generic[R]):
    """An `ocr.types.Engine`: a processor and a network of one model."""

    def __init__(self, processor: Processor[R], network: Network[R]) -> None:
        self.processor = processor
        self.network = network

    def check(self, prompt: Prompt, text: str) -> None:
        """See `ocr.types.Engine`."""
        self.processor.check(prompt, text)

    def scale(self, size: tuple[int, int], preset: Any) -> float:
        """How many px the model sees for each px of a page; see `ocr.types.Engine`."""
        return self.processor.scale(size, preset)

    def read(self, pages: Sequence[PageInput], decoding: Decoding) -> Generator[Prepared | Piece]:
        """Decode pages together; see `ocr.types.Engine`."""
        batch = RunningBatch(PaddedRunner(self.network.model))
        ready = [self.processor.prepare(page) for page in pages]
        for index, page in enumerate(ready):
            yield Prepared(index, len(page.ids), page.image_tokens, page.extent)
        with failures_explained(len(pages)):
            sequences = [self._sequence(page, given, decoding) for page, given in zip(ready, pages, strict=True)]
            for sequence in sequences:
                batch.add(sequence)
            while not batch.is_empty:
                for output in batch.step():
                    index = sequences.index(output.sequence)
                    yield Piece(index, output.text, output.tokens, output.finish, output.seconds)

    def _sequence(self, page: R, given: PageInput, decoding: Decoding) -> DecodedSequence:
        clock = Clock()
        rules = common_rules(decoding, self.processor.end_ids, self.processor.context - len(page.ids), clock)
        return DecodedSequence(
            first_pass=self.network.first_pass(page),
            rules=[*rules, *self.processor.own_rules()],
            sampler=Sampler(decoding.sampling(given.prompt), decoding.seed, page.ids),
            text=self.processor.text_stream(),
            clock=clock,
            stop=given.stop,
        )

    def capacity(self, preset: Any, decoding: Decoding) -> int:
        """How many pages, at least one, the free memory has space for; see `ocr.types.Engine`."""
        device = self.network.model.device
        fitting = free_bytes(device) * FOR_CACHES // self.page_bytes(preset, decoding)
        return max(1, min(MOST_TOGETHER[device.type], int(fitting)))

    def page_bytes(self, preset: Any, decoding: Decoding) -> float:
        """What the cache of one page takes at most; the words of the prompt are few enough to leave out."""
        tokens = self.processor.most_image_tokens(preset) + decoding.max_new_tokens
        return cache.row_bytes(self._one_token, min(self.processor.context, tokens))

    @cached_property
    def _one_token(self) -> Any:
        return PaddedRunner(self.network.model).one_token()


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
                f"There is not enough memory to read {what}; choose a smaller preset or fewer new tokens, or set "
                f"OCR_BATCH lower. ({first})"
            ) from error
        raise ModelError(f"The model failed while it computed: {first}") from error
