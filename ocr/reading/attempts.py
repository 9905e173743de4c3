"""One page on its way from an engine's pieces to its result: the attempts it may take. Knows no engine, and no other
pages."""

import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from PIL import Image

from ocr.decoding.rules import MAX_PERIOD
from ocr.reading.answer import Answer, StreamedAnswer
from ocr.reading.request import Request
from ocr.types import (
    Decoding,
    FinishReason,
    PageEvent,
    PageInput,
    PageResult,
    Piece,
    Prepared,
    Retry,
)


@dataclass(frozen=True)
class Rung:
    """What is changed of the decoding that was asked for when a page is read again."""

    ngram_ban: tuple[int, int]  # n and window, both in tokens
    temperature: float = 0.0  # at least

    def change(self, decoding: Decoding, page: PageInput) -> Decoding:
        """The decoding of this attempt."""
        temperature = max(decoding.temperature or page.prompt.temperature, self.temperature)
        return replace(decoding, ngram_ban=self.ngram_ban, temperature=temperature)


# n of DeepSeek-OCR's makers' recipe for PDFs. Their window of 50 lets longer blocks through; in this one lies the
# whole n-gram of one block ago, for every block whose repetition ends a page. No whitelist: empty cells end pages too.
_N = 20
BAN = (_N, MAX_PERIOD + _N)

LADDER: Sequence[Rung] = (Rung(BAN), Rung(BAN, temperature=0.3))
"""How a page that ends in repetition is read again, rung by rung while it does, its deadline not used up.

| attempt | decoding |
|---|---|
| 1 | as asked: greedy, under the model's own rules |
| 2 | no 20 tokens twice within 148 |
| 3 | the same, drawn at temperature 0.3, or the caller's or prompt's own where that is higher |

The ban comes first: the text up to the loop stays what the model thinks likeliest. It cannot help where the tokens
differ (an element whose box drifts), so chance comes next. A smaller preset is no rung: it would read everything worse
for the sake of one loop, and a small page looks the same in it. Only repetition is read again. A page that was too
long, too slow or no longer wanted would be so again, and an error comes of what every attempt shares.
"""


LOOP = 100  # bytes, compressed, of a loop of hundreds of tokens


@dataclass
class Attempt:
    """One reading of a page: what came of it, and what it took."""

    answer: Answer = field(default_factory=Answer)
    is_over: bool = False
    finish: FinishReason = FinishReason.ERROR  # unless the engine gives another
    error: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    image_tokens: int = 0
    seconds: float = 0.0

    def worth(self) -> tuple[bool, int]:
        """By which the best of several is chosen: no error if possible, then the one that says most.

        How much a text says is its size when compressed, to which endless repetition adds little. It counts double, and
        that little too, where the model came to its end: such an attempt wins unless it lacks most of what another has.
        """
        says = len(zlib.compress(self.answer.raw.encode()))
        return self.finish is not FinishReason.ERROR, says * 2 + LOOP if self.finish is FinishReason.STOP else says


class PageReading:
    """One page from its first attempt to its result."""

    def __init__(
        self, request: Request, number: int, image: Image.Image, decoding: Decoding, problems: Sequence[str] = ()
    ) -> None:
        """Begins nothing yet. `problems` are those of the image, which stand before those of the answer."""
        self.number = number
        self.input = PageInput(image, request.asked, request.words, request.view)
        self.is_over = False  # whether its PageResult has come
        self._request = request
        self._decoding = decoding
        self._problems = problems
        self._attempts: list[Attempt] = []
        self._rung = 0  # how many of the ladder's rungs it has climbed
        self._retries = 0
        self._started = time.monotonic()
        self._first_token = 0.0  # s

    @property
    def is_being_read(self) -> bool:
        """Whether its attempt has begun and is not over."""
        return not self._attempts[-1].is_over

    def begin(self) -> Iterator[Retry]:
        """A new attempt; said to the caller where text of an earlier one has come."""
        if self._attempts and self._attempts[-1].completion_tokens:
            self._retries += 1
            yield Retry(self.number, self._attempts[-1].finish)
        self._attempts.append(Attempt())

    def decoding(self) -> Decoding:
        """How the next attempt is decoded, in the time that is left of the page's."""
        asked = replace(self._decoding, seed=self._decoding.seed + self._rung, deadline_s=self._seconds_left())
        return LADDER[self._rung - 1].change(asked, self.input) if self._rung else asked

    def _seconds_left(self) -> float | None:
        limit = self._decoding.deadline_s
        return None if limit is None else limit - sum(attempt.seconds for attempt in self._attempts)

    def hear(self, news: Prepared | Piece) -> Iterator[PageEvent]:
        """What the engine's next word on this page makes certain; the PageResult if it was the last."""
        attempt = self._attempts[-1]
        if isinstance(news, Prepared):
            attempt.prompt_tokens, attempt.image_tokens = news.prompt_tokens, news.image_tokens
            attempt.answer = StreamedAnswer(self._request, self.number, self.input.image.size, news.extent)
            return
        self._first_token = self._first_token or time.monotonic() - self._started
        attempt.completion_tokens, attempt.seconds = news.tokens, news.seconds
        yield from attempt.answer.feed(news.text)
        if news.finish is not None:
            attempt.finish = news.finish
            yield from self._end_attempt()
            if not self._climbs(news.finish):
                yield from self._conclude()

    def break_off(self, error: str, *, is_last: bool) -> Iterator[PageEvent]:
        """The attempt failed, and unless it was the last, another is to follow; what came of it is kept."""
        if not self.is_being_read:
            return
        self._attempts[-1].error = error
        yield from self._end_attempt()
        if is_last:
            yield from self._conclude()

    def _end_attempt(self) -> Iterator[PageEvent]:
        self._attempts[-1].is_over = True
        yield from self._attempts[-1].answer.close()

    def _climbs(self, finish: FinishReason) -> bool:
        """Whether the page is to be read again, one rung higher."""
        left = self._seconds_left()
        if finish is not FinishReason.REPETITION or self._rung == len(LADDER) or (left is not None and left <= 0):
            return False
        self._rung += 1
        return True

    def _conclude(self) -> Iterator[PageEvent]:
        best, last = max(self._attempts, key=Attempt.worth), self._attempts[-1]
        if best is not last:
            yield Retry(self.number, last.finish)
            yield from best.answer.replay()
        self.is_over = True
        yield PageResult(
            page=self.number,
            width=self.input.image.width,
            height=self.input.image.height,
            model=self._request.model,
            text=best.answer.raw,
            markdown=best.answer.markdown,
            elements=tuple(best.answer.elements),
            finish_reason=best.finish,
            prompt_tokens=sum(attempt.prompt_tokens for attempt in self._attempts),
            completion_tokens=sum(attempt.completion_tokens for attempt in self._attempts),
            image_tokens=sum(attempt.image_tokens for attempt in self._attempts),
            time_to_first_token=self._first_token,
            seconds=sum(attempt.seconds for attempt in self._attempts),
            problems=(*self._problems, *best.answer.problems),
            retries=self._retries,
            error=last.error if best.finish is FinishReason.ERROR else "",
        )
