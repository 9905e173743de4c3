"""Runs of many documents: the table of all pages, the log, and how much of it is shown."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ocr.documents.document import Document
from ocr.output.tables import harmless
from ocr.types import FinishReason, PageResult
from tests.commands import Answers, Run, files, write
from tests.pictures import page

READ = ("read", "scans", "-o", "out")


def rows(*columns: str) -> list[list[str]]:
    """The table's rows, by default the document, the page and the reason."""
    with Path("out/report.csv").open(encoding="utf-8", newline="") as file:
        return [[row[name] for name in columns or ("document", "page", "reason")] for row in csv.DictReader(file)]


@pytest.fixture
def scans(tmp_path: Path, run: Run) -> None:
    """Three documents, one of which is none."""
    write("scans/a.pdf", page(), page())
    write("scans/c.png")
    Path("scans/b.pdf").write_bytes(b"nothing")


def test_a_row_for_every_page_and_for_what_could_not_be_read(scans: None, run: Run, answers: Answers) -> None:
    answers("some text")
    assert run(*READ) == 1
    assert rows() == [
        ["scans/a.pdf", "1", "stop"],
        ["scans/a.pdf", "2", "stop"],
        ["scans/b.pdf", "", "error"],
        ["scans/c.png", "1", "stop"],
    ]
    model, tokens, seconds, problems, retries = rows("model", "tokens", "seconds", "problems", "retries")[0]
    assert (model, problems, retries) == ("deepseek-ocr", "", "0")
    assert int(tokens) > 0
    assert float(seconds) >= 0
    assert "PDF" in rows("problems")[2][0]


def test_a_later_run_replaces_the_rows_of_what_it_reads_and_keeps_the_others(
    scans: None, run: Run, answers: Answers
) -> None:
    answers("some text")
    run(*READ)
    write("scans/b.pdf", page())
    run("read", "scans/b.pdf", "-o", "out")
    run("read", "scans/a.pdf", "-o", "out", "--pages", "2")
    assert rows() == [["scans/a.pdf", "2", "stop"], ["scans/b.pdf", "1", "stop"], ["scans/c.png", "1", "stop"]]


def test_a_run_that_goes_on_has_the_rows_of_the_one_before(
    scans: None, run: Run, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers("some text")
    draw = Document._page

    def drawn(document: Document, number: int) -> object:
        if number == 2:
            raise KeyboardInterrupt
        return draw(document, number)

    with monkeypatch.context() as hurried:
        hurried.setattr(Document, "_page", drawn)
        assert run(*READ, "--batch=1") == 130
    assert rows() == [["scans/a.pdf", "1", "stop"]]
    assert run(*READ, "--batch=1", "--resume") == 1
    assert [row[:2] for row in rows()] == [
        ["scans/a.pdf", "1"],
        ["scans/a.pdf", "2"],
        ["scans/b.pdf", ""],
        ["scans/c.png", "1"],
    ]
    before = Path("out/report.csv").read_bytes()
    assert run(*READ, "--batch=1", "--resume") == 1
    assert Path("out/report.csv").read_bytes() == before


KILLED = """
import os, signal, sys
from pathlib import Path
from ocr.output.report import Report
from ocr.types import FinishReason, PageResult
from dataclasses import replace
result = PageResult(1, 10, 10, "m", "t", "t", (), FinishReason.STOP)
report = Report(Path("out"))
for name in "ab":
    document = report.document(name, name)
    document.begin("", "", [])
    document.write(result)
    document.close()
    report.write()
half = report.document("c", "c")
half.write(result)
Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
half.close()
"""


def test_a_run_that_is_killed_leaves_a_whole_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("out/.ocr").mkdir(parents=True)
    project = str(Path(__file__).resolve().parent.parent)
    assert subprocess.run([sys.executable, "-c", KILLED], env={"PYTHONPATH": project}, check=False).returncode == -9
    assert rows() == [["a", "1", "stop"], ["b", "1", "stop"]]


@pytest.mark.parametrize("damage", [b"", b"[]\n", b'{"name": "a", "document": 7}\n', b"\xff{", b"null\nnull\n"])
def test_what_is_kept_and_damaged_counts_for_nothing(damage: bytes, scans: None, run: Run, answers: Answers) -> None:
    answers("some text")
    run(*READ)
    for kept in Path("out/.ocr/report").iterdir():
        kept.write_bytes(damage)
    assert run("read", "scans/c.png", "-o", "out") == 0
    assert rows() == [["scans/c.png", "1", "stop"]]


def test_another_file_in_the_place_of_the_table_is_left_alone(
    scans: None, run: Run, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    answers("some text")
    Path("out").mkdir()
    Path("out/report.csv").write_text("month,sum\n1,2\n")
    assert run(*READ) == 2
    assert "'out/report.csv' is no table of ours" in capsys.readouterr().err
    Path("elsewhere.csv").write_text("document,page\n")
    Path("out/report.csv").unlink()
    Path("out/report.csv").symlink_to(Path("elsewhere.csv").absolute())
    assert run(*READ) == 2
    assert Path("elsewhere.csv").read_text() == "document,page\n"
    assert files() == []


def test_no_cell_is_a_formula(run: Run, answers: Answers) -> None:
    answers("some text")
    write("=cmd.png")
    write("+a\n,b.png")
    assert run("read", "=cmd.png", "+a\n,b.png", "@nothing.png", "-o", "out") == 1
    assert [name for (name,) in rows("document")] == ["'+a\\n,b.png", "'=cmd.png", "'@nothing.png"]
    assert [harmless(cell) for cell in (" =1", "\uff1d1", "\tx", "-1", "-a", "1=1")] == [
        *("' =1", "'\uff1d1", "'\tx", "-1", "'-a", "1=1"),
    ]


def test_the_log_has_everything_with_its_time(
    scans: None, run: Run, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    answers("some text")
    Path("log").write_text("before\n")
    assert run(*READ, "--log", "log", "--errors-only") == 1
    shown = capsys.readouterr().err
    assert [line.partition(":")[0] for line in shown.splitlines()] == ["scans/b.pdf"]
    before, *lines = Path("log").read_text().splitlines()
    assert before == "before"
    assert all(re.match(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d ", line) for line in lines)
    words = [line[26:] for line in lines]
    assert [word for word in words if word.startswith("scans/a.pdf: page ")][1].startswith(
        "scans/a.pdf: page 2 (2 of 2)"
    )
    assert "  " + shown.strip() in words
    assert words[0].startswith("scans/a.pdf: page 1 (1 of 2), ")


def test_a_log_that_cannot_be_written_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("read", "a.png", "--log", "no/such/log") == 2
    assert "The log 'no/such/log' cannot be written: No such file" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no file that is always full")
def test_a_log_that_becomes_full_is_named(run: Run, answers: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    answers("some text")
    write("a.png", page())
    assert run("read", "a.png", "--log", "/dev/full") == 1
    assert "The log '/dev/full' cannot be written: No space left on device. Name" in capsys.readouterr().err


def test_of_many_pages_the_first_have_a_line_and_the_end_is_short(
    run: Run, answers: Answers, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocr.faces.cli.progress.FEW_PAGES", 2)
    monkeypatch.setattr("ocr.faces.cli.main.MOST_LISTED", 3)
    answers("some text")
    write("a.pdf", *[page()] * 5)
    absent = [f"absent-{number}.png" for number in range(5)]
    assert run("read", "a.pdf", *absent, "-o", "out") == 1
    lines = capsys.readouterr().err.splitlines()
    assert sum("a.pdf: page " in line for line in lines) == 2
    assert lines[-5:-1] == [
        "5 could not be read:",
        *(f"  {name}: It cannot be read: No such file or directory." for name in absent[:3]),
    ]
    assert lines[-1] == "  … and 2 more: see out/report.csv"
    assert run("read", "a.pdf", *absent, "-o", "out", "-v") == 1
    lines = capsys.readouterr().err.splitlines()
    assert sum("a.pdf: page " in line for line in lines) == 5
    assert lines[-1] == "  absent-4.png: It cannot be read: No such file or directory."
    assert run("read", "a.pdf", "-v", "--errors-only") == 2


def test_a_line_of_problems_is_short_and_pages_are_kept_without_what_is_large(tmp_path: Path) -> None:
    from ocr.output.report import Kept, cut

    result = PageResult(1, 9, 9, "m", "x" * 9999, "y" * 9999, (), FinishReason.STOP, problems=("z" * 999,) * 99)
    small = cut(result)
    assert len(json.dumps([small.text, small.markdown, *small.problems])) < 10_000
    (row,) = Kept("a", "a", pages=(small,)).rows()
    assert len(row[6]) < 7000
