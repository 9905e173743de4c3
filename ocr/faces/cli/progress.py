"""How a run gets on, for people: a bar on a terminal, plain lines elsewhere. Knows no model and no file."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from ocr.faces.problems import count, in_counts
from ocr.output.untrusted import as_shown
from ocr.types import FinishReason, PageResult, Source

FEW_PAGES = 50  # of which each has a line of its own where plain lines are shown; of more it takes a wish
EVERY = 30.0  # seconds between two lines after these


@dataclass
class Tally:
    """What a run has done and what is to come, in pages."""

    waiting: int  # documents that come later; how many pages they have is not known before
    opened: int = 0  # documents
    known: int = 0  # pages of the documents that were opened
    read: int = 0  # pages
    started: float | None = None  # when reading began; what it took to load a model before is no page's time
    clock: Callable[[], float] = time.monotonic

    def next_document(self) -> None:
        """The next document is begun; pages of the last one that were not read never will be."""
        self.waiting -= 1
        self.known = self.read

    def open(self, pages: int) -> None:
        """It can be read, and has this many pages."""
        self.started = self.clock() if self.started is None else self.started
        self.opened += 1
        self.known += pages

    @property
    def seconds(self) -> float:
        """Since reading began."""
        return self.clock() - self.started if self.started is not None else 0.0

    @property
    def expected(self) -> float:
        """Pages in all, if the documents that wait are as long as those that were opened."""
        return self.known + self.waiting * (self.known / self.opened if self.opened else 1)

    @property
    def pages_per_minute(self) -> float | None:
        """None before the first page is read."""
        return 60 * self.read / self.seconds if self.read and self.seconds else None

    @property
    def seconds_left(self) -> float | None:
        """None before the first page is read."""
        rate = self.pages_per_minute
        return 60 * (self.expected - self.read) / rate if rate else None


def unrecorded(_line: str) -> None:
    """For who wants no log."""


class Progress:
    """Counts, and is quiet: for when the text itself shows how reading gets on.

    Used as a `with` block. Each document is a `next_document`; one that can be read is then `open`, its pages follow.
    Whatever is shown of that, everything goes to `record`.
    """

    def __init__(self, documents: int, record: Callable[[str], object] = unrecorded) -> None:
        self.tally = Tally(documents)
        self.record = record
        self._document, self._pages, self._read = "", 0, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def say(self, line: str) -> None:
        """Show a line that stays."""
        self.record(line)
        self._show(line)

    def note(self, line: str) -> None:
        """Say what became of a document; not where its text is what is watched."""
        self.record(line)

    def fail(self, line: str) -> None:
        """Say that a document or a page could not be read; likewise."""
        self.note(line)

    def next_document(self, document: str) -> None:
        """A document is begun; whether it can be opened is not known."""
        self.tally.next_document()
        self._document, self._read = document, 0

    def open(self, pages: int) -> None:
        """It can be read, and has this many pages."""
        self.tally.open(pages)
        self._pages = pages

    def page(self, result: PageResult) -> None:
        """A page of it was read."""
        self.tally.read += 1
        self._read += 1
        if result.finish_reason is not FinishReason.ERROR:  # of which there is a line already
            line = f"{self._document}: page {result.page} ({self._read} of {self._pages}), {_how(result)}"
            self.record(line)
            self._show_page(line)
        for problem in result.problems:
            self.record(f"{self._document}: page {result.page}: {problem}")

    def _show(self, line: str) -> None:
        print(as_shown(line), file=sys.stderr, flush=True)

    def _show_page(self, line: str) -> None:
        pass


class Failures(Progress):
    """Shows what could not be read, as it comes, and nothing else."""

    def say(self, line: str) -> None:
        self.record(line)

    def fail(self, line: str) -> None:
        super().say(line)


class Lines(Progress):
    """A plain line for each page, for a log: of the first pages, or of all; then one now and then."""

    def __init__(
        self, documents: int, record: Callable[[str], object] = unrecorded, *, shows_all_pages: bool = False
    ) -> None:
        super().__init__(documents, record)
        self._shows_all_pages = shows_all_pages
        self._said = 0.0  # when how far it is was said last, by the tally's clock

    def note(self, line: str) -> None:
        self.say(line)

    def _show_page(self, line: str) -> None:
        if self._shows_all_pages or self.tally.read <= FEW_PAGES:
            self._show(line)
        elif self.tally.clock() - self._said >= EVERY:
            self._said = self.tally.clock()
            self._show(counts(self.tally))


def _how(result: PageResult) -> str:
    problems = f", {count(len(result.problems), 'problem')}" if result.problems else ""
    if result.finish_reason is FinishReason.BLANK:
        return f"blank{problems}"
    checked = f"; {in_counts(result.check)}" if result.check else ""
    early = "" if result.finish_reason is FinishReason.STOP else f", ended early: {result.finish_reason}"
    took = result.source if result.source is Source.LAYER else f"{result.completion_tokens} tokens"
    return f"{took} in {result.seconds:.1f} s{early}{problems}{checked}"


class Bar(Progress):
    """One line at the bottom of the terminal: document, bar, pages, pages a minute, time left."""

    def __init__(
        self, documents: int, record: Callable[[str], object] = unrecorded, *, shows_all_pages: bool = False
    ) -> None:
        # Imported here: whoever wants no bar need not wait for it.
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn
        from rich.progress import Progress as Display
        from rich.table import Column

        super().__init__(documents, record)
        self._documents, self._shows_all_pages = documents, shows_all_pages
        self._display = Display(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, max_width=32)),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[counts]}", markup=False, table_column=Column(no_wrap=True)),
            console=Console(stderr=True),
            expand=True,
            refresh_per_second=4,
        )
        self._task = self._display.add_task("", total=documents, counts="")

    def __enter__(self) -> Self:
        self._display.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._display.stop()

    def note(self, line: str) -> None:
        self.say(line)

    def next_document(self, document: str) -> None:
        super().next_document(document)
        number = f"{self._documents - self.tally.waiting}/{self._documents} " if self._documents > 1 else ""
        self._update(description=number + document)

    def open(self, pages: int) -> None:
        super().open(pages)
        self._update()

    def page(self, result: PageResult) -> None:
        super().page(result)
        self._update()

    def _show(self, line: str) -> None:
        self._display.console.print(as_shown(line), markup=False, highlight=False, soft_wrap=True)

    def _show_page(self, line: str) -> None:
        if self._shows_all_pages:
            self._show(line)

    def _update(self, **fields: str) -> None:
        tally = self.tally
        self._display.update(
            self._task,
            completed=tally.read,
            total=tally.expected,
            counts=counts(tally),
            **fields,  # type: ignore[arg-type]
        )


def counts(tally: Tally) -> str:
    """What stands beside the bar: `3/~10 pages, 14.2/min, 0:01:20 left`; ~ where documents wait to be opened."""
    about = "~" if tally.waiting else ""
    pages = f"{tally.read}/{about}{round(tally.expected)} pages"
    if tally.pages_per_minute is None or tally.seconds_left is None:
        return pages
    return f"{pages}, {tally.pages_per_minute:.3g} pages/min, {timedelta(seconds=round(tally.seconds_left))} left"


@contextmanager
def logged(progress: Progress) -> Iterator[None]:
    """Within the block, what this package logs is shown as lines that do not break a bar."""
    ours = logging.getLogger("ocr")
    handler, level = _ProgressHandler(progress), ours.level
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        ours.removeHandler(handler)
        ours.setLevel(level)


class _ProgressHandler(logging.Handler):
    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        show = self._progress.fail if record.levelno >= logging.ERROR else self._progress.say
        show(self.format(record))
