"""A stand-in for Replicate's pget: its command line, its retries and its faults, over plain urllib.

    pget multifile [-f] [-r N] [-c N] [-m SIZE] [--max-concurrent-files N] [--max-conn-per-host N] MANIFEST|-

As the real one it splits manifest lines at blanks, refuses a destination that exists, asks for ranges and goes on after
a cut, compares byte counts, writes files in place as the bytes come, and ends with status 1 and a line on stderr. It
resumes nothing across runs and checks no digest. Run as a script, found on PATH under the name `pget`.
"""

import argparse
import http.client
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

RETRY_PAUSE_S = 0.01  # about 1 s in the real one
CHUNK = 30_000  # bytes; 125 MiB in the real one


class PgetError(Exception):
    pass


def main() -> int:
    parser = argparse.ArgumentParser(prog="pget")
    commands = parser.add_subparsers(required=True)
    multifile = commands.add_parser("multifile")
    multifile.add_argument("manifest")
    multifile.add_argument("-f", "--force", action="store_true")
    multifile.add_argument("-r", "--retries", type=int, default=5)
    for ignored in (
        ("-c", "--concurrency"),
        ("-m", "--chunk-size"),
        ("--max-concurrent-files",),
        ("--max-conn-per-host",),
    ):
        multifile.add_argument(*ignored)
    given = parser.parse_args()
    with Path(__file__).with_name("calls").open("a") as calls:
        print(*sys.argv[1:], file=calls)
    lines = sys.stdin.read() if given.manifest == "-" else Path(given.manifest).read_text()
    try:
        for url, destination in entries(lines.splitlines(), given.force):
            download(url, destination, given.retries)
    except (PgetError, OSError) as error:
        print(f"Error: error downloading files: {error}", file=sys.stderr)
        return 1
    return 0


def entries(lines: list[str], force: bool) -> list[tuple[str, Path]]:
    found = []
    for line in filter(str.strip, lines):
        fields = line.split()
        if len(fields) < 2:
            raise PgetError(f"error parsing manifest invalid line format {line}")
        if Path(fields[1]).exists() and not force:
            raise PgetError(f"destination {fields[1]} already exists")
        found.append((fields[0], Path(fields[1])))
    return found


def download(url: str, destination: Path, retries: int) -> None:
    with os.fdopen(os.open(destination, os.O_WRONLY | os.O_CREAT, 0o644), "wb", buffering=0) as file:
        size, place = None, 0
        while size is None or place < size:
            before = place
            with ask(url, place, retries) as answer:
                size = length(answer) if size is None else size
                if place and answer.status != 206:
                    raise PgetError(f"expected status code 206, got {answer.status}")
                while piece := read(answer):
                    file.write(piece)
                    place += len(piece)
            if place == before:
                raise PgetError(f"unexpected EOF: downloaded {place} bytes instead of {size} for {url}")


def ask(url: str, place: int, retries: int) -> http.client.HTTPResponse:
    request = urllib.request.Request(url, headers={"Range": f"bytes={place}-{place + CHUNK - 1}"})
    for left in range(retries, -1, -1):
        try:
            return urllib.request.urlopen(request, timeout=60)  # type: ignore[no-any-return]
        except urllib.error.HTTPError as error:
            error.close()
            if left == 0 or (error.code < 500 and error.code != 429):
                raise PgetError(f"unexpected http status downloading {url}: {error.code} {error.reason}") from None
        except OSError as error:
            if left == 0:
                raise PgetError(f"error executing request for {url}: {error}") from None
        time.sleep(RETRY_PAUSE_S)
    raise AssertionError("the last try returns or raises")


def length(answer: http.client.HTTPResponse) -> int:
    whole = answer.headers.get("Content-Range", "").rpartition("/")[2] or answer.headers.get("Content-Length", "")
    if not whole.isdigit():
        raise PgetError(f"couldn't parse Content-Range: {whole}")
    return int(whole)


def read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read1(4096)
    except (ConnectionError, http.client.IncompleteRead):
        return b""


if __name__ == "__main__":
    sys.exit(main())
