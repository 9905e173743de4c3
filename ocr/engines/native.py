"""An engine that runs its network here, in torch: pages are made ready, embedded and decoded together, and as many of
them as memory has space for. Knows no architecture, no pixels and no prompts."""

import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Sequence
from functools import cached_property, partial
from typing import Any, Generic

import torch
from torch import Tensor

from ocr.decoding import cache
from ocr.decoding.recording import CudaGraphs, Record
from ocr.decoding.rules import Clock, common_rules
from ocr.decoding.runner import SlotRunner
from ocr.decoding.sampling import Sampler
from ocr.decoding.sequence import FirstPass
from ocr.decoding.sequence import Sequence as DecodedSequence
from ocr.decoding.sharing import Claim, SharedBatch, Stream
from ocr.engines.few_rows import quicken
from ocr.engines.hardware import Hardware, free_bytes
from ocr.engines.processor import Processor, R
from ocr.errors import InputError, ModelError
from ocr.types import Decoding, Failed, PageInput, Piece, Prepared, Prompt

MOST_TOGETHER = {"cuda": 16, "cpu": 16}  # pages decoded together, where nobody says how many (bench/callers.md)
# Pages let in between two steps: what is computed to see a page keeps those that run waiting, seconds on a processor.
JOINERS = {"cuda": 4, "cpu": 1}
FOR_CACHES = 0.5  # of the free memory; the rest is for vision, the first pass and what is not foreseen


class Network(ABC, Generic[R]):
    """A loaded language model that sees pages."""

    window: int | None = None  # tokens before the next one that it sees beside its prompt; None for all

    def __init__(self, model: Any) -> None:
        quicken(model)
        self.model = model

    @abstractmethod
    def first_pass(self, page: R) -> FirstPass:
        """A page's prompt as the model takes it, the image's features in their places."""

    def seeing_bytes(self, page: R, hardware: Hardware) -> float:
        """What is computed with to see a page, at most, in bytes; 0 where the language model always takes more."""
        return 0.0

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
    """An `ocr.types.Engine`: a processor and a network of one model, and the batch in which all its pages run."""

    def __init__(self, processor: Processor[R], network: Network[R]) -> None:
        self.processor = processor
        self.network = network
        self._device = network.model.device
        self._batch = SharedBatch(
            lambda: SlotRunner(network.model, network.window, recorder(network.model)),
            joiners=JOINERS.get(self._device.type, 0),  # none on `meta`, where nothing is computed
            free_bytes=lambda: free_bytes(self._device) * FOR_CACHES,
        )

    @cached_property
    def _one_token(self) -> Any:
        return SlotRunner(self.network.model).one_token()

    def check(self, prompt: Prompt, text: str) -> None:
        """See `ocr.types.Engine`."""
        self.processor.check(prompt, text)

    def scale(self, size: tuple[int, int], preset: Any) -> float:
        """How many px the model sees for each px of a page; see `ocr.types.Engine`."""
        return self.processor.scale(size, preset)

    def read(self, pages: Iterable[PageInput], decoding: Decoding) -> Generator[Prepared | Piece | Failed]:
        """Decode pages with those of other callers; see `ocr.types.Engine`."""
        coming = enumerate(pages)
        most = decoding.together or MOST_TOGETHER[self._device.type]
        under_way = 0
        with self._batch.stream() as stream:
            while True:
                while under_way < most and (taken := next(coming, None)):
                    first = self._take(stream, *taken, decoding)
                    under_way += isinstance(first, Prepared)
                    yield first
                if not under_way:
                    return
                for output in stream.outputs():
                    under_way -= isinstance(output, Failed) or output.finish is not None
                    yield output

    def _take(self, stream: Stream, index: int, page: PageInput, decoding: Decoding) -> Prepared | Failed:
        """Make a page ready to be let into the batch."""
        started = time.monotonic()
        decoding = decoding.of_pages(1 + len(page.more))
        try:
            ready = self.processor.prepare(page)
        except InputError as error:
            return Failed(index, error)
        clock = Clock(time.monotonic() - started)
        begin = partial(self._sequence, ready, page.prompt, decoding, clock)
        stream.add(index, begin, page.stop, self._claim(len(ready.ids), decoding))
        return Prepared(index, len(ready.ids), ready.image_tokens, ready.extent)

    def _claim(self, prompt_tokens: int, decoding: Decoding) -> Claim:
        """Whoever says how many pages are to run together is trusted to have the memory."""
        if decoding.together:
            return Claim(bytes=0, together=decoding.together)
        new_tokens = min(self.processor.context - prompt_tokens, decoding.max_new_tokens)
        new_tokens = min(new_tokens, self.network.window or new_tokens)
        return Claim(cache.row_bytes(self._one_token, prompt_tokens, new_tokens), MOST_TOGETHER[self._device.type])

    def _sequence(self, ready: R, prompt: Prompt, decoding: Decoding, clock: Clock) -> DecodedSequence:
        """A page's sequence, for which all that is seen of the page is computed."""
        rules = common_rules(decoding, self.processor.end_ids, self.processor.context - len(ready.ids), clock)
        return DecodedSequence(
            first_pass=self.network.first_pass(ready),
            rules=[*rules, *self.processor.own_rules(prompt)],
            sampler=Sampler(decoding.sampling(prompt), decoding.seed, ready.ids),
            text=self.processor.text_stream(),
            clock=clock,
        )


def recorder(model: Any) -> Record | None:
    """What records the steps of a model, where there is a GPU; whoever asks for plain attention wants plain steps."""
    is_plain = model.get_decoder().config._attn_implementation == "eager"
    return CudaGraphs() if model.device.type == "cuda" and not is_plain else None
