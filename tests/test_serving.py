"""script/serve: a Cog server and the gateway side by side, on the embedded model."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from openai import OpenAI

from ocr.faces.cog.server import free_port
from ocr.faces.serving import main
from tests.gateways import data_url, get, wait_until

COMMAND = [sys.executable, "-P", "-m", "ocr.faces.serving"]
ENV = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OCR_MODELS": "deepseek-ocr-tiny", "OCR_DEVICE": "cpu"}


def health(url: str) -> int:
    try:
        return get(f"{url}/health").status_code
    except httpx.HTTPError:
        return 0


def test_both_start_read_together_and_end_together() -> None:
    port, gateway_port = free_port(), free_port()
    url = f"http://127.0.0.1:{gateway_port}"
    command = [*COMMAND, f"--port={port}", f"--gateway-port={gateway_port}", "--key", "secret"]
    with subprocess.Popen(command, env=ENV) as process:
        try:
            wait_until(lambda: health(url) == 503)  # while the model is loaded
            wait_until(lambda: health(url) == 200, seconds=120)
            with OpenAI(base_url=f"{url}/v1", api_key="secret", max_retries=0) as client:
                part = {"type": "image_url", "image_url": {"url": data_url(Path("examples/invoice.png").read_bytes())}}
                said = [{"role": "user", "content": [{"type": "text", "text": "Free OCR"}, part]}]
                chunks = list(client.chat.completions.create(model="auto", messages=said, stream=True))  # type: ignore[call-overload]
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
            assert "Invoice 2047" in text
            assert len(chunks) > 20
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
    for place in (url, f"http://127.0.0.1:{port}"):
        with pytest.raises(httpx.ConnectError):
            get(f"{place}/health-check")


def test_where_one_cannot_start_both_end_with_its_status(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", ENV["PYTHONPATH"])
    assert main(["--gateway-only", "--gateway-port", str(free_port()), "--colour"]) == 2
    assert "No such option" in capfd.readouterr().err
    assert main(["--port", "none"]) == 2
