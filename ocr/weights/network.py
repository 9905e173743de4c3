"""Calls over the network: a busy server is asked again, and no answer comes with its reason."""

import errno
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

TIMEOUT_S = 10.0  # for a connection, for an answer, between two pieces: who has no network must hear of it soon
RETRY_PAUSES_S = (1.0, 4.0)  # before a busy server is asked again
BUSY = frozenset({408, 429, 500, 502, 503, 504})  # HTTP statuses worth another try
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class SourceFailed(Exception):  # noqa: N818 (it ends one source, not the fetch)
    """A source did not deliver, for the reason in the message; the next one is tried."""


def retried(what: str, ask: Callable[[], T]) -> T:
    """What a call over the network returns; a busy server is asked again. Raises OSError (disk full), SourceFailed."""
    for pause_s in (*RETRY_PAUSES_S, None):
        try:
            return ask()
        except Exception as error:  # huggingface_hub lets those of its HTTP library through, which have no base to name
            if getattr(error, "errno", None) in DISK_FULL:
                raise
            status = getattr(error, "code", None) or getattr(getattr(error, "response", None), "status_code", None)
            if status not in BUSY or pause_s is None:
                raise SourceFailed(f"{what}: {one_line(error)}") from error
            time.sleep(pause_s)
    raise AssertionError("the last pause is None")


def one_line(text: object) -> str:
    """The last 500 characters of what a library or program says, on one line."""
    return " ".join(str(text).split())[-500:]
