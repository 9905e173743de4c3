"""One running batch for many callers: their pages wait for room, run together, and what comes of each goes back to
whoever asked. Knows no model, no images and no layout.

One thread computes. It does so while a caller waits, and for all of them. It is the thread of an executor, which ends
it with the batch and with the program.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Series
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from threading import Condition

from ocr.decoding.cache import rounded_rows
from ocr.decoding.failures import explained
from ocr.decoding.loop import Output, RunningBatch
from ocr.decoding.runner import Runner
from ocr.decoding.sequence import Sequence
from ocr.types import Failed, FinishReason, Piece

PATIENCE_S = 0.05  # after which a caller looks whether what it waits for is still wanted

Begin = Callable[[], Sequence]  # computes what a page's first pass takes: for an image, all that is seen of it


@dataclass(frozen=True)
class Claim:
    """What a page asks of a batch."""

    bytes: float  # of memory at most
    together: int  # pages that run at most while it does, itself included


@dataclass(frozen=True)
class Place:
    """Whose page it is, and what it asks for."""

    stream: "Stream"
    page: int  # the caller's number for it
    claim: Claim


class SharedBatch:
    """A running batch with those who wait for it.

    Callers take turns in having a page let in, so that a long document keeps no short one waiting. Whoever is next in
    turn and finds no room is waited for: smaller ones never pass it over for ever.
    """

    def __init__(
        self,
        new_runner: Callable[[], Runner],
        *,
        joiners: int,
        free_bytes: Callable[[], float],
    ) -> None:
        """At most `joiners` pages are let in between two steps; `free_bytes` more of memory may be taken at present."""
        self._new_runner, self._joiners, self._free_bytes = new_runner, joiners, free_bytes
        self._batch = RunningBatch(new_runner())
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decoding")
        self._places: dict[Sequence, Place] = {}  # of those that run; the computing thread's own
        self._may_join = True
        self.changed = Condition()  # holds what follows, and what streams wait for
        self.turns: deque[Stream] = deque()  # the callers of whom pages wait, the next in turn first
        self._is_computing = False
        self._error: Exception | None = None  # which ended the thread's work for good

    @contextmanager
    def stream(self) -> Iterator["Stream"]:
        """A caller's part, until the end of the block; what of it runs then leaves before the next step."""
        stream = Stream(self)
        try:
            yield stream
        finally:
            if stream.leave():
                with suppress(RuntimeError):  # the program is at its end
                    self._thread.submit(self._guarded, self._batch.stop)

    def compute(self) -> None:
        """Let the thread go on, if it does not; `changed` must be held."""
        if self._error:
            raise self._error
        if not self._is_computing:
            self._thread.submit(self._compute)
            self._is_computing = True

    def _compute(self) -> None:
        """Let pages in or take a step, in turns, so that neither keeps the other waiting for long."""
        try:
            with self.changed:
                joining = self._next_in_turn() if self._may_join else []
            self._may_join = not joining
            self._guarded(lambda: self._join(joining) if joining else self._batch.step())
        except Exception as error:  # a mistake in here: nobody may wait for ever because of it
            self._error = error
        with self.changed:
            self._is_computing = False
            self.changed.notify_all()

    def _next_in_turn(self) -> list[tuple[Place, Begin]]:
        joining: list[tuple[Place, Begin]] = []
        while self.turns and self._has_room(self.turns[0].waiting[0][0], [place for place, _ in joining]):
            stream = self.turns.popleft()
            joining.append(stream.waiting.popleft())
            if stream.waiting:
                self.turns.append(stream)
        return joining

    def _has_room(self, place: Place, joining: Series[Place]) -> bool:
        """Whether a page may run beside those that do and those that join. Rows take the memory of the longest."""
        runner, claims = self._batch.runner, [each.claim for each in (place, *joining, *self._places.values())]
        if len(claims) == 1:
            return True
        if len(joining) == self._joiners:
            return False
        if len(claims) > min(claim.together for claim in claims):
            return False
        most = rounded_rows(len(claims)) * max(claim.bytes for claim in claims)
        return most <= runner.held_bytes + self._free_bytes()

    def _join(self, joining: Series[tuple[Place, Begin]]) -> list[Output]:
        """Their first passes and tokens. What fails before they are in costs them alone."""
        begun = [sequence for place, begin in joining if (sequence := self._begun(place, begin))]
        try:
            return self._batch.join(begun) if begun else []
        except Exception as error:
            if self._batch.runner.is_whole and begun[0] not in self._batch.running:
                self._fail(begun, error)
                return []
            raise

    def _begun(self, place: Place, begin: Begin) -> Sequence | None:
        started = time.monotonic()
        try:
            sequence = begin()
        except Exception as error:
            place.stream.hear(Failed(place.page, explained(error, 1)))
            return None
        sequence.clock.seconds += time.monotonic() - started
        sequence.stop = lambda: None if place.stream.wants(place.page) else FinishReason.CANCELLED
        self._places[sequence] = place
        return sequence

    def _guarded(self, work: Callable[[], list[Output]]) -> None:
        """Do the work and hand out what comes of it; if it fails, all that run are lost."""
        try:
            for output in work():
                place = self._places[output.sequence]
                if output.finish:
                    del self._places[output.sequence]
                place.stream.hear(Piece(place.page, output.text, output.tokens, output.finish, output.seconds))
        except Exception as error:  # whatever it is, those who wait must hear of it
            self._fail(list(self._places), error)
            self._batch = RunningBatch(self._new_runner())

    def _fail(self, sequences: Series[Sequence], error: Exception) -> None:
        for place in [self._places.pop(sequence) for sequence in sequences]:
            place.stream.hear(Failed(place.page, explained(error, len(sequences)), again=len(sequences) > 1))


class Stream:
    """What one caller has in a batch: its pages, and what came of them. Its own thread calls what it calls."""

    def __init__(self, batch: SharedBatch) -> None:
        self.waiting: deque[tuple[Place, Begin]] = deque()
        self._batch = batch
        self._wanted: dict[int, Callable[[], FinishReason | None]] = {}  # the pages that are not over, and their stops
        self._last: dict[int, Piece] = {}
        self._news: deque[Piece | Failed] = deque()

    def add(self, page: int, begin: Begin, stop: Callable[[], FinishReason | None], claim: Claim) -> None:
        """A page that is to be decoded, by the caller's number for it; for `stop` see `ocr.types.PageInput`."""
        self._wanted[page], self._last[page] = stop, Piece(page, "", 0)
        with self._batch.changed:
            if not self.waiting:
                self._batch.turns.append(self)
            self.waiting.append((Place(self, page, claim), begin))

    def outputs(self) -> Iterator[Piece | Failed]:
        """What came of the pages, once there is something or after a while; the last of each has a reason."""
        with self._batch.changed:
            if not self._news:
                self._batch.compute()
                self._batch.changed.wait(PATIENCE_S)
        if not self._news:
            for page in list(self._wanted):
                yield from self._stopped(page)
        while self._news:
            output = self._news.popleft()
            if self.wants(output.page):
                yield from self._stopped(output.page) or [self._told(output)]

    def wants(self, page: int) -> bool:
        """Whether it is not over for the caller."""
        return page in self._wanted

    def hear(self, output: Piece | Failed) -> None:
        """Something came of a page; the computing thread says so."""
        self._news.append(output)

    def leave(self) -> bool:
        """Nothing more is wanted; whether something was."""
        with self._batch.changed:
            if self.waiting:
                self._batch.turns.remove(self)
                self.waiting.clear()
        was_wanted = bool(self._wanted)
        self._wanted.clear()
        return was_wanted

    def _stopped(self, page: int) -> list[Piece | Failed]:
        """The end of a page that its caller no longer wants."""
        reason = self._wanted[page]()
        if reason is None:
            return []
        with self._batch.changed:
            kept = deque(each for each in self.waiting if each[0].page != page)
            if self.waiting and not kept:
                self._batch.turns.remove(self)
            self.waiting = kept
        del self._wanted[page]
        return [replace(self._last.pop(page), text="", finish=reason)]

    def _told(self, output: Piece | Failed) -> Piece | Failed:
        if isinstance(output, Failed) or output.finish:
            del self._wanted[output.page], self._last[output.page]
        else:
            self._last[output.page] = output
        return output
