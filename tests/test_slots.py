"""Several predictions at once on Cog's real server: each streams, is measured, fails and is cancelled by itself."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse

from ocr.faces.cog.client import stream
from ocr.faces.cog.schema import openapi
from ocr.faces.cog.server import LocalServer, free_port
from tests.pictures import encoded, page
from tests.test_server import data_url, wait_for

SLOTS = 8


@pytest.fixture(scope="module")
def server(checkpoints: Path) -> Iterator[LocalServer]:
    env = {"CHECKPOINTS": str(checkpoints), "MODELS": "deepseek-ocr", "DEVICE": "cpu", "DTYPE": "float32"}
    with LocalServer(env={f"OCR_{name}": value for name, value in env.items()}, log=io.StringIO()) as server:
        yield server


def inputs(number: int, **more: Any) -> dict[str, Any]:
    """A page and a budget like no other caller's."""
    image = data_url(encoded(page(200 + 20 * number, 120)))
    given = {"image": image, "resolution_size": "Tiny", "output_format": "raw", "prompt": "go on"}
    return {**given, "max_new_tokens": 60 + 10 * number, **more}


LONG = {"image": data_url(encoded(page())), "max_new_tokens": 8000}  # the tiny model goes on about it to the end


class Caller(threading.Thread):
    """Asks for a prediction and notes its events as they come, (what, data), with those of all callers in `order`."""

    def __init__(self, url: str, order: list[tuple[int, str]], number: int, **more: Any) -> None:
        super().__init__(daemon=True)
        self._order, self._number, self._inputs = order, number, inputs(number, **more)
        self._url = f"{url}/predictions/caller-{id(self)}"
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.error = ""
        self.start()

    def run(self) -> None:
        body = {"input": self._inputs}
        try:
            with httpx.Client(timeout=60) as client, connect_sse(client, "PUT", self._url, json=body) as source:
                for event in source.iter_sse():
                    self.events.append((event.event, json.loads(event.data)))
                    self._order.append((self._number, event.event))
        except httpx.HTTPError as error:
            self.error = str(error)

    def cancel(self) -> None:
        httpx.post(f"{self._url}/cancel", timeout=10)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for what, data in self.events if what == kind]

    @property
    def text(self) -> str:
        return "".join(data["chunk"] for data in self.of("output"))

    @property
    def status(self) -> str:
        (end,) = self.of("completed")
        return str(end["status"])

    @property
    def metrics(self) -> dict[str, Any]:
        return {data["name"]: data["value"] for data in self.of("metric")}

    def wait_for_text(self) -> None:
        deadline = time.monotonic() + 60
        while not self.of("output"):
            assert time.monotonic() < deadline and not self.error and not self.of("completed")
            time.sleep(0.01)


def together(server: LocalServer, numbers: range, **more: Any) -> tuple[list[Caller], list[tuple[int, str]]]:
    order: list[tuple[int, str]] = []
    return [Caller(server.url, order, number, **more) for number in numbers], order


def test_eight_predictions_stream_at_once_and_each_is_what_it_is_alone(server: LocalServer) -> None:
    alone = {}
    for number in range(SLOTS):
        (caller,), _ = together(server, range(number, number + 1))
        caller.join(60)
        alone[number] = caller.text, caller.metrics["completion_tokens"]
    callers, order = together(server, range(SLOTS))
    for caller in callers:
        caller.join(60)
    assert [caller.status for caller in callers] == ["succeeded"] * SLOTS
    firsts = [order.index((number, "output")) for number in range(SLOTS)]
    assert max(firsts) < min(index for index, (_, what) in enumerate(order) if what == "completed")
    assert [(caller.text, caller.metrics["completion_tokens"]) for caller in callers] == list(alone.values())
    assert len({tokens for _, tokens in alone.values()}) == SLOTS
    assert [caller.metrics["pages"] for caller in callers] == [1] * SLOTS


def test_one_that_is_cancelled_ends_at_once_and_the_others_are_whole(server: LocalServer) -> None:
    (alone,), _ = together(server, range(1, 2), max_new_tokens=300)
    alone.join(60)
    order: list[tuple[int, str]] = []
    leaving = Caller(server.url, order, 0, **LONG)
    others = [Caller(server.url, order, 1, max_new_tokens=300) for _ in range(2)]
    for caller in (leaving, *others):
        caller.wait_for_text()
    sent = len(leaving.of("output"))
    leaving.cancel()
    leaving.join(60)
    assert leaving.status == "canceled"
    assert len(leaving.of("output")) < sent + 60  # tokens, of 8,000
    assert leaving.metrics == {"finish_reason": "cancelled"}
    for caller in others:
        caller.join(60)
    assert [(caller.status, caller.text) for caller in others] == [("succeeded", alone.text)] * 2


def test_what_fails_fails_by_itself(server: LocalServer) -> None:
    (whole,), _ = together(server, range(1))
    (failing,), _ = together(server, range(1, 2), reference_text="no use")
    (unlucky,), _ = together(server, range(2, 3), prompt="this was cancelled <image>")
    for caller in (whole, failing, unlucky):
        caller.join(60)
    assert [caller.status for caller in (whole, failing, unlucky)] == ["succeeded", "failed", "failed"]
    assert "reference_text would have no effect" in failing.of("completed")[0]["error"]


def test_the_ninth_is_told_that_all_slots_are_busy_and_our_client_waits_for_one(server: LocalServer) -> None:
    callers, _ = together(server, range(SLOTS), **LONG)
    for caller in callers:
        caller.wait_for_text()
    assert server.health()["status"] == "BUSY"
    refused = httpx.post(f"{server.url}/predictions", json={"input": inputs(9)}, timeout=10)
    assert (refused.status_code, "all prediction slots busy" in refused.text) == (409, True)
    threading.Timer(0.3, callers[3].cancel).start()
    assert "".join(stream(server.url, inputs(9, max_new_tokens=5)))
    for caller in callers:
        caller.cancel()
        caller.join(60)
    assert {caller.status for caller in callers} == {"canceled"}
    wait_for(server, {"READY"}, seconds=10)


def test_predictions_of_a_worker_that_is_killed_do_not_end_well(server: LocalServer) -> None:
    callers, _ = together(server, range(2), **LONG)
    for caller in callers:
        caller.wait_for_text()
    os.kill(worker_of(server.process.pid), signal.SIGKILL)
    for caller in callers:
        caller.join(30)
        assert not caller.is_alive()
        assert caller.error or caller.status == "failed"
    assert wait_for(server, {"UNHEALTHY", "DEFUNCT"}, seconds=30)


def worker_of(parent: int) -> int:
    """The process in which the server runs predict()."""
    (child,) = [pid for task in Path(f"/proc/{parent}/task").glob("*/children") for pid in task.read_text().split()]
    return int(child)


ASYNC_GENERATOR = """
import asyncio
from pathlib import Path
from cog import AsyncConcatenateIterator, BaseRunner, Input, concurrent, streaming

class Predictor(BaseRunner):
    async def setup(self):
        pass

    @streaming
    @concurrent(max=2)
    async def predict(self, name: str = Input(description="of a file")) -> AsyncConcatenateIterator[str]:
        for number in range(4):
            yield str(number)
            await asyncio.sleep(0.2)
        Path(name).touch()
"""


def test_cog_still_collects_async_generators_before_it_streams_them(tmp_path: Path) -> None:
    """When this fails, predict() can be an async generator, and ocr/faces/cog/slots.py can go."""
    (tmp_path / "predict.py").write_text(ASYNC_GENERATOR)
    (tmp_path / ".cog").mkdir()
    (tmp_path / ".cog" / "openapi_schema.json").write_text(json.dumps(openapi(ASYNC_GENERATOR)))
    port = free_port()
    cogs = {"PORT": str(port), "COG_PREDICT_TYPE_STUB": "predict.py:Predictor", "COG_MAX_CONCURRENCY": "2"}
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    command = [sys.executable, "-m", "cog.server.http", "--host", "127.0.0.1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = LocalServer(port=port)
    with subprocess.Popen(command, cwd=tmp_path, env={**os.environ, **cogs, "PATH": path}, **quiet) as process:  # type: ignore[call-overload]
        try:
            wait_for(server, {"READY"})
            body = {"input": {"name": str(tmp_path / "over")}}
            url = f"{server.url}/predictions"
            with httpx.Client(timeout=30) as client, connect_sse(client, "POST", url, json=body) as source:
                first = next(event for event in source.iter_sse() if event.event == "output")
                assert json.loads(first.data)["chunk"]
                assert (tmp_path / "over").exists()  # its last item came before its first was sent
        finally:
            process.terminate()
