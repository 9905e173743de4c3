"""Processes and the command line: two at once, killed ones, interrupted ones, and what a user types."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from ocr.weights import table
from ocr.weights.commands import main
from ocr.weights.fetching import fetch
from ocr.weights.status import default_root
from ocr.weights.table import checkpoints
from ocr.weights.whole import altered, problems
from tests.fetching import LARGE, PROJECT, TINY, closed_port, command, left, own, start
from tests.hub import SHARDS, Fault, Hub


def test_of_two_processes_one_fetches_and_one_waits(hub: Hub, downloader: str, root: Path) -> None:
    hub.faults[LARGE] = Fault(hold=Event(), times=1)
    first = start(hub, root, "fetch", "tiny")
    assert hub.held.wait(60)
    second = start(hub, root, "fetch", "tiny")
    assert second.stdout is not None and second.stdout.readline() == "tiny: another process fetches it; waiting\n"
    assert not (root / "tiny").exists()
    release(hub)
    outputs = [process.communicate(timeout=60) for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0], outputs
    assert all(f"tiny: ready in {root / 'tiny'}" in output for output, _ in outputs)
    assert hub.gets("config.json") == hub.gets(SHARDS[1]) == 1


def test_a_killed_download_is_no_checkpoint_and_the_next_start_makes_one(hub: Hub, downloader: str, root: Path) -> None:
    hub.faults[LARGE] = Fault(hold=Event(), times=1)
    killed = start(hub, root, "fetch", "tiny")
    assert hub.held.wait(60)
    killed.kill()
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert left(root) == [".tiny.partial"] and problems(root / ".tiny.partial") != []
    following = start(hub, root, "fetch", "tiny")
    if downloader == "pget":  # which outlived its parent: the next start waits for it
        assert following.stdout is not None and "waiting" in following.stdout.readline()
    release(hub)
    output, _ = following.communicate(timeout=60)
    assert following.returncode == 0 and f"tiny: ready in {root / 'tiny'}" in output
    assert left(root) == ["tiny"] and problems(root / "tiny") == []
    assert altered(root / "tiny", lambda line: None) == []
    assert hub.gets("config.json") == hub.gets(SHARDS[1]) == 1  # neither what was whole nor what was to come came twice


def test_an_interrupted_fetch_ends_with_one_line(hub: Hub, downloader: str, root: Path) -> None:
    hub.faults[LARGE] = Fault(hold=Event(), times=1)
    run = start(hub, root, "fetch", "tiny")
    assert hub.held.wait(60)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    release(hub)
    assert run.returncode == 130 and errors.startswith("Stopped. ") and errors.count("\n") == 1
    assert left(root) == [".tiny.partial"]


def release(hub: Hub) -> None:
    hold = hub.faults[LARGE].hold
    assert hold is not None
    hold.set()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "arguments are required: command\n"),
        (("install",), "invalid choice: 'install'"),
        (("fetch",), "fetch needs a MODEL: deepseek-ocr, dots.ocr, dots.mocr"),
        (("fetch", "deepseek"), "use one of: deepseek-ocr, dots.ocr, dots.mocr"),
        (("verify", "deepseek"), "use one of: deepseek-ocr, dots.ocr, dots.mocr"),
        (("list", "--all"), "--all"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_right(root: Path, arguments: Sequence[str], reason: str) -> None:
    run = command(*arguments, "--root", root)
    assert run.returncode == 2 and reason in run.stderr and "Traceback" not in run.stderr and run.stdout == ""


def test_it_runs_where_nothing_is_installed(root: Path) -> None:
    line = [sys.executable, "-S", str(PROJECT / "weights.py"), "list", "--root", str(root)]
    run = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert (run.returncode, run.stderr) == (0, "") and "dots.mocr" in run.stdout


def test_list_shows_the_table_and_the_users_own_folders(root: Path) -> None:
    own(root, "fine-tuned")
    (own(root, "dots.ocr") / "config.json").unlink()
    run = command("list", "--root", root)
    lines = [line.split() for line in run.stdout.splitlines()]
    assert run.returncode == 0 and run.stderr == ""
    assert lines[0] == ["MODEL", "STATE", "KIND", "SIZE", "LICENCE", "FOLDER"]
    assert [line[0] for line in lines[1:-1]] == [*checkpoints(), "fine-tuned"]
    found = {line[0]: line[1:] for line in lines[1:-1]}
    assert found["deepseek-ocr"][:4] == ["absent", "pinned", "6.7", "GB"]
    assert found["dots.ocr"][:2] == ["broken", "own"]
    assert found["pp-ocr"][:2] == ["absent", "pinned"]
    assert found["deepseek-ocr-tiny"][:2] == ["absent", "embedded"]
    assert found["fine-tuned"][:2] == ["ready", "own"]
    assert run.stdout.endswith("dots.ocr is broken: config.json: missing\n")


def test_what_a_checkpoint_needs_is_fetched_with_it(
    hub: Hub, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {"tiny": replace(TINY, needs=("other",)), "other": replace(TINY, name="other")}
    monkeypatch.setattr(table, "checkpoints", lambda: rows)
    assert main(["fetch", "tiny", "--root", str(root)]) == 0
    assert left(root) == ["other", "tiny"]
    assert table.with_needed(["fine-tuned", "other", "tiny"]) == ["fine-tuned", "other", "tiny"]
    assert [line for line in capsys.readouterr().out.splitlines() if "ready" in line] == [
        f"{name}: ready in {root / name}" for name in ("tiny", "other")
    ]


def test_verify_reads_every_byte_of_what_was_pinned(hub: Hub, root: Path) -> None:
    folder = fetch("tiny", root, report=lambda line: None)
    assert command("verify", "tiny", "--root", root).returncode == 0
    changed = bytearray(hub.files[LARGE])
    changed[-1] ^= 1
    (folder / LARGE).write_bytes(changed)
    assert problems(folder) == []  # the cheap check cannot see it
    run = command("verify", "tiny", "--root", root)
    assert run.returncode == 1 and f"{LARGE}: its sha256 is " in run.stdout
    assert f"tiny: reading {LARGE}" in run.stdout


def test_verify_says_when_there_is_nothing_to_compare_with(root: Path) -> None:
    assert command("verify", "--root", root).returncode == 1
    folder = own(root, "fine-tuned")
    run = command("verify", "--root", root)
    assert run.returncode == 0 and "structurally whole; no weights.lock to compare a sha256 with" in run.stdout
    (folder / LARGE).write_bytes(b"half")
    run = command("verify", "fine-tuned", "--root", root)
    assert run.returncode == 1 and f"{LARGE}: short file" in run.stdout
    run = command("verify", "deepseek-ocr", "--root", root)
    assert run.returncode == 1 and "`script/ocr weights fetch deepseek-ocr --root " in run.stderr


def test_a_fetch_that_fails_ends_with_1_and_the_reason(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    run = command("fetch", "dots.ocr", "--root", root)
    assert run.returncode == 1 and "dots.ocr could not be fetched" in run.stderr and "Traceback" not in run.stderr
    assert "Connection refused" in run.stderr and left(root) == []


def test_the_root_is_the_setting_or_the_folder_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_root() == PROJECT / "checkpoints"
    monkeypatch.setenv("OCR_CHECKPOINTS", str(tmp_path / "elsewhere"))
    assert default_root() == tmp_path / "elsewhere"
    assert str(Path("elsewhere", "deepseek-ocr")) in command("list").stdout


def test_a_closed_pipe_ends_the_list_quietly(root: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, str(PROJECT / "weights.py"), "list", "--root", str(root)]
    done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
