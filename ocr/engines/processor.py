"""What a model sees of a page, made of its tokenizer and config alone. Knows no network: any back end can share it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Generic, TypeVar

from tokenizers import Tokenizer

from ocr.decoding.rules import NgramBan, NgramLimit, TokenRule
from ocr.decoding.text import TextStream
from ocr.engines.checkpoint import token_id
from ocr.engines.prompts import fill
from ocr.engines.regions import REGION, read_box
from ocr.errors import InputError, SetupError
from ocr.types import PageInput, Prompt


@dataclass(frozen=True)
class Ready:
    """One page ready to run; models add their pixels."""

    ids: tuple[int, ...]  # the whole prompt's, an image token for each of the image's features
    image_tokens: int
    extent: tuple[float, float]  # the width and height over which the boxes in the model's answer run


R = TypeVar("R", bound=Ready)


class Processor(ABC, Generic[R]):
    """Pages and words to prompt ids and pixels, and the ids of an answer to text."""

    skip_special_tokens: bool  # whether special tokens of an answer are no part of its text
    image_token: int  # the id that stands for an image in a prompt

    def __init__(
        self, tokenizer: Tokenizer, context: int, end_tokens: Sequence[str], ngram_limit: NgramLimit | None = None
    ) -> None:
        """Raises SetupError where the tokenizer lacks what ends an answer, or may repeat in it."""
        self.tokenizer = tokenizer
        self.context = context  # tokens, prompt and answer together
        self.reserved = tuple(token.content for token in tokenizer.get_added_tokens_decoder().values())
        self.end_ids = [found for token in end_tokens if (found := tokenizer.token_to_id(token)) is not None]
        if not self.end_ids:
            raise SetupError(f"The tokenizer has none of {', '.join(end_tokens)}, which end this model's answers.")
        self._ngram_limit = ngram_limit
        self._whitelist = [token_id(tokenizer, token) for token in ngram_limit.whitelist] if ngram_limit else []

    @abstractmethod
    def prepare(self, page: PageInput) -> R:
        """A page's pixels and prompt. Raises InputError for a page or text that the model cannot be given."""

    @abstractmethod
    def scale(self, size: tuple[int, int], preset: Any) -> float:
        """How many px the model sees at this preset for each px of a page of this (width, height)."""

    def check(self, prompt: Prompt, text: str) -> None:
        """Raise InputError for words that hold one of the model's own tokens, or that are no box where one is asked."""
        if REGION in prompt.template:
            read_box(text)
        else:
            fill(prompt, text, self.reserved)

    def check_image_token(self, image_token: int) -> None:
        """Raise SetupError unless the model's config has the same id for an image."""
        if self.image_token != image_token:
            raise SetupError(
                f"The tokenizer has {self.tokenizer.id_to_token(self.image_token)!r} as {self.image_token}, the config "
                f"as {image_token}; the files are of different checkpoints."
            )

    def own_rules(self, prompt: Prompt) -> list[TokenRule]:
        """The token rules of this model beside the common ones, for an answer to this prompt."""
        limit = self._ngram_limit
        return [NgramBan(limit.n, prompt.ngram_window or limit.window, self._whitelist)] if limit else []

    def text_stream(self) -> TextStream:
        """What makes text of an answer's ids."""
        return TextStream(self.tokenizer, skip_special_tokens=self.skip_special_tokens)

    def spread(self, text: str, image_tokens: int) -> tuple[int, ...]:
        """The ids of a prompt in whose text one token stands for the image's many; see `checked`."""
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        many = ([each] * (image_tokens if each == self.image_token else 1) for each in ids)
        return self.checked(chain.from_iterable(many), image_tokens)

    def checked(self, ids: Iterable[int], image_tokens: int) -> tuple[int, ...]:
        """A prompt's ids. Raises InputError where they leave no room for an answer."""
        all_ids = tuple(ids)
        if len(all_ids) >= self.context:
            raise InputError(
                f"The prompt has {len(all_ids)} tokens, {image_tokens} of them the image's; this model takes fewer "
                f"than {self.context} together with its answer. Shorten the text, or choose a smaller preset."
            )
        return all_ids
