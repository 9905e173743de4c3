"""An output folder that others write into too: other runs, runs that were killed, and whoever means harm."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ocr.errors import InputError
from ocr.output.folder import Folder, held_folder
from ocr.types import Element, FinishReason, PageResult
from tests.commands import Answers, Run, files, write
from tests.pictures import page

PICTURE = "<|ref|>image<|/ref|><|det|>[[0, 200, 500, 999]]<|/det|>\n"
READ = ("read", "a.png", "-o", "out", "--format", "md,figures,annotated")
RESUME = (*READ, "--resume")
SECRET = "a secret of another folder"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the output, whose files no run may touch."""
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("page-1.png", "page-1-1.png", "a.md", "record.jsonl", "pages.jsonl"):
        (folder / name).write_text(SECRET)
    return folder


def is_untouched(folder: Path) -> bool:
    return len(list(folder.iterdir())) == 5 and all(path.read_text() == SECRET for path in folder.iterdir())


HOLD = """
import sys, time
from pathlib import Path
from ocr.output.folder import held_folder
with held_folder(Path("out"), print):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], "subprocess.Popen[str]"]:
    """Starts another process that holds the output folder."""
    Path("out/.ocr").mkdir(parents=True, exist_ok=True)

    def start() -> "subprocess.Popen[str]":
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        return process

    return start


def test_a_second_run_says_who_writes_into_the_folder_and_touches_nothing(
    run: Run, answers: Answers, capsys: pytest.CaptureFixture[str], holder: Callable[[], "subprocess.Popen[str]"]
) -> None:
    answers("text")
    write("a.png")
    process = holder()
    try:
        assert run(*READ) == 2
        told = capsys.readouterr().err
        assert f"process {process.pid} on {socket.gethostname()}, since 20" in told
        assert "name another folder" in told
        assert files() == []
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert run(*READ) == 0  # the lock of a process that is dead
    finally:
        process.kill()
        process.communicate()
    assert not Path("out/.ocr/lock").exists()
    assert run(*READ) == 0


def test_a_lock_left_on_another_host_is_taken_over_and_told(
    run: Run, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    answers("text")
    write("a.png")
    Path("out/.ocr").mkdir(parents=True)
    Path("out/.ocr/lock").write_text('{"pid": 7, "host": "else\\u001bwhere", "since": "yesterday"}')
    assert run(*READ) == 0
    told = capsys.readouterr().err
    assert "process 7 on else\\x1bwhere, since yesterday" in told


@pytest.mark.parametrize("left", ["", "[]", "{", "[" * 900, '{"pid": "x"}', "\0" * 2000])
def test_a_lock_that_says_nothing_is_taken_over(left: str, tmp_path: Path) -> None:
    (tmp_path / ".ocr").mkdir()
    (tmp_path / ".ocr/lock").write_text(left)
    told: list[str] = []
    with held_folder(tmp_path, told.append), pytest.raises(InputError, match="process "), held_folder(tmp_path, print):
        pass
    assert told == []


def test_where_folders_cannot_be_locked_that_is_said(
    run: Run, answers: Answers, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    answers("text")
    write("a.png")
    monkeypatch.setattr("fcntl.flock", refuse)
    assert run(*READ) == 0
    assert "cannot be locked (Operation not supported)" in capsys.readouterr().err


def recorded() -> list[list[object]]:
    entries = [json.loads(line) for line in Path("out/.ocr/record.jsonl").read_text().splitlines()]
    return entries[-1]["files"]  # type: ignore[no-any-return]


def test_the_record_names_every_file_and_its_size(run: Run, answers: Answers) -> None:
    answers(PICTURE * 2 + "text")
    write("a.png")
    assert run(*READ) == 0
    assert sorted(name for name, _ in recorded()) == files()
    assert all(Path("out", str(name)).stat().st_size == size for name, size in recorded())


@pytest.mark.parametrize("name", ["a.md", "a.images/page-1-2.png", "a.annotated/page-1.png"])
@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_bytes(b"cut")])
def test_a_file_that_is_gone_or_changed_is_made_again(
    run: Run, answers: Answers, name: str, change: Callable[[Path], object]
) -> None:
    answers(PICTURE * 2 + "text")
    write("a.png")
    assert run(*READ) == 0
    whole = {name: Path("out", name).read_bytes() for name in files()}
    assert len(whole) == 4
    change(Path("out", name))
    assert run(*RESUME) == 0
    assert {name: Path("out", name).read_bytes() for name in files()} == whole


RESULT = PageResult(1, 9, 9, "m", "text", "text", (Element("text", "", (0, 0, 1, 1), "x"),), FinishReason.STOP)


@pytest.mark.parametrize("moment", ["before", "placing", "placed"])
def test_a_run_killed_over_an_older_one_leaves_nothing_that_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def read(text: str) -> None:
        document = Folder(tmp_path, ("md", "json"), {}).document("a", b"content")
        document.write(RESULT)
        document.close()

    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise Killed

    (tmp_path / ".ocr").mkdir()
    read("first")
    with monkeypatch.context() as killing, pytest.raises(Killed):
        if moment == "before":
            killing.setattr("ocr.output.folder.append", kill)
        elif moment == "placing":
            killing.setattr(Path, "replace", kill)
        else:
            killing.setattr(Folder, "add", lambda folder, entry: kill() if entry.files else add(folder, entry))
        read("other")
    is_whole = Folder(tmp_path, ("md", "json"), {}, resume=True).document("a", b"content").are_whole
    assert is_whole == (moment == "before")


add = Folder.add


def test_a_line_after_one_that_was_cut_off_is_read(tmp_path: Path) -> None:
    (tmp_path / ".ocr").mkdir()
    for name in ("a", "b"):
        document = Folder(tmp_path, ("md",), {}).document(name, b"")
        document.write(RESULT)
        document.close()
        with (tmp_path / ".ocr/record.jsonl").open("ab") as record:
            record.write(b'{"name": "half')
    again = Folder(tmp_path, ("md",), {}, resume=True)
    assert [again.document(name, b"").are_whole for name in "ab"] == [True, True]


BAD_LINES = [
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"\xff\xfe\x00",
    b"9" * 5000,
    b"null",
    b"[]",
    b'"x"',
    b"",
    b"NaN",
]


@pytest.mark.parametrize("line", BAD_LINES, ids=lambda line: repr(line[:8]))
def test_a_record_of_anything_costs_nothing_but_the_line(run: Run, answers: Answers, line: bytes) -> None:
    answers("text")
    write("a.png")
    assert run(*READ) == 0
    record = Path("out/.ocr/record.jsonl")
    record.write_bytes(line + b"\n" + record.read_bytes() + line)
    answers("second")
    assert run(*RESUME) == 0
    assert Path("out/a.md").read_text() == "text\n"


@pytest.mark.parametrize("field", ["name", "sha256", "options", "formats", "files", "failed"])
@pytest.mark.parametrize(
    "value", [None, 7, -1.5, "x", [], {}, [None], [[1, 2]], [["../outside/a.md", 26]], True, 2**70]
)
def test_a_record_with_fields_of_other_kinds_is_not_believed(
    run: Run, answers: Answers, outside: Path, field: str, value: object
) -> None:
    answers("first")
    write("a.png")
    assert run(*READ) == 0
    record = Path("out/.ocr/record.jsonl")
    entry = json.loads(record.read_text().splitlines()[-1])
    if entry[field] == value:
        return
    record.write_text(json.dumps(entry | {field: value}) + "\n")
    answers("second")
    assert run(*RESUME) == 0
    assert Path("out/a.md").read_text() == "second\n"
    assert is_untouched(outside)


@pytest.mark.parametrize("field", ["page", "width", "text", "elements", "problems", "finish_reason", "made", "seconds"])
@pytest.mark.parametrize("value", [None, -1.5, "x", {}, [None], [[1, 2]], [["../../../outside/a.md", 26]], 2**70])
def test_a_page_s_line_with_fields_of_other_kinds_is_not_believed(
    run: Run, answers: Answers, outside: Path, field: str, value: object
) -> None:
    page().save("a.tif", save_all=True, append_images=[page(800, 600)])
    command = ("read", "a.tif", "-o", "out", "--format", "md,json")
    answers("first")
    with pytest.MonkeyPatch.context() as limited:
        limited.setenv("OCR_MAX_PIXELS", "30000")
        assert run(*command) == 1
    (journal,) = Path("out/.ocr").glob("*/pages.jsonl")
    entry, first, *rest = journal.read_text().splitlines()
    changed = json.loads(first) | {field: value}
    journal.write_text("\n".join([entry, json.dumps(changed), *rest]))
    answers("second")
    assert run(*command, "--resume") == 0
    is_float = field == "seconds" and value == -1.5
    assert (
        Path("out/a.md").read_text().startswith("first" if is_float or (field == "text" and value == "x") else "second")
    )
    assert is_untouched(outside)


@pytest.mark.parametrize(
    "place",
    [
        ".ocr",
        ".ocr/record.jsonl",
        ".ocr/lock",
        ".ocr/PART",
        ".ocr/PART/pages.jsonl",
        ".ocr/PART/made.figures",
        ".ocr/PART/made.md",
        ".ocr/PART/copy",
        "a.images",
        "a.images/page-1-1.png",
        "a.annotated",
        "a.md",
    ],
)
@pytest.mark.parametrize("resume", [(), ("--resume",)], ids=["again", "resume"])
def test_no_link_in_an_output_folder_is_followed(
    run: Run, answers: Answers, outside: Path, place: str, resume: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    answers(PICTURE)
    write("a.png")
    part = "ca978112ca1bbdcafac231b39a23dc4d"[:16]  # sha256 of "a"
    path = Path("out", place.replace("PART", part))
    path.parent.mkdir(parents=True)
    is_folder = not path.suffix and path.name not in ("lock", "copy")
    path.symlink_to(outside if is_folder else outside / "a.md")
    status = run(*READ, *resume)
    told = capsys.readouterr().err
    assert is_untouched(outside)
    assert "Traceback" not in told
    if status:
        assert f"{str(path)!r} is a link" in told
    else:
        assert not Path("out/a.md").is_symlink()
        assert files() == ["a.annotated/page-1.png", "a.images/page-1-1.png", "a.md"]


@pytest.mark.parametrize("place", [".ocr/record.jsonl", ".ocr/lock", "a.md", "a.images"])
@pytest.mark.parametrize("kind", ["pipe", "other"])
def test_what_is_no_file_of_ours_is_named_and_left_alone(
    run: Run, answers: Answers, place: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(PICTURE)
    write("a.png")
    path = Path("out", place)
    path.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif place == "a.images":
        path.write_text(SECRET)
    else:
        path.mkdir()
    before = path.lstat()
    assert run(*READ, "--resume") in (1, 2)
    told = capsys.readouterr().err
    assert f"{str(path)!r} is " in told
    assert "Traceback" not in told
    assert path.lstat().st_ino == before.st_ino


def test_an_output_folder_that_is_a_link_itself_is_written_into(run: Run, answers: Answers) -> None:
    answers("text")
    write("a.png")
    Path("elsewhere").mkdir()
    Path("out").symlink_to("elsewhere")
    assert run(*READ) == 0
    assert Path("elsewhere/a.md").read_text() == "text\n"


@pytest.mark.parametrize("place", ["s3://bucket/out", "https://example.org/out"])
def test_a_uri_is_no_folder(run: Run, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    write("a.png")
    assert run("read", "a.png", "-o", place) == 2
    assert "error: -o takes a folder and no URI; `cluster read` writes to URIs." in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["a.png"]


def test_a_huge_record_is_refused(run: Run, answers: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    answers("text")
    write("a.png")
    Path("out/.ocr").mkdir(parents=True)
    with Path("out/.ocr/record.jsonl").open("wb") as record:
        record.truncate(2**40)
    assert run(*RESUME) == 2
    assert "'out/.ocr/record.jsonl' is larger than 1024 MiB" in capsys.readouterr().err
