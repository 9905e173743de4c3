"""The clients of docs/http.md as they stand there, each with a page of 3 MB on a real server."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ocr.faces.cog.server import LocalServer

PROJECT = Path(__file__).resolve().parent.parent
PAGE = PROJECT / "examples" / "noisy.jpg"
WORDS = PAGE.with_suffix(".md").read_text().replace("# ", "").split()
BLOCK = re.compile(r"^```(sh|python|js)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CURL, PLAIN, STREAMING, NODE = [code for _, code in BLOCK.findall((PROJECT / "docs" / "http.md").read_text())][:4]


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer(env={"OCR_CHECKPOINTS": "", "OCR_MODELS": "deepseek-ocr-tiny"}) as started:
        yield started


@pytest.fixture
def idle(server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalServer:
    """The server with all its slots free, and page.jpg in the working directory: a picture with 3 MB of comments."""
    comment = b"\xff\xfe\xff\xff" + bytes(65533)
    picture = PAGE.read_bytes()
    (tmp_path / "page.jpg").write_bytes(picture[:2] + 47 * comment + picture[2:])
    monkeypatch.chdir(tmp_path)
    while server.health()["status"] == "BUSY":
        time.sleep(0.02)  # Cog answers a moment before it is free again
    return server


def said(server: LocalServer, command: list[str], code: str) -> str:
    """What a program prints, which gets the code as its last argument."""
    code = code.replace("http://127.0.0.1:5000", server.url)
    done = subprocess.run([*command, code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl_sends_a_page_of_any_size(idle: LocalServer) -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    answer = json.loads(said(idle, ["sh", "-c"], CURL))
    assert answer["status"] == "succeeded"
    assert "".join(answer["output"]).split() == WORDS


@pytest.mark.parametrize("code", [PLAIN, STREAMING], ids=["plain", "streaming"])
def test_python_reads_a_page(idle: LocalServer, code: str) -> None:
    assert said(idle, [sys.executable, "-c"], code).replace("# ", "").split() == WORDS


def test_node_reads_a_page(idle: LocalServer, tmp_path: Path) -> None:
    if not shutil.which("node"):
        pytest.skip("Node is not installed")
    (tmp_path / "read.mjs").write_text(NODE.replace("http://127.0.0.1:5000", idle.url))
    done = subprocess.run(["node", "read.mjs", "page.jpg"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.replace("# ", "").split() == WORDS


def test_what_fails_is_told_as_the_page_says(idle: LocalServer) -> None:
    refused = httpx.post(f"{idle.url}/predictions", json={"input": {"image": "data:;base64,AAAA"}}, timeout=60)
    assert (refused.status_code, refused.json()["status"]) == (200, "failed")
    assert refused.json()["error"]
    assert "access-control-allow-origin" not in refused.headers
    wrong = httpx.post(f"{idle.url}/predictions", json={"input": {"image": "data:,x", "task_type": "x"}}, timeout=60)
    assert (wrong.status_code, wrong.json()["detail"][0]["loc"]) == (422, ["body", "input", "task_type"])
