"""The password of protected PDFs: where it comes from, and that nothing shows it."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import Answers, Run, files, write
from tests.pdfs import pdf, protected
from tests.pictures import page

SECRET = "open sesame"
PROJECT = Path(__file__).resolve().parent.parent


def write_protected(name: str = "a.pdf") -> None:
    Path(name).write_bytes(protected(pdf(page()), SECRET))


@pytest.mark.parametrize("content", [SECRET, f"{SECRET}\n", f"{SECRET}\r\nanother line\n"])
def test_the_password_is_the_first_line_of_a_file(
    content: str, run: Run, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    answers("some text")
    write_protected()
    write("b.png")
    Path("key").write_text(content, newline="")
    assert run("read", "a.pdf", "b.png", "-o", "out", "--password-file", "key", "--log", "log", "-v") == 0
    assert files() == ["a.md", "b.md"]
    told = capsys.readouterr()
    assert SECRET not in told.out + told.err
    kept = [path for path in Path().rglob("*") if path.is_file() and path.name != "key"]
    assert [path for path in kept if SECRET.encode() in path.read_bytes()] == []


def test_a_wrong_one_is_told_and_not_shown(run: Run, answers: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    answers("some text")
    write_protected()
    write("b.png")
    Path("key").write_text("xyzzy")
    assert run("read", "a.pdf", "b.png", "-o", "out", "--password-file", "key") == 1
    told = capsys.readouterr().err
    assert "a.pdf: The PDF is protected with a password, and the one that was given does not open it." in told
    assert "xyzzy" not in told
    assert files() == ["b.md"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "must have from 1 to 1,000 characters; it has 0"), (b"x" * 2000, "it has 1,001"), (b"\xff", "UTF-8")],
)
def test_a_file_without_one_is_refused(
    content: bytes, words: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("key").write_bytes(content)
    assert run("read", "a.pdf", "--password-file", "key") == 2
    assert words in capsys.readouterr().err
    assert run("read", "a.pdf", "--password-file", "absent") == 2
    assert "'absent' cannot be read: No such file" in capsys.readouterr().err


def test_without_a_terminal_none_is_asked_for(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("read", "a.pdf", "--password") == 2
    assert "use --password-file FILE" in capsys.readouterr().err


def test_at_a_terminal_it_is_asked_for_and_not_shown(checkpoints: Path, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(protected(pdf(page()), SECRET))
    ours, theirs = pty.openpty()
    settings = {"OCR_CHECKPOINTS": str(checkpoints), "OCR_DEVICE": "cpu", "PYTHONPATH": str(PROJECT)}
    words = ["read", "a.pdf", "--password", "--pages=2"]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "ocr", *words],
        **{"stdin": theirs, "stdout": subprocess.PIPE, "stderr": theirs},
        env=os.environ | settings,
        cwd=tmp_path,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while b"Password of the PDFs: " not in shown:
        shown += os.read(ours, 1000)
    os.write(ours, SECRET.encode() + b"\n")
    process.communicate(timeout=60)
    shown += os.read(ours, 10_000)
    assert b"none of these can be read: the document has 1 page" in shown  # so it was opened
    os.close(ours)
    assert SECRET.encode() not in shown


@pytest.mark.parametrize("words", [("read", "--password", SECRET, "a.pdf"), ("report", "out", "--password", SECRET)])
def test_one_that_is_typed_is_refused_and_not_shown(
    words: tuple[str, ...], run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    write_protected()
    assert run(*words) == 2
    told = capsys.readouterr()
    assert "--password takes no value" in told.err
    assert SECRET not in told.out + told.err


@pytest.mark.parametrize(
    "words", [("--password", "a.pdf"), ("a.pdf", "--password"), ("--password", "-o", "out", "a.pdf")]
)
def test_documents_may_stand_after_it(words: tuple[str, ...], run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    write_protected()
    assert run("read", *words) == 2
    assert "there is none: use --password-file FILE" in capsys.readouterr().err  # no terminal: asked, and not refused
