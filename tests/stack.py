"""script/serve for tests: a Cog server and the gateway before it, both real, each in its process."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ocr.faces.cog.server import free_port
from tests.gateways import get, wait_until

COMMAND = [sys.executable, "-P", "-m", "ocr.faces.serving"]


@contextlib.contextmanager
def stack(model: str, key: str) -> Iterator[str]:
    """Both before one model, ready; they start together and are told to end together. Gives the gateway's URL."""
    port, gateway_port = free_port(), free_port()
    url = f"http://127.0.0.1:{gateway_port}"
    command = [*COMMAND, f"--port={port}", f"--gateway-port={gateway_port}", "--key", key]
    env = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OCR_MODELS": model, "OCR_DEVICE": "cpu"}
    with subprocess.Popen(command, env=env) as process:
        try:
            wait_until(lambda: _health(url) == 503)  # while the model is loaded
            wait_until(lambda: _health(url) == 200, seconds=120)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
    for place in (url, f"http://127.0.0.1:{port}"):
        with pytest.raises(httpx.ConnectError):
            get(f"{place}/health-check")


def _health(url: str) -> int:
    try:
        return get(f"{url}/health").status_code
    except httpx.HTTPError:
        return 0
