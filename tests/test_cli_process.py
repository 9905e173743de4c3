"""`python -m ocr` as a process: what standard output, a closed pipe, Ctrl-C and the system's signals make of it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from ocr.weights.installation import called
from tests.commands import files, write
from tests.pictures import page

PROJECT = Path(__file__).resolve().parent.parent
COMMAND = (sys.executable, "-P", "-m", "ocr")
LONG = ("--resolution=tiny", "--max-new-tokens=8000", "--prompt=go on")
SHORT = ("--resolution=tiny", "--max-new-tokens=12")


@pytest.fixture
def environment(checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.chdir(tmp_path)
    settings = {"OCR_CHECKPOINTS": str(checkpoints), "OCR_DEVICE": "cpu", "OCR_DTYPE": "float32"}
    return {**os.environ, **settings, "PYTHONPATH": str(PROJECT)}


def test_standard_input_becomes_plain_text_and_the_progress_is_elsewhere(environment: dict[str, str]) -> None:
    picture = write("a.png").read_bytes()
    done = subprocess.run(
        [*COMMAND, "read", "-", "--jsonl", *SHORT], input=picture, capture_output=True, env=environment
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["document"] == "-"
    assert b"-: page 1 (1 of 1), " in done.stderr
    assert b"\x1b" not in done.stderr + done.stdout


def started(environment: dict[str, str], *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def test_in_one_pipe_no_line_of_the_log_begins_amid_the_text(environment: dict[str, str]) -> None:
    write("a.pdf", page(), page())
    words = (*COMMAND, "read", "a.pdf", *SHORT)
    both = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment).stdout
    marks = (b"Running on", b"Loaded deepseek-ocr", b"a.pdf: page 1 (", b"a.pdf: page 2 (", b"2 pages read")
    assert all(any(line.startswith(mark) for line in both.splitlines()) for mark in marks)
    assert both.endswith(b"\n")


def test_the_program_is_called_in_its_help_as_it_was_called(environment: dict[str, str]) -> None:
    words = {"OCR_CALLED": "bin/ocr"}
    told = subprocess.run([*COMMAND, "read", "--help"], capture_output=True, text=True, env=environment | words)
    assert told.stdout.startswith("Usage: bin/ocr read ")
    assert "  bin/ocr read scans/ -o out --resume" in told.stdout
    assert [called([name], {}) for name in ("/bin/ocr-pages", "x/ocr/__main__.py")] == ["ocr-pages", "python -m ocr"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_order_and_keeps_what_is_done(
    environment: dict[str, str], number: signal.Signals, status: int
) -> None:
    write("a.pdf", Image.new("RGB", (200, 120), "white"), page())  # the first page is blank, and done at once
    process = started(environment, "read", "a.pdf", "-o", "out", "--batch=1", *LONG)
    assert process.stderr is not None
    while b"page 1 (1 of 2)" not in (line := process.stderr.readline()):
        assert line, "the process ended early"
    time.sleep(0.2)  # amid the second page, which takes a minute
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == status
    assert b"Traceback" not in errors
    assert b"1 page read, 0 documents done" in errors
    assert files() == []
    kept = [path.name for path in Path("out/.ocr").rglob("*") if path.is_file()]
    assert kept == ["pages.jsonl"]


def test_a_closed_pipe_ends_it_quietly(environment: dict[str, str]) -> None:
    write("a.png")
    process = started(environment, "read", "a.png", *LONG)
    assert process.stdout is not None
    assert process.stdout.read(1)
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(timeout=20) == 141
    assert [line for line in errors.splitlines() if not line.startswith(("Running on", "Loaded"))] == []


def test_help_has_examples_and_needs_no_torch(environment: dict[str, str]) -> None:
    (Path.cwd() / "torch.py").write_text("raise ImportError('torch was imported')")
    environment = {**environment, "PYTHONPATH": f"{Path.cwd()}:{PROJECT}"}
    for words in (["--help"], ["read", "--help"], ["models"], ["tasks"]):
        done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        assert done.stdout
    assert (
        "python -m ocr read scans/ -o out --resume"
        in subprocess.run([*COMMAND, "read", "--help"], capture_output=True, text=True, env=environment).stdout
    )
    doctor = subprocess.run([*COMMAND, "doctor"], capture_output=True, text=True, env=environment)
    assert doctor.returncode == 1
    assert "WRONG  torch       cannot be imported: torch was imported" in doctor.stdout


PRESSED = """
import os, signal
os.kill(os.getpid(), signal.SIGINT)
raise SystemExit("nothing came of it")
"""


@pytest.mark.parametrize("module", ["click", "PIL", "torch"])
def test_amid_an_import_it_ends_at_once(environment: dict[str, str], module: str) -> None:
    Path(f"{module}.py").write_text(PRESSED)
    write("a.png")
    environment = {**environment, "PYTHONPATH": f"{Path.cwd()}:{PROJECT}"}
    done = subprocess.run([*COMMAND, "read", "a.png"], capture_output=True, env=environment)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (130, b"Interrupted.")
    assert b"Traceback" not in done.stderr


def test_amid_an_import_that_hides_it_the_status_is_the_same(environment: dict[str, str]) -> None:
    Path("torch.py").write_text(f"exec({PRESSED!r})")
    write("a.png")
    environment = {**environment, "PYTHONPATH": f"{Path.cwd()}:{PROJECT}"}
    done = subprocess.run([*COMMAND, "read", "a.png"], capture_output=True, env=environment)
    assert done.returncode == 130
    assert b"Traceback" not in done.stderr


def test_held_back_by_the_script_it_comes_when_it_can_be_taken(environment: dict[str, str]) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        process = started(environment, "--help")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    process.send_signal(signal.SIGINT)  # before Python has begun
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, b"Interrupted.\n")


def test_where_it_is_ignored_it_stays_so(environment: dict[str, str]) -> None:
    Path("sitecustomize.py").write_text(PRESSED.replace("raise", "#"))
    environment = {**environment, "PYTHONPATH": f"{Path.cwd()}:{PROJECT}"}
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = started(environment, "tasks")
    finally:
        signal.signal(signal.SIGINT, before)
    process.communicate(timeout=60)
    assert process.returncode == 0
