"""One file of a checkpoint, read as what it should be, or what is wrong with it."""

import contextlib
import hashlib
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

JSON_LIMIT = 100_000_000  # bytes; what the safetensors library allows a header
LFS_POINTER = b"version https://git-lfs.github.com/spec/"  # what a clone without Git LFS has for a large file


class Damage(Exception):  # noqa: N818 (a finding that `problems` reports)
    """A file is not what it should be; the message goes after its name."""


def try_read(path: Path, reader: Callable[[Path], T], faults: dict[str, str]) -> T | None:
    """What the reader makes of a file; None, and the reason under the file's name, where it cannot."""
    try:
        return reader(path)
    except FileNotFoundError:
        faults[path.name] = "missing"
    except OSError as error:
        faults[path.name] = f"cannot be read: {error.strerror}"
    except Damage as damage:
        faults[path.name] = str(damage)
    return None


def json_object(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds. Raises Damage where it holds anything else."""
    if size_of(path) > JSON_LIMIT:
        raise Damage(f"longer than any such file: {size_text(size_of(path))}")
    raw = path.read_bytes()
    refuse_pointer(raw)
    return parse_object(raw)


def parse_object(raw: bytes, what: str = "") -> dict[str, Any]:
    """The JSON object in these bytes. Raises Damage, its message begun with `what`, where there is another thing."""
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Damage(f"{what}not JSON: {error}" if raw else "empty") from None
    if not isinstance(value, dict):
        raise Damage(f"{what}not a JSON object")
    return value


def refuse_pointer(raw: bytes) -> None:
    """Raise Damage where a file begins as a Git LFS pointer; no JSON and no safetensors header begins so."""
    if raw.startswith(LFS_POINTER):
        raise Damage("a Git LFS pointer, not the file itself: run `git lfs pull` in the folder, or fetch the weights")


def size_of(path: Path) -> int:
    """Bytes of a file. Raises Damage for what is no regular file."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise Damage("not a file")
    return status.st_size


def hash_of(path: Path, kind: str = "sha256", prefix: bytes = b"") -> str:
    """Hex digits of the hash over the prefix and all of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, prefix, usedforsecurity=False)).hexdigest()


def is_file_name(value: object) -> bool:
    """Whether a value is the name of something directly in a folder."""
    return isinstance(value, str) and value.isprintable() and value not in ("", ".", "..") and "/" not in value


def short(value: object) -> str:
    """A value out of a file, for a message: quoted, on one line, not long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def size_text(size: float) -> str:
    """A number of bytes for people: `100.0 kB`, in powers of 1000."""
    for unit in ("bytes", "kB", "MB"):
        if size < 999.95:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def bytes_in(folder: Path) -> int:
    """Bytes of all files in a folder and below."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # a temporary file may go while we look
            total += path.stat().st_size if path.is_file() else 0
    return total
