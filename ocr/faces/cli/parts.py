"""One part of a document, read by one of many readers, and the document put together by whoever reads its last part.

Knows no cluster. Everything is done at least once and seen exactly once: a part and a file are written whole under
names that follow from the document, so that doing it twice leaves the same; the record comes last. Below the target:

    NAME.md, NAME.json, …               the documents, as `read` writes them
    .ocr/records/….json                 that a document is over: its files, and how its pages ended
    .ocr/parts/KEY/1-64.tar             pages that are read, until all of the document are
    .ocr/fresh/….part                   a file that is being written
    .ocr/claims/KEY.1-64.N              that someone began to read a part for the N-th time, and has not ended
"""

import contextlib
import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from threading import Condition

from ocr.errors import InputError, SetupError
from ocr.faces.cli.run import Job, opened, sentence
from ocr.faces.cli.sources import Source
from ocr.output.folder import HIDDEN, PAGE_FILES, Files, Folder
from ocr.output.formats import OF_PAGE, encoded
from ocr.output.record import Entry, restored_entry
from ocr.output.store import Store, store
from ocr.reading.reader import Reader
from ocr.settings import Settings
from ocr.types import FinishReason, PageResult

RECORDS, PARTS, CLAIMS = f"{HIDDEN}/records", f"{HIDDEN}/parts", f"{HIDDEN}/claims"
WITH_PAGES = (".pdf", ".tif", ".tiff")  # of the files whose names end so the pages are counted first


@dataclass(frozen=True)
class Work:
    """How all parts are read, and where to; the same on every machine."""

    run: str  # its name
    settings: Settings
    job: Job
    formats: tuple[str, ...]
    target: str  # a path or URI
    pages: int  # of a part, at most
    attempts: int  # at a part whose reader dies
    resume: bool

    def key(self, source: Source) -> str:
        """What stands for a document as it is, read in this way."""
        what = [source.place, source.name, source.stamp, self.job.options, self.formats]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Part:
    """Some pages of a document that are read together."""

    source: Source
    key: str
    pages: str = ""  # like 1-64; "" for all that are wanted
    of: tuple[str, ...] = ()  # the `pages` of all parts of the document; () for one that is not divided
    is_whole: bool = False  # whether the run that this one goes on from has read the document
    error: str = ""  # why there is nothing to read

    @property
    def record(self) -> str:
        """Where its document's record is; a name has one, however often and in whatever way it is read."""
        return f"{RECORDS}/{hashlib.sha256(os.fsencode(self.source.name)).hexdigest()[:32]}.json"


@dataclass(frozen=True)
class Done:
    """What came of a part, or of a whole document."""

    place: str
    key: str
    pages: str = ""  # of the part; "" for all
    parts: int = 1  # of the document
    read: int = 0  # pages; of the whole document where it is finished
    early: int = 0  # of them, those whose text ended before the model was done
    failed: tuple[tuple[int, str], ...] = ()  # the pages that could not be read, with the reason
    is_finished: bool = True  # whether the document is put together
    is_whole: bool = False  # whether an earlier run has read the document
    error: str = ""  # why the part could not be read
    attempts: int = 0  # that ended with the reader's death, and after which it was given up
    setup: str = ""  # why nothing can be read
    seconds: float = 0.0
    reader: str = ""  # host:process


def split(work: Work, source: Source) -> Iterator[Part]:
    """The parts of a document, in order. One that cannot be opened is a part that says why."""
    whole = Part(source, work.key(source))
    try:
        if work.resume and _recorded(store(work.target), work, whole):
            yield replace(whole, is_whole=True)
            return
        if PurePath(source.place).suffix.lower() not in WITH_PAGES:
            yield whole
            return
        content = source.content(work.settings.max_file_mb)
        with opened(content, work.job.pages, work.job, work.settings) as document:
            numbers = document.numbers
    except Exception as error:  # whatever one document does, the others are read
        yield replace(whole, error=sentence(error))
        return
    parts = [selection(numbers[start : start + work.pages]) for start in range(0, len(numbers), work.pages)]
    of = tuple(parts) if len(parts) > 1 else ()
    yield from (replace(whole, pages=pages, of=of) for pages in parts)


def selection(numbers: Sequence[int]) -> str:
    """Page numbers, in order, as `--pages` takes them: 1-3,7."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


class PartReader:
    """Reads parts, several threads' at a time; a part at which a reader has died is read alone.

    So a document that kills its reader is known after `attempts`, and those that were read beside it are not blamed.
    """

    def __init__(self, work: Work) -> None:
        """Loads the model; where that fails, every part says so."""
        self._work, self._setup = work, ""
        self._turns = Turns()
        self._reader = Reader(work.settings)
        try:
            self._reader.engine(work.job.request.model)
        except SetupError as error:
            self._setup = str(error)

    @cached_property
    def _store(self) -> Store:
        return store(self._work.target)

    def read(self, part: Part) -> Done:
        """Read a part and write it down; what goes wrong is in what comes back."""
        began = time.monotonic()
        done = replace(_done(part), error=part.error, setup=self._setup, is_finished=False)
        try:
            if part.is_whole:
                done = replace(_done(part), is_whole=True)
            elif not part.error and not self._setup:
                done = _recorded(self._store, self._work, part) or self._claimed(part)
        except SetupError as error:
            done = replace(done, setup=str(error))
        except Exception as error:  # whatever one document does, the others are read
            done = replace(done, error=sentence(error))
        return replace(done, seconds=time.monotonic() - began, reader=f"{socket.gethostname()}:{os.getpid()}")

    def _claimed(self, part: Part) -> Done:
        kept, most = self._store, self._work.attempts
        before = next((n for n in range(most) if not kept.has(_claim(part.key, part.pages, n + 1))), most)
        if before == most:
            times = "once" if before == 1 else f"{before} times"
            error = f"The reader died {times} while it read this."
            return replace(_done(part), error=error, attempts=before, is_finished=False)
        with self._turns.alone() if before else self._turns.beside():
            who = {"pid": os.getpid(), "host": socket.gethostname(), "document": part.source.place}
            kept.put(_claim(part.key, part.pages, before + 1), encoded(json.dumps(who) + "\n"))
            try:
                return self._read(part)
            finally:
                release(kept, part.key, part.pages, before + 1)

    def _read(self, part: Part) -> Done:
        content = part.source.content(self._work.settings.max_file_mb)
        with TemporaryDirectory(prefix="ocr-") as scratch:
            folder = Folder(Path(scratch), self._work.formats, self._work.job.options)
            files = folder.document(part.source.name, content)
            if not part.of:
                self._read_pages(part, content, files)
                return self._finished(part, folder, files)
            archive = Path(scratch, "part.tar")
            if not self._take(files, part, archive):
                self._read_pages(part, content, files)
                files.pack(archive)
                self._store.put(_file(part.key, part.pages), archive)
            done = replace(_done(part, files.results), is_finished=False)
            there = {f"{PARTS}/{part.key}/{name}" for name in self._store.names(f"{PARTS}/{part.key}")}
            if not {_file(part.key, pages) for pages in part.of} <= there:
                return done
            others = (replace(part, pages=pages) for pages in part.of if pages != part.pages)
            if not all(self._take(files, other, archive) for other in others):
                return done  # another has put it together meanwhile, and deleted its parts, or one is to be read again
            return self._finished(part, folder, files)

    def _read_pages(self, part: Part, content: Path | bytes, files: Files) -> None:
        job = self._work.job
        with (
            opened(content, part.pages or job.pages, job, self._work.settings) as document,
            closing(self._reader.read(job.request, document, job.decoding, files.link)) as events,
        ):
            for event in events:
                files.write(event)

    def _take(self, files: Files, part: Part, archive: Path) -> bool:
        """Whether a part was read before; then its pages are taken in. What is there of another document is deleted.

        At a URL there may be one now, and its parts would be in the way of every later run.
        """
        name = _file(part.key, part.pages)
        content = self._store.get(name)
        if content is None:
            return False
        archive.write_bytes(content)
        try:
            files.take(archive)
        except InputError:
            self._store.remove(name)
            return False
        return True

    def _finished(self, part: Part, folder: Folder, files: Files) -> Done:
        """Put a document together: its files, the pictures before the text that links to them, then the record."""
        files.close()
        entry = folder.entry(part.source.name)
        assert entry is not None  # noqa: S101  it was just closed
        if self._store.has(part.record):  # what an earlier run did counts no more
            self._store.remove(part.record)
        for name, _ in entry.files:
            self._store.put(name, folder.path / name)
        self._remove_stale(entry)
        done = _done(part, files.results)
        record = {"run": self._work.run, "done": asdict(done), "entry": asdict(entry)}
        self._store.put(part.record, encoded(json.dumps(record, ensure_ascii=False) + "\n"))
        if part.of:
            with contextlib.suppress(OSError):  # another may be putting it together too
                self._store.remove(f"{PARTS}/{part.key}")
        return done

    def _remove_stale(self, entry: Entry) -> None:
        """Delete what an earlier run has written of pages, and this one has not."""
        ours = {name for name, _ in entry.files}
        for folder in (entry.name + OF_PAGE[name].suffix for name in entry.formats if name in OF_PAGE):
            for name in self._store.names(folder):
                if fnmatch(name, PAGE_FILES) and f"{folder}/{name}" not in ours:
                    self._store.remove(f"{folder}/{name}")


def _done(part: Part, pages: Sequence[PageResult] = ()) -> Done:
    """What is to be said of a part of which these pages came."""
    failed = tuple((page.page, page.error) for page in pages if page.error)
    early = sum(page.finish_reason not in (FinishReason.STOP, FinishReason.BLANK) for page in pages) - len(failed)
    parts = len(part.of) or 1
    return Done(part.source.place, part.key, part.pages, parts, len(pages) - len(failed), early, failed)


def _recorded(kept: Store, work: Work, part: Part) -> Done | None:
    """What the record says of a document that is over, by this run or one that this one goes on from."""
    content = kept.get(part.record)
    if content is None:
        return None
    try:
        record = json.loads(content)
        done = Done(**record["done"] | {"failed": tuple((page, why) for page, why in record["done"]["failed"])})
        entry = restored_entry(json.dumps(record["entry"]).encode())
        is_ours = record["run"] == work.run
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if done.key != part.key or entry is None or not all(kept.has(name, size) for name, size in entry.files):
        return None
    if is_ours:
        return replace(done, pages=part.pages)
    return replace(_done(part), is_whole=True) if work.resume and not done.failed else None


def release(kept: Store, key: str, pages: str, attempts: int) -> None:
    """Take back the claims of so many attempts at a part."""
    for attempt in range(attempts, 0, -1):
        kept.remove(_claim(key, pages, attempt))


def _claim(key: str, pages: str, attempt: int) -> str:
    return f"{CLAIMS}/{key}.{_label(pages)}.{attempt}"


def _file(key: str, pages: str) -> str:
    return f"{PARTS}/{key}/{_label(pages)}.tar"


def _label(pages: str) -> str:
    """What a part is called in file names: by its first page and its last."""
    numbers = re.findall(r"\d+", pages)
    return f"{numbers[0]}-{numbers[-1]}" if numbers else "all"


class Turns:
    """Several threads beside each other, or one alone."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._beside, self._is_alone = 0, False

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Within the block, others may be in theirs too, but none that wants to be alone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_alone)
            self._beside += 1
        try:
            yield
        finally:
            with self._changed:
                self._beside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within the block, nobody else is in one; those that wait for it hold up who comes later."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_alone)
            self._is_alone = True
            self._changed.wait_for(lambda: not self._beside)
        try:
            yield
        finally:
            with self._changed:
                self._is_alone = False
                self._changed.notify_all()
