"""The checkpoints: what each is made of, how one is fetched whole or not at all, and how to tell that it is whole.

    python weights.py fetch deepseek-ocr        python weights.py verify        python weights.py list

A download goes to `.NAME.partial` beside its target, is checked there, and becomes NAME by one rename: a start that is
killed, or runs out of disk, leaves nothing that a later one could take for weights. `weights.lock` in the folder pins
what arrived. A folder without it is the user's own checkpoint, welcome as soon as it is structurally whole. One that is
not whole and in the way is moved aside to NAME.broken-1, never deleted.

Only files of a row of CHECKPOINTS are ever written, whatever a source offers: no code, no pickle.

Knows nothing of models. Needs the standard library alone, and huggingface_hub only to download where pget does not.
Longer than the other files because it has to work as this one file, on a machine where nothing is installed yet: the
table, `problems`, `fetch` with its two kinds of source, and the commands are its chapters, in this order.
"""

import argparse
import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import http.client
import itertools
import json
import math
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple, TypeGuard, TypeVar
from urllib.parse import quote, urlsplit

T = TypeVar("T")
Report = Callable[[str], None]

INDEX = "model.safetensors.index.json"
LOCK = "weights.lock"

# Bits of one element, for every dtype of the safetensors format.
DTYPE_BITS: Mapping[str, int] = {
    "F4": 4,
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
HEADER_LIMIT = 100_000_000  # bytes; the limit that the safetensors library sets itself
DIMENSIONS_LIMIT = 32  # of one tensor; numpy's own limit was 32, real ones have 4

TIMEOUT_S = 10.0  # for a connection, for an answer, between two pieces: who has no network must hear of it soon
RETRY_PAUSES_S = (1.0, 4.0)  # before a busy server is asked again
PROGRESS_EVERY_S = 10.0
BUSY = frozenset({408, 429, 500, 502, 503, 504})  # HTTP statuses worth another try
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
CHUNK = 1 << 20  # bytes


class WeightsError(Exception):
    """Weights that cannot be had: the operator's to mend, in words that can be shown as they stand."""


class _SourceFailed(Exception):  # noqa: N818 (it ends one source, not the fetch)
    """A source did not deliver, for the reason in the message; the next one is tried."""


class _Damage(Exception):  # noqa: N818 (a finding that `problems` reports)
    """A file is not what it should be; the message goes after its name."""


# ---- The table


@dataclass(frozen=True)
class File:
    """One file of a checkpoint and what is known of it beforehand; None is asked of the hub and pinned on arrival."""

    name: str
    size: int | None = None  # bytes
    sha256: str | None = None


@dataclass(frozen=True)
class Checkpoint:
    """What one checkpoint is made of and where it comes from; without a repository it is embedded in this project."""

    name: str
    licence: str
    total_bytes: int  # about, for messages and the first look at the disk
    repository: str | None = None  # on the model hub
    revision: str | None = None  # commit there
    files: tuple[File, ...] = ()
    tensor_bytes: int | None = None  # exactly what the tensors of all shards add up to, where it is known
    archive: str | None = None  # a tar of the same files


def _files(*names: str) -> tuple[File, ...]:
    return tuple(File(name) for name in names)


# No sha256 of these files is published where it could be checked, so none stands here.
_DOTS_OCR = Checkpoint(
    name="dots.ocr",
    licence="MIT + supplement",
    total_bytes=6_090_000_000,
    repository="rednote-hilab/dots.ocr",
    revision="c0111ce6bc07803dbc267932ffef0ae3a51dc951",
    files=_files(
        "config.json",
        "generation_config.json",
        "preprocessor_config.json",
        "chat_template.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        INDEX,
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ),
    tensor_bytes=6_078_358_528,  # 643 tensors in bf16
)
_DOTS_MOCR = dataclasses.replace(
    _DOTS_OCR,
    name="dots.mocr",
    repository="rednote-hilab/dots.mocr",
    revision="e539fbb52280393adc081b289ec597430a0f9031",
    tensor_bytes=None,
)
_DEEPSEEK_OCR = Checkpoint(
    name="deepseek-ocr",
    licence="MIT",
    total_bytes=6_683_000_000,
    repository="deepseek-ai/DeepSeek-OCR",
    revision="9f30c71f441d010e5429c532364a86705536c53a",
    files=_files(
        "config.json",
        "processor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        INDEX,
        "model-00001-of-000001.safetensors",
    ),
    tensor_bytes=6_672_212_480,  # 2710 tensors in bf16
    archive="https://weights.replicate.delivery/default/deepseek-ai/DeepSeek-OCR/model.tar",
)
_EMBEDDED = Checkpoint(name="deepseek-ocr-tiny", licence="MIT", total_bytes=23_800_000)
CHECKPOINTS: Mapping[str, Checkpoint] = MappingProxyType(
    {row.name: row for row in (_DEEPSEEK_OCR, _DOTS_OCR, _DOTS_MOCR, _EMBEDDED)}
)


def missing_message(name: str, root: Path) -> str:
    """What to do about weights that are not there: the command that fetches them, and how much that is."""
    row, folder = CHECKPOINTS.get(name), root / name
    if row is None:
        return f"No checkpoint {name!r} in {root}; put your own folder there, or use one of: {', '.join(CHECKPOINTS)}."
    if row.repository is None:
        return f"{name} is part of this project but not in {root}: restore it with `git checkout -- {folder}`."
    option = "" if root == default_root() else f" --root {shlex.quote(str(root))}"
    return (
        f"The weights of {name} are not in {root}. Where there is a network, `python weights.py fetch {name}{option}`"
        f" fetches them ({_size_text(row.total_bytes)}); a whole folder can also be copied to {folder}."
    )


# ---- Is a folder whole?


def problems(folder: Path) -> list[str]:
    """What keeps a folder from being a whole checkpoint, one line per file; [] means ready.

    Needs config.json, tokenizer.json, and a single *.safetensors file or model.safetensors.index.json with every shard
    it names. Reads JSON and the shards' headers, never the tensors, so it takes a fraction of a second for any size.
    Where there is a weights.lock, the sizes in it hold too. Never raises for what it finds.
    """
    if not os.access(folder, os.R_OK | os.X_OK) or not folder.is_dir():
        return [f"{folder}: no such folder, or none that may be read"]
    faults: dict[str, str] = {}
    for name in ("config.json", "tokenizer.json"):
        _read(folder / name, _json_object, faults)
    for name, placed in _shards(folder, faults).items():
        tensors = _read(folder / name, _tensors, faults)
        lacking = sorted(placed - tensors.keys()) if tensors is not None else []
        if lacking:
            faults[name] = f"lacks {len(lacking)} of the tensors {INDEX} places in it, {_short(lacking[0])} for one"
        elif faults.get(name) == "missing" and placed:
            faults[name] = f"missing; {INDEX} places {len(placed)} of the tensors in it"
    if os.path.lexists(folder / LOCK):
        for name, pin in (_read(folder / LOCK, _pins, faults) or {}).items():
            size = None if name in faults else _read(folder / name, _size, faults)
            if size is not None and size != pin["size"]:
                faults[name] = f"{size:,} bytes long; {LOCK} has {pin['size']:,}"
    return [f"{name}: {fault}" for name, fault in faults.items()]


def _read(path: Path, reader: Callable[[Path], T], faults: dict[str, str]) -> T | None:
    """What the reader makes of a file; None, and the reason under the file's name, where it cannot."""
    try:
        return reader(path)
    except FileNotFoundError:
        faults[path.name] = "missing"
    except OSError as error:
        faults[path.name] = f"cannot be read: {error.strerror}"
    except _Damage as damage:
        faults[path.name] = str(damage)
    return None


def _shards(folder: Path, faults: dict[str, str]) -> dict[str, set[str]]:
    """The weight files a folder should have, and the tensors the index places in each."""
    if os.path.lexists(folder / INDEX):
        return _read(folder / INDEX, _placements, faults) or {}
    found = sorted(path.name for path in folder.glob("*.safetensors"))
    if len(found) == 1:
        return {found[0]: set()}
    if found:
        faults[INDEX] = f"missing, and {len(found)} safetensors files: which of them belong together?"
    else:
        faults["model.safetensors"] = f"missing, and no {INDEX} that names other weight files"
    return {}


def _placements(index: Path) -> dict[str, set[str]]:
    weight_map = _json_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise _Damage("has no weight_map from tensors to files")
    placed: dict[str, set[str]] = {}
    for tensor, shard in weight_map.items():
        if not _is_file_name(shard) or not shard.endswith(".safetensors"):
            raise _Damage(f"places {_short(tensor)} in {_short(shard)}, which is no safetensors file of this folder")
        placed.setdefault(shard, set()).add(tensor)
    return placed


def _tensors(path: Path) -> dict[str, int]:
    """The tensors of a safetensors file and their bytes. Raises _Damage unless they fill the file exactly."""
    header, data_bytes = _header(path)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _Damage("damaged header: its __metadata__ is not text")
    if not header:
        raise _Damage("holds no tensors")
    end = 0
    for begin, stop, name in sorted((*_span(name, entry), name) for name, entry in header.items()):
        if begin != end:
            raise _Damage(f"damaged header: {_short(name)} begins at byte {begin:,}, the one before ends at {end:,}")
        end = stop
    if end > data_bytes:
        raise _Damage(f"short file: the last {end - data_bytes:,} of {end:,} bytes of tensors are missing")
    if end < data_bytes:
        raise _Damage(f"extra bytes: {data_bytes - end:,} after the last tensor")
    return {name: stop - begin for name, entry in header.items() for begin, stop in (_span(name, entry),)}


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file (8 bytes of length, then JSON) and the number of data bytes after it."""
    size = _size(path)
    if size < 8:
        raise _Damage(f"short file: {size} bytes, not even the 8 that say how long the header is")
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        raw = file.read(min(length, HEADER_LIMIT))
    if length > min(size - 8, HEADER_LIMIT):
        raise _Damage(_length_fault(raw, length))
    if not raw.startswith(b"{"):
        raise _Damage("damaged header: it does not begin as JSON, or this is no safetensors file")
    return _parse(raw, "damaged header: "), size - 8 - length


def _length_fault(raw: bytes, length: int) -> str:
    """Why a header is not as long as it claims: the claim is false, or the file ends inside the header."""
    try:
        _, end = json.JSONDecoder().raw_decode(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        end = None
    if length <= HEADER_LIMIT and (end is None or length - end < 8):  # writers pad by up to 7 spaces
        return f"short file: it ends inside its header of {length:,} bytes"
    return f"damaged header: it claims to be {length:,} bytes long" + (f" and ends after {end:,}" if end else "")


def _span(name: str, entry: object) -> tuple[int, int]:
    """The bytes a tensor takes in the data, as its header entry has them: the first, and the one after the last."""
    found = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = found.get("dtype"), found.get("shape"), found.get("data_offsets")
    if not _is_counts(shape) or not _is_counts(offsets) or len(offsets) != 2:
        raise _Damage(f"damaged header: {_short(name)} has no proper shape and data_offsets")
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise _Damage(f"damaged header: {_short(name)} has dtype {_short(dtype)}; known are {', '.join(DTYPE_BITS)}")
    begin, stop = offsets
    if (stop - begin) * 8 != math.prod(shape) * DTYPE_BITS[dtype]:
        raise _Damage(f"damaged header: {_short(name)}, {dtype} {_short(shape)}, cannot take {stop - begin:,} bytes")
    return begin, stop


def _is_counts(value: object) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and len(value) <= DIMENSIONS_LIMIT
        and all(type(number) is int and 0 <= number < 1 << 63 for number in value)
    )


def _is_file_name(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and value not in ("", ".", "..") and "/" not in value


def _json_object(path: Path) -> dict[str, Any]:
    if _size(path) > HEADER_LIMIT:
        raise _Damage(f"longer than any such file: {_size_text(_size(path))}")
    return _parse(path.read_bytes())


def _parse(raw: bytes, what: str = "") -> dict[str, Any]:
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _Damage(f"{what}not JSON: {error}" if raw else "empty") from None
    if not isinstance(value, dict):
        raise _Damage(f"{what}not a JSON object")
    return value


def _size(path: Path) -> int:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise _Damage("not a file")
    return status.st_size


def _pins(lock: Path) -> dict[str, dict[str, Any]]:
    """What weights.lock says of each file: file, size, sha256, source, revision."""
    entries = _json_object(lock).get("files")
    listed: list[Any] = entries if isinstance(entries, list) else [entries]
    pins = {}
    for entry in listed:
        match entry:
            case {"file": str(name), "size": int(), "sha256": str()} if _is_file_name(name):
                pins[name] = entry
            case _:
                raise _Damage("not as weights.py writes it; without it the folder counts as your own checkpoint")
    return pins


def altered(folder: Path, report: Report = print) -> list[str]:
    """The files whose sha256 is not the one in weights.lock, one line each. Reads every byte: seconds per gigabyte."""
    faults: dict[str, str] = {}
    for name, pin in _pins(folder / LOCK).items():
        report(f"{folder.name}: reading {name}, {_size_text(pin['size'])}")
        found = _read(folder / name, _hash, faults)
        if found not in (None, pin["sha256"]):
            faults[name] = f"its sha256 is {found}; {LOCK} has {pin['sha256']}"
    return [f"{name}: {fault}" for name, fault in faults.items()]


def _hash(path: Path, kind: str = "sha256", prefix: bytes = b"") -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, prefix, usedforsecurity=False)).hexdigest()


def _short(value: object) -> str:
    """A value out of a file, for a message: quoted, on one line, not long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _size_text(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 999.95:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


# ---- Fetching


class _Arrival(NamedTuple):
    """One file as its source describes it."""

    name: str
    url: str
    size: int | None  # bytes
    digest: str | None  # 64 hex digits: sha256; 40: the id that git gives the file, which the hub has for small ones


class _Offer(NamedTuple):
    """What one source has."""

    source: str  # address, for weights.lock
    revision: str | None
    files: Sequence[_Arrival]


class _Job(NamedTuple):
    """A checkpoint on its way."""

    row: Checkpoint
    folder: Path  # the download's own, renamed when it is whole
    lock: int  # file descriptor; the lock lasts until the last process that has it ends
    report: Report

    def say(self, text: str) -> None:
        self.report(f"{self.row.name}: {text}")


def fetch(name: str, root: Path, *, report: Report = print) -> Path:
    """The ready folder root/name, downloaded if it is not there; no network and no writing where it is whole.

    Any structurally whole folder counts, the user's own checkpoint too. A second process waits for the first and finds
    its work done. Raises WeightsError with what failed, source by source, and what mends it.
    """
    if not _is_file_name(name) or name.startswith("."):
        raise WeightsError(f"{name!r} cannot be a checkpoint: it must be the name of a folder in {root}.")
    folder = root / name
    faults = problems(folder)
    if faults:
        _mend(name, root, faults, report)
    report(f"{name}: ready in {folder}")
    return folder


def _mend(name: str, root: Path, faults: Sequence[str], report: Report) -> None:
    """Have a whole checkpoint where there is none, or raise WeightsError."""
    row, folder = CHECKPOINTS.get(name), root / name
    if row is None or row.repository is None:
        if folder.is_dir():
            raise WeightsError("\n  ".join([f"{folder} is not a whole checkpoint:", *faults]))
        raise WeightsError(missing_message(name, root))
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / f".{name}.lock", partial(report, f"{name}: another process fetches it; waiting")) as lock:
            if problems(folder):
                _download(_Job(row, root / f".{name}.partial", lock, report), folder)
    except OSError as error:
        raise WeightsError(f"{name} cannot be put into {root}: {error}. Is that folder writable?") from error


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


def _download(job: _Job, target: Path) -> None:
    """Try the sources in order and put the first whole result in place. Raises WeightsError if there is none."""
    endpoint, token = _hub()
    sources = [(endpoint, partial(_from_hub, job, endpoint, token))]
    if job.row.archive:
        sources.append((job.row.archive, partial(_from_archive, job, job.row.archive)))
    failures = []
    job.folder.mkdir(exist_ok=True)
    try:
        for url, source in sources:
            host = urlsplit(url).netloc
            job.say(f"fetching from {host}")
            try:
                source()
                return _put_in_place(job, target)
            except _SourceFailed as failure:
                failures.append(f"{host}: {failure}")
                job.say(failures[-1])
    finally:
        with contextlib.suppress(OSError):
            job.folder.rmdir()  # succeeds only when empty: whole files stay for the next try
    advice = missing_message(job.row.name, target.parent)
    raise WeightsError("\n  ".join([f"{job.row.name} could not be fetched:", *failures, advice]))


def _put_in_place(job: _Job, target: Path) -> None:
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


def _complete(job: _Job, offer: _Offer, download: Callable[[Sequence[_Arrival]], None]) -> None:
    """Download what the job's folder lacks of an offer, check all of it, pin it in weights.lock.

    Raises _SourceFailed after deleting all but the files known to be whole, and WeightsError for a full disk.
    """
    missing = _keep_whole(job.folder, offer.files)
    _require_room(job, missing)
    try:
        with _progress(job, _total(offer.files)):
            download(missing)
        _pin(job, offer)
    except (OSError, http.client.HTTPException, _SourceFailed) as error:
        _keep_whole(job.folder, offer.files)
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            size = _size_text(job.row.total_bytes)
            where = f"The disk of {job.folder.parent} filled up while {job.row.name} was written"
            raise WeightsError(f"{where}: {size} in all. Free some room and start again.") from error
        raise _SourceFailed(_one_line(error)) from error


def _keep_whole(folder: Path, files: Sequence[_Arrival]) -> list[_Arrival]:
    """The files still to come; everything in the folder that is not known to be whole is deleted."""
    whole = {file.name for file in files if file.digest and _fault(folder, file) is None}
    for path in folder.iterdir():
        if path.name not in whole:
            _delete(path)
    return [file for file in files if file.name not in whole]


def _delete(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _fault(folder: Path, file: _Arrival) -> str | None:
    """What is wrong with a file next to its source's description; None if nothing is."""
    faults: dict[str, str] = {}
    size = _read(folder / file.name, _size, faults)
    if size is None:
        return f"{file.name}: {faults[file.name]}"
    if file.size not in (None, size):
        return f"{file.name}: {size:,} bytes came, {file.size:,} were promised"
    if file.digest is None:
        return None
    kind, prefix = ("sha1", b"blob %d\0" % size) if len(file.digest) == 40 else ("sha256", b"")
    found = _hash(folder / file.name, kind, prefix)
    if found != file.digest:
        return f"{file.name}: other bytes than promised: {kind} {found}, not {file.digest}"
    return None


def _total(files: Sequence[_Arrival]) -> int | None:
    sizes = [file.size for file in files if file.size is not None]
    return sum(sizes) if len(sizes) == len(files) else None


def _require_room(job: _Job, missing: Sequence[_Arrival]) -> None:
    total = _total(missing)
    needed = job.row.total_bytes if total is None else total
    free = shutil.disk_usage(job.folder).free
    if free < needed:
        raise WeightsError(
            f"No room for {job.row.name} in {job.folder.parent}: {_size_text(needed)} to come, {_size_text(free)} free,"
            f" {_size_text(needed - free)} missing. Free some, or set OCR_CHECKPOINTS to a folder on another disk."
        )


def _pin(job: _Job, offer: _Offer) -> None:
    """Write weights.lock for a folder in which every file is whole. Raises _SourceFailed with what is not."""
    job.say("checking what came")
    faults = [fault for file in offer.files if (fault := _fault(job.folder, file))] or problems(job.folder)
    if faults:
        raise _SourceFailed("; ".join(faults))
    found = sum(sum(_tensors(path).values()) for path in job.folder.glob("*.safetensors"))
    if job.row.tensor_bytes not in (None, found):
        raise _SourceFailed(f"another model: {found:,} bytes of tensors, {job.row.name} has {job.row.tensor_bytes:,}")
    pins = []
    for file in offer.files:
        path = job.folder / file.name
        sha256 = file.digest if file.digest and len(file.digest) == 64 else _hash(path)
        origin = {"source": offer.source, "revision": offer.revision}
        pins.append({"file": file.name, "size": _size(path), "sha256": sha256, **origin})
    for path in job.folder.iterdir():
        if path.name not in {file.name for file in offer.files}:
            _delete(path)  # what a downloader keeps for itself
    (job.folder / LOCK).write_text(json.dumps({"files": pins}, indent=1) + "\n", encoding="utf-8")
    for path in job.folder.iterdir():
        with path.open("rb") as written:
            os.fsync(written.fileno())  # the rename that follows must not outlive a power cut that the data did not


@contextlib.contextmanager
def _progress(job: _Job, total: int | None) -> Iterator[None]:
    """Report how much is on disk every PROGRESS_EVERY_S seconds, whichever program writes it."""
    done, started, before = threading.Event(), time.monotonic(), _bytes_in(job.folder)

    def watch() -> None:
        while not done.wait(PROGRESS_EVERY_S):
            here = _bytes_in(job.folder)
            share = f" of {_size_text(total)}, {min(100 * here // total, 100)} %" if total else ""
            rate = max(here - before, 0) / (time.monotonic() - started)
            job.say(f"{_size_text(here)}{share}, {_size_text(rate)}/s")

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # a temporary file may go while we look
            total += path.stat().st_size if path.is_file() else 0
    return total


# ---- Fetching from the hub


def _hub() -> tuple[str, str | None]:
    """The hub's address and the token for it, from HF_ENDPOINT and HF_TOKEN. No message repeats a secret."""
    endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise WeightsError("HF_ENDPOINT must be http(s)://HOST, without a user or password: HF_TOKEN is for those.")
    token = os.environ.get("HF_TOKEN", "").strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise WeightsError("HF_TOKEN cannot be a token: it has blanks or unusual characters in it.")
    return endpoint, token or None


def _from_hub(job: _Job, endpoint: str, token: str | None) -> None:
    """Complete the job's folder from the model hub: by pget where it is, and by huggingface_hub where not, or after."""
    files = _described(job.row, endpoint, token)
    offer = _Offer(f"{endpoint}/{job.row.repository}", job.row.revision, files)
    downloaders = [partial(_with_huggingface_hub, job, endpoint, token)]
    pget = shutil.which("pget")
    if pget and token:
        job.say("pget cannot send HF_TOKEN, so huggingface_hub downloads")
    elif pget:
        downloaders.insert(0, partial(_with_pget, job, pget))
    failures = []
    for download in downloaders:
        try:
            return _complete(job, offer, download)
        except _SourceFailed as failure:
            failures.append(str(failure))
            if download is not downloaders[-1]:
                job.say(f"{failure}; next, huggingface_hub")
    raise _SourceFailed("; then ".join(failures))


def _with_pget(job: _Job, pget: str, files: Sequence[_Arrival]) -> None:
    """Download with Replicate's parallel downloader, which retries; if it fails, its own words are the reason."""
    # Names relative to its working folder, because it splits the lines at blanks. It inherits the lock, so a download
    # that outlives its killed parent is waited for, not raced.
    manifest = "".join(f"{file.url} {file.name}\n" for file in files)
    pget_run = subprocess.Popen(  # noqa: S603 (what runs is pget from PATH)
        [pget, "multifile", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=job.folder,
        pass_fds=(job.lock,),
    )
    try:
        output, _ = pget_run.communicate(manifest.encode())
    except BaseException:  # an interrupt too must not leave it running
        pget_run.kill()
        pget_run.communicate()
        raise
    if pget_run.returncode != 0:
        said = _one_line(output.decode("utf-8", "replace")) or "it said nothing"
        raise _SourceFailed(f"pget ended with status {pget_run.returncode}: {said}")


def _with_huggingface_hub(job: _Job, endpoint: str, token: str | None, files: Sequence[_Arrival]) -> None:
    """Download with the hub's own library, file by file."""
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.utils import silent_tqdm  # type: ignore[attr-defined]
    except ImportError:
        raise _SourceFailed("neither pget nor huggingface_hub is installed: `pip install huggingface_hub`") from None
    for file in files:
        download = partial(
            hf_hub_download,
            str(job.row.repository),
            file.name,
            revision=job.row.revision,
            local_dir=job.folder,
            endpoint=endpoint,
            token=token or False,  # False: nor one that lies in the user's home
            etag_timeout=TIMEOUT_S,
            tqdm_class=silent_tqdm,
        )
        _patiently(file.name, download)


def _described(row: Checkpoint, endpoint: str, token: str | None) -> list[_Arrival]:
    """A row's files as the hub has them at the pinned revision. Raises _SourceFailed if it has others, or none.

    Where huggingface_hub is not installed they are as the table has them, and pget can still get them.
    """
    base = f"{endpoint}/{row.repository}/resolve/{row.revision}"
    known = [_Arrival(file.name, f"{base}/{quote(file.name)}", file.size, file.sha256) for file in row.files]
    try:
        from huggingface_hub import get_hf_file_metadata
    except ImportError:
        return known
    files = []
    for file in known:
        ask = partial(get_hf_file_metadata, file.url, token=token or False, timeout=TIMEOUT_S, endpoint=endpoint)
        found = _patiently(file.name, ask)
        if found.commit_hash not in (None, row.revision):
            raise _SourceFailed(f"{file.name}: revision {found.commit_hash} came, {row.revision} is the pinned one")
        # A server that names no revision is a plain mirror, whose etags mean nothing to us.
        is_digest = found.commit_hash and re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", found.etag or "")
        files.append(file._replace(size=file.size or found.size, digest=file.digest or (is_digest and found.etag)))
    return files


def _patiently(what: str, ask: Callable[[], T]) -> T:
    """What a call over the network returns; a busy server is asked again. Raises OSError (disk full), _SourceFailed."""
    for pause_s in (*RETRY_PAUSES_S, None):
        try:
            return ask()
        except Exception as error:  # huggingface_hub lets those of its HTTP library through, which have no base to name
            if getattr(error, "errno", None) in DISK_FULL:
                raise
            status = getattr(error, "code", None) or getattr(getattr(error, "response", None), "status_code", None)
            if status not in BUSY or pause_s is None:
                raise _SourceFailed(f"{what}: {_one_line(error)}") from error
            time.sleep(pause_s)
    raise AssertionError("the last pause is None")


def _one_line(text: object) -> str:
    return " ".join(str(text).split())[-500:]


# ---- Fetching from an archive


def _from_archive(job: _Job, url: str) -> None:
    """Complete the job's folder from a tar, read as it arrives.

    Without pget, which would unpack all that is in it, or need the disk twice to leave the unpacking to us.
    """
    files = [_Arrival(file.name, url, file.size, file.sha256) for file in job.row.files]
    _complete(job, _Offer(url, None, files), partial(_unpack, job, url))


def _unpack(job: _Job, url: str, files: Sequence[_Arrival]) -> None:
    # Some hosts refuse Python's own name.
    request = urllib.request.Request(url, headers={"User-Agent": "weights.py"})  # noqa: S310 (an address of the table)
    with _patiently("the archive", partial(urllib.request.urlopen, request, timeout=TIMEOUT_S)) as answer:
        try:
            with tarfile.open(fileobj=answer, mode="r|") as tar:
                _extract(job, tar, {file.name for file in files})
        except tarfile.TarError as error:
            raise _SourceFailed(f"the archive is damaged or cut off: {error}") from error


def _extract(job: _Job, tar: tarfile.TarFile, names: set[str]) -> None:
    """Write the wanted members, which must lie at the top; others are skipped, a hostile one ends it."""
    allowance = 4 * job.row.total_bytes  # for all members: an archive that goes on for ever is none of ours
    for member in tar:
        _refuse_hostile(member)
        allowance -= tarfile.BLOCKSIZE + member.size
        if allowance < 0:
            raise _SourceFailed(f"the archive is far larger than {job.row.name}, at {_short(member.name)}")
        name = member.name.removeprefix("./")
        content = tar.extractfile(member) if name in names else None
        if content:
            names.remove(name)
            with (job.folder / name).open("xb") as file:
                shutil.copyfileobj(content, file, CHUNK)
    if names:
        raise _SourceFailed(f"the archive ended without {', '.join(sorted(names))}")


def _refuse_hostile(member: tarfile.TarInfo) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise _SourceFailed(f"the archive was refused: {_short(member.name)} leads out of the folder")
    if not (member.isfile() or member.isdir()) or member.issparse() or member.size < 0:
        raise _SourceFailed(f"the archive was refused: {_short(member.name)} is a link, a device or the like")


# ---- The commands


def default_root() -> Path:
    """$OCR_CHECKPOINTS, or the folder `checkpoints` beside this file."""
    named = os.environ.get("OCR_CHECKPOINTS", "").strip()
    return Path(named).expanduser() if named else Path(__file__).resolve().parent / "checkpoints"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 0 when all is well, 1 when something is not, 2 for wrong usage, 130 when interrupted."""
    known = ", ".join(CHECKPOINTS)
    parser = argparse.ArgumentParser(prog="weights.py", description="Fetch, verify and list checkpoints.")
    parser.add_argument("command", choices=COMMANDS)
    named = f"{known}, or the name of a folder of your own; verify and list take all by default"
    parser.add_argument("models", nargs="*", metavar="MODEL", default=[], help=named)
    parser.add_argument("--root", type=Path, default=default_root(), help="default: $OCR_CHECKPOINTS or checkpoints/")
    given = parser.parse_intermixed_args(arguments)
    for name in given.models:
        if name not in CHECKPOINTS and not (given.root / name).is_dir():
            parser.error(missing_message(name, given.root))
    if given.command == "fetch" and not given.models:
        parser.error(f"fetch needs a MODEL: {known}")
    try:
        return COMMANDS[given.command](given.models, given.root)
    except KeyboardInterrupt:
        print("Stopped. No half checkpoint is left; the next fetch keeps the files that are whole.", file=sys.stderr)
        return 130


def _fetch(names: Sequence[str], root: Path) -> int:
    failed = 0
    for name in names:
        try:
            fetch(name, root, report=_say)
        except WeightsError as error:
            print(error, file=sys.stderr)
            failed = 1
    return failed


def _verify(names: Sequence[str], root: Path) -> int:
    there = [name for name in names or _known(root) if os.path.lexists(root / name)]
    for name in set(names) - set(there):
        print(missing_message(name, root), file=sys.stderr)
    if not there and not names:
        print(f"Nothing to verify in {root}.", file=sys.stderr)
    failed = len(there) < max(len(names), 1)
    for name in there:
        lines, pinned = problems(root / name), os.path.lexists(root / name / LOCK)
        if not lines and pinned:
            lines = altered(root / name, _say)
        good = f"every sha256 is as in {LOCK}" if pinned else f"structurally whole; no {LOCK} to compare a sha256 with"
        print("\n  ".join([f"{name}: {'not whole' if lines else good}", *lines]))
        failed |= bool(lines)
    return int(failed)


def _list(names: Sequence[str], root: Path) -> int:
    names = names or _known(root)
    faults = {name: problems(root / name) if os.path.lexists(root / name) else None for name in names}
    table: list[tuple[str, ...]] = [("MODEL", "STATE", "KIND", "SIZE", "LICENCE", "FOLDER")]
    table += [_line(name, root, faults[name]) for name in names]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for name in names:
        for fault in (faults[name] or [])[:1]:
            print(f"{name} is broken: {fault}")
    return 0


def _line(name: str, root: Path, faults: Sequence[str] | None) -> tuple[str, ...]:
    row, folder = CHECKPOINTS.get(name), root / name
    own = not row or (row.repository and faults is not None and not os.path.lexists(folder / LOCK))
    kind = "own" if own or not row else "pinned" if row.repository else "embedded"
    state = "absent" if faults is None else "broken" if faults else "ready"
    size = _size_text(row.total_bytes if row and faults is None else _bytes_in(folder))
    licence = "-" if own or not row else row.licence
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    return name, state, kind, size, licence, str(shown)


def _known(root: Path) -> list[str]:
    """The table's names and those of other folders in root, which are the user's own."""
    folders = sorted(path.name for path in root.glob("[!.]*") if path.is_dir())
    return list(dict.fromkeys([*CHECKPOINTS, *folders]))


def _say(text: str) -> None:
    print(text, flush=True)  # into a pipe too, as it happens


COMMANDS: Mapping[str, Callable[[Sequence[str], Path], int]] = {"fetch": _fetch, "verify": _verify, "list": _list}


if __name__ == "__main__":
    sys.exit(main())
