"""Cog's real server with the tiny checkpoint, driven over HTTP as its users do."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent, connect_sse
from PIL import Image

from ocr.errors import InputError, SetupError
from ocr.faces.cog.client import stream
from ocr.faces.cog.main import main
from ocr.faces.cog.server import RESTART_PAUSES_S, LocalServer, free_port
from tests.hostile import MIB, Site, hostile_site
from tests.pictures import data_url, encoded, page, png_header

PNG = encoded(page())


def inputs(**more: Any) -> dict[str, Any]:
    return {"input": {"image": data_url(PNG), "resolution_size": "Tiny", "max_new_tokens": 12, **more}}


LONG = {"max_new_tokens": 8000, "prompt": "go on", "resolution_size": "Tiny"}


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's own folder for temporary files."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def server(checkpoints: Path, temporary: Path) -> Iterator[LocalServer]:
    env = {
        "TMPDIR": str(temporary),
        "OCR_CHECKPOINTS": str(checkpoints),
        "OCR_MODELS": "deepseek-ocr",
        "OCR_SLOTS": "1",  # more at a time: tests/test_slots.py
        "OCR_DEVICE": "cpu",
        "OCR_DTYPE": "float32",
        "OCR_MAX_FILE_MB": "8",
        "OCR_FETCH_PRIVATE": "1",  # the hostile site is of this machine
    }
    server = LocalServer(env=env, log=io.StringIO())
    server.start()
    try:
        assert wait_for(server, {"STARTING", "READY"}) == "STARTING"
        server.wait_until_ready()
        yield server
    finally:
        server.stop()


def wait_for(server: LocalServer, states: set[str], seconds: float = 60) -> str:
    """The first of these states that the server is in."""
    deadline = time.monotonic() + seconds
    while (status := server.health()["status"]) not in states:
        assert time.monotonic() < deadline, f"still {status}"
        time.sleep(0.02)
    return status


@pytest.fixture
def client(server: LocalServer) -> Iterator[httpx.Client]:
    """A client of a server that is ready, and that is ready again when the test is over."""
    wait_for(server, {"READY"})
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client
    wait_for(server, {"READY"})


def predict(client: httpx.Client, **more: Any) -> dict[str, Any]:
    response = client.post("/predictions", json=inputs(**more))
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


def events(client: httpx.Client, **more: Any) -> Iterator[ServerSentEvent]:
    with connect_sse(client, "POST", "/predictions", json=inputs(**more)) as source:
        yield from source.iter_sse()


def test_a_ready_server_says_so(client: httpx.Client) -> None:
    assert client.get("/health-check").json()["status"] == "READY"


def test_a_data_url_is_read(client: httpx.Client) -> None:
    answer = predict(client)
    assert answer["status"] == "succeeded"
    assert "".join(answer["output"])
    assert answer["metrics"]["completion_tokens"] == 12
    assert answer["metrics"]["finish_reason"] == "length"
    assert answer["metrics"]["model"] == "deepseek-ocr"


def test_json_output_is_one_document(client: httpx.Client) -> None:
    (page_,) = json.loads("".join(predict(client, output_format="json")["output"]))["pages"]
    assert (page_["width"], page_["height"]) == (200, 120)


def test_a_stream_has_text_before_its_end_and_metrics(client: httpx.Client, server: LocalServer) -> None:
    whole = predict(client, max_new_tokens=40, output_format="raw")["output"]
    wait_for(server, {"READY"}, seconds=1)  # Cog answers a moment before it is free again
    found = [(event.event, json.loads(event.data)) for event in events(client, max_new_tokens=40, output_format="raw")]
    kinds = [kind for kind, _ in found]
    assert kinds.count("output") > 5
    assert kinds[-1] == "completed"
    metrics = {data["name"]: data["value"] for kind, data in found if kind == "metric"}
    assert metrics["completion_tokens"] == 40
    chunks = [data["chunk"] for kind, data in found if kind == "output"]
    assert "".join(chunks) == "".join(whole)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"task_type": "OCR"}, "task_type"),
        ({"resolution_size": "Huge"}, "resolution_size"),
        ({"model": "gpt"}, "model"),
        ({"output_format": "html"}, "output_format"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"max_new_tokens": 32769}, "max_new_tokens"),
    ],
)
def test_a_wrong_choice_is_refused_with_its_name(client: httpx.Client, wrong: dict[str, Any], field: str) -> None:
    response = client.post("/predictions", json=inputs(**wrong))
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "input", field]


def test_a_missing_image_is_refused(client: httpx.Client) -> None:
    response = client.post("/predictions", json={"input": {}})
    assert response.status_code == 422
    assert "image" in response.text


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"image": data_url(PNG[:100])}, "damaged or incomplete"),
        ({"image": data_url(b"hello", "text/plain")}, "not an image"),
        ({"image": data_url(b"")}, "0 bytes"),
        ({"image": data_url(encoded(Image.new("L", (1, 1))))}, "1 x 1 pixels"),
        ({"image": data_url(png_header(30_000, 30_000))}, "30000 x 30000 = 900,000,000 pixels; at most 64,000,000"),
        ({"image": data_url(b"%PDF-1.7", "application/pdf")}, "PDF is damaged"),
        ({"image": "/etc/hostname"}, "paths are not opened"),
        ({"image": "file:///etc/hostname"}, "paths are not opened"),
        ({"task_type": "Locate Object by Reference"}, "reference_text is empty; 'Locate"),
    ],
)
def test_what_cannot_be_read_fails_with_its_sentence(
    client: httpx.Client, server: LocalServer, wrong: dict[str, Any], message: str
) -> None:
    answer = predict(client, **wrong)
    assert answer["status"] == "failed"
    assert message in answer["error"]
    wait_for(server, {"READY"}, seconds=1)


@pytest.mark.parametrize("format_", ["GIF", "TIFF", "PDF"])
def test_other_formats_than_png_are_read(client: httpx.Client, format_: str) -> None:
    frames = [page(), page(300, 200)]
    data = encoded(frames[0], format_, save_all=True, append_images=frames[1:])
    answer = predict(client, image=data_url(data, "application/octet-stream"), max_new_tokens=2)
    assert answer["status"] == "succeeded"
    assert answer["metrics"]["pages"] == (1 if format_ == "GIF" else 2)


def test_an_image_at_a_url_is_fetched_and_read(client: httpx.Client) -> None:
    with hostile_site() as site:
        assert predict(client, image=f"{site}/to?url=/page")["status"] == "succeeded"


def test_a_url_is_fetched_no_further_than_the_limit(client: httpx.Client) -> None:
    with hostile_site() as site:
        assert "more than 8 MiB" in predict(client, image=f"{site}/endless")["error"]
        assert Site.sent < 60 * MIB


@pytest.mark.parametrize("path", ["/trickle", "/silent", "/slow-head"])
def test_a_cancel_is_heard_while_a_document_is_fetched(client: httpx.Client, server: LocalServer, path: str) -> None:
    with hostile_site() as site:
        begin(client, "fetch", image=f"{site}{path}")
        while not Site.asked:
            time.sleep(0.01)
        assert client.post("/predictions/fetch/cancel").status_code == 200
        wait_for(server, {"READY"}, seconds=1)


def begin(client: httpx.Client, id_: str, **more: Any) -> None:
    """Begin a prediction under an id of its own, and wait for nothing of it."""
    begun = client.put(f"/predictions/{id_}", json=inputs(**more), headers={"Prefer": "respond-async"})
    assert begun.status_code == 202


@pytest.mark.parametrize("milliseconds", range(0, 20, 2))
def test_a_cancel_is_heard_in_the_first_moments(client: httpx.Client, server: LocalServer, milliseconds: int) -> None:
    begin(client, "early", **LONG)
    time.sleep(milliseconds / 1000)
    client.post("/predictions/early/cancel")
    wait_for(server, {"READY"}, seconds=1)


LETTERS = "ⅷ" * 3_000_000  # 9 MB, and no letters of a host name


@pytest.mark.parametrize(
    ("long", "limit"),
    [
        ({"pages": "1-999999999," * 350_000}, "pages has 4,200,000 characters; at most 10,000"),
        ({"pages": "," * 4_000_000}, "pages has 4,000,000 characters; at most 10,000"),
        ({"reference_text": "x" * 9_000_000}, "reference_text has 9,000,000 characters; at most 2,000"),
        ({"prompt": "x" * 9_000_000}, "prompt has 9,000,000 characters; at most 20,000"),
        ({"image": "http://example.org/" + "x" * 9_000_000}, "image has 9,000,019 characters; at most 8,000"),
        ({"image": f"http://{LETTERS}/"}, "image has 3,000,008 characters; at most 8,000"),
        ({"image": "data:" + "x" * 9_000_000}, "image is no data: URL"),
        ({"image": "x" * 9_000_000}, "image must be an uploaded file"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_input_that_is_too_long_is_refused_in_short_and_the_server_goes_on(
    client: httpx.Client, server: LocalServer, long: dict[str, str], limit: str
) -> None:
    answer = predict(client, **long)
    assert answer["status"] == "failed"
    assert limit in answer["error"]
    assert len(answer["error"]) < 300
    wait_for(server, {"READY"}, seconds=1)


def test_nothing_is_left_in_the_temporary_folder(client: httpx.Client, server: LocalServer, temporary: Path) -> None:
    with hostile_site() as site:
        for image in (data_url(PNG), f"{site}/page", f"{site}/endless", f"{site}/says-more", data_url(b"")):
            predict(client, image=image, max_new_tokens=1)
            wait_for(server, {"READY"}, seconds=1)
            assert [path for path in temporary.rglob("*") if path.is_file()] == []


@contextlib.contextmanager
def streaming(client: httpx.Client) -> Iterator[None]:
    """A long prediction whose text has begun to come, and whose stream is closed at the end of the block."""
    with connect_sse(client, "POST", "/predictions", json=inputs(**LONG)) as source:
        events = source.iter_sse()  # dropping it would close the stream
        while next(events).event != "output":
            pass
        yield


def test_a_second_prediction_is_told_that_the_server_is_busy(client: httpx.Client) -> None:
    with streaming(client):
        assert client.get("/health-check").json()["status"] == "BUSY"
        assert client.post("/predictions", json=inputs()).status_code == 409


def test_closing_the_stream_cancels_within_a_second(client: httpx.Client, server: LocalServer) -> None:
    with streaming(client):
        assert server.health()["status"] == "BUSY"
    wait_for(server, {"READY"}, seconds=1)
    assert predict(client)["status"] == "succeeded"


def test_a_prediction_with_an_id_is_made_once_and_can_be_cancelled(client: httpx.Client, server: LocalServer) -> None:
    for _ in range(2):  # the second is told of the first
        response = client.put("/predictions/page-7", json=inputs(**LONG), headers={"Prefer": "respond-async"})
        assert response.status_code == 202
        assert response.json()["id"] == "page-7"
    assert client.post("/predictions/page-7/cancel").status_code == 200
    wait_for(server, {"READY"}, seconds=1)


def test_predictions_that_follow_one_another_find_the_server_free(client: httpx.Client, server: LocalServer) -> None:
    for _ in range(20):  # each fails at once
        with pytest.raises(InputError, match="reference_text would have no effect"):
            list(stream(server.url, inputs(reference_text="x")["input"]))


def test_the_schema_is_served(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["components"]["schemas"]["Input"]["required"] == ["image"]


def test_a_prediction_from_the_command_line(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "socks5://127.0.0.1:1")  # nothing listens there, and nothing here is to ask it
    path = tmp_path / "page.png"
    path.write_bytes(PNG)
    common = ["predict", "-e", f"OCR_CHECKPOINTS={checkpoints}", "-e", "OCR_DTYPE=float32", "-e", "OCR_DEVICE=cpu"]
    small = ["-i", "resolution_size=Tiny", "-i", "max_new_tokens=5", "-i", f"image=@{path}"]
    assert main([*common, *small, "-o", str(tmp_path / "out.json"), "-i", "output_format=json"]) == 0
    document = json.loads((tmp_path / "out.json").read_text())
    assert main([*common, *small]) == 0
    assert capfd.readouterr().out.strip() == document["pages"][0]["markdown"].strip()


def test_a_server_without_weights_names_the_command_that_mends_it(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"script/ocr weights fetch deepseek-ocr"):
        LocalServer(env={"OCR_CHECKPOINTS": str(tmp_path), "OCR_MODELS": ""}, log=io.StringIO()).__enter__()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_served_server_ends_with_its_command(checkpoints: Path, number: signal.Signals) -> None:
    port = free_port()
    command = [sys.executable, "-m", "ocr.faces.cog.main", "serve", "--port", str(port)]
    env = {**os.environ, "OCR_CHECKPOINTS": str(checkpoints), "OCR_DEVICE": "cpu", "OCR_DTYPE": "float32"}
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any(f"http://127.0.0.1:{port}/predictions" in line for line in process.stderr)
        process.send_signal(number)
        assert process.wait(timeout=30) == 128 + number
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/health-check")


def children(process: int) -> list[int]:
    """The processes that this one started and that still run."""
    threads = Path(f"/proc/{process}/task").glob("*/children")
    return [int(pid) for thread in threads for pid in thread.read_text().split()]


def test_a_served_server_whose_worker_dies_or_whose_slot_is_lost_is_started_again(checkpoints: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "ocr.faces.cog.main", "serve", "--port", str(port)]
    settings = {"OCR_CHECKPOINTS": str(checkpoints), "OCR_DEVICE": "cpu", "OCR_DTYPE": "float32", "OCR_SLOTS": "1"}
    with (
        subprocess.Popen(command, env=os.environ | settings, stderr=subprocess.PIPE, text=True) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        contextlib.ExitStack() as stack,
    ):
        assert process.stderr is not None
        stack.callback(process.terminate)  # or a failure would wait for it
        given_up = threading.Timer(120, process.terminate)  # so that words which never come are a failure too
        stack.callback(given_up.cancel)
        given_up.start()
        assert told(process.stderr, "Ready: POST")
        (server,) = children(process.pid)
        (worker,) = children(server)
        os.kill(worker, signal.SIGKILL)
        assert "its worker was killed, or crashed; it is started again." in told(process.stderr, "started again")
        assert told(process.stderr, "Ready again")
        (server,) = children(process.pid)
        unusable = {"id": "\0", **inputs()}
        assert client.post("/predictions", json=unusable).json()["error"].startswith("Failed to create output dir")
        assert "takes no more predictions" in told(process.stderr, "started again")
        assert told(process.stderr, "Ready again")
        assert predict(client)["status"] == "succeeded"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert not Path(f"/proc/{worker}").exists()
    assert not Path(f"/proc/{server}").exists()


def told(lines: Iterable[str], words: str) -> str:
    """The next line with these words."""
    return next(line for line in lines if words in line)


class Broken(LocalServer):
    """A server that is UNHEALTHY at every look, and its starts."""

    def __init__(self) -> None:
        super().__init__(log=io.StringIO())
        self.starts = 0
        self.process = SimpleNamespace(poll=lambda: None)  # type: ignore[assignment]

    def health(self) -> dict[str, Any]:
        return {"status": "UNHEALTHY"}

    def start(self) -> None:
        self.starts += 1

    def wait_until_ready(self) -> None:
        """It is as ready as it ever will be."""

    def stop(self) -> None:
        """There is no process."""


def test_a_server_that_breaks_again_and_again_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[float] = []
    monkeypatch.setattr("ocr.faces.cog.server.time.sleep", paused.append)
    server = Broken()
    with pytest.raises(SetupError, match=r"is UNHEALTHY: .*, for the 5th time in a row; it is not started again"):
        server.keep_up()
    assert server.starts == len(RESTART_PAUSES_S)
    assert paused == list(RESTART_PAUSES_S)


def test_a_server_that_was_up_for_long_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Broken()
    hours = iter(range(0, 10**9, 3600))
    monkeypatch.setattr("ocr.faces.cog.server.time.monotonic", lambda: next(hours))
    monkeypatch.setattr("ocr.faces.cog.server.time.sleep", lambda _seconds: None)
    monkeypatch.setattr(server, "health", lambda: {"status": "UNHEALTHY" if server.starts < 20 else "READY"})
    server.process = SimpleNamespace(poll=lambda: None if server.starts < 20 else 0, returncode=0)  # type: ignore[assignment]
    server.keep_up()
    assert server.starts == 20
