"""What a command line names into the documents to read: files, folders, patterns, URLs, standard input."""

import glob
import hashlib
import os
import re
import stat
import sys
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, unquote, urlsplit

from ocr.documents.formats import SUFFIXES
from ocr.errors import InputError, choices
from ocr.faces.problems import printable
from ocr.output.formats import DOCUMENTS, FOLDERS, NAME_BYTES
from ocr.settings import Settings

STDIN = "-"
URL = re.compile(r"https?://", re.IGNORECASE)
URL_NAME = 100  # characters at most of a file name that a URL decides
CHUNK = 1 << 20  # bytes


@dataclass(frozen=True)
class Source:
    """One document to be read, or the reason why there is none."""

    place: str  # as it was named: a path, a URL, or - for standard input
    name: str  # of the files written for it, without a suffix; with folders where it was found in some
    content: Callable[[int], Path | bytes]  # the document, of so many MiB at most; raises InputError where it can't be
    stamp: str = ""  # what changes when the document does, where that is known before it is read

    def __str__(self) -> str:
        return printable(self.place)


def find(
    arguments: Iterable[str], tell: Callable[[str], object] = lambda line: None, fetch_s: float = Settings.fetch_s
) -> list[Source]:
    """The documents that files, folders, patterns, URLs and `-` name, in their order, each once and by its own name.

    What a URL leads to is fetched in `fetch_s` seconds, when its content is asked for.
    What leads to no document is a source too, whose content raises the reason: it is one failure among the others.
    Folders that are passed over, because they are read at another place, go to `tell` in a sentence.
    """
    found = {source.place: source for argument in arguments for source in named(argument, tell, fetch_s)}
    return list(named_apart(found.values()))


def named(argument: str, tell: Callable[[str], object], fetch_s: float) -> Iterable[Source]:
    """The documents of one argument of `find`, a folder's as they are found."""
    if argument == STDIN:
        return [Source(STDIN, "stdin", _from_stdin)]
    if URL.match(argument):
        return [_url(argument, fetch_s)]
    path = Path(argument)
    if not os.path.lexists(path) and glob.has_magic(argument):
        matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207  the pattern may be absolute
        return [source for match in matches for source in _local(Path(match), tell)] or [nothing(argument, NO_MATCH)]
    return _local(path, tell)


def _local(path: Path, tell: Callable[[str], object]) -> Iterable[Source]:
    if not os.path.isdir(path):  # noqa: PTH112  which takes a name that is too long
        return [_file(path, stem(path))]
    return _or_nothing(path, _in_folder(path, tell))


def _or_nothing(path: Path, found: Iterator[Source]) -> Iterator[Source]:
    first = next(found, nothing(str(path), f"{NO_DOCUMENTS} {choices(sorted(SUFFIXES))}."))
    yield first
    yield from found


NO_MATCH = "Nothing matches this pattern."
NO_DOCUMENTS = "The folder contains no documents; files are read if their names end in one of:"


def _file(path: Path, name: str) -> Source:
    return Source(str(path), name, partial(_from_file, path))


def nothing(place: str, reason: str) -> Source:
    """What leads to no document, for this reason."""
    return Source(place, Path(place).name, partial(_refused, reason))


def _refused(reason: str, _max_mb: int) -> Path:
    raise InputError(reason)


def _in_folder(folder: Path, tell: Callable[[str], object]) -> Iterator[Source]:
    """The documents of a folder and those below it, sorted; hidden files and earlier runs' pictures left out."""
    unreadable: list[OSError] = []
    for parent, files in _walk(folder, unreadable.append, tell):
        for name in sorted(files):
            path = Path(parent, name)
            if is_document(name):
                if kind := _kind(path.stat().st_mode) if path.exists() else "":
                    tell(f"{printable(str(path))} is {kind} and is skipped.")
                else:
                    yield _file(path, str(path.relative_to(folder).with_name(stem(path))))
    for error in unreadable:
        yield nothing(os.fsdecode(error.filename), _cannot_be_read(error))


def is_document(name: str) -> bool:
    """Whether a file that is found in a folder is read: by its ending; hidden ones and our own are not."""
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES and not name.endswith(DOCUMENTS)


def _walk(
    folder: Path, unreadable: Callable[[OSError], object], tell: Callable[[str], object]
) -> Iterator[tuple[str, list[str]]]:
    """A folder and those below it, each once, with its files; links last, so that real places come first."""
    walked: set[str] = set()
    left = deque([folder])
    while left:
        for parent, folders, files in os.walk(left.popleft(), onerror=unreadable):
            place = os.path.realpath(parent)
            if place in walked:
                tell(f"{printable(parent)} leads to {printable(place)}, which is read already.")
                folders.clear()
                continue
            walked.add(place)
            folders[:] = sorted(name for name in folders if not name.startswith(".") and not name.endswith(FOLDERS))
            left += (path for path in (Path(parent, name) for name in folders) if path.is_symlink())
            yield parent, files


def stem(path: Path) -> str:
    """The name of a document's files: its own, without the ending of a document."""
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def named_apart(sources: Iterable[Source]) -> Iterator[Source]:
    """The sources, each place once, by names that any file system takes and keeps apart: the second `scan` is `scan-2`.

    Of each only a few bytes are kept, so that there may be millions.
    """
    places: set[bytes] = set()
    taken: set[bytes] = set()
    for source in sources:
        if (place := _mark(source.place)) in places:
            continue
        places.add(place)
        name, number = fitting(source.name), 1
        while (mark := _mark(_folded(name))) in taken:
            number += 1
            name = fitting(source.name, f"-{number}")
        taken.add(mark)
        yield replace(source, name=name)


def _mark(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def fitting(name: str, end: str = "") -> str:
    """The name with this end, short enough for a file system to take it with the suffixes of our outputs.

    Of one that is too long the beginning is kept, in whole characters, and a mark of eight digits that stands for all
    of it, so that two long names stay apart and one is the same in every run.
    """
    folder, last = os.path.split(name)
    if len(os.fsencode(last + end)) > NAME_BYTES:
        end = f"~{hashlib.sha256(os.fsencode(last)).hexdigest()[:8]}{end}"
        while len(os.fsencode(last + end)) > NAME_BYTES:
            last = last[:-1]
    return os.path.join(folder, last + end)  # noqa: PTH118  a name, and no path yet


def _folded(name: str) -> str:
    """The name as file systems compare it that know no case and one form of each letter."""
    return unicodedata.normalize("NFC", name).casefold()


# What else than a file a name may lead to; from a device or a socket no document comes, and reading may never end.
_KINDS: Mapping[str, Callable[[int], bool]] = {
    "a named pipe": stat.S_ISFIFO,
    "a socket": stat.S_ISSOCK,
    "a device": lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode),
}


def _kind(mode: int) -> str:
    """What it is that has this mode, where it is no file; else empty."""
    return next((kind for kind, test in _KINDS.items() if test(mode)), "")


def _from_file(path: Path, max_mb: int) -> Path | bytes:
    try:
        mode = path.stat().st_mode
        if (kind := _kind(mode)) and not stat.S_ISFIFO(mode):
            raise InputError(f"It is {kind} and no file.")
        with path.open("rb") as file:
            if not kind:
                return path
            return limited(iter(partial(file.read, CHUNK), b""), max_mb)  # a pipe of the shell's: read <(curl …)
    except OSError as error:
        raise InputError(_cannot_be_read(error)) from error


def _cannot_be_read(error: OSError) -> str:
    return f"It cannot be read: {error.strerror or error}."


def _from_stdin(max_mb: int) -> bytes:
    if sys.stdin.isatty():
        raise InputError("Standard input is a terminal; send a document into it, as in: read - < page.png")
    return limited(iter(partial(sys.stdin.buffer.read, CHUNK), b""), max_mb)


def limited(pieces: Iterable[bytes], max_mb: int) -> bytes:
    """All pieces together. Raises InputError as soon as they are over the limit."""
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > max_mb * 2**20:
            raise InputError(f"It has more than {max_mb} MiB; send a smaller one, or raise OCR_MAX_FILE_MB.")
    return bytes(data)


def _from_url(url: str, seconds: float, max_mb: int) -> bytes:
    from ocr.documents.fetching import fetch_document

    with fetch_document(url, max_mb=max_mb, seconds=seconds, private=True) as file:  # whose machine it is names the URL
        return file.read()


def _url(url: str, fetch_s: float) -> Source:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        return nothing(url, f"It is no URL: {error}.")
    login, at, _ = parts.netloc.rpartition("@")  # a password is shown nowhere
    return Source(url.replace(login + at, "", 1), _url_name(parts), partial(_from_url, url, fetch_s))


def _url_name(parts: SplitResult) -> str:
    """A file name for what a URL leads to: the end of its path, else the host."""
    last = PurePosixPath(unquote(parts.path)).name
    name = "".join(c for c in stem(Path(last)) if c.isprintable())[:URL_NAME]
    return name.lstrip(".") or (parts.hostname or "url")
