"""The gateway as a command: `python -m ocr.faces.gateway.main --server http://127.0.0.1:5000`."""

import logging
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import click

from ocr.documents.fetching import fetch_document
from ocr.faces import exits
from ocr.faces.gateway.app import application
from ocr.faces.gateway.door import LOOPBACK_NAMES
from ocr.faces.gateway.listening import listen
from ocr.faces.gateway.memory import give_back_what_is_free
from ocr.faces.gateway.settings import GatewaySettings

DEFAULT = GatewaySettings()
POSITIVE = click.IntRange(min=1)
SECONDS = click.FloatRange(min=0, min_open=True)
MAX_FILE_MB = 70  # in base64 it must fit into the 100 MiB that Cog takes


def _servers(_context: click.Context, _option: click.Parameter, urls: tuple[str, ...]) -> tuple[str, ...]:
    for url in urls:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise click.BadParameter(f"{url!r} is no http(s) URL, like http://127.0.0.1:5000.")
    return urls


def _keys(_context: click.Context, _option: click.Parameter, keys: tuple[str, ...]) -> tuple[str, ...]:
    if not all(key.strip() and key.isascii() for key in keys):
        raise click.BadParameter("a key must be some ASCII text.")
    return keys


def _option(name: str, field: str, text: str, **more: Any) -> Callable[[Any], Any]:
    default = getattr(DEFAULT, field)
    variable = f"OCR_GATEWAY_{name.removeprefix('--').replace('-', '_').upper()}"
    return click.option(name, field, envvar=variable, default=default, show_envvar=True, help=text, **more)


# Each is a field of GatewaySettings; of those that may be given several times, a variable parts them with blanks.
OPTIONS = (
    _option("--server", "servers", "a Cog server of this package", multiple=True, metavar="URL", callback=_servers),
    _option("--key", "keys", "an API key; without one, everybody has access", multiple=True, callback=_keys),
    _option("--host-name", "hosts", "a host name of the gateway; * for any", multiple=True),
    _option(
        "--allow-origin", "origins", "another site whose pages may send requests, like https://a.example", multiple=True
    ),
    _option("--remote-documents", "remote", "fetch documents at public http(s) URLs of other servers", is_flag=True),
    _option("--fetch-limit", "fetch_s", "seconds to fetch a document", type=SECONDS),
    _option("--max-body-mb", "max_body_mb", "largest request, in MiB", type=POSITIVE),
    _option("--max-file-mb", "max_file_mb", "largest document, in MiB", type=click.IntRange(1, MAX_FILE_MB)),
    _option("--max-pages", "max_pages", "pages read in one request", type=POSITIVE),
    _option("--max-waiting", "max_waiting", "documents in the queue; more are answered with 429", type=POSITIVE),
    _option("--patience", "patience_s", "seconds a document may wait in the queue", type=SECONDS),
    _option("--time-limit", "limit_s", "seconds to read a document, after its time in the queue", type=SECONDS),
    _option(
        "--stall-limit",
        "stall_s",
        "seconds without progress after which a request or its answer is given up",
        type=SECONDS,
    ),
    _option("--files-mb", "files_mb", "MiB of all uploaded files together", type=POSITIVE),
    _option("--files-hours", "files_hours", "hours an uploaded file is kept", type=SECONDS),
)


def gateway_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command all options that are fields of GatewaySettings."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status of a command line, as in `ocr.faces.exits`."""
    return exits.run(cli, "python -m ocr.faces.gateway.main", argv, names={})


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120, "show_default": True})
@click.option("--host", default="127.0.0.1", help="the address to listen on")
@click.option("--port", type=click.IntRange(1, 65535), default=8000)
@gateway_options
def cli(host: str, port: int, **fields: Any) -> None:
    """Answer OpenAI's API with the text that Cog servers of this package read."""
    run(host, port, GatewaySettings(**fields))


def run(host: str, port: int, settings: GatewaySettings) -> None:
    """Answer requests until the process is told to end."""
    give_back_what_is_free()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    if host not in LOOPBACK_NAMES and not settings.keys:
        print(
            f"Warning: everybody who can reach {host} has access; set API keys with OCR_GATEWAY_KEY.",
            file=sys.stderr,
            flush=True,
        )
    fetch = partial(fetch_document, max_mb=settings.max_file_mb, seconds=settings.fetch_s)
    listen(application(settings, fetch if settings.remote else None), host, port)


if __name__ == "__main__":
    sys.exit(main())
