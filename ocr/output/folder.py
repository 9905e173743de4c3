"""What was read into files, each whole or not at all, and what a later run may build on. Knows no model.

An output folder has a hidden one, `.ocr`. There a document that is not read to its end has a folder of its own: its
pages so far and their pictures. At its end the files are put in place by renaming, and a line in `record.jsonl` says
what was read and how. Its own folder is deleted unless pages failed, so that a later run reads those alone.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from ocr.output.formats import FORMATS, OF_DOCUMENT, OF_PAGE, Read, encoded
from ocr.output.markdown import picture_name
from ocr.types import Element, FinishReason, PageEvent, PageResult

PAGE_FILES = "page-*"  # in the folders of formats of pages; a user's other files there are left alone
HIDDEN = ".ocr"


def check_writable(folder: Path) -> str:
    """Why nothing can be written into a folder, which is made where it is not there; empty if it can."""
    try:
        (folder / HIDDEN).mkdir(parents=True, exist_ok=True)
        TemporaryDirectory(dir=folder / HIDDEN).cleanup()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def digest(content: Path | bytes) -> str:
    """The sha256 of a document, in hexadecimal."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Entry:
    """A document, how it is or was read into a folder, and at its end what came of it."""

    name: str  # of its files in the folder, without a suffix
    sha256: str
    options: Mapping[str, Any]  # that its text depends on
    formats: tuple[str, ...]
    files: tuple[str, ...] = ()  # that were written, relative to the folder
    failed: tuple[int, ...] = ()  # numbers of the pages that could not be read


class Folder:
    """An output folder, the formats that are written into it, and the options that documents are read with.

    With `resume`, what an earlier run did there with the same options is not done again.
    """

    def __init__(self, path: Path, formats: Sequence[str], options: Mapping[str, Any], *, resume: bool = False) -> None:
        self.path, self.resume = path, resume
        self._formats, self._options = tuple(formats), options
        self._record = path / HIDDEN / "record.jsonl"
        entries = [_restored_entry(line) for line in _lines(self._record)]
        self._entries = {entry.name: entry for entry in entries if entry}  # the last one of a name counts

    def document(self, name: str, content: Path | bytes) -> "Files":
        """The files of a document; nothing is written yet."""
        return Files(self, Entry(name, digest(content), self._options, self._formats))

    def holds(self, wanted: Entry) -> bool:
        """Whether these bytes were read so before, no page failed, and every file is still there."""
        entry = self._entries.get(wanted.name)
        return (
            entry is not None
            and not entry.failed
            and (entry.sha256, entry.options) == (wanted.sha256, wanted.options)
            and set(wanted.formats) <= set(entry.formats)
            and all((self.path / file).exists() for file in entry.files)
        )

    def add(self, entry: Entry) -> None:
        """Note a document whose files are in place."""
        self._entries[entry.name] = entry
        _append(self._record, asdict(entry))


class Files:
    """The files of one document in the making. Each event goes to `write`; `close` puts everything in place."""

    def __init__(self, folder: Folder, entry: Entry) -> None:
        self._folder, self._entry = folder, entry
        self._target = folder.path / entry.name  # without a suffix
        self._part = folder.path / HIDDEN / digest(os.fsencode(entry.name))[:16]
        self._journal = self._part / "pages.jsonl"
        self.are_whole = folder.resume and folder.holds(entry)
        restored = dict(self._restored()) if folder.resume and not self.are_whole else {}
        self._results = {page: result for page, result in restored.items() if not result.error}
        self.done = frozenset(self._results)  # numbers of the pages that an earlier run has read

    def _restored(self) -> Iterator[tuple[int, PageResult]]:
        """The pages of an earlier run that fits; of a page's lines the last counts."""
        first, *rest = _lines(self._journal) or [b""]
        if _restored_entry(first) != self._entry:
            return
        for line in rest:
            if result := _restored_page(line):
                yield result.page, result

    def link(self, page: int, picture: int) -> str:
        """Where the markdown links to for a picture: in NAME.images, which lies beside the markdown's own file."""
        return f"{quote(os.fsencode(self._target.name))}.{picture_name(page, picture)}"

    def write(self, event: PageEvent) -> None:
        """Take in what came of a page."""
        if not isinstance(event, PageResult):
            return
        if not self._results:
            shutil.rmtree(self._part, ignore_errors=True)
            self._part.mkdir(parents=True)
            _append(self._journal, asdict(self._entry))
        for format_ in self._formats_of_pages:
            for name, content in OF_PAGE[format_].make(event.image, event):
                self._made(format_).mkdir(exist_ok=True)
                (self._made(format_) / name).write_bytes(content)
        result = self._results[event.page] = event.without_image()
        _append(self._journal, {name: value for name, value in asdict(result).items() if name != "image"})

    def close(self) -> None:
        """Put everything in place, the pictures before the text that links to them, and note it in the record."""
        results = [self._results[page] for page in sorted(self._results)]
        self._target.parent.mkdir(parents=True, exist_ok=True)
        wanted = self._entry.formats
        of_page = {name: row for name, row in OF_PAGE.items() if name in wanted}
        of_document = {name: row for name, row in OF_DOCUMENT.items() if name in wanted}
        for name, folder in of_page.items():
            self._put_files(self._made(name), self._place(folder.suffix))
        read = Read(self._target.name, results, self._made)
        for name, row in of_document.items():
            self._made(name).write_bytes(row.compose(read))
            self._made(name).replace(self._place(row.suffix))
        suffixes = [FORMATS[name].suffix for name in (*of_document, *of_page)]
        places = [self._place(suffix) for suffix in suffixes]
        files = tuple(str(place.relative_to(self._folder.path)) for place in places if place.exists())
        failed = tuple(result.page for result in results if result.error)
        self._folder.add(replace(self._entry, files=files, failed=failed))
        if not failed:
            shutil.rmtree(self._part)

    def _put_files(self, made: Path, place: Path) -> None:
        """Put the files of pages in place of those of an earlier run; where there are none, no folder is left."""
        fresh = sorted(made.iterdir()) if made.exists() else []
        if fresh:
            place.mkdir(exist_ok=True)
        for stale in {*place.glob(PAGE_FILES)} - {place / file.name for file in fresh}:
            stale.unlink()
        for file in fresh:
            copy = shutil.copyfile(file, self._part / "copy")
            copy.replace(place / file.name)
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()

    @property
    def _formats_of_pages(self) -> Iterator[str]:
        """Those that are wanted, or that a wanted one is made of."""
        needed = {
            name for format_ in self._entry.formats if format_ in OF_DOCUMENT for name in OF_DOCUMENT[format_].needs
        }
        return (name for name in OF_PAGE if name in needed or name in self._entry.formats)

    def _made(self, name: str) -> Path:
        """Where a format's file or files are made."""
        return self._part / f"made.{name}"

    def _place(self, suffix: str) -> Path:
        return self._target.with_name(self._target.name + suffix)


def _append(path: Path, value: Mapping[str, Any]) -> None:
    with path.open("ab") as file:
        file.write(encoded(json.dumps(value, ensure_ascii=False) + "\n"))


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n") if path.exists() else []


def _restored_entry(line: bytes) -> Entry | None:
    """An entry's line; None for one that a full disk or a power cut left half."""
    try:
        fields = json.loads(line)
        return Entry(**fields | {name: tuple(fields[name]) for name in ("formats", "files", "failed")})
    except (ValueError, TypeError, KeyError):
        return None


def _restored_page(line: bytes) -> PageResult | None:
    """A page's line; None for one that a full disk or a power cut left half."""
    try:
        fields = json.loads(line)
        elements = [Element(**{**each, "bbox": each["bbox"] and tuple(each["bbox"])}) for each in fields["elements"]]
        fields |= {
            "elements": tuple(elements),
            "finish_reason": FinishReason(fields["finish_reason"]),
            "problems": tuple(fields["problems"]),
        }
        return PageResult(**fields)
    except (ValueError, TypeError, KeyError):
        return None
