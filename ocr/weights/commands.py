"""The command line of the weights: fetch, verify, list."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ocr.errors import SetupError
from ocr.weights import table
from ocr.weights.fetching import fetch
from ocr.weights.files import bytes_in, size_text
from ocr.weights.status import Kind, Readiness, Status, default_root, missing_message, status
from ocr.weights.whole import LOCK, altered

CLOSED_PIPE = 128 + signal.SIGPIPE


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 0 when all is well, 1 when something is not, 2 for wrong usage, 130 when interrupted.

    141 where the output is closed, as of a program that a closed pipe ended.
    """
    known = ", ".join(table.checkpoints())
    parser = argparse.ArgumentParser(prog="weights.py", description="Fetch, verify and list checkpoints.")
    parser.add_argument("command", choices=COMMANDS)
    named = f"{known}, or the name of a folder of your own; verify and list take all by default"
    parser.add_argument("models", nargs="*", metavar="MODEL", default=[], help=named)
    parser.add_argument("--root", type=Path, default=default_root(), help="default: $OCR_CHECKPOINTS or checkpoints/")
    given = parser.parse_intermixed_args(arguments)
    for name in given.models:
        if name not in table.checkpoints() and not (given.root / name).is_dir():
            parser.error(missing_message(name, given.root))
    if given.command == "fetch" and not given.models:
        parser.error(f"fetch needs a MODEL: {known}")
    try:
        status = COMMANDS[given.command](given.models, given.root)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # of `list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        return CLOSED_PIPE
    except KeyboardInterrupt:
        print(
            "Stopped. No incomplete checkpoint is left; the next fetch keeps the files that are complete.",
            file=sys.stderr,
        )
        return 130


def _fetch(names: Sequence[str], root: Path) -> int:
    failed = 0
    for name in table.with_needed(names):
        try:
            fetch(name, root, report=_say)
        except SetupError as error:
            print(error, file=sys.stderr)
            failed = 1
    return failed


def _verify(names: Sequence[str], root: Path) -> int:
    found = [status(name, root) for name in names or _known(root)]
    there = [checkpoint for checkpoint in found if checkpoint.readiness is not Readiness.ABSENT]
    for checkpoint in found:
        if names and checkpoint.readiness is Readiness.ABSENT:
            print(checkpoint.message, file=sys.stderr)
    if not there and not names:
        print(f"Nothing to verify in {root}.", file=sys.stderr)
    failed = len(there) < max(len(names), 1)
    for checkpoint in there:
        pins = checkpoint.row.pins if checkpoint.row else {}
        lines, is_pinned = list(checkpoint.faults), bool(pins) or os.path.lexists(checkpoint.folder / LOCK)
        if not lines and is_pinned:
            lines = altered(checkpoint.folder, _say, pins)
        known = "the table of checkpoints" if pins else LOCK
        good = (
            f"every sha256 is as in {known}" if is_pinned else f"structurally whole; no {LOCK} to compare a sha256 with"
        )
        print("\n  ".join([f"{checkpoint.name}: {'not whole' if lines else good}", *lines]))
        failed |= bool(lines)
    return int(failed)


def _list(names: Sequence[str], root: Path) -> int:
    found = [status(name, root) for name in names or _known(root)]
    lines = [("MODEL", "STATE", "KIND", "SIZE", "LICENCE", "FOLDER"), *map(_line, found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for checkpoint in found:
        if checkpoint.readiness is Readiness.BROKEN:
            print(f"{checkpoint.name} is broken: {checkpoint.faults[0]}")
    return 0


def _line(found: Status) -> tuple[str, ...]:
    row, folder = found.row, found.folder
    size = size_text(row.total_bytes if row and found.readiness is Readiness.ABSENT else bytes_in(folder))
    is_brought = found.kind is Kind.OWN and found.readiness is not Readiness.ABSENT  # and may be anything
    licence = "-" if is_brought or not row else row.licence
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    return found.name, found.readiness, found.kind, size, licence, str(shown)


def _known(root: Path) -> list[str]:
    """The table's names and those of other folders in root, which are the user's own."""
    folders = sorted(path.name for path in root.glob("[!.]*") if path.is_dir())
    return list(dict.fromkeys([*table.checkpoints(), *folders]))


def _say(text: str) -> None:
    print(text, flush=True)  # into a pipe too, as it happens


COMMANDS: Mapping[str, Callable[[Sequence[str], Path], int]] = {"fetch": _fetch, "verify": _verify, "list": _list}
