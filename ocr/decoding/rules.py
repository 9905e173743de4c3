"""Token rules: small objects that watch one sequence, ban tokens from coming next and say when it is over. Each can be
tried without a model."""

from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from ocr.types import Decoding, FinishReason


class TokenRule(Protocol):
    """One rule on one sequence: which tokens may not come next, and when the sequence is over."""

    def banned(self) -> Collection[int]:
        """The ids that may not be chosen next."""
        ...

    def accept(self, token: int) -> FinishReason | None:
        """Take note of the token that was chosen; a reason ends the sequence with it."""
        ...


class _StopRule:
    """Base of the rules that end sequences and ban nothing."""

    def banned(self) -> Collection[int]:
        return ()


class EndOfText(_StopRule):
    """The model's own word that it is done."""

    def __init__(self, ids: Collection[int]) -> None:
        self.ids = frozenset(ids)

    def accept(self, token: int) -> FinishReason | None:
        return FinishReason.STOP if token in self.ids else None


class Budget(_StopRule):
    """At most `tokens` tokens."""

    def __init__(self, tokens: int) -> None:
        self.left = tokens

    def accept(self, _token: int) -> FinishReason | None:
        self.left -= 1
        return FinishReason.LENGTH if self.left <= 0 else None


@dataclass
class Clock:
    """How many seconds a sequence has taken; sequences that are decoded together divide the time among them."""

    seconds: float = 0.0


class Deadline(_StopRule):
    """No token once a clock shows `at` seconds."""

    def __init__(self, at: float, clock: Clock) -> None:
        self.at = at
        self.clock = clock

    def accept(self, _token: int) -> FinishReason | None:
        return FinishReason.DEADLINE if self.clock.seconds >= self.at else None


@dataclass(frozen=True)
class NgramLimit:
    """The arguments of an `NgramBan`, as data: tokens by their names."""

    n: int  # tokens
    window: int  # tokens
    whitelist: tuple[str, ...] = ()  # tokens that may repeat


class NgramBan:
    """No n-gram twice within the last `window` generated tokens, unless it ends in a whitelisted one.

    The rule of DeepSeek-OCR's makers: silent until n tokens were generated; then, where the last n - 1 tokens occurred
    within the last `window` ones, the token that followed them there is banned. A step costs the same however long
    the text is: the n-grams in the window are counted by their first n - 1 tokens as they enter and leave it.
    Source: NoRepeatNGramLogitsProcessor in the makers' vLLM recipe.
    """

    def __init__(self, n: int, window: int, whitelist: Collection[int] = ()) -> None:
        if n < 2 or window < n:
            raise ValueError(f"an n-gram ban needs n >= 2 and window >= n, not n={n}, window={window}")
        self.n = n
        self.window = window
        self.whitelist = frozenset(whitelist)
        self._tail: deque[int] = deque(maxlen=n)
        self._ngrams: deque[tuple[int, ...]] = deque()  # those that lie wholly in the window, oldest first
        self._followers: dict[tuple[int, ...], Counter[int]] = {}  # by first n - 1 tokens: the last one, counted

    def banned(self) -> Collection[int]:
        if len(self._tail) < self.n:
            return ()
        followers = self._followers.get(tuple(self._tail)[1:])
        return followers.keys() - self.whitelist if followers else ()

    def accept(self, token: int) -> FinishReason | None:
        self._tail.append(token)
        if len(self._tail) == self.n:
            self._enter(tuple(self._tail))
        if len(self._ngrams) > self.window - self.n + 1:
            self._leave(self._ngrams.popleft())
        return None

    def _enter(self, ngram: tuple[int, ...]) -> None:
        self._ngrams.append(ngram)
        self._followers.setdefault(ngram[:-1], Counter())[ngram[-1]] += 1

    def _leave(self, ngram: tuple[int, ...]) -> None:
        followers = self._followers[ngram[:-1]]
        followers[ngram[-1]] -= 1
        if not followers[ngram[-1]]:
            del followers[ngram[-1]]
        if not followers:
            del self._followers[ngram[:-1]]


MAX_PERIOD = 128  # tokens; the longest block whose repetition ends a page


class RepetitionStop(_StopRule):
    """Ends a sequence whose last tokens are one block over and over.

    A block of p tokens, p up to `max_period`, has repeated for too long once its repetitions fill `tokens` tokens and
    number at least `times`. Empty table cells, which the n-gram ban lets through, and leader dots end here; an empty
    form of 20 rows by 10 cells does not. A step costs `max_period` comparisons.
    """

    def __init__(self, max_period: int = MAX_PERIOD, tokens: int = 600, times: int = 6) -> None:
        self.max_period = max_period
        self.tokens = tokens
        self.times = times
        self._ids: deque[int] = deque(maxlen=max_period)  # newest first
        self._runs = [0] * (max_period + 1)  # by period p: how many of the newest tokens equal the one p before them

    def accept(self, token: int) -> FinishReason | None:
        is_endless = False
        for period, earlier in enumerate(self._ids, start=1):
            self._runs[period] = self._runs[period] + 1 if earlier == token else 0
            repeated = self._runs[period] + period  # tokens that the block and its repetitions fill
            is_endless |= self._runs[period] > 0 and repeated >= max(self.tokens, period * self.times)
        self._ids.appendleft(token)
        return FinishReason.REPETITION if is_endless else None


def common_rules(decoding: Decoding, end_ids: Collection[int], context_left: int, clock: Clock) -> list[TokenRule]:
    """The rules that hold for every model, for a page with so many tokens of context left after its prompt.

    The order decides which reason is given where several end a page with one token.
    """
    rules: list[TokenRule] = [
        EndOfText(end_ids),
        RepetitionStop(),
        Budget(min(decoding.max_new_tokens, context_left)),
    ]
    if decoding.deadline_s is not None:
        rules.append(Deadline(decoding.deadline_s, clock))
    if decoding.ngram_ban is not None:
        rules.append(NgramBan(*decoding.ngram_ban))
    return rules
