"""Is a folder a whole checkpoint, and is it the one that was pinned?"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ocr.weights.files import Damage, hash_of, is_file_name, json_object, short, size_of, size_text, try_read
from ocr.weights.headers import tensor_sizes

Report = Callable[[str], None]

INDEX = "model.safetensors.index.json"
LOCK = "weights.lock"
JSON_FILES = ("config.json", "tokenizer.json")  # of a language model


Pins = Mapping[str, tuple[int, str]]  # the size in bytes and the sha256 of each file by its name


def problems(folder: Path, pins: Pins = MappingProxyType({}), json_files: Sequence[str] = JSON_FILES) -> list[str]:
    """What keeps a folder from being a whole checkpoint, one line per file; [] means ready.

    Where the table of checkpoints has `pins`, needs these files in these sizes. Else needs the `json_files`, and a
    single *.safetensors file or model.safetensors.index.json with every shard it names. Reads JSON and the
    shards' headers, never the tensors, so it takes a fraction of a second for any size. Where there is a weights.lock,
    the sizes in it hold too. Never raises for what it finds.
    """
    if not os.access(folder, os.R_OK | os.X_OK) or not folder.is_dir():
        return [f"{folder}: no such folder, or none that may be read"]
    faults: dict[str, str] = {}
    _check_sizes(folder, {name: size for name, (size, _) in pins.items()}, "the table of checkpoints", faults)
    if not pins:
        _check_network(folder, json_files, faults)
    if os.path.lexists(folder / LOCK):
        locked = try_read(folder / LOCK, _pins, faults) or {}
        _check_sizes(folder, {name: pin["size"] for name, pin in locked.items()}, LOCK, faults)
    return [f"{name}: {fault}" for name, fault in faults.items()]


def _check_sizes(folder: Path, sizes: Mapping[str, int], source: str, faults: dict[str, str]) -> None:
    """Note the files that are missing or not as long as the source has it, but for those noted already."""
    for name, expected in sizes.items():
        size = None if name in faults else try_read(folder / name, size_of, faults)
        if size not in (None, expected):
            faults[name] = f"{size:,} bytes long; {source} has {expected:,}"


def _check_network(folder: Path, json_files: Sequence[str], faults: dict[str, str]) -> None:
    """Note what keeps a folder from holding a whole network."""
    for name in json_files:
        try_read(folder / name, json_object, faults)
    for name, placed in _shards(folder, faults).items():
        tensors = try_read(folder / name, tensor_sizes, faults)
        lacking = sorted(placed - tensors.keys()) if tensors is not None else []
        if lacking:
            faults[name] = f"lacks {len(lacking)} of the tensors {INDEX} places in it, {short(lacking[0])} for one"
        elif faults.get(name) == "missing" and placed:
            faults[name] = f"missing; {INDEX} places {len(placed)} of the tensors in it"


def _shards(folder: Path, faults: dict[str, str]) -> dict[str, set[str]]:
    """The weight files a folder should have, and the tensors the index places in each."""
    if os.path.lexists(folder / INDEX):
        return try_read(folder / INDEX, _placements, faults) or {}
    found = sorted(path.name for path in folder.glob("*.safetensors"))
    if len(found) == 1:
        return {found[0]: set()}
    if found:
        faults[INDEX] = f"missing, and {len(found)} safetensors files: which of them belong together?"
    else:
        faults["model.safetensors"] = f"missing, and no {INDEX} that names other weight files"
    return {}


def _placements(index: Path) -> dict[str, set[str]]:
    weight_map = json_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise Damage("has no weight_map from tensors to files")
    placed: dict[str, set[str]] = {}
    for tensor, shard in weight_map.items():
        if not is_file_name(shard) or not shard.endswith(".safetensors"):
            raise Damage(f"places {short(tensor)} in {short(shard)}, which is no safetensors file of this folder")
        placed.setdefault(shard, set()).add(tensor)
    return placed


def _pins(lock: Path) -> dict[str, dict[str, Any]]:
    """What weights.lock says of each file: file, size, sha256, source, revision."""
    entries = json_object(lock).get("files")
    listed: list[Any] = entries if isinstance(entries, list) else [entries]
    pins = {}
    for entry in listed:
        match entry:
            case {"file": str(name), "size": int(), "sha256": str()} if is_file_name(name):
                pins[name] = entry
            case _:
                raise Damage("not as weights.py writes it; without it the folder counts as your own checkpoint")
    return pins


def altered(folder: Path, report: Report = print, pins: Pins = MappingProxyType({})) -> list[str]:
    """The files whose sha256 is not the one in weights.lock, one line each. Reads every byte: seconds per gigabyte.

    Where the table of checkpoints has `pins`, those count in place of the lock.
    """
    faults: dict[str, str] = {}
    source = "the table of checkpoints" if pins else LOCK
    known = pins or {name: (pin["size"], pin["sha256"]) for name, pin in _pins(folder / LOCK).items()}
    for name, (size, sha256) in known.items():
        report(f"{folder.name}: reading {name}, {size_text(size)}")
        found = try_read(folder / name, hash_of, faults)
        if found not in (None, sha256):
            faults[name] = f"its sha256 is {found}; {source} has {sha256}"
    return [f"{name}: {fault}" for name, fault in faults.items()]
