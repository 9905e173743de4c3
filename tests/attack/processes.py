"""What processes of this machine use, as the system tells it. Linux alone."""

import contextlib
import os
import resource
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Use:
    """What one or several processes hold."""

    mb: float  # memory in use, resident
    handles: int  # open files, sockets, pipes
    threads: int

    @classmethod
    def of(cls, pids: Iterable[int]) -> "Use":
        """All these together; one that has ended holds nothing."""
        mb, handles, threads = 0.0, 0, 0
        for pid in pids:
            try:
                status = _status(pid)
                mb += int(status.get("VmRSS", "0").split()[0]) / 1024
                threads += int(status["Threads"])
                handles += len(os.listdir(PROC / str(pid) / "fd"))  # noqa: PTH208
            except (FileNotFoundError, ProcessLookupError):
                continue
        return cls(round(mb, 1), handles, threads)

    def fields(self) -> dict[str, float]:
        return asdict(self)


def _status(pid: int) -> dict[str, str]:
    lines = (PROC / str(pid) / "status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def family(pid: int) -> list[int]:
    """A process and all that it started, directly or not."""
    parents = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int(_status(int(folder.name))["PPid"])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def start_peak(pids: Iterable[int]) -> None:
    """Forget the most memory that these processes have used, where the system lets one."""
    for pid in pids:
        with contextlib.suppress(OSError):
            (PROC / str(pid) / "clear_refs").write_text("5")


def peak_mb(pids: Iterable[int]) -> float:
    """The most memory that one of these processes has used since, or any child of this one that ended, in MiB."""
    peaks = [resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024]
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, KeyError):
            peaks.append(int(_status(pid)["VmHWM"].split()[0]) / 1024)
    return round(max(peaks), 1)
