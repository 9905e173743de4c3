"""What was read into files, each whole or not at all, and what a later run may build on. Knows no model.

An output folder has a hidden one, `.ocr`. There a document that is not read to its end has a folder of its own: its
pages so far and the files made of them. At its end the files are put in place by renaming, and a line in `record.jsonl`
says what was read and how, and names each file with its size. Its own folder is deleted unless pages failed, so that a
later run reads those alone. Whoever else writes into the folder costs a document at most: links in it are never
followed, and nothing is written, replaced or deleted through one.
"""

import hashlib
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from ocr.errors import InputError
from ocr.output.formats import FORMATS, OF_DOCUMENT, OF_PAGE, OfDocument, OfPage, Read
from ocr.output.lock import held
from ocr.output.markdown import picture_name
from ocr.output.record import (
    Entry,
    Made,
    append,
    are_there,
    is_file,
    lines,
    page_line,
    refusal,
    refuse_links,
    remove,
    restored_entry,
    restored_page,
)
from ocr.types import PageEvent, PageResult

PAGE_FILES = "page-*"  # in the folders of formats of pages; a user's other files there are left alone
HIDDEN = ".ocr"


def check_writable(folder: Path) -> str:
    """Why nothing can be written into a folder, which is made where it is not there; empty if it can.

    Raises InputError for one whose hidden folder is a link.
    """
    refuse_links(folder, folder / HIDDEN)
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


class Folder:
    """An output folder, the formats that are written into it, and the options that documents are read with.

    With `resume`, what an earlier run did there with the same options is not done again.
    """

    def __init__(self, path: Path, formats: Sequence[str], options: Mapping[str, Any], *, resume: bool = False) -> None:
        """Raises InputError where the record of earlier runs is no file of ours."""
        self.path, self.resume = path, resume
        self._formats, self._options = tuple(formats), options
        self._record = path / HIDDEN / "record.jsonl"
        entries = map(restored_entry, lines(self._record))
        self._entries = {entry.name: entry for entry in entries if entry}  # the last one of a name counts

    def document(self, name: str, content: Path | bytes) -> "Files":
        """The files of a document; nothing is written yet."""
        return Files(self, Entry(name, digest(content), self._options, self._formats))

    def holds(self, wanted: Entry) -> bool:
        """Whether these bytes were read so before, no page failed, and every file is there in its size."""
        entry = self._entries.get(wanted.name)
        return (
            entry is not None
            and not entry.failed
            and (entry.sha256, entry.options) == (wanted.sha256, wanted.options)
            and set(wanted.formats) <= set(entry.formats)
            and {entry.name + OF_DOCUMENT[name].suffix for name in entry.formats if name in OF_DOCUMENT}
            <= {name for name, _ in entry.files}
            and are_there(self.path, entry.files)
        )

    def entry(self, name: str) -> Entry | None:
        """What is noted of a document; None where nothing is."""
        return self._entries.get(name)

    def begin(self, entry: Entry) -> None:
        """Note that files of a document are about to be put in place: what an earlier run did counts no more."""
        if entry.name in self._entries:
            self.add(replace(entry, sha256=""))

    def add(self, entry: Entry) -> None:
        """Note a document whose files are in place."""
        self._entries[entry.name] = entry
        append(self._record, asdict(entry))


def held_folder(folder: Path, tell: Callable[[str], object]) -> AbstractContextManager[None]:
    """Hold an output folder that can be written, for this process alone; see `ocr.output.lock`."""
    return held(folder / HIDDEN, tell)


class Files:
    """The files of one document in the making. Each event goes to `write`; `close` puts everything in place."""

    def __init__(self, folder: Folder, entry: Entry) -> None:
        self._folder, self._entry = folder, entry
        self._target = folder.path / entry.name  # without a suffix
        self._part = folder.path / HIDDEN / digest(os.fsencode(entry.name))[:16]
        self._journal = self._part / "pages.jsonl"
        refuse_links(folder.path, self._part)
        refuse_links(folder.path, self._target.parent)
        self.are_whole = folder.resume and folder.holds(entry)
        restored = dict(self._restored()) if folder.resume and not self.are_whole else {}
        self._results = {page: result for page, (result, _) in restored.items()}
        self._page_files = {page: made for page, (_, made) in restored.items()}  # relative to the document's own folder
        self._has_begun = False
        self.done = frozenset(self._results)  # numbers of the pages that an earlier run has read
        self.sha256 = entry.sha256

    def _restored(self) -> Iterator[tuple[int, tuple[PageResult, tuple[Made, ...]]]]:
        """The pages of an earlier run that fits, but for those that failed or whose files are not there."""
        journal = lines(self._journal)
        if restored_entry(next(journal, b"")) != self._entry:
            return
        for line in journal:
            if (found := restored_page(line)) and not found[0].error and are_there(self._part, found[1]):
                yield found[0].page, found

    def _begin(self) -> None:
        """Make the document's own folder; of that of an earlier run the pages that are done are kept, and no more."""
        if self._has_begun:
            return
        self._has_begun = True
        if not self._results:
            remove(self._part)
            self._part.mkdir(parents=True)
            append(self._journal, asdict(self._entry))
        kept = {self._part / name for made in self._page_files.values() for name, _ in made}
        for path in self._part.iterdir():
            if path in {file.parent for file in kept}:
                for file in {*path.iterdir()} - kept:
                    remove(file)
            elif path != self._journal:
                remove(path)

    @property
    def results(self) -> Sequence[PageResult]:
        """The pages that are read, without their images."""
        return [self._results[page] for page in sorted(self._results)]

    def link(self, page: int, picture: int) -> str:
        """Where the markdown links to for a picture: in NAME.images, which lies beside the markdown's own file."""
        return f"{quote(os.fsencode(self._target.name))}.{picture_name(page, picture)}"

    def write(self, event: PageEvent) -> None:
        """Take in what came of a page."""
        if not isinstance(event, PageResult):
            return
        self._begin()
        made = []
        for format_ in self._formats_of_pages:
            for name, content in OF_PAGE[format_].make(event.image, event):
                file = self._made(format_) / name
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(content)
                made.append((str(file.relative_to(self._part)), len(content)))
        self._results[event.page], self._page_files[event.page] = event.without_image(), tuple(made)
        append(self._journal, page_line(event.without_image(), made))

    def pack(self, archive: Path) -> None:
        """Write the pages so far, and the files made of them, into one file, which `take` reads elsewhere.

        The same pages give the same bytes, but for the seconds that they took.
        """
        self._begin()
        names = [name for page in sorted(self._page_files) for name, _ in self._page_files[page]]
        with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
            for name in (self._journal.name, *names):
                tar.add(self._part / name, name, filter=_plain)

    def take(self, archive: Path) -> None:
        """Take in the pages that `pack` wrote. Raises InputError where they are not of this document, read this way."""
        self._begin()
        with TemporaryDirectory(dir=self._part) as unpacked:
            folder = Path(unpacked)
            try:
                with tarfile.open(archive, "r:") as tar:
                    tar.extractall(folder, filter="data")
                journal = lines(folder / self._journal.name)
                is_ours = restored_entry(next(journal, b"")) == self._entry
                found = [restored_page(line) for line in journal if is_ours]
            except tarfile.TarError:
                found = []
            if not found or not all(each and are_there(folder, each[1]) for each in found):
                raise InputError("A part of the document was read otherwise, or is damaged.")
            for result, made in filter(None, found):
                for name, _ in made:
                    (self._part / name).parent.mkdir(exist_ok=True)
                    (folder / name).replace(self._part / name)
                self._results[result.page], self._page_files[result.page] = result, made
                append(self._journal, page_line(result, made))

    def close(self) -> None:
        """Put everything in place, the pictures before the text that links to them, and note it in the record."""
        self._begin()
        results = self.results
        self._target.parent.mkdir(parents=True, exist_ok=True)
        of_page = {name: row for name, row in OF_PAGE.items() if name in self._entry.formats}
        of_document = {name: row for name, row in OF_DOCUMENT.items() if name in self._entry.formats}
        for name in self._entry.formats:
            self._check_place(FORMATS[name])
        self._folder.begin(self._entry)
        placed: list[Path] = []
        for name, folder in of_page.items():
            placed += self._put_files(self._made(name), self._place(folder))
        read = Read(self._target.name, results, self._made)
        for name, row in of_document.items():
            self._made(name).write_bytes(row.compose(read))
            placed.append(self._made(name).replace(self._place(row)))
        files = tuple((str(path.relative_to(self._folder.path)), path.lstat().st_size) for path in placed)
        failed = tuple(result.page for result in results if result.error)
        self._folder.add(replace(self._entry, files=files, failed=failed))
        if not failed:
            remove(self._part)

    def _check_place(self, row: OfPage | OfDocument) -> None:
        """Raise InputError where something else than an earlier run's stands in the place of a format."""
        place = self._place(row)
        refuse_links(self._folder.path, place)
        if place.exists() and not (place.is_dir() if isinstance(row, OfPage) else is_file(place)):
            raise refusal(place)

    def _put_files(self, made: Path, place: Path) -> list[Path]:
        """Put the files of pages in place of those of an earlier run; where there are none, no folder is left."""
        fresh = [self._part / name for page in sorted(self._page_files) for name, _ in self._page_files[page]]
        placed = {place / file.name: file for file in fresh if file.parent == made}
        for path in placed:
            refuse_links(self._folder.path, path)
        if placed:
            place.mkdir(exist_ok=True)
        for stale in {*place.glob(PAGE_FILES)} - {*placed}:
            if is_file(stale):
                stale.unlink()
        for path, file in placed.items():
            copy = self._part / "copy"
            remove(copy)
            shutil.copyfile(file, copy)
            copy.replace(path)
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()
        return list(placed)

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

    def _place(self, row: OfPage | OfDocument) -> Path:
        return self._target.with_name(self._target.name + row.suffix)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A file of an archive without its times, owners and permissions."""
    return member.replace(mtime=0, mode=0o644, uid=0, gid=0, uname="", gname="", deep=False)
