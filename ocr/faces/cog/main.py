"""What `cog predict` and `cog serve` do, without Docker; script/predict and script/serve set up what they need first.

`python -m ocr.faces.cog.main serve` and `… predict -i image=@page.jpg`.
"""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from ocr.faces import exits
from ocr.faces.cog.client import parse_inputs, stream
from ocr.faces.cog.server import LocalServer
from ocr.output.untrusted import as_shown

PAIR = "NAME=VALUE"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status of a command line: 0, 1 for a failed prediction or setup, else as in `ocr.faces.exits`."""
    return exits.run(cli, "python -m ocr.faces.cog.main", argv, names={})


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def cli() -> None:
    """Run the predictor without Docker."""


@cli.command()
@click.option("-i", "--input", "pairs", multiple=True, required=True, metavar=PAIR, help="NAME=@FILE for a file")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="write the text there")
@click.option("-e", "--env", "settings", multiple=True, metavar=PAIR, help="a setting of the server")
def predict(pairs: Sequence[str], output: Path | None, settings: Sequence[str]) -> None:
    """Start a server, run one prediction on it and print its text as it comes."""
    inputs = parse_inputs(pairs)
    env = dict(pair.partition("=")[::2] for pair in settings)
    with LocalServer(env=env) as server, contextlib.ExitStack() as opened:
        out = opened.enter_context(output.open("w", encoding="utf-8")) if output else sys.stdout
        last = ""
        for last in stream(server.url, inputs):
            print(as_shown(last) if out.isatty() else last, end="", file=out, flush=True)
        if not last.endswith("\n"):
            print(file=out)


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="the address to listen on")
@click.option("--port", type=int, default=5000, show_default=True)
def serve(host: str, port: int) -> None:
    """Run Cog's HTTP server until it is interrupted; where its worker dies, it is started again."""
    with LocalServer(port=port, host=host) as server:
        print(f"Ready: POST {server.url}/predictions", file=sys.stderr, flush=True)
        server.keep_up()
        print("The server was shut down over HTTP.", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
