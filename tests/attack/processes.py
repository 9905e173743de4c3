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

    @classmethod
    def of_this_process(cls) -> "Use":
        return cls.of([os.getpid()])

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


def start_peak() -> None:
    """Forget the most memory that this process has used, where the system lets one."""
    with contextlib.suppress(OSError):
        (PROC / "self" / "clear_refs").write_text("5")


def peak_mb() -> float:
    """The most memory that this process has used since, or any child that has ended, in MiB."""
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return round(max(int(_status(os.getpid())["VmHWM"].split()[0]) / 1024, child), 1)
