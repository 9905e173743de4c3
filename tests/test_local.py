"""The command line that stands in for `cog predict`, without a server."""

import base64
import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocr.errors import InputError, ModelError, OCRError, SetupError
from ocr.faces.cog.client import parse_inputs, stream
from ocr.faces.cog.main import main
from ocr.faces.cog.server import LocalServer, without_proxy, worker_text
from ocr.faces.failures import failure
from tests.pictures import encoded, page


def test_inputs_are_read_by_their_types(tmp_path: Path) -> None:
    path = tmp_path / "a page.png"
    path.write_bytes(encoded(page()))
    inputs = parse_inputs([f"image=@{path}", "max_new_tokens=12", "prompt=a=b", "cut_long_pages=false"])
    assert inputs == {
        "image": "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode(),
        "max_new_tokens": 12,
        "prompt": "a=b",
        "cut_long_pages": False,
    }


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("imag=@x", "'imag=@x' is no input.*image, task_type"),
        ("image", "'image' is no input"),
        ("image=@/nowhere/x.png", "'/nowhere/x.png' cannot be read: No such file"),
        ("image=page.png", "image is 'page.png'; write image=@page.png to send that file"),
        ("max_new_tokens=many", "'many'; it must be a whole number"),
        ("cut_long_pages=no", "'no'; it must be one of: true, false"),
    ],
)
def test_wrong_usage_is_told_before_anything_starts(pair: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=words):
        parse_inputs([pair])
    assert main(["predict", "-i", pair]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@contextlib.contextmanager
def answering(*answers: tuple[int, str, str]) -> Iterator[tuple[str, list[str]]]:
    """A server that gives these answers (status, type, body), the last one again and again; its URL, and who asked."""
    left = list(answers)
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            status, kind, body = left.pop(0) if len(left) > 1 else left[0]
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


BUSY = (409, "application/json", '{"error": "At capacity - all prediction slots busy", "status": "failed"}')
TEXT = (
    200,
    "text/event-stream",
    'event: output\ndata: {"chunk": "some text"}\n\nevent: completed\ndata: {"status": "succeeded"}\n\n',
)


def test_a_server_that_is_not_free_yet_is_asked_again() -> None:
    with answering(BUSY, BUSY, TEXT) as (url, asked):
        assert list(stream(url, {})) == ["some text"]
    assert len(asked) == 3


def test_a_server_that_stays_busy_is_told_after_about_a_second() -> None:
    with answering(BUSY) as (url, asked):
        began = time.monotonic()
        with pytest.raises(OCRError, match=r"^The server answered 409: At capacity - all prediction slots busy$"):
            list(stream(url, {}))
    assert 1 <= time.monotonic() - began < 3
    assert len(asked) > 3


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (
            (422, "application/json", '{"detail": [{"loc": ["body", "input", "dpi"], "msg": "too small"}]}'),
            InputError,
            "dpi: too small",
        ),
        ((503, "application/json", '{"error": "in setup"}'), OCRError, "The server answered 503: in setup"),
        ((502, "text/html", "<p>no gateway"), OCRError, "The server answered 502: <p>no gateway"),
        (
            (200, "text/event-stream", 'event: completed\ndata: {"status": "failed", "error": "X"}\n\n'),
            OCRError,
            "X",
        ),
    ],
)
def test_a_refusal_is_one_sentence(answer: tuple[int, str, str], kind: type[OCRError], message: str) -> None:
    with answering(answer) as (url, asked), pytest.raises(OCRError) as raised:
        list(stream(url, {}))
    assert (type(raised.value), str(raised.value), len(asked)) == (kind, message, 1)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_no_proxy_comes_between_this_machine_and_its_own_server(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering((503, "text/html", "no")) as (proxy, through), answering(TEXT) as (url, _):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.replace("http", scheme, 1))
        assert list(stream(url, {})) == ["some text"]
    with answering((200, "application/json", '{"status": "BUSY"}')) as (url, _):
        assert LocalServer(port=int(url.rpartition(":")[2])).health() == {"status": "BUSY"}
    assert through == []


@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        ({}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "a.example"}, "a.example,127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "a.example", "no_proxy": "b.example"}, "b.example,127.0.0.1,localhost,::1"),
        ({"no_proxy": "*"}, "*"),
    ],
)
def test_the_server_is_kept_from_asking_a_proxy_for_this_machine(given: dict[str, str], hosts: str) -> None:
    assert without_proxy(given) == {"NO_PROXY": hosts, "no_proxy": hosts}


def test_an_answer_that_is_not_cogs_is_no_state() -> None:
    with answering((200, "text/html", "<p>another program")) as (url, _):
        assert LocalServer(port=int(url.rpartition(":")[2])).health() == {"status": "UNKNOWN"}


def test_only_what_the_predictor_prints_is_passed_on() -> None:
    def line(message: str, **fields: str) -> str:
        return json.dumps({"level": "INFO", "fields": {"message": message, **fields}, "target": "coglet"})

    assert worker_text(line("Fetched 10%", source="Stderr")) == "Fetched 10%"
    assert worker_text(line("Server ready")) == ""
    assert worker_text(line("x:1: DeprecationWarning: old", source="Stderr")) == ""
    assert worker_text("not json") == ""


@pytest.mark.parametrize(
    ("told", "kind", "message"),
    [
        ("Prediction failed: Prediction failed: InputError: Wrong.", InputError, "Wrong."),
        ("Prediction failed: Generator iteration error: ModelError: Wrong: x.", ModelError, "Wrong: x."),
        (
            "Loaded one.\nworker setup failed: worker setup failed (slot 1f-2a): Setup failed: setup failed: "
            "SetupError: No weights.",
            SetupError,
            "No weights.",
        ),
        (
            "Prediction failed: InputError: 'a' is an InputError: b\nand c",
            InputError,
            "'a' is an InputError: b\nand c",
        ),
        ("Prediction failed: KeyError: 'x'", OCRError, "Prediction failed: KeyError: 'x'"),
        ("The prediction ended as canceled.", OCRError, "The prediction ended as canceled."),
    ],
)
def test_the_predictors_own_error_comes_out_of_what_the_server_says(
    told: str, kind: type[OCRError], message: str
) -> None:
    error = failure(told)
    assert (type(error), str(error)) == (kind, message)
