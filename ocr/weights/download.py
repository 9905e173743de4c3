"""A download on its way: what its source offers, what has come of it, whether that is whole; the lock that pins it."""

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ocr.errors import SetupError
from ocr.weights.files import bytes_in, hash_of, size_of, size_text, try_read
from ocr.weights.headers import tensor_sizes
from ocr.weights.network import DISK_FULL, SourceFailed, one_line
from ocr.weights.table import Checkpoint
from ocr.weights.whole import LOCK, Report

PROGRESS_EVERY_S = 10.0


class Arrival(NamedTuple):
    """One file as its source describes it."""

    name: str
    source: str  # its address, or the requirement of its wheel
    size: int | None  # bytes
    digest: str | None  # 64 hex digits: sha256; 40: the id that git gives the file, which the hub has for small ones


class Offer(NamedTuple):
    """What one source has."""

    source: str | None  # address, for weights.lock; None for each file's own
    revision: str | None
    files: Sequence[Arrival]
    passing_bytes: int = 0  # that the disk has to hold beside the files while they come


class Job(NamedTuple):
    """A checkpoint on its way."""

    row: Checkpoint
    folder: Path  # the download's own, renamed when it is whole
    lock: int  # file descriptor; the lock lasts until the last process that has it ends
    report: Report

    def say(self, text: str) -> None:
        self.report(f"{self.row.name}: {text}")


def complete(job: Job, offer: Offer, download: Callable[[Sequence[Arrival]], None]) -> None:
    """Download what the job's folder lacks of an offer, check all of it, pin it in weights.lock.

    Raises SourceFailed after deleting all but the files known to be whole, and SetupError for a full disk.
    """
    missing = _keep_whole(job.folder, offer.files)
    _require_disk_space(job, missing, offer.passing_bytes if missing else 0)
    try:
        with _progress(job, _total(offer.files)):
            download(missing)
        _pin(job, offer)
    except (OSError, http.client.HTTPException, SourceFailed) as error:
        _keep_whole(job.folder, offer.files)
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            size = size_text(job.row.total_bytes)
            where = f"The disk of {job.folder.parent} filled up while {job.row.name} was written"
            raise SetupError(f"{where}: {size} in all. Free some room and start again.") from error
        raise SourceFailed(one_line(error)) from error


def _keep_whole(folder: Path, files: Sequence[Arrival]) -> list[Arrival]:
    """The files still to come; everything in the folder that is not known to be whole is deleted."""
    whole = {file.name for file in files if file.digest and _fault(folder, file) is None}
    for path in folder.iterdir():
        if path.name not in whole:
            _delete(path)
    return [file for file in files if file.name not in whole]


def _delete(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _fault(folder: Path, file: Arrival) -> str | None:
    """What is wrong with a file next to its source's description; None if nothing is."""
    faults: dict[str, str] = {}
    size = try_read(folder / file.name, size_of, faults)
    if size is None:
        return f"{file.name}: {faults[file.name]}"
    if file.size not in (None, size):
        return f"{file.name}: {size:,} bytes came, {file.size:,} were promised"
    if file.digest is None:
        return None
    kind, prefix = ("sha1", b"blob %d\0" % size) if len(file.digest) == 40 else ("sha256", b"")
    found = hash_of(folder / file.name, kind, prefix)
    if found != file.digest:
        return f"{file.name}: other bytes than promised: {kind} {found}, not {file.digest}"
    return None


def _total(files: Sequence[Arrival]) -> int | None:
    sizes = [file.size for file in files if file.size is not None]
    return sum(sizes) if len(sizes) == len(files) else None


def _require_disk_space(job: Job, missing: Sequence[Arrival], passing_bytes: int) -> None:
    """Raise SetupError where the disk has less free than the missing files take, and what passes while they come."""
    total = _total(missing)
    needed = (job.row.total_bytes if total is None else total) + passing_bytes
    free = shutil.disk_usage(job.folder).free
    if free < needed:
        raise SetupError(
            f"No room for {job.row.name} in {job.folder.parent}: {size_text(needed)} to come, {size_text(free)} free,"
            f" {size_text(needed - free)} missing. Free some, or set OCR_CHECKPOINTS to a folder on another disk."
        )


def _pin(job: Job, offer: Offer) -> None:
    """Write weights.lock for a folder in which every file is whole. Raises SourceFailed with what is not."""
    job.say("checking what came")
    faults = [fault for file in offer.files if (fault := _fault(job.folder, file))]
    faults = faults or job.row.problems(job.folder)
    if faults:
        raise SourceFailed("; ".join(faults))
    found = sum(sum(tensor_sizes(path).values()) for path in job.folder.glob("*.safetensors"))
    if job.row.tensor_bytes not in (None, found):
        raise SourceFailed(f"another model: {found:,} bytes of tensors, {job.row.name} has {job.row.tensor_bytes:,}")
    pins = []
    for file in offer.files:
        path = job.folder / file.name
        sha256 = file.digest if file.digest and len(file.digest) == 64 else hash_of(path)
        origin = {"source": offer.source or file.source, "revision": offer.revision}
        pins.append({"file": file.name, "size": size_of(path), "sha256": sha256, **origin})
    for path in job.folder.iterdir():
        if path.name not in {file.name for file in offer.files}:
            _delete(path)  # what a downloader keeps for itself
    (job.folder / LOCK).write_text(json.dumps({"files": pins}, indent=1) + "\n", encoding="utf-8")
    for path in job.folder.iterdir():
        with path.open("rb") as written:
            os.fsync(written.fileno())  # the rename that follows must not outlive a power cut that the data did not


def run_downloader(
    job: Job, name: str, command: Sequence[str], given: str = "", environment: Mapping[str, str] | None = None
) -> None:
    """Run a program in the job's folder, `given` its input. Raises SourceFailed, with its own words, if it fails.

    It inherits the lock, so a download that outlives its killed parent is waited for, not raced.
    """
    running = subprocess.Popen(  # noqa: S603 (what runs is what the caller found)
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=job.folder,
        pass_fds=(job.lock,),
        env=environment,
    )
    try:
        output, _ = running.communicate(given.encode())
    except BaseException:  # an interrupt too must not leave it running
        running.kill()
        running.communicate()
        raise
    if running.returncode != 0:
        said = one_line(output.decode("utf-8", "replace"))[-400:] or "it said nothing"
        raise SourceFailed(f"{name} ended with status {running.returncode}: {said}")


@contextlib.contextmanager
def _progress(job: Job, total: int | None) -> Iterator[None]:
    """Report how much is on disk every PROGRESS_EVERY_S seconds, whichever program writes it."""
    done, started, before = threading.Event(), time.monotonic(), bytes_in(job.folder)

    def watch() -> None:
        while not done.wait(PROGRESS_EVERY_S):
            here = bytes_in(job.folder)
            share = f" of {size_text(total)}, {min(100 * here // total, 100)} %" if total else ""
            rate = max(here - before, 0) / (time.monotonic() - started)
            job.say(f"{size_text(here)}{share}, {size_text(rate)}/s")

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
