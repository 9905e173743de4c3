"""One page on its way from an engine's pieces to its result: the attempts it may take. Knows no engine, and no other
pages."""

import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from ocr.answers.boxes import Scale
from ocr.decoding.rules import MAX_PERIOD
from ocr.documents.page import DrawnPage
from ocr.output.markdown import Link, picture_name
from ocr.reading.answer import Answer, StreamedAnswer
from ocr.reading.doubts import doubts
from ocr.reading.request import Request
from ocr.types import (
    Decoding,
    FinishReason,
    PageEvent,
    PageInput,
    PageResult,
    PageStart,
    Piece,
    Prepared,
    Prompt,
    Retry,
)


@dataclass(frozen=True)
class Fallback:
    """What is changed of the decoding that was asked for when a page is read again."""

    ngram_ban: tuple[int, int]  # n and window, both in tokens
    temperature: float = 0.0  # at least

    def change(self, decoding: Decoding, page: PageInput) -> Decoding:
        """The decoding of this attempt."""
        temperature = max(decoding.sampling(page.prompt).temperature, self.temperature)
        return replace(decoding, ngram_ban=self.ngram_ban, temperature=temperature)


# n of DeepSeek-OCR's makers' recipe for PDFs. Their window of 50 lets longer blocks through; in this one lies the
# whole n-gram of one block ago, for every block whose repetition ends a page. No whitelist: empty cells end pages too.
_N = 20
BAN = (_N, MAX_PERIOD + _N)

FALLBACKS: Sequence[Fallback] = (Fallback(BAN), Fallback(BAN, temperature=0.3))
"""How a page that ends in repetition is read again, one fallback after the other, as long as time is left.

| attempt | decoding |
|---|---|
| 1 | as asked: greedy, under the model's own rules |
| 2 | no 20 tokens twice within 148 |
| 3 | the same, drawn at temperature 0.3, or the caller's or prompt's own where that is higher |

The ban comes first: the text up to the loop stays what the model thinks likeliest. It cannot help where the tokens
differ (an element whose box drifts), so chance comes next. A smaller preset is none of them: it would read everything
worse for the sake of one loop, and a small page looks the same in it. Only repetition is read again. A page that was
too long, too slow or no longer wanted would be so again, and an error comes of what every attempt shares.
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
        self,
        request: Request,
        number: int,
        page: DrawnPage,
        decoding: Decoding,
        link: Link = picture_name,
        origin: tuple[int, int] = (0, 0),
        asked: Prompt | None = None,
    ) -> None:
        """Begins nothing yet.

        `origin` is where on the whole page the upper left corner of this one lies, for boxes in pixels of the whole;
        `asked` what the model is asked, where it is not what the request asks of whole pages.
        """
        self.number = number
        self.is_over = False  # whether its PageResult has come
        self.answer = Answer()  # of the best attempt, once it is over
        self._image = page.image
        self._request = request
        self._asked = asked or request.asked
        self._decoding = decoding
        self._problems = page.problems  # of the image; they stand before those of the answer
        self._link = link
        self._origin = origin
        self._attempts: list[Attempt] = []
        self._fallbacks = 0  # how many of them were taken
        self._retries = 0
        self._started = time.monotonic()
        self._first_token = 0.0  # s

    @property
    def input(self) -> PageInput:
        """The page as an engine takes it. Made anew each time: kept, the two would hold each other and the image."""
        asked = self._request
        return PageInput(
            self._image, self._asked, asked.words, asked.preset, stop=lambda: self._attempts[-1].answer.end
        )

    @property
    def is_being_read(self) -> bool:
        """Whether its attempt has begun and is not over."""
        return not self._attempts[-1].is_over

    def begin(self) -> Iterator[PageStart | Retry]:
        """Begin an attempt, and say so where it is the first, or text of an earlier one has come.

        Has no effect until it is iterated.
        """
        if not self._attempts:
            yield PageStart(self.number, *self._image.size)
        elif self._attempts[-1].completion_tokens or self._attempts[-1].answer.raw:
            self._retries += 1
            yield Retry(self.number, self._attempts[-1].finish)
        self._attempts.append(Attempt())

    def decoding(self) -> Decoding:
        """How the next attempt is decoded: in the time that is left of the page's, and alone after a failure."""
        asked = replace(self._decoding, seed=self._decoding.seed + self._fallbacks, deadline_s=self._seconds_left())
        if self._attempts and self._attempts[-1].error:
            asked = replace(asked, together=1)
        return FALLBACKS[self._fallbacks - 1].change(asked, self.input) if self._fallbacks else asked

    def _seconds_left(self) -> float | None:
        limit = self._decoding.deadline_s
        return None if limit is None else limit - sum(attempt.seconds for attempt in self._attempts)

    def receive(self, output: Prepared | Piece) -> Iterator[PageEvent]:
        """What the engine's next output on this page makes certain; the PageResult if it was the last."""
        attempt = self._attempts[-1]
        if isinstance(output, Prepared):
            attempt.prompt_tokens, attempt.image_tokens = output.prompt_tokens, output.image_tokens
            scale = Scale(extent=output.extent, page=self._image.size, origin=self._origin)
            attempt.answer = StreamedAnswer(self._request, self.number, scale, self._link, self._asked)
            return
        self._first_token = self._first_token or time.monotonic() - self._started
        attempt.completion_tokens, attempt.seconds = output.tokens, output.seconds
        attempt.answer.report(output.problems)
        yield from attempt.answer.feed(output.text)
        if output.finish is not None:
            attempt.finish = output.finish
            yield from self._end_attempt()
            if self._is_read_again():
                self._fallbacks += 1
            else:
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

    def _is_read_again(self) -> bool:
        left = self._seconds_left()
        has_repeated = self._attempts[-1].finish is FinishReason.REPETITION
        return has_repeated and self._fallbacks < len(FALLBACKS) and (left is None or left > 0)

    def _conclude(self) -> Iterator[PageEvent]:
        best, last = max(self._attempts, key=Attempt.worth), self._attempts[-1]
        if best is not last:
            yield Retry(self.number, last.finish)
            yield from best.answer.replay()
        self.is_over, self.answer = True, best.answer
        yield PageResult(
            page=self.number,
            width=self._image.width,
            height=self._image.height,
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
            problems=(*self._problems, *best.answer.problems, *doubts(self._request, best.answer.markdown)),
            retries=self._retries,
            error=last.error if best.finish is FinishReason.ERROR else "",
            image=self._image,
        )
