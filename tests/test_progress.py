"""How a run gets on: the counts, the plain lines, the bar."""

import io
import logging
import sys
from dataclasses import replace

import pytest

from ocr.faces.cli.progress import Bar, Lines, Tally, counts, logged
from ocr.types import FinishReason, PageResult


class Clock:
    """Seconds that pass when a test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def result(page: int, reason: FinishReason = FinishReason.STOP, error: str = "") -> PageResult:
    return PageResult(page, 10, 10, "deepseek-ocr", "", "", (), reason, 8, 12, 4, 0.1, 2.5, error=error)


def test_the_time_left_is_reckoned_by_the_pages_read_and_the_documents_opened() -> None:
    clock = Clock()
    tally = Tally(waiting=3, clock=clock)
    tally.next_document()
    clock.now += 1000  # a model is loaded: no page's time
    tally.open(4)
    assert counts(tally) == "0/~12 pages"
    clock.now += 30
    tally.read = 2
    assert counts(tally) == "2/~12 pages, 4 pages/min, 0:02:30 left"
    tally.next_document()
    tally.next_document()
    assert counts(tally) == "2/2 pages, 4 pages/min, 0:00:00 left"


def test_a_document_that_cannot_be_opened_counts_no_pages() -> None:
    tally = Tally(waiting=2, clock=Clock())
    tally.next_document()
    tally.next_document()
    tally.open(5)
    assert counts(tally) == "0/5 pages"


def test_each_page_is_a_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines(1) as progress:
        progress.next_document("a.pdf")
        progress.open(5)
        progress.page(result(3))
        progress.page(result(4, FinishReason.LENGTH))
        progress.page(result(7, FinishReason.BLANK))
        progress.page(replace(result(9), problems=("One.", "Two.")))
        progress.page(result(8, FinishReason.ERROR, "torn"))
        progress.note("a.pdf, page 8: torn")
    assert capsys.readouterr().err.splitlines() == [
        "a.pdf: page 3 (1 of 5), 12 tokens in 2.5 s",
        "a.pdf: page 4 (2 of 5), 12 tokens in 2.5 s, ended early: length",
        "a.pdf: page 7 (3 of 5), blank",
        "a.pdf: page 9 (4 of 5), 12 tokens in 2.5 s, 2 problems",
        "a.pdf, page 8: torn",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_and_lines_that_stay_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with Bar(2) as progress, logged(progress):
        progress.next_document("[red]a.pdf")
        progress.open(2)
        progress.page(result(1))
        logging.getLogger("ocr.engines.loading").info("Loaded [bold]model.")
    shown = terminal.getvalue()
    assert "1/2 [red]a.pdf" in shown
    assert "1/~4 pages" in shown
    assert "pages/min" in shown
    assert "Loaded [bold]model.\n" in shown.replace("\r", "")


def test_log_messages_are_shown_while_reading_and_no_longer(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("ocr.engines.loading")
    with Lines(1) as progress, logged(progress):
        log.info("Loaded it.")
    log.info("Loaded another one.")
    assert capsys.readouterr().err == "Loaded it.\n"
