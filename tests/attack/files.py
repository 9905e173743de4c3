"""Thousands of mutated files of every format that is read, each within a time, and what came of them."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ocr.documents.formats import FORMATS
from tests.attack.mutations import mutated

PROJECT = Path(__file__).resolve().parents[2]
HANG_S = 120.0  # for one file; a PDF may take its own limit for each page
WARM = 100  # files, after which what libraries keep for ever is there
GOOD = ("read", "refused")


@dataclass
class Outcome:
    """What came of the files of one format."""

    counts: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0  # s
    largest: float = 0.0  # MiB at the peak of the process that read it, or of one that it started


@dataclass
class Report:
    """What came of all."""

    formats: defaultdict[str, Outcome] = field(default_factory=lambda: defaultdict(Outcome))
    faults: list[str] = field(default_factory=list)  # a crash, a hang, an error that is no refusal: one line each
    seconds: float = 0.0
    first: Mapping[str, float] = field(default_factory=dict)  # what the reading process held when it was warm
    last: Mapping[str, float] = field(default_factory=dict)  # and at the end
    left: list[str] = field(default_factory=list)  # in its folder for temporary files, at the end

    @property
    def tried(self) -> int:
        return sum(outcome.counts.total() for outcome in self.formats.values())

    @property
    def leaks(self) -> list[str]:
        """What grew that should not have: handles, threads, files, and memory beyond what freed blocks may take."""
        grown = [name for name in ("handles", "threads") if self.last.get(name, 0) > self.first.get(name, 0)]
        room = self.first.get("mb", 0) + 64 + self.tried / 100
        return [*grown, *(["memory"] if self.last.get("mb", 0) > room else []), *self.left]

    def table(self) -> str:
        lines = ["| format | tried | refused | read | longest s | largest MiB |", "|---|---|---|---|---|---|"]
        for name in FORMATS:
            of = self.formats[name]
            cells = (name, of.counts.total(), of.counts["refused"], of.counts["read"])
            lines.append(f"| {' | '.join(map(str, cells))} | {of.longest:.2f} | {of.largest:.0f} |")
        refused, read = (sum(of.counts[kind] for of in self.formats.values()) for kind in ("refused", "read"))
        longest = max((of.longest for of in self.formats.values()), default=0)
        largest = max((of.largest for of in self.formats.values()), default=0)
        lines.append(f"| all | {self.tried} | {refused} | {read} | {longest:.2f} | {largest:.0f} |")
        return "\n".join(lines)


class _Reader:
    """A process that reads files, and is started again where it dies."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.attack.reading"],
            cwd=PROJECT,
            env={"PYTHONPATH": str(PROJECT), "TMPDIR": str(folder), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def read(self, data: bytes) -> dict[str, Any]:
        """What came of a file; where the process dies or hangs, how."""
        assert self.process.stdin
        assert self.process.stdout
        hung = threading.Timer(HANG_S, self.process.kill)
        hung.start()
        started = time.monotonic()
        try:
            self.process.stdin.write(b"%d\n" % len(data) + data)
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        hung.cancel()
        if answer:
            found: dict[str, Any] = json.loads(answer)
            return found
        seconds = time.monotonic() - started
        how = "hang" if seconds >= HANG_S else f"crash, status {self.process.wait()}"
        return {"outcome": how, "seconds": seconds, "mb": 0.0, "use": {}}

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def attack(count: int, seconds: float, seed: int) -> Report:
    """Read so many mutated files, or as many as the time allows."""
    report, started = Report(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        reader = _Reader(Path(folder))
        try:
            for number in range(count):
                if time.monotonic() - started > seconds:
                    break
                format_, changes, data = mutated(number, seed)
                found = reader.read(data)
                of = report.formats[format_]
                of.counts[found["outcome"]] += 1
                of.longest, of.largest = max(of.longest, found["seconds"]), max(of.largest, found["mb"])
                if found["outcome"] not in GOOD:
                    report.faults.append(f"{number}: {format_}, {changes}: {found['outcome']}")
                if not found["use"]:
                    reader.close()
                    reader, report.first = _Reader(Path(folder)), {}
                    continue
                if not report.first and number >= min(WARM, count // 2):
                    report.first = found["use"]
                report.last = found["use"]
        finally:
            reader.close()
        report.left = sorted(path.name for path in Path(folder).rglob("*"))
    report.seconds = time.monotonic() - started
    return report
