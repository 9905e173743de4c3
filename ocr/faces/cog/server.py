"""Cog's HTTP server on this machine without Docker, in a process of its own. Imports no engine."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import httpx

from ocr.errors import SetupError
from ocr.faces.cog.schema import PROJECT, write_schema
from ocr.faces.failures import failure
from ocr.output.untrusted import as_shown
from ocr.settings import read_settings

STARTING = ("STARTING", "UNKNOWN")
BROKEN = ("UNHEALTHY", "DEFUNCT")  # the worker is gone, and every prediction is refused with 409 for ever
# What Cog 0.23 logs when it could make no folder for a prediction's id: its slot counts as busy for ever.
LOST_SLOT = "PermitInUse dropped without state transition"
LOOK_S = 1.0  # between two looks at the server's health
STEADY_S = 60.0  # a server that was up so long did not die of its start
RESTART_PAUSES_S = (0.0, 2.0, 8.0, 30.0)  # before each start of one that dies again and again
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class LocalServer:
    """A Cog server in a process of its own, running while the `with` block does.

    What setup prints is passed on to `log` as it comes. Raises SetupError where the server does not become ready.
    """

    def __init__(
        self, *, port: int = 0, host: str = "127.0.0.1", env: Mapping[str, str] | None = None, log: IO[str] = sys.stderr
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._host = host
        self._env = dict(env or {})
        self._log = log

    def __enter__(self) -> "LocalServer":
        self.start()
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process; it is not ready yet."""
        write_schema(PROJECT)
        self._slots, self._lost_slots = read_settings({**os.environ, **self._env}).slots, 0
        self.process = subprocess.Popen(  # noqa: S603  our own interpreter and module
            [sys.executable, "-m", "cog.server.http", "--host", self._host],
            cwd=PROJECT,
            env={**os.environ, **self._environment(), **self._env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for this program, which then stops the server in order
        )
        self._pump = threading.Thread(target=self._pass_on, daemon=True)
        self._pump.start()

    def _environment(self) -> dict[str, str]:
        # The server starts its worker with the `python` that is first on PATH.
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
        cogs = {
            "PORT": str(self.port),
            "COG_PREDICT_TYPE_STUB": "predict.py:Predictor",
            "COG_MAX_CONCURRENCY": str(self._slots),  # without an image, Cog asks the environment alone
        }
        return {"PATH": path, **cogs, **without_proxy(os.environ)}

    def _pass_on(self) -> None:
        """Show what setup and predictions print; the server's own log lines are of no use to a person."""
        assert self.process.stderr is not None  # noqa: S101
        for line in self.process.stderr:
            self._lost_slots += LOST_SLOT in line
            if text := worker_text(line):
                print(as_shown(text), file=self._log, flush=True)

    def wait_until_ready(self) -> None:
        """Wait for setup to end, however long the weights take. Raises SetupError with its message if it fails."""
        while (health := self.health())["status"] in STARTING:
            if self.process.poll() is not None:
                raise SetupError(f"The server ended at start with exit status {self.process.returncode}.")
            time.sleep(0.1)
        if health["status"] != "READY":
            raise SetupError(str(failure(health.get("setup", {}).get("logs", "") or health["status"])))

    def keep_up(self) -> None:
        """Stay until somebody shuts the server down over HTTP; where it breaks, start it again.

        Raises SetupError where it broke RESTART_PAUSES_S times in a row, or is not ready after a start.
        """
        breaks = 0
        while True:
            since = time.monotonic()
            reason = self._wait_until_broken()
            if not reason:
                return
            breaks = 1 if time.monotonic() - since > STEADY_S else breaks + 1
            if breaks > len(RESTART_PAUSES_S):
                raise SetupError(f"The server {reason}, for the {breaks}th time in a row; it is not started again.")
            print(f"The server {reason}; it is started again.", file=self._log, flush=True)
            self.stop()
            time.sleep(RESTART_PAUSES_S[breaks - 1])
            self.start()
            self.wait_until_ready()
            print(f"Ready again: {self.url}", file=self._log, flush=True)

    def _wait_until_broken(self) -> str:
        """What became of the server that runs, once it is of no more use; empty where it was shut down in order."""
        while self.process.poll() is None:
            if (status := self.health()["status"]) in BROKEN:
                return f"is {status}: its worker was killed, or crashed"
            if self._lost_slots >= self._slots:
                return "takes no more predictions: no folder could be made for the id of one"
            time.sleep(LOOK_S)
        return f"ended with exit status {self.process.returncode}" if self.process.returncode else ""

    def health(self) -> dict[str, Any]:
        """The server's own word on its state; status UNKNOWN while it does not answer yet."""
        try:
            answer = httpx.get(f"{self.url}/health-check", timeout=5, trust_env=False)  # a proxy has no part in it
            state: dict[str, Any] = answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError):  # a port may for a moment still be another program's
            return {"status": "UNKNOWN"}
        return state

    def stop(self) -> None:
        """End the server and its worker, which may outlive it in the middle of a step; once is enough."""
        assert self.process.stderr is not None  # noqa: S101
        if self.process.stderr.closed:
            return
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._pump.join()
        self.process.stderr.close()


def without_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables, in both spellings, that keep proxies away from this machine beside what they do already."""
    given = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    hosts = given if given.strip() == "*" else ",".join(filter(None, (given, *LOOPBACK)))  # * is for all, alone
    return {"NO_PROXY": hosts, "no_proxy": hosts}


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def worker_text(line: str) -> str:
    """What the predictor itself printed, out of one JSON line of the server's log; empty for the server's own lines."""
    try:
        entry = json.loads(line)
        fields = entry["fields"]
        text = str(fields["message"]) if "source" in fields else ""
    except (ValueError, KeyError, TypeError):
        return ""
    return "" if "DeprecationWarning" in text else text
