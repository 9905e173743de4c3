"""Places that documents come from and files go to: folders, and stores of objects behind URIs. Knows no document.

In a folder a file is written under a temporary name and renamed; an object is there once it was sent whole. So of two
who write one name each leaves a whole file, and who lists after writing sees what was written before.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from ocr.errors import InputError, SetupError, choices
from ocr.output.folder import HIDDEN
from ocr.output.record import are_there, is_file, refusal, refuse_links, remove
from ocr.weights.installation import INSTALL_RAY

SCHEMES = ("file", "s3", "gs", "gcs", "az", "abfs", "abfss")
_URI = re.compile(rf"({'|'.join(SCHEMES)})://", re.IGNORECASE)
CHUNK = 1 << 20  # bytes
FRESH = f"{HIDDEN}/fresh"  # where files of a folder are written; what is left there is of a writer that died


class Store(Protocol):
    """Files by name, with / between folders. Every method may raise OSError."""

    def put(self, name: str, content: bytes | Path) -> None:
        """Write a file, whole or not at all, in place of an earlier one."""
        ...

    def get(self, name: str) -> bytes | None:
        """What is in a file; None where there is none."""
        ...

    def has(self, name: str, size: int | None = None) -> bool:
        """Whether there is a file, of this size in bytes where one is given."""
        ...

    def names(self, folder: str) -> list[str]:
        """The files right in a folder, by their last names; none where there is no folder."""
        ...

    def remove(self, name: str) -> None:
        """Delete a file, or a folder with all that is in it; nothing happens where there is none."""
        ...


def is_uri(place: str) -> bool:
    """Whether a place is named by a URI that `opened` takes."""
    return _URI.match(place) is not None


def local(place: str) -> Path | None:
    """The path that a place on this machine's file systems has; None for one in a store of objects."""
    if not is_uri(place):
        return Path(place)
    parts = urlsplit(place)
    return Path(unquote(parts.path)) if parts.scheme.lower() == "file" else None


def store(place: str) -> Store:
    """The files at a place. Raises InputError for a URI that names none, SetupError where pyarrow is not installed."""
    path = local(place)
    return FolderStore(path) if path is not None else ObjectStore(place)


class FolderStore:
    """A folder of this machine, or one that it shares with others. Links in it are never followed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, content: bytes | Path) -> None:
        path = self._path(name)
        if os.path.lexists(path) and not is_file(path):
            raise refusal(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path(f"{FRESH}/{uuid4().hex}.part")
        part.parent.mkdir(parents=True, exist_ok=True)
        try:
            if isinstance(content, bytes):
                part.write_bytes(content)
            else:
                shutil.copyfile(content, part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def get(self, name: str) -> bytes | None:
        path = self._path(name)
        try:
            return path.read_bytes() if is_file(path) else None
        except FileNotFoundError:
            return None

    def has(self, name: str, size: int | None = None) -> bool:
        return is_file(self._path(name)) if size is None else are_there(self._folder, [(name, size)])

    def names(self, folder: str) -> list[str]:
        try:
            return [path.name for path in self._path(folder).iterdir() if is_file(path)]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # another has deleted it meanwhile
            remove(self._path(name))

    def _path(self, name: str) -> Path:
        path = self._folder / name
        refuse_links(self._folder, path.parent)
        return path


class ObjectStore:
    """Objects in Amazon's S3, or a store that speaks like it, in Google's or in Microsoft's."""

    def __init__(self, uri: str) -> None:
        self._system, self._root = opened(uri)

    def put(self, name: str, content: bytes | Path) -> None:
        with self._system.open_output_stream(self._path(name)) as sink:
            if isinstance(content, bytes):
                sink.write(content)
                return
            with content.open("rb") as source:
                shutil.copyfileobj(source, sink, CHUNK)

    def get(self, name: str) -> bytes | None:
        try:
            with self._system.open_input_stream(self._path(name)) as source:
                content: bytes = source.read()
                return content
        except FileNotFoundError:
            return None

    def has(self, name: str, size: int | None = None) -> bool:
        [info] = self._system.get_file_info([self._path(name)])
        return bool(info.is_file) and size in (None, info.size)

    def names(self, folder: str) -> list[str]:
        return [info.base_name for info in _listed(self._system, self._path(folder)) if info.is_file]

    def remove(self, name: str) -> None:
        path = self._path(name)
        [info] = self._system.get_file_info([path])
        with contextlib.suppress(FileNotFoundError):  # another has deleted it meanwhile
            if info.is_file:
                self._system.delete_file(path)
            else:
                self._system.delete_dir_contents(path, missing_dir_ok=True)

    def _path(self, name: str) -> str:
        return str(PurePosixPath(self._root, name))


@cache
def opened(uri: str) -> tuple[Any, str]:
    """The file system of pyarrow's behind a URI, and the path there. Raises InputError for a URI that names none."""
    try:
        from pyarrow import fs
    except ImportError as error:
        raise SetupError(f"URIs are read with pyarrow, which is not installed: `{INSTALL_RAY}`.") from error
    try:
        found: tuple[Any, str] = fs.FileSystem.from_uri(re.sub("^az://", "abfs://", uri, flags=re.IGNORECASE))
        return found
    except (ValueError, OSError) as error:
        raise InputError(
            f"{without_secrets(uri)!r} cannot be opened: {error}. A URI begins with one of: {choices(SCHEMES)}."
        ) from error


def without_secrets(uri: str) -> str:
    """A URI as it may be shown: without the password that may stand before its host, and without its parameters."""
    parts = urlsplit(uri)
    return parts._replace(netloc=re.sub(":[^@]*@", "@", parts.netloc), query="").geturl()


def walked(uri: str) -> Iterator[tuple[str, str]]:
    """The files at a URI: the path below it, "" where it is one itself, and what changes when the file does.

    Those of a folder come before those of the folders in it, each in order; only one folder's list is held at a time.
    What begins with a dot is left out. Raises FileNotFoundError where nothing is there.
    """
    system, root = opened(uri)
    [info] = system.get_file_info([root])
    if info.is_file:
        yield "", _stamp(info)
    elif _listed(system, root):
        yield from _below(system, root, PurePosixPath())
    else:
        raise FileNotFoundError(2, "No such file or folder")


def _below(system: Any, root: str, folder: PurePosixPath) -> Iterator[tuple[str, str]]:
    found = sorted(_listed(system, str(PurePosixPath(root, folder))), key=lambda info: str(info.base_name))
    shown = [info for info in found if not info.base_name.startswith(".")]
    yield from ((str(folder / info.base_name), _stamp(info)) for info in shown if info.is_file)
    folders = [str(info.base_name) for info in shown if not info.is_file]
    del found, shown
    for name in folders:
        yield from _below(system, root, folder / name)


def _listed(system: Any, folder: str) -> list[Any]:
    from pyarrow import fs

    found: list[Any] = system.get_file_info(fs.FileSelector(folder, allow_not_found=True))
    return found


def _stamp(info: Any) -> str:
    return f"{info.size}:{info.mtime_ns}"


def object_pieces(uri: str, below: str, size: int) -> Iterator[bytes]:
    """The object at a path below a URI, itself for "", in pieces of so many bytes."""
    system, root = opened(uri)
    with system.open_input_stream(str(PurePosixPath(root, below)) if below else root) as source:
        while piece := source.read(size):
            yield piece
