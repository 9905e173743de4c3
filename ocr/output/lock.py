"""One run at a time in an output folder: who holds it, and what becomes of the lock of one that died."""

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ocr.errors import InputError
from ocr.output.record import opened

LOCK = "lock"


@contextmanager
def held(folder: Path, tell: Callable[[str], object]) -> Iterator[None]:
    """Hold a folder for this process; the kernel lets go of it when the process ends, however it ends.

    Raises InputError, with who holds it, where another process does. What a file system cannot lock, and a lock that
    was left on another host, where nobody can see whether its process lives, go to `tell` in a sentence.
    """
    path = folder / LOCK
    descriptor = opened(path, os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"Another run writes into this folder: {_holder(descriptor)}. Wait for it, or name another folder."
            ) from None
        except OSError as error:
            tell(f"The output folder cannot be locked ({error.strerror}): see that no other run writes there.")
        else:
            if not _is(path, descriptor):  # the run before has just ended, and taken its lock away
                raise InputError("Another run has just ended in this folder; try again.")
            if (host := _left(descriptor).get("host", socket.gethostname())) != socket.gethostname():
                tell(f"The lock of {_holder(descriptor)}, is taken over: make sure that it no longer runs on {host}.")
            _write(descriptor)
        yield
    finally:
        if _is(path, descriptor):
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except OSError:
        return False


def _write(descriptor: int) -> None:
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    holder = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since})
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, holder.encode(), 0)


def _left(descriptor: int) -> dict[str, object]:
    """What the holder wrote, as far as it is that."""
    try:
        fields = json.loads(os.pread(descriptor, 1000, 0))
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _holder(descriptor: int) -> str:
    left = _left(descriptor)
    if not all(isinstance(left.get(name), kind) for name, kind in (("pid", int), ("host", str), ("since", str))):
        return "a process that does not say which"
    return f"process {left['pid']} on {left['host']}, since {left['since']}"
