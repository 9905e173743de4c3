"""What `cog predict` and `cog serve` do, without Docker; script/predict and script/serve set up what they need first.

`python -m ocr.faces.cog.main serve` and `… predict -i image=@page.jpg`.
"""

import argparse
import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import httpx

from ocr.errors import InputError, OCRError
from ocr.faces.cog.client import parse_inputs, stream
from ocr.faces.cog.server import LocalServer


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
