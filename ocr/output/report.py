"""What an output folder keeps of every document for reports, and `report.csv`, the table of all pages made of it.

Of each document there is a file in the hidden folder, put in place whole when the document is over, as its other files
are. So whatever ends a run, a later one finds there what was read, and adds to it. Knows no model.
"""

import csv
import hashlib
import io
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ocr.output.folder import HIDDEN
from ocr.output.formats import encoded
from ocr.output.record import is_file, lines, page_line, refusal, refuse_links, remove, restored_page
from ocr.output.tables import harmless
from ocr.output.untrusted import as_shown
from ocr.types import FinishReason, PageEvent, PageResult

TABLE = "report.csv"
COLUMNS = ("document", "page", "model", "reason", "tokens", "seconds", "problems", "retries")
HEAD = ",".join(COLUMNS).encode()
EVERY = 60.0  # seconds between two times that the table is written while a run goes on

# What is kept of a page at most.
MOST_TEXT = 2000  # characters of its markdown
MOST_FRAMES = 300  # elements, and places of a second reading of each kind
MOST_PROBLEMS = 20
LONGEST_PROBLEM = 300  # characters

Row = tuple[str, ...]


@dataclass(frozen=True)
class Kept:
    """What is kept of a document."""

    name: str  # of its files in the folder, without a suffix
    document: str  # as it was named when it was read
    path: str = ""  # where its file was; "" for one that was no file
    sha256: str = ""
    failure: str = ""  # why it could not be read, or not to its end
    pages: tuple[PageResult, ...] = field(default=(), repr=False)

    def rows(self) -> Iterator[Row]:
        """Its rows of the table: one for each page, and one without a page for a failure."""
        for page in self.pages:
            counts = page.model, page.finish_reason, page.completion_tokens, f"{page.seconds:.3f}"
            told = "; ".join(filter(None, (page.error, *page.problems)))
            yield _row(self.document, page.page, *counts, told, page.retries)
        if self.failure:
            yield _row(self.document, "", "", FinishReason.ERROR, "", "", self.failure, "")


def _row(*cells: object) -> Row:
    return tuple(harmless(as_shown(" ".join(str(cell).split()))) for cell in cells)


class Report:
    """What is kept in an output folder, and its table, which is written again and again as a run goes on."""

    def __init__(self, folder: Path) -> None:
        """Raises InputError where something that is none of ours stands in the place of the table."""
        self._folder = folder
        self.table = folder / TABLE
        refuse_links(folder, self.table)
        refuse_links(folder, _kept_folder(folder))
        if os.path.lexists(self.table) and not (is_file(self.table) and _begins(self.table, HEAD)):
            raise refusal(self.table, "" if not is_file(self.table) else "no table of ours")
        self._rows = {kept.name: tuple(kept.rows()) for kept in documents(folder)}
        self._written = time.monotonic()

    def document(self, name: str, document: str) -> "ReportedDocument":
        """Takes in what comes of a document; until then what an earlier run says of it counts."""
        return ReportedDocument(self, Kept(name, document))

    def put(self, kept: Kept) -> None:
        """Keep a document that is over in the place of what was kept of it before."""
        self.show(kept)
        place = _place(self._folder, kept.name)
        refuse_links(self._folder, place)
        place.parent.mkdir(exist_ok=True)
        head = {name: value for name, value in asdict(replace(kept, pages=())).items() if name != "pages"}
        written = [head, *(page_line(page, ()) for page in kept.pages)]
        self._write(place, "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in written))
        if time.monotonic() - self._written > EVERY:
            self.write()

    def show(self, kept: Kept) -> None:
        """Have a document in the table as far as it has come."""
        self._rows[kept.name] = tuple(kept.rows())

    def write(self) -> None:
        """Write the table, whole or not at all."""
        out = io.StringIO()
        table = csv.writer(out)
        table.writerow(COLUMNS)
        for rows in sorted(self._rows.values(), key=lambda rows: rows[0][0] if rows else ""):
            table.writerows(rows)
        refuse_links(self._folder, self.table)
        self._write(self.table, out.getvalue())
        self._written = time.monotonic()

    def _write(self, path: Path, content: str) -> None:
        """Put a file in place, whole or not at all."""
        fresh = self._folder / HIDDEN / "report.part"
        remove(fresh)
        with fresh.open("xb") as file:
            file.write(encoded(content))
        fresh.replace(path)


class ReportedDocument:
    """One document on its way into a report."""

    def __init__(self, report: Report, kept: Kept) -> None:
        self._report, self._kept = report, kept
        self._pages: dict[int, PageResult] = {}

    def begin(self, path: str, sha256: str, done: Sequence[PageResult]) -> None:
        """Its file, "" where it is none, with its digest, and the pages that an earlier run has read."""
        self._kept = replace(self._kept, path=path, sha256=sha256)
        self._pages = {page.page: cut(page) for page in done}

    @property
    def kept(self) -> Kept:
        """The document as far as it has come."""
        return replace(self._kept, pages=tuple(self._pages[number] for number in sorted(self._pages)))

    def write(self, event: PageEvent) -> None:
        """Take in an event."""
        if isinstance(event, PageResult):
            self._pages[event.page] = cut(event)

    def close(self) -> None:
        """The document was read to its end."""
        self._report.put(self.kept)

    def fail(self, failure: str) -> None:
        """It was not."""
        self._report.put(replace(self.kept, failure=failure))

    def break_off(self) -> None:
        """The run ends amid it; what is done counts when it goes on."""
        self._report.show(self.kept)


def cut(page: PageResult) -> PageResult:
    """What is kept of a page: its figures, the beginning of its text, and frames without what is in them."""
    check = page.check and replace(
        page.check,
        omitted=tuple(replace(each, text="") for each in page.check.omitted[:MOST_FRAMES]),
        unsupported=tuple(replace(each, text="") for each in page.check.unsupported[:MOST_FRAMES]),
        conflicts=tuple(replace(each, line="", answer="") for each in page.check.conflicts[:MOST_FRAMES]),
    )
    return replace(
        page.without_image(),
        text="",
        markdown=page.markdown[:MOST_TEXT] + ("…" if len(page.markdown) > MOST_TEXT else ""),
        elements=tuple(replace(each, text="", label="") for each in page.elements[:MOST_FRAMES]),
        problems=tuple(problem[:LONGEST_PROBLEM] for problem in page.problems[:MOST_PROBLEMS]),
        check=check,
    )


def documents(folder: Path) -> Iterator[Kept]:
    """What is kept in an output folder, one document at a time; what is not as ours are counts for nothing."""
    for path in sorted(_kept_folder(folder).glob("*.jsonl")):
        if kept := _restored(folder, path):
            yield kept


def _restored(folder: Path, path: Path) -> Kept | None:
    if not is_file(path):
        return None
    rest = lines(path)
    kept = _head(next(rest, b""))
    if kept is None or _place(folder, kept.name) != path:
        return None
    return replace(kept, pages=tuple(found[0] for found in map(restored_page, rest) if found))


def _head(line: bytes) -> Kept | None:
    try:
        found: dict[str, Any] = json.loads(line)
        kept = Kept(**found)
    except (ValueError, TypeError, RecursionError):
        return None
    are_ours = all(type(getattr(kept, each.name)) is str for each in fields(Kept)[:-1])
    return kept if are_ours and kept.pages == () else None


def _kept_folder(folder: Path) -> Path:
    return folder / HIDDEN / "report"


def _place(folder: Path, name: str) -> Path:
    return _kept_folder(folder) / f"{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}.jsonl"


def _begins(path: Path, start: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(start)) == start
