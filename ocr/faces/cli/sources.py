"""What a command line names into the documents to read: files, folders, patterns, URLs, standard input."""

import glob
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, unquote, urlsplit

from ocr.documents.formats import SUFFIXES
from ocr.errors import InputError, choices
from ocr.output.folder import FOLDERS

STDIN = "-"
URL = re.compile(r"https?://", re.IGNORECASE)
URL_TIMEOUT_S = 30.0  # for a connection, and between two pieces of the answer
URL_NAME = 100  # characters at most of a file name that a URL decides
CHUNK = 1 << 20  # bytes


@dataclass(frozen=True)
class Source:
    """One document to be read, or the reason why there is none."""

    place: str  # as it was named: a path, a URL, or - for standard input
    name: str  # of the files written for it, without a suffix; with folders where it was found in some
    content: Callable[[int], Path | bytes]  # the document, of so many MiB at most; raises InputError where it can't be

    def __str__(self) -> str:
        return printable(self.place)


def printable(text: str) -> str:
    """Some text on one line: what a terminal would not print, line ends among it, as escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def find(arguments: Iterable[str]) -> list[Source]:
    """The documents that files, folders, patterns, URLs and `-` name, in their order, each once and by its own name.

    What leads to no document is a source too, whose content raises the reason: it is one failure among the others.
    """
    found = {source.place: source for argument in arguments for source in _sources(argument)}
    return _named_apart(found.values())


def _sources(argument: str) -> Iterable[Source]:
    if argument == STDIN:
        return [Source(STDIN, "stdin", _from_stdin)]
    if URL.match(argument):
        return [_url(argument)]
    path = Path(argument)
    if not os.path.lexists(path) and glob.has_magic(argument):
        matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207  the pattern may be absolute
        return [source for match in matches for source in _local(Path(match))] or [_nothing(argument, NO_MATCH)]
    return _local(path)


def _local(path: Path) -> list[Source]:
    if not path.is_dir():
        return [_file(path, _stem(path))]
    return list(_in_folder(path)) or [_nothing(str(path), f"{NO_DOCUMENTS} {choices(sorted(SUFFIXES))}.")]


NO_MATCH = "Nothing matches this pattern."
NO_DOCUMENTS = "The folder holds no documents; files in it are read whose names end in one of:"


def _file(path: Path, name: str) -> Source:
    return Source(str(path), name, partial(_from_file, path))


def _nothing(place: str, reason: str) -> Source:
    return Source(place, Path(place).name, partial(_refused, reason))


def _refused(reason: str, _max_mb: int) -> Path:
    raise InputError(reason)


def _in_folder(folder: Path) -> Iterator[Source]:
    """The documents of a folder and those below it, sorted; hidden files and earlier runs' pictures left out."""
    unreadable: list[OSError] = []
    for parent, folders, files in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not name.endswith(FOLDERS))
        for name in sorted(files):
            path = Path(parent, name)
            if not name.startswith(".") and path.suffix.lower() in SUFFIXES:
                yield _file(path, str(path.relative_to(folder).with_name(_stem(path))))
    for error in unreadable:
        yield _nothing(os.fsdecode(error.filename), _cannot_be_read(error))


def _stem(path: Path) -> str:
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def _named_apart(sources: Iterable[Source]) -> list[Source]:
    """The sources with names that stay apart on any file system: the second `scan` is `scan-2`."""
    taken: set[str] = set()
    apart = []
    for source in sources:
        name, number = source.name, 1
        while _folded(name) in taken:
            number += 1
            name = f"{source.name}-{number}"
        taken.add(_folded(name))
        apart.append(replace(source, name=name))
    return apart


def _folded(name: str) -> str:
    """The name as file systems compare it that know no case and one form of each letter."""
    return unicodedata.normalize("NFC", name).casefold()


def _from_file(path: Path, max_mb: int) -> Path | bytes:
    try:
        if path.is_file():
            with path.open("rb"):
                return path
        with path.open("rb") as file:  # a pipe of the shell's: read <(curl …)
            return _limited(iter(partial(file.read, CHUNK), b""), max_mb)
    except OSError as error:
        raise InputError(_cannot_be_read(error)) from error


def _cannot_be_read(error: OSError) -> str:
    return f"It cannot be read: {error.strerror or error}."


def _from_stdin(max_mb: int) -> bytes:
    if sys.stdin.isatty():
        raise InputError("Standard input is a terminal; send a document into it: … | python -m ocr read -")
    return _limited(iter(partial(sys.stdin.buffer.read, CHUNK), b""), max_mb)


def _limited(pieces: Iterable[bytes], max_mb: int) -> bytes:
    """All pieces together. Raises InputError as soon as they are over the limit."""
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > max_mb * 2**20:
            raise InputError(f"It has more than {max_mb} MiB; send a smaller one, or raise OCR_MAX_FILE_MB.")
    return bytes(data)


def _from_url(url: str, max_mb: int) -> bytes:
    import httpx

    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=URL_TIMEOUT_S) as answer:
            if not answer.is_success:
                raise InputError(f"The server answered {answer.status_code} {answer.reason_phrase}.")
            return _limited(answer.iter_bytes(CHUNK), max_mb)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise InputError(f"It cannot be fetched: {str(error) or type(error).__name__}.") from error


def _url(url: str) -> Source:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        return _nothing(url, f"It is no URL: {error}.")
    login, at, _ = parts.netloc.rpartition("@")  # a password is shown nowhere
    return Source(url.replace(login + at, "", 1), _url_name(parts), partial(_from_url, url))


def _url_name(parts: SplitResult) -> str:
    """A file name for what a URL leads to: the end of its path, else the host."""
    last = PurePosixPath(unquote(parts.path)).name
    name = "".join(c for c in _stem(Path(last)) if c.isprintable())[:URL_NAME]
    return name.lstrip(".") or (parts.hostname or "url")
