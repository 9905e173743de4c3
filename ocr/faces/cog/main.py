"""Cog's server on this machine without Docker, and one prediction on it: what `cog serve` and `cog predict` do.

`python -m ocr.faces.cog.main serve` and `… predict -i image=@page.jpg`; script/serve and script/predict set up what
they need first. Speaks HTTP to the server and imports no engine.
"""

import argparse
import base64
import contextlib
import json
import mimetypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import httpx
from httpx_sse import connect_sse

from ocr.errors import InputError, OCRError, SetupError, choices
from ocr.faces.cog.failures import failure
from ocr.faces.cog.schema import openapi, write_schema

PROJECT = Path(__file__).resolve().parents[3]
STARTING = ("STARTING", "UNKNOWN")


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
        return {"PATH": path, "PORT": str(self.port), "COG_PREDICT_TYPE_STUB": "predict.py:Predictor"}

    def _pass_on(self) -> None:
        """Show what setup and predictions print; the server's own log lines are of no use to a person."""
        assert self.process.stderr is not None  # noqa: S101
        for line in self.process.stderr:
            if text := worker_text(line):
                print(text, file=self._log, flush=True)

    def wait_until_ready(self) -> None:
        """Wait for setup to end, however long the weights take. Raises SetupError with its message if it fails."""
        while (health := self.health())["status"] in STARTING:
            if self.process.poll() is not None:
                raise SetupError(f"The server ended at start with exit status {self.process.returncode}.")
            time.sleep(0.1)
        if health["status"] != "READY":
            raise SetupError(str(failure(health.get("setup", {}).get("logs", "") or health["status"])))

    def health(self) -> dict[str, Any]:
        """The server's own word on its state; status UNKNOWN while it does not answer yet."""
        try:
            answer: dict[str, Any] = httpx.get(f"{self.url}/health-check", timeout=5).json()
        except httpx.TransportError:
            return {"status": "UNKNOWN"}
        return answer

    def stop(self) -> None:
        """End the server and its worker, which may outlive it in the middle of a step."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._pump.join()
        assert self.process.stderr is not None  # noqa: S101
        self.process.stderr.close()


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


def stream(url: str, inputs: Mapping[str, Any]) -> Iterator[str]:
    """The text of one prediction as it comes. Raises OCRError where the prediction is refused or fails."""
    with (
        httpx.Client(timeout=httpx.Timeout(10, read=None)) as client,
        connect_sse(client, "POST", f"{url}/predictions", json={"input": dict(inputs)}) as events,
    ):
        if events.response.status_code != httpx.codes.OK:
            raise InputError(_refusal(events.response.read()))
        for event in events.iter_sse():
            data = json.loads(event.data)
            if event.event == "output":
                yield data["chunk"]
            elif event.event == "completed" and data["status"] != "succeeded":
                raise failure(data.get("error") or f"The prediction ended as {data['status']}.")


def _refusal(body: bytes) -> str:
    detail = json.loads(body).get("detail", body.decode())
    if not isinstance(detail, list):
        return str(detail)
    return "; ".join(f"{error['loc'][-1]}: {error['msg']}" for error in detail)


def parse_inputs(pairs: Sequence[str]) -> dict[str, Any]:
    """`name=value` pairs as the inputs of a prediction; `@FILE` stands for the file's content.

    Raises InputError for a name that predict() lacks (Cog would drop it without a word), a value of another type or a
    file that is not there.
    """
    document = openapi((PROJECT / "predict.py").read_text(encoding="utf-8"))
    properties = document["components"]["schemas"]["Input"]["properties"]
    inputs: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or name not in properties:
            raise InputError(f"-i {pair!r} is no input; write name=value with one of: {choices(properties)}.")
        inputs[name] = _value(name, value, properties[name].get("type", "string"))
    return inputs


def _value(name: str, value: str, kind: str) -> Any:
    if value.startswith("@"):
        return data_url(Path(value[1:]))
    if kind == "integer":
        try:
            return int(value)
        except ValueError:
            raise InputError(f"{name} is {value!r}; it must be a whole number.") from None
    return value


def data_url(path: Path) -> str:
    """A file as a data: URL. Raises InputError for a file that cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"The file {str(path)!r} cannot be read: {error.strerror}.") from error
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def predict(arguments: argparse.Namespace) -> None:
    """Start a server, run one prediction on it and print the text as it comes."""
    inputs = parse_inputs(arguments.input)
    env = dict(pair.partition("=")[::2] for pair in arguments.env)
    with LocalServer(env=env) as server, _opened(arguments.output) as out:
        last = ""
        for last in stream(server.url, inputs):
            print(last, end="", file=out, flush=True)
        if not last.endswith("\n"):
            print(file=out)


def _opened(path: str | None) -> contextlib.AbstractContextManager[IO[str]]:
    return Path(path).open("w", encoding="utf-8") if path else contextlib.nullcontext(sys.stdout)


def serve(arguments: argparse.Namespace) -> None:
    """Run a server until it is interrupted."""
    server = LocalServer(port=arguments.port, host=arguments.host)
    with server:
        print(f"Ready: POST {server.url}/predictions", file=sys.stderr, flush=True)
        server.process.wait()


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ocr.faces.cog.main", description="Run the predictor without Docker."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("predict", help="run one prediction and print its text as it comes")
    one.add_argument(
        "-i", "--input", action="append", required=True, metavar="NAME=VALUE", help="NAME=@FILE for a file"
    )
    one.add_argument("-o", "--output", metavar="FILE", help="write the text there instead of printing it")
    one.add_argument("-e", "--env", action="append", default=[], metavar="NAME=VALUE", help="a setting of the server")
    one.set_defaults(run=predict)
    server = commands.add_parser("serve", help="run Cog's HTTP server until it is interrupted")
    server.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: this machine alone)")
    server.add_argument("--port", type=int, default=5000)
    server.set_defaults(run=serve)
    return parser.parse_args(argv)


def _terminated(number: int, _frame: object) -> None:
    """End in order when the system asks for it, so that no server is left behind."""
    sys.exit(128 + number)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 for success, 1 for a failed prediction or setup, 2 for wrong input, 130 for Ctrl-C."""
    arguments = _arguments(argv)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        arguments.run(arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (OCRError, httpx.HTTPError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
