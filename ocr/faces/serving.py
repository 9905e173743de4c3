"""script/serve: a Cog server and the gateway before it, each in its process. Knows of both their commands alone."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

import click

from ocr.faces import exits

COG, GATEWAY = "ocr.faces.cog.main", "ocr.faces.gateway.main"
LOOPBACK = "127.0.0.1"
PORT = click.IntRange(1, 65535)
PATIENCE_S = 20  # for a process that was told to end


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status of a command line, as in `ocr.faces.exits`; where a process ends by itself, its own."""
    return exits.run(cli, "script/serve", argv, names={})


@click.command(
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 120,
        "show_default": True,
        "ignore_unknown_options": True,
    }
)
@click.option("--host", default=LOOPBACK, help="the address that the gateway listens on")
@click.option("--gateway-port", type=PORT, default=8000)
@click.option("--cog-host", default=LOOPBACK, help="the address that Cog's server listens on; it has no API keys")
@click.option("--port", type=PORT, default=5000, help="of Cog's server")
@click.option("--gateway-only", is_flag=True, help="start no Cog server; use those that are named with --server")
@click.argument("options", nargs=-1, metavar="[OPTIONS OF THE GATEWAY]", type=click.UNPROCESSED)
def cli(host: str, gateway_port: int, cog_host: str, port: int, gateway_only: bool, options: Sequence[str]) -> int:
    """Serve Cog's HTTP, and before it OpenAI's API and others: docs/gateway.md has the gateway's own options."""
    gateway = [GATEWAY, f"--host={host}", f"--port={gateway_port}", *options]
    if gateway_only:
        return _until_one_ends(gateway)
    cog = [COG, "serve", f"--host={cog_host}", f"--port={port}"]
    return _until_one_ends([*gateway, f"--server=http://{LOOPBACK}:{port}"], cog)


def _until_one_ends(*commands: Sequence[str]) -> int:
    """Run modules side by side, and give the exit status of the one that ends first; the others end with it."""
    with contextlib.ExitStack() as started:
        for command in commands:
            started.enter_context(_running(command))
        _, status = os.wait()
        return os.waitstatus_to_exitcode(status)


@contextlib.contextmanager
def _running(command: Sequence[str]) -> Iterator[None]:
    """A module in a process of its own, which Ctrl-C does not reach: it is told to end when the block does."""
    with subprocess.Popen(  # noqa: S603  our own interpreter and modules
        [sys.executable, "-P", "-m", *command], stdin=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            yield
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE_S)
            process.kill()


if __name__ == "__main__":
    sys.exit(main())
