"""Several predictions at once in Cog's server: what Cog 0.23 leaves undone for generators of an async predict().

`async def` with a number of slots is the only form that takes predictions side by side. Of it Cog streams a generator
that predict() *returns*: an async generator is collected to its end first (tests/test_slots.py tells when that is
over, and this file can go). Such a generator runs in its slot's thread, outside of the prediction's context, where
metrics and logs are nobody's; and it never hears of a cancel, which goes to the coroutine, over long ago.
"""

import asyncio
from collections.abc import Coroutine, Generator
from concurrent.futures import Future
from contextvars import ContextVar, copy_context
from threading import Event
from typing import Any

from cog import CancelationException

_is_cancelled: ContextVar[Event | None] = ContextVar("is_cancelled", default=None)  # of the prediction at hand
_MARK = "hears_cancels"


def hear_cancels() -> None:
    """Have every prediction from now on learn of its cancel; Cog looks this function up anew for each."""
    start = asyncio.run_coroutine_threadsafe
    if hasattr(start, _MARK):
        return

    def started(coroutine: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> Future[Any]:
        event = Event()
        token = _is_cancelled.set(event)  # the coroutine's task begins with a copy of this context
        try:
            future = start(coroutine, loop)
        finally:
            _is_cancelled.reset(token)
        cancel = future.cancel

        def cancelled() -> bool:
            event.set()
            return cancel()

        future.cancel = cancelled  # type: ignore[method-assign]
        return future

    setattr(started, _MARK, True)
    asyncio.run_coroutine_threadsafe = started  # type: ignore[assignment]


def check() -> None:
    """Raise CancelationException if the prediction at hand is cancelled."""
    event = _is_cancelled.get()
    if event is not None and event.is_set():
        raise CancelationException


def streamed(text: Generator[str, None, None]) -> Generator[str, None, None]:
    """What predict() returns for its text to come as it is made, in the context of its prediction; see `check`."""
    return _in_context(text, copy_context().run)


def _in_context(text: Generator[str, None, None], run: Any) -> Generator[str, None, None]:
    try:
        while True:
            try:
                run(check)
            except CancelationException as error:
                yield run(text.throw, error)
            yield run(next, text)
    except StopIteration:
        return
    finally:
        run(text.close)
