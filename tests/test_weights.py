"""Fetching: what goes wrong, what the user then sees, and what is left on disk.

| fault                                          | what the user sees                            | left on disk        |
|------------------------------------------------|-----------------------------------------------|---------------------|
| none; a redirect; no ranges; a slow server     | `ready in`; progress lines                    | NAME, pinned        |
| cut off once, at every tenth; a 500 once       | `ready in`                                    | NAME, pinned        |
| cut off for good, at every tenth               | host, file, reason, the command that mends it | whole files, aside  |
| 404; 500 for good; another revision            | host, file, reason, the command               | whole files, aside  |
| wrong length; wrong bytes; another model       | host, file, what came and what was promised   | whole files, aside  |
| pget fails; the hub fails [archive]            | the reason, then the next source              | NAME, pinned        |
| no network, weights there                      | `ready in`                                    | as it was           |
| no network, no weights                         | each source with its reason, the command      | nothing             |
| too little disk space                          | how much is missing                           | nothing             |
| the disk fills up                              | that it did, and how much it takes            | whole files, aside  |
| a folder that cannot be written                | which, and why                                | as it was           |
| a broken folder in the way                     | where it went                                 | NAME, NAME.broken-1 |
| a wrong name, token or address                 | what is allowed                               | nothing             |
| two processes at once [commands]               | the second waits; both are `ready in`         | NAME, fetched once  |
| SIGKILL in the middle, then a start [commands] | `ready in`                                    | aside, then NAME    |
| Ctrl-C in the middle [commands]                | one line                                      | whole files, aside  |
| hostile or damaged archives [archive]          | what was refused                              | nothing             |

"Aside" is `.NAME.partial`, which no start takes for weights. Every row that downloads holds with pget and without. Rows
marked [archive] and [commands] are in test_weights_archive.py and test_weights_commands.py.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from ocr.errors import SetupError
from ocr.weights import download, table
from ocr.weights.fetching import fetch
from ocr.weights.files import size_text
from ocr.weights.table import Checkpoint, File, checkpoints, read_table
from ocr.weights.whole import altered, problems
from tests.fetching import LARGE, PROJECT, TENTHS, TINY, aside, closed_port, failure, install_pget, left, own, start
from tests.hub import INDEX, REPOSITORY, REVISION, SHARDS, Fault, Hub

# ---- It works


def test_a_fetched_checkpoint_is_whole_and_pinned(hub: Hub, downloader: str, root: Path) -> None:
    lines: list[str] = []
    folder = fetch("tiny", root, report=lines.append)
    assert folder == root / "tiny" and problems(folder) == [] and left(root) == ["tiny"]
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "weights.lock"} == hub.files
    pins = json.loads((folder / "weights.lock").read_text())["files"]
    assert [pin["file"] for pin in pins] == list(hub.files)
    assert {(pin["source"], pin["revision"]) for pin in pins} == {(f"{hub.url}/{REPOSITORY}", REVISION)}
    assert altered(folder, lines.append) == []
    assert lines[0] == f"tiny: fetching from 127.0.0.1:{hub.port}" and lines.count(f"tiny: ready in {folder}") == 1


def test_the_downloader_is_pget_where_it_is_on_the_path(hub: Hub, downloader: str, root: Path, tmp_path: Path) -> None:
    fetch("tiny", root, report=lambda line: None)
    calls = tmp_path / "bin" / "calls"
    assert (calls.read_text() if calls.exists() else None) == ("multifile -\n" if downloader == "pget" else None)


def test_what_is_whole_is_returned_without_network_or_writing(
    hub: Hub, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch("tiny", root, report=lambda line: None)
    (root / ".tiny.lock").unlink()

    def connect(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    lines: list[str] = []
    assert fetch("tiny", root, report=lines.append) == root / "tiny"
    assert lines == [f"tiny: ready in {root / 'tiny'}"] and [path.name for path in root.iterdir()] == ["tiny"]


def test_a_slow_download_reports_how_far_it_is(
    hub: Hub, downloader: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "PROGRESS_EVERY_S", 0.05)
    hub.faults[LARGE] = Fault(slow_s=0.02)
    lines: list[str] = []
    fetch("tiny", root, report=lines.append)
    total = size_text(sum(map(len, hub.files.values())))
    assert any(f" of {total}, " in line and line.endswith("/s") for line in lines)


def test_a_plain_mirror_serves_pget_and_only_bytes_are_reported(
    hub: Hub, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_huggingface_hub: None
) -> None:
    install_pget(tmp_path / "bin")
    monkeypatch.setattr(download, "PROGRESS_EVERY_S", 0.05)
    hub.speaks_hub = False
    hub.faults[LARGE] = Fault(slow_s=0.02)
    lines: list[str] = []
    assert problems(fetch("tiny", root, report=lines.append)) == []
    assert any(line.endswith("/s") and " of " not in line for line in lines)


def test_a_redirect_to_another_host_is_followed_without_the_token(
    hub: Hub, downloader: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wordOfHonour")
    hub.redirects = True
    fetch("tiny", root, report=lambda line: None)
    tokens = {
        (url.split("/")[2], headers.get("authorization") or headers.get("Authorization"))
        for _, url, headers in hub.requests
    }
    assert tokens == {(f"127.0.0.1:{hub.port}", "Bearer hf_wordOfHonour"), (f"localhost:{hub.port}", None)}


@pytest.mark.parametrize("redirects", [True, False])
def test_redirects_and_a_lack_of_ranges_do_not_matter(hub: Hub, downloader: str, root: Path, redirects: bool) -> None:
    hub.redirects, hub.ranges = redirects, False
    assert problems(fetch("tiny", root, report=lambda line: None)) == []


# ---- Faults of the server


@pytest.mark.parametrize("tenth", TENTHS)
def test_a_download_that_is_cut_off_goes_on(hub: Hub, downloader: str, root: Path, tenth: float) -> None:
    hub.faults[LARGE] = Fault(cut_at=tenth, times=1)
    if tenth == 0 and downloader == "pget":
        hub.faults[LARGE].status = 503  # it goes on after some bytes, not after none
    folder = fetch("tiny", root, report=lambda line: None)
    assert (folder / LARGE).read_bytes() == hub.files[LARGE]


@pytest.mark.parametrize("tenth", TENTHS)
def test_a_download_that_stays_cut_off_leaves_no_weights(hub: Hub, downloader: str, root: Path, tenth: float) -> None:
    hub.faults[LARGE] = Fault(cut_at=tenth)
    said = failure(root)
    assert LARGE in said and f"127.0.0.1:{hub.port}" in said and "script/ocr weights fetch tiny" in said
    assert left(root) == [".tiny.partial"] and LARGE not in aside(root)
    assert aside(root) <= set(hub.files)


def test_files_that_came_whole_are_not_fetched_again(hub: Hub, downloader: str, root: Path) -> None:
    hub.faults[SHARDS[1]] = Fault(cut_at=0.5)
    failure(root)
    assert aside(root) == set(hub.files) - {SHARDS[1]}
    del hub.faults[SHARDS[1]]
    before = hub.gets(LARGE)
    assert problems(fetch("tiny", root, report=lambda line: None)) == []
    assert hub.gets(LARGE) == before and left(root) == ["tiny"]


def test_a_busy_server_is_asked_again(hub: Hub, downloader: str, root: Path) -> None:
    hub.faults[LARGE] = Fault(status=500, times=1)
    hub.head_faults["config.json"] = Fault(status=503, times=1)
    assert problems(fetch("tiny", root, report=lambda line: None)) == []


@pytest.mark.parametrize("status", [404, 500])
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_refusal_is_named_and_leaves_no_weights(
    hub: Hub, downloader: str, root: Path, method: str, status: int
) -> None:
    faults = hub.head_faults if method == "HEAD" else hub.faults
    faults["config.json"] = Fault(status=status)
    said = failure(root)
    assert f"127.0.0.1:{hub.port}: " in said and "config.json" in said and str(status) in said
    assert "script/ocr weights fetch tiny" in said and "100.0 kB" in said
    assert left(root) == ([".tiny.partial"] if aside(root) else []) and "config.json" not in aside(root)


def test_another_revision_is_refused(hub: Hub, downloader: str, root: Path) -> None:
    hub.revision = "f" * 40
    assert f"revision {'f' * 40} came, {REVISION} is the pinned one" in failure(root)
    assert left(root) == []


@pytest.mark.parametrize("by", [-7, 7])
def test_a_wrong_length_is_refused(hub: Hub, downloader: str, root: Path, by: int) -> None:
    hub.promised[LARGE] = len(hub.files[LARGE]) + by
    said = failure(root)
    assert LARGE in said and str(len(hub.files[LARGE])) in said.replace(",", "")
    assert LARGE not in aside(root) and left(root) == [".tiny.partial"]


def test_wrong_bytes_are_refused(hub: Hub, downloader: str, root: Path) -> None:
    hub.faults[LARGE] = Fault(flip_at=0.9)
    hub.faults["config.json"] = Fault(flip_at=0.5)
    said = failure(root)
    assert f"{LARGE}: other bytes than promised: sha256" in said
    assert "config.json: other bytes than promised: sha1" in said
    assert aside(root) == set(hub.files) - {LARGE, "config.json"} and left(root) == [".tiny.partial"]


@pytest.mark.parametrize("known", [{"size": 5}, {"sha256": "0" * 64}])
def test_what_the_table_knows_counts_more_than_what_the_hub_promises(
    hub: Hub, downloader: str, root: Path, monkeypatch: pytest.MonkeyPatch, known: dict[str, object]
) -> None:
    files = tuple(replace(file, **known) if file.name == LARGE else file for file in TINY.files)  # type: ignore[arg-type]
    monkeypatch.setattr(table, "checkpoints", lambda: {"tiny": replace(TINY, files=files)})
    assert f"{LARGE}: " in failure(root)
    assert LARGE not in aside(root) and not (root / "tiny").exists()


def test_another_model_is_refused_by_its_tensors(
    hub: Hub, downloader: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensor_bytes = 2 * (40 * 500 + 500 + 20 * 500)
    monkeypatch.setattr(table, "checkpoints", lambda: {"tiny": replace(TINY, tensor_bytes=tensor_bytes + 2)})
    assert f"another model: {tensor_bytes:,} bytes of tensors, tiny has {tensor_bytes + 2:,}" in failure(root)
    monkeypatch.setattr(table, "checkpoints", lambda: {"tiny": replace(TINY, tensor_bytes=tensor_bytes)})
    assert problems(fetch("tiny", root, report=lambda line: None)) == []


def test_huggingface_hub_goes_on_where_pget_fails(hub: Hub, root: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "pget"
    script.write_text("#!/bin/sh\necho 'out of luck' >&2\nexit 3\n")
    script.chmod(0o755)
    lines: list[str] = []
    assert problems(fetch("tiny", root, report=lines.append)) == []
    assert "tiny: pget ended with status 3: out of luck; next, huggingface_hub" in lines
    hub.faults[LARGE] = Fault(status=404)
    (root / "tiny").rename(root / "gone")
    said = failure(root)
    assert "pget ended with status 3: out of luck; then " in said and LARGE in said


def test_with_neither_downloader_the_message_says_what_to_install(
    hub: Hub, root: Path, no_huggingface_hub: None
) -> None:
    assert "`pip install huggingface_hub`" in failure(root)


# ---- No network, no disk space, no permission


def test_without_a_network_it_fails_at_once_with_each_source_and_the_command(
    downloader: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_port, archive_port = closed_port(), closed_port()
    row = replace(TINY, archive=f"http://127.0.0.1:{archive_port}/model.tar")
    monkeypatch.setattr(table, "checkpoints", lambda: {"tiny": row})
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{hub_port}")

    def sleep(seconds: float) -> None:
        raise AssertionError("it waited for a network that is not there")

    monkeypatch.setattr(time, "sleep", sleep)
    first, hub_line, archive_line, advice = failure(root).split("\n")
    assert first == "tiny could not be fetched:"
    assert f"127.0.0.1:{hub_port}: config.json: " in hub_line and "Connection refused" in hub_line
    assert f"127.0.0.1:{archive_port}: the archive: " in archive_line and "Connection refused" in archive_line
    assert f"`script/ocr weights fetch tiny --root '{root}'` fetches them (100.0 kB)" in advice  # quoted for its blank
    assert left(root) == []


def test_too_little_disk_space_is_noticed_first_and_the_message_says_how_much_is_missing(
    hub: Hub, downloader: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(map(len, hub.files.values()))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=size - 30_000))
    said = failure(root)
    assert f"{size_text(size)} to come" in said and "30.0 kB missing" in said and "OCR_CHECKPOINTS" in said
    assert hub.gets("config.json") == 0 and left(root) == []


def test_without_a_hub_that_knows_the_sizes_the_tables_total_is_the_space_needed(
    hub: Hub, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_huggingface_hub: None
) -> None:
    install_pget(tmp_path / "bin")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=TINY.total_bytes - 1))
    assert "100.0 kB to come" in failure(root) and left(root) == []


def test_a_disk_that_fills_up_is_named(hub: Hub, downloader: str, root: Path) -> None:
    limit = len(hub.files[LARGE]) // 2  # bytes a file may have, for that process: a full disk without a disk
    run = start(
        hub,
        root,
        "fetch",
        "tiny",
        before=f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))",
    )
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 1 and f"The disk of {root} filled up while tiny was written: 100.0 kB in all." in errors
    assert "Traceback" not in errors
    assert left(root) == [".tiny.partial"] and LARGE not in aside(root)
    assert limit > len(hub.files["config.json"])


def test_a_folder_that_cannot_be_made_is_named(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    said = failure(tmp_path / "file" / "checkpoints")
    assert f"tiny cannot be put into {tmp_path / 'file' / 'checkpoints'}" in said and "Not a directory" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(hub: Hub, root: Path) -> None:
    root.mkdir(mode=0o555)
    assert f"tiny cannot be put into {root}" in failure(root) and left(root) == []


# ---- Names, folders that are there, secrets


def test_an_unknown_name_is_an_error_that_lists_the_known_ones(hub: Hub, root: Path) -> None:
    said = failure(root, "tinny")
    assert "'tinny'" in said and "one of: tiny" in said and not root.exists()


@pytest.mark.parametrize("name", ["../tiny", "/tiny", "", ".", "..", ".tiny.partial", "a\0b"])
def test_a_name_that_is_no_folder_name_is_refused(hub: Hub, root: Path, name: str) -> None:
    assert "must be the name of a folder" in failure(root, name)


def test_the_users_own_checkpoint_is_taken_as_it_is(hub: Hub, root: Path) -> None:
    for name in ("tiny", "fine-tuned"):
        folder = own(root, name)
        assert fetch(name, root, report=lambda line: None) == folder
    assert hub.requests == []


def test_the_users_own_checkpoint_that_is_not_whole_is_described(hub: Hub, root: Path) -> None:
    (root / "fine-tuned").mkdir(parents=True)
    said = failure(root, "fine-tuned")
    assert "fine-tuned is not a whole checkpoint" in said and "config.json: missing" in said
    assert left(root) == ["fine-tuned"]


def test_an_embedded_checkpoint_is_never_fetched(hub: Hub, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "checkpoints", lambda: {"small": Checkpoint("small", licence="MIT", total_bytes=1000)})
    assert f"git checkout -- {root / 'small'}" in failure(root, "small") and hub.requests == []


def test_a_broken_folder_is_moved_aside_and_never_deleted(hub: Hub, downloader: str, root: Path) -> None:
    for number in (1, 2):
        (root / "tiny").mkdir(parents=True)
        (root / "tiny" / "mine.txt").write_text(str(number))
        lines: list[str] = []
        fetch("tiny", root, report=lines.append)
        assert any(f"it is {root / f'tiny.broken-{number}'} now" in line for line in lines)
        assert (root / f"tiny.broken-{number}" / "mine.txt").read_text() == str(number)
        (root / "tiny").rename(root / f"done-{number}")


def test_a_broken_folder_stays_where_it_is_while_there_is_nothing_better(hub: Hub, downloader: str, root: Path) -> None:
    (root / "tiny").mkdir(parents=True)
    (root / "tiny" / "mine.txt").write_text("half")
    hub.head_faults["config.json"] = Fault(status=404)
    failure(root)
    assert left(root) == ["tiny"] and (root / "tiny" / "mine.txt").read_text() == "half"


def test_an_empty_folder_and_a_dangling_link_are_replaced(hub: Hub, downloader: str, root: Path) -> None:
    (root / "tiny").mkdir(parents=True)
    fetch("tiny", root, report=lambda line: None)
    assert left(root) == ["tiny"]
    (root / "tiny").rename(root / "first")
    (root / "tiny").symlink_to(root / "nowhere")
    assert problems(fetch("tiny", root, report=lambda line: None)) == []
    assert (root / "tiny.broken-1").is_symlink() and not (root / "tiny").is_symlink()


def test_the_token_goes_to_the_hub_and_nowhere_else(
    hub: Hub, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    install_pget(tmp_path / "bin")
    monkeypatch.setenv("HF_TOKEN", " hf_wordOfHonour\n")
    hub.faults[LARGE] = Fault(status=500)
    lines: list[str] = []
    with pytest.raises(SetupError) as caught:
        fetch("tiny", root, report=lines.append)
    assert "pget cannot send HF_TOKEN, so huggingface_hub downloads" in "\n".join(lines)
    assert not (tmp_path / "bin" / "calls").exists()
    told = [*lines, *traceback.format_exception(caught.value), *capfd.readouterr()]
    assert "wordOfHonour" not in "\n".join(told)
    assert not any("wordOfHonour" in path.read_text(errors="replace") for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize("token", ["hf_word\nOfHonour", "hf_word OfHonour", "hf_wördOfHonour"])
def test_a_token_that_cannot_be_one_is_refused_without_repeating_it(
    hub: Hub, root: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    said = failure(root)
    assert "HF_TOKEN" in said and "Honour" not in said and hub.requests == [] and left(root) == []


@pytest.mark.parametrize("endpoint", ["file:///etc", "huggingface.co", "https://me:secret@mirror.example", "https://"])
def test_an_endpoint_that_is_no_web_address_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setattr(table, "checkpoints", lambda: {"tiny": TINY})
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    said = failure(root)
    assert "HF_ENDPOINT must be http(s)://HOST" in said and "secret" not in said


# ---- What it is made of


def test_importing_needs_the_standard_library_and_the_errors_alone() -> None:
    code = f"import sys; known = set(sys.modules); sys.path.insert(0, {str(PROJECT)!r}); import weights"
    code += "; print(*set(sys.modules) - known)"
    run = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=True)
    ours = {name for name in run.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names}
    assert {name for name in ours if not name.startswith("ocr.weights")} == {"weights", "ocr", "ocr.errors"}


def test_the_table_names_only_data_files_and_pinned_revisions() -> None:
    for name, row in checkpoints().items():
        assert row.name == name
        if row.is_embedded:  # nothing is fetched for it
            assert (row.files, row.revision, row.archive) == ((), None, None)
            continue
        if row.wheels:
            assert row.files and len(row.pins) == len(row.files)
            assert {Path(file.name).suffix for file in row.files} == {".onnx"}
            assert all(len(bytes.fromhex(digest)) == 32 for _, digest in row.pins.values())
            assert all(len(bytes.fromhex(wheel.sha256)) == 32 for wheel in row.wheels)
            assert row.total_bytes == sum(size for size, _ in row.pins.values())
            continue
        if not row.can_be_fetched:
            assert row.repository and (row.files, row.archive) == ((), None)
            continue
        assert row.revision is not None and len(bytes.fromhex(row.revision)) == 20
        names = {file.name for file in row.files}
        reads = name != "pp-doclayout-v3"
        assert {"config.json", "tokenizer.json" if reads else "preprocessor_config.json"} <= names
        assert set(row.needs) <= set(checkpoints())
        assert names & {INDEX, "model.safetensors"}
        assert {Path(file).suffix for file in names} == {".json", ".safetensors"}
        assert row.tensor_bytes is None or 0 <= row.total_bytes - row.tensor_bytes < 20_000_000


def test_a_row_states_what_is_known_of_a_file_beforehand() -> None:
    text = """
        ["my.model"]
        licence = "MIT"
        total_bytes = 9_000
        files = ["config.json", { name = "model.safetensors", size = 8_000, sha256 = "00ff" }, { name = "a", size = 1 }]
    """
    files = (File("config.json"), File("model.safetensors", 8000, "00ff"), File("a", 1))
    assert read_table(text) == {"my.model": Checkpoint("my.model", "MIT", 9000, files=files)}


@pytest.mark.parametrize("line", ['license = "MIT"', 'files = [{ nam = "config.json" }]'])
def test_an_unknown_field_of_a_row_is_an_error(line: str) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        read_table(f"[model]\nlicence = 'MIT'\ntotal_bytes = 1\n{line}")
