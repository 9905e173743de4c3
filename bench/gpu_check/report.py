"""Sections that each give rows of one table within a time limit; where one breaks, that is told and the rest goes on.
Knows no model and no torch."""

import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("what", "result", "compared with", "limit", "peak GB")
TRACEBACK_LINES = 12  # of a section that broke; the last ones say where and why


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    result: str
    compared: str = ""  # the same by generate(), or what it was held to
    limit: str = ""  # what the card could do at best
    memory: str = ""  # GB at most while it was done
    is_right: bool = True  # False: it differs where it may not

    def cells(self) -> tuple[str, ...]:
        """What stands in the columns."""
        result = self.result if self.is_right else f"**WRONG** {self.result}"
        return self.what, result, self.compared, self.limit, self.memory


@dataclass(frozen=True)
class Section:
    """Some rows that belong together."""

    title: str
    seconds: float  # that it may take
    rows: Callable[[], Iterator[Row]]


@dataclass(frozen=True)
class Done:
    """What came of a section."""

    title: str
    rows: Sequence[Row]
    seconds: float
    error: str = ""  # the last lines of the traceback, where it broke

    @property
    def is_right(self) -> bool:
        """Whether it came to its end, and nothing differs that may not."""
        return not self.error and all(row.is_right for row in self.rows)


class OutOfTimeError(Exception):
    """A section took longer than it may."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Within the block, OutOfTimeError is raised after so many seconds, once whatever call is running returns."""

    def stop(_signal: int, _frame: object) -> None:
        raise OutOfTimeError(f"it was not done after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(sections: Sequence[Section], total: float) -> Iterator[Done]:
    """Run one section after the other, all of them within `total` seconds; those there is no time for break at once."""
    end = time.monotonic() + total
    for section in sections:
        yield _run(section, min(section.seconds, end - time.monotonic()))


def _run(section: Section, seconds: float) -> Done:
    rows: list[Row] = []
    started = time.monotonic()
    error = ""
    try:
        if seconds <= 0:
            raise OutOfTimeError("the sections before it took all the time there is")
        with time_limit(seconds):
            for row in section.rows():
                rows.append(row)
                print(f"{section.title}: {' | '.join(filter(None, row.cells()))}", flush=True)
    except Exception:  # of any kind: the other sections are measured all the same
        error = "\n".join(traceback.format_exc().rstrip().splitlines()[-TRACEBACK_LINES:])
    return Done(section.title, rows, time.monotonic() - started, error)


def document(head: str, done: Sequence[Done]) -> str:
    """The whole table as markdown, with what broke below it."""
    lines = ["# On a GPU", "", head, "", _line(COLUMNS), "|" + "---|" * len(COLUMNS)]
    for section in done:
        outcome = f"**BROKE** {section.error.splitlines()[-1]}" if section.error else f"took {section.seconds:.0f} s"
        lines += [_line((f"**{section.title}**", outcome, "", "", "")), *(_line(row.cells()) for row in section.rows)]
    for section in done:
        if section.error:
            lines += ["", f"{section.title}:", "", *(f"    {line}" for line in section.error.splitlines())]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def write(path: Path | None, text: str) -> None:
    """Put the table into a file whole, where one is wanted."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
