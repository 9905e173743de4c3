"""`cluster read` on Ray itself, two readers of the embedded models on this machine; what dies in between included.

Ray takes 600 MB of packages, so it runs in an interpreter that has it and this project's requirements: `--ray PYTHON`.
The object store is moto's, in an interpreter of its own: `--moto PYTHON`.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.commands import files, write
from tests.pictures import page

PROJECT = Path(__file__).resolve().parent.parent
EXAMPLES = PROJECT / "examples"
OPTIONS = ("--format", "md,json,figures", "--no-check")
PATIENCE = 240.0  # seconds for whatever is waited for
# Read by every interpreter when it starts: a document of this name ends whoever opens it, one of that name finds no
# space for its files.
CUSTOM = """
import os, signal, sys

def hook(event, args):
    if event == "open" and isinstance(args[0], (str, bytes, os.PathLike)):
        name = os.fsdecode(args[0])
        if name.endswith("poison.png"):
            os.kill(os.getpid(), signal.SIGKILL)
        if "/out/" in name and name.endswith(".part") and os.path.exists(os.environ.get("FULL", "")):
            raise OSError(28, "No space left on device")

sys.addaudithook(hook)
"""
Reading = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def python(request: pytest.FixtureRequest) -> Path:
    python: Path | None = request.config.getoption("--ray")
    if python is None:
        pytest.skip("runs with Ray only: give --ray PYTHON, an interpreter that has it")
    return python.absolute()


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray")
    (folder / "sitecustomize.py").write_text(CUSTOM)
    return folder


@pytest.fixture(scope="module")
def environment(home: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "OCR_", "AWS_"))}
    settings = {"OCR_CHECKPOINTS": str(PROJECT / "checkpoints"), "OCR_MODELS": "pp-ocr", "OCR_DEVICE": "cpu"}
    cloud = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "us-east-1"}
    paths = {
        "PYTHONPATH": f"{home}:{PROJECT}",
        "FULL": str(home / "full"),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "a-token-of-this-test-0123456789",
    }
    return own | settings | cloud | paths


@pytest.fixture(scope="module")
def cluster(python: Path, environment: dict[str, str]) -> Iterator[str]:
    """The address of a cluster of this machine with room for two readers."""
    port = free_port()
    ray = str(python.with_name("ray"))
    start = ("start", "--head", "--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=2", "--block")
    quiet = ("--include-dashboard=false", "--object-store-memory=200000000", "--disable-usage-stats")
    head = subprocess.Popen(
        [ray, *start, *quiet], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: can_connect(port))
        yield f"127.0.0.1:{port}"
    finally:
        head.terminate()
        head.wait(60)


def can_connect(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def reading(
    python: Path, environment: dict[str, str], cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Reading]:
    """Starts `cluster read` in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    started: list[subprocess.Popen[str]] = []

    def start(*words: str, options: tuple[str, ...] = OPTIONS) -> subprocess.Popen[str]:
        command = [python, "-P", "-m", "ocr", "cluster", "read", *words, *options, "--address", cluster, "--readers=2"]
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Its exit status, and what it said."""
    told = process.communicate(timeout=PATIENCE)[1]
    assert "Warning" not in told
    return process.returncode, told


def plainly(python: Path, environment: dict[str, str], *words: str) -> None:
    command = [python, "-P", "-m", "ocr", "read", *words, *OPTIONS]
    subprocess.run(command, env=environment | {"OCR_THREADS": "1"}, check=True, capture_output=True)


def outputs(folder: str) -> dict[str, bytes]:
    """What every file holds, but for how long pages took."""
    taken = re.compile(rb'"seconds": ?[\d.e-]+')
    names = [name for name in files(folder) if name != "failures.jsonl"]
    return {name: taken.sub(b"", Path(folder, name).read_bytes()) for name in names}


def failures(folder: str = "out") -> list[dict[str, str]]:
    return [json.loads(line) for line in Path(folder, "failures.jsonl").read_text().splitlines()]


def small(folder: str, *names: str) -> None:
    """Documents that take a moment to read."""
    for name in names:
        write(f"{folder}/{name}.png", page())


def slow(folder: str, number: int) -> None:
    """Documents that take seconds."""
    Path(folder).mkdir(exist_ok=True)
    for index in range(number):
        Path(folder, f"slow-{index}.jpg").write_bytes((EXAMPLES / "statement.jpg").read_bytes())


def claimants() -> list[int]:
    """The processes of the readers that are amid a document."""
    found = []
    for claim in Path("out/.ocr/claims").glob("*"):
        with contextlib.suppress(FileNotFoundError):
            found.append(int(json.loads(claim.read_text())["pid"]))
    return found


def leftovers() -> list[str]:
    return [
        path.name
        for what in ("claims", "parts", "fresh")
        for path in Path("out/.ocr", what).rglob("*")
        if path.is_file()
    ]


def test_two_readers_leave_the_bytes_that_read_leaves(
    reading: Reading, python: Path, environment: dict[str, str]
) -> None:
    write("in/parts.pdf", *[page(), page(300, 200), Image.open(EXAMPLES / "prose.png")] * 2)
    small("in/b", "one", "two")
    status, told = ended(reading("in", "-o", "out", "--pages-per-part=2"))
    assert status == 0, told
    plainly(python, environment, "in", "-o", "plain")
    assert outputs("out") == outputs("plain")
    assert leftovers() == []
    assert "3/3" in told
    assert "8 pages read, 3 documents done" in told
    status, told = ended(reading("in", "-o", "out", "--pages-per-part=2", "--resume"))
    assert (status, told.count("whole already\n")) == (0, 3), told


def test_a_document_that_kills_its_reader_is_given_up_and_the_others_are_read(reading: Reading) -> None:
    small("in", "a", "b", "c", "d", "poison", "x", "y", "z")
    status, told = ended(reading("in", "-o", "out"))
    assert status == 1, told
    assert [(Path(each["document"]).name, each["error"]) for each in failures()] == [
        ("poison.png", "The reader died 3 times while it read this.")
    ]
    assert [name for name in files() if name.endswith(".md")] == [f"{name}.md" for name in "abcdxyz"]
    assert leftovers() == []


def test_a_reader_that_is_killed_costs_a_second_attempt(reading: Reading) -> None:
    slow("in", 4)
    process = reading("in", "-o", "out")
    until(claimants)
    os.kill(claimants()[0], signal.SIGKILL)
    status, told = ended(process)
    assert status == 0, told
    assert told.count("/4  ") == 4
    assert len(set(outputs("out").values())) == 2  # the text and the JSON of one page, each the same four times
    assert leftovers() == []


def test_after_the_driver_is_killed_the_rest_is_read(reading: Reading) -> None:
    slow("in", 6)
    process = reading("in", "-o", "out")
    records = Path("out/.ocr/records")
    until(lambda: records.is_dir() and any(records.iterdir()))
    process.kill()
    process.wait()
    readers = claimants()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in readers))
    done = len(list(records.iterdir()))
    Path("out/.ocr/claims/0.all.1").touch()  # as of a reader that dies right after it wrote the record
    status, told = ended(reading("in", "-o", "out", "--resume"))
    assert status == 0, told
    assert told.count("whole already\n") == done
    assert len(set(outputs("out").values())) == 2
    assert len(outputs("out")) == 12
    assert leftovers() == []


def test_a_full_disk_fails_documents_and_a_later_run_reads_them(reading: Reading, home: Path) -> None:
    small("in", "a", "b", "c")
    (home / "full").touch()
    try:
        status, told = ended(reading("in", "-o", "out"))
    finally:
        (home / "full").unlink()
    assert status == 1, told
    assert "No space left on device" in told
    assert [name for name in files() if name != "failures.jsonl"] == []
    status, told = ended(reading("in", "-o", "out", "--resume"))
    assert status == 0, told
    assert len(outputs("out")) == 6
    assert failures() == []


@pytest.fixture(scope="module")
def bucket(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A bucket's URL, and what stands behind its URIs to find the server."""
    python: Path | None = request.config.getoption("--moto")
    if python is None:
        pytest.skip("runs with moto only: give --moto PYTHON, an interpreter that has it")
    port = free_port()
    server = subprocess.Popen(
        [python, "-m", "moto.server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: can_connect(port))
        url = f"http://127.0.0.1:{port}/bucket"
        put(url, b"")
        yield url, f"?scheme=http&endpoint_override=127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def put(url: str, content: bytes) -> None:
    kind = {"Content-Type": "application/octet-stream"}  # else moto takes it for a form
    urllib.request.urlopen(urllib.request.Request(url, content, kind, method="PUT"), timeout=PATIENCE).close()


def got(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        content: bytes = answer.read()
    return content


def keys(url: str) -> list[str]:
    return [key for key in re.findall("<Key>(.*?)</Key>", got(url).decode()) if not key.endswith("/")]


def test_objects_are_read_and_written(
    reading: Reading, bucket: tuple[str, str], python: Path, environment: dict[str, str]
) -> None:
    url, server = bucket
    write("in/parts.pdf", *[page(), page(300, 200)] * 2)
    write("in/deep/figure.png", page(300, 300))
    Path("in/note.txt").write_text("no document")
    for name in ("parts.pdf", "deep/figure.png", "note.txt"):
        put(f"{url}/in/{name}", Path("in", name).read_bytes())
    uris = (f"s3://bucket/in{server}", "-o", f"s3://bucket/out{server}", "--pages-per-part=2")
    status, told = ended(reading(*uris))
    assert status == 0, told
    assert "s3://bucket/in/deep/figure.png: 1 page" in told
    assert "endpoint" not in told
    plainly(python, environment, "in", "-o", "plain")
    written = [key for key in keys(url) if key.startswith("out/") and not key.startswith("out/.ocr/")]
    taken = re.compile(rb'"seconds": ?[\d.e-]+')
    found = {key.removeprefix("out/"): taken.sub(b"", got(f"{url}/{key}")) for key in written}
    assert found.pop("failures.jsonl") == b""
    assert found == outputs("plain")
    assert {key.split("/")[2] for key in keys(url) if key.startswith("out/.ocr/")} == {"records"}
    status, told = ended(reading(*uris, "--resume"))
    assert (status, told.count("whole already\n")) == (0, 2), told


def test_a_bucket_that_is_not_there_is_one_failure(reading: Reading, bucket: tuple[str, str]) -> None:
    small("in", "a")
    status, told = ended(reading("in", f"s3://none/in{bucket[1]}", "-o", "out"))
    assert status == 1, told
    assert [each["document"] for each in failures()] == ["s3://none/in"]
    assert "in/a.png: 1 page" in told
