"""Many small documents on Ray: time, memory of the command and of the readers, and what kills cost.

    python -m bench.cluster --documents 10000 > bench/cluster.json

Runs in an interpreter that has requirements-ray.txt. Reads blank pages, so that next to nothing of the time is the
model's: first to the end; then again into another folder, where a reader and later the command itself are killed, and
the command with --resume does the rest. Every document must then be there, whole.
"""

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from ocr.faces.cli.cluster import listed
from ocr.faces.cli.parts import Work, split
from ocr.faces.cli.run import Job
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Decoding

OPTIONS = ("--format", "md", "--orient", "off", "--no-check", "--readers", "2", "--model", "pp-ocr")
POLL = 0.5  # seconds
PDF_EVERY = 10  # of so many documents one is a PDF of three pages, in parts of two


def main(words: Sequence[str] | None = None) -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=10_000, metavar="N", help="default: 10000")
    number = parser.parse_args(words).documents
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make(folder / "in", number)
        figures = {"documents": number, **divided(folder / "in")}
        figures["to the end"] = run(folder, "whole").figures()
        killed = run(folder, "killed", kill_reader_at=number // 3, kill_command_at=2 * number // 3)
        resumed = run(folder, "killed", "--resume")
        figures |= {"killed": killed.figures(), "resumed": resumed.figures()}
        for target in ("whole", "killed"):
            check(folder / target, number)
    print(json.dumps(figures, indent=1))


def make(folder: Path, number: int) -> None:
    """Blank documents in folders of a thousand."""
    blank = Image.new("L", (120, 80), 255)
    png, pdf = folder.parent / "blank.png", folder.parent / "blank.pdf"
    blank.save(png)
    blank.save(pdf, save_all=True, append_images=[blank, blank])
    for index in range(number):
        source = png if index % PDF_EVERY else pdf
        place = folder / f"{index // 1000:03}" / f"{index:06}{source.suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(source.read_bytes())


def divided(folder: Path) -> dict[str, float]:
    """Seconds, and MiB that this process grows by, until all documents are listed, and until all are split."""
    job = Job(Request("pp-ocr"), Decoding(), "", 200)
    work = Work("run", Settings(), job, ("md",), str(folder.parent / "none"), 2, 3, resume=False)
    found = {}
    for what, parts_of in (("listed", lambda source: [source]), ("split", partial(split, work))):
        before, began = resident(os.getpid()), time.monotonic()
        number = sum(1 for source in listed([str(folder)], Settings(), print) for _ in parts_of(source))
        grown = round(resident(os.getpid()) - before, 1)
        found |= {what: number, f"seconds {what}": round(time.monotonic() - began, 1), f"MiB {what}": grown}
    return found


class Watched:
    """A command that is watched until it ends: its lines, its memory and that of its readers."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self.process, self._log = process, log
        self._began, self.seconds = time.monotonic(), 0.0
        self._first = 0.0
        self._command = self._reader = 0.0  # MiB at most
        self._readers: set[int] = set()

    def look(self, claims: Path) -> int:
        """How many documents are over."""
        self._command = max(self._command, resident(self.process.pid))
        for pid in claimants(claims):
            self._readers.add(pid)
            self._reader = max(self._reader, resident(pid))
        over = len(re.findall(r"^\d+/\d+  ", self._log.read_text(), re.MULTILINE))
        if over and not self._first:
            self._first = time.monotonic() - self._began
        return over

    def figures(self) -> dict[str, object]:
        told = self._log.read_text()
        return {
            "exit status": self.process.returncode,
            "seconds": self.seconds,
            "seconds to the first": round(self._first, 1),
            "lines": len(re.findall(r"^\d+/\d+  ", told, re.MULTILINE)),
            "whole already": told.count(": whole already\n"),
            "readers": len(self._readers),
            "MiB of the command": round(self._command),
            "MiB of a reader": round(self._reader),
        }

    def end(self) -> None:
        self.process.wait()
        self.seconds = round(time.monotonic() - self._began, 1)


def run(folder: Path, target: str, *more: str, kill_reader_at: int = 0, kill_command_at: int = 0) -> Watched:
    """Read all documents; a reader, or the command, is killed when so many are over."""
    command = (sys.executable, "-m", "ocr", "cluster", "read", "in", "-o", target, "--pages-per-part", "2")
    log, claims = folder / f"{target}{len(more)}.log", folder / target / ".ocr" / "claims"
    with log.open("w") as lines:
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        process = subprocess.Popen([*command, *OPTIONS, *more], cwd=folder, stderr=lines, env=environment)
    watched = Watched(process, log)
    while process.poll() is None:
        over = watched.look(claims)
        if kill_reader_at and over >= kill_reader_at and (readers := claimants(claims)):
            os.kill(readers[0], signal.SIGKILL)
            kill_reader_at = 0
        if kill_command_at and over >= kill_command_at:
            process.kill()
        time.sleep(POLL)
    watched.end()
    for pid in watched._readers:
        while Path(f"/proc/{pid}").exists():
            time.sleep(POLL)
    return watched


def claimants(claims: Path) -> list[int]:
    """The processes of readers that are amid a document."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for claim in claims.iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.append(int(json.loads(claim.read_text())["pid"]))
    return found


def resident(pid: int) -> float:
    """MiB that a process holds; 0 for one that has gone."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
    return 0.0


def check(target: Path, number: int) -> None:
    """End with an error unless each document is there once, with its record, and nothing is left over."""
    texts, records = len(list(target.rglob("*.md"))), len(list((target / ".ocr" / "records").iterdir()))
    left = [path for what in ("claims", "parts", "fresh") for path in (target / ".ocr" / what).rglob("*.*")]
    if (texts, records, left) != (number, number, []):
        sys.exit(f"{target.name}: {texts} texts and {records} records of {number} documents, left over: {left[:5]}")


if __name__ == "__main__":
    main()
