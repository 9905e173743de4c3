"""What each checkpoint is made of and where it comes from: the rows of checkpoints.toml, the file beside this one."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType


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


@cache
def checkpoints() -> Mapping[str, Checkpoint]:
    """The checkpoints that the project knows, by name, in the order of the file."""
    return read_table(Path(__file__).with_name("checkpoints.toml").read_text(encoding="utf-8"))


def read_table(text: str) -> Mapping[str, Checkpoint]:
    """The checkpoints of a text in TOML, a table for each; a file is its name, or a table of what is known of it."""
    rows = {}
    for name, row in tomllib.loads(text).items():
        files = tuple(File(file) if isinstance(file, str) else File(**file) for file in row.pop("files", ()))
        rows[name] = Checkpoint(name=name, files=files, **row)
    return MappingProxyType(rows)
