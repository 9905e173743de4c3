"""The gateway as a command."""

import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import astuple
from pathlib import Path
from typing import Any

import click
import pytest

from ocr.faces.gateway.main import OPTIONS, cli, main
from ocr.faces.gateway.settings import GatewaySettings
from tests.gateways import get

COMMAND = [sys.executable, "-P", "-m", "ocr.faces.gateway.main"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_in_order(number: signal.Signals) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OCR_GATEWAY_SERVER": "http://127.0.0.1:1 http://127.0.0.1:2"}
    with subprocess.Popen([*COMMAND, f"--port={port}"], env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert f"Ready: http://127.0.0.1:{port}" in process.stderr.readline()
        health = get(f"http://127.0.0.1:{port}/health")
        assert (health.status_code, len(health.json()["servers"])) == (503, 2)
        process.send_signal(number)
        assert process.wait(timeout=30) == 128 + number
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--server", "cog:5000"], "is no http(s) URL"),
        (["--max-file-mb", "71"], "1<=x<=70"),
        (["--port", "0"], "1<=x<=65535"),
        (["--key", ""], "must be some ASCII text"),
        (["--colour"], "No such option"),
    ],
)
def test_a_wrong_option_is_told(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_a_port_that_is_taken_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["--port", str(taken.getsockname()[1])]) == 1
    assert "error: Address already in use" in capsys.readouterr().err


def test_the_page_of_the_gateway_documents_every_option() -> None:
    documented = Path("docs/gateway.md").read_text()
    options = [option for option in cli.params if isinstance(option, click.Option) and option.envvar]
    assert len(options) == len(OPTIONS)
    for option in options:
        row = re.search(rf"^\| `{option.opts[0]}[ `].*$", documented, re.MULTILINE)
        assert row and f"`{option.envvar}`" in row[0]
        _, _, default, _ = (cell.strip() for cell in row[0].strip("|").split("|"))
        assert default == shown(option.default)


def shown(default: Any) -> str:
    if isinstance(default, tuple):
        return " ".join(default)
    return "off" if default is False else f"{default:g}"


def test_every_option_reaches_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr("ocr.faces.gateway.main.application", lambda *parts: given.extend(parts))
    monkeypatch.setattr("ocr.faces.gateway.main.listen", lambda *_parts: None)
    words = [word for name, value in WORDS.items() for word in ([name] if value is True else [name, str(value)])]
    assert main(words) == 0
    settings, fetch = given
    assert astuple(settings) == tuple((value,) if isinstance(value, str) else value for value in WORDS.values())
    assert fetch.keywords == {"max_mb": 4, "seconds": 2.5}
    assert main([]) == 0
    assert given[2:] == [GatewaySettings(), None]


WORDS = {
    "--server": "http://cog:1",
    "--key": "k",
    "--host-name": "ocr.example",
    "--allow-origin": "https://a.example",
    "--remote-documents": True,
    "--fetch-limit": 2.5,
    "--max-body-mb": 3,
    "--max-file-mb": 4,
    "--max-pages": 5,
    "--max-waiting": 6,
    "--patience": 7.5,
    "--time-limit": 8.5,
    "--stall-limit": 9.5,
    "--files-mb": 10,
    "--files-hours": 11.5,
}
