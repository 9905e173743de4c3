"""Processes that draw pages: started, asked, kept for the next document, ended. Knows no format.

What they run is `drawing_process.py`, which says what they can be asked.
"""

import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from ocr.documents.mailbox import Mailbox, areas, room
from ocr.errors import SetupError

LAST_BREATH = 5.0  # s that one which answers no more has to end by itself and so to say why
STEP = 0.1  # s after which whoever waits for a page looks whether it is still wanted
MOST_IDLE = 2  # processes that wait for a document
MOST_PAGES = 1000  # that one process draws: what decoders forget to let go of adds up
MOST_KEPT = 2**28  # bytes of memory that one which waits has taken since it started
OUT_OF_MEMORY = 3  # the status with which a process ends that was refused memory
ENVIRONMENT = {
    # One thread and few heaps: what is only reserved for others would count as memory too.
    **{"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TIFFFILE_NUM_THREADS": "2", "MALLOC_ARENA_MAX": "2"},
    # The memory of a page serves the next one: to get it from the system anew takes longer than to decode a JPEG.
    **{"MALLOC_MMAP_THRESHOLD_": f"{2**25}", "MALLOC_TRIM_THRESHOLD_": f"{2**27}"},
}

_PROJECT = Path(__file__).resolve().parents[2]

Stop = Callable[[], object]  # called every STEP seconds while a page is waited for; what it raises ends the drawing


def never() -> None:
    """Stops nothing."""


class EndedError(Exception):
    """The process ended over what it was asked."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status  # OUT_OF_MEMORY, or less than 0: the signal that ended it


class Process:
    """One process that draws the pages of one document after another.

    Whatever is raised while an answer is waited for ends the process: what it is doing is no longer wanted. It ends
    with the program that started it too, however that dies: its standard input is a pipe that closes then.
    """

    def __init__(self, stop: Stop = never) -> None:
        """Start one. Raises SetupError where it cannot run."""
        self.pages = 0  # that it has drawn
        self._owner = os.getpid()
        self._owes = True  # its first answer says that it runs
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(STEP)
        with theirs, room() as file:
            self._mailbox = Mailbox(file.fileno())
            descriptors = (theirs.fileno(), file.fileno())
            self._process = subprocess.Popen(  # noqa: S603  our own interpreter and module
                [sys.executable, "-m", "ocr.documents.drawing_process", *map(str, descriptors)],
                cwd=_PROJECT,
                env=os.environ | ENVIRONMENT,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=descriptors,
                start_new_session=True,  # Ctrl-C is for this program, which then ends the process itself
            )
        try:
            self._answer(stop)
        except EndedError:
            raise SetupError("The process that draws pages cannot run; its standard error says why.") from None
        except BaseException:
            self.end()
            raise

    @property
    def is_ready(self) -> bool:
        """Whether it can be asked: it runs and owes no answer; no copy of the program that started it may ask."""
        return self._owner == os.getpid() and not self._owes and self._process.poll() is None

    def ask(self, question: Mapping[str, Any], stop: Stop = never, descriptor: int | None = None) -> dict[str, Any]:
        """What it answers; `descriptor` is handed to it. Raises EndedError where it ends instead."""
        line = json.dumps(question).encode() + b"\n"
        self._owes = True
        try:
            with contextlib.suppress(OSError):  # of one that has ended: no answer will come
                socket.send_fds(self._socket, [line], [] if descriptor is None else [descriptor])
            return self._answer(stop)
        except BaseException:
            self.end()
            raise

    def pixels(self, size: tuple[int, int], stop: Stop = never) -> Image.Image:
        """The page that was drawn last, of this width and height; its first area lies in the mailbox already."""
        page = Image.new("RGB", size, None)
        for number, area in enumerate(areas(size)):
            if number:
                self.ask({"verb": "put", "area": area}, stop)
            self._mailbox.take(page, area)
        self.pages += 1
        return page

    def end(self) -> None:
        """End it, whatever it is doing; a copy of the program that started it lets go of it alone."""
        if self._owner == os.getpid():
            self._process.kill()
            self._process.wait()
        self._socket.close()
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.close()

    def _answer(self, stop: Stop) -> dict[str, Any]:
        """The next answer. Raises EndedError where none comes."""
        line = b""
        while not line.endswith(b"\n"):
            try:
                received = self._socket.recv(2**16)
            except TimeoutError:
                stop()
                continue
            except OSError:
                received = b""
            if not received:
                raise EndedError(self._status())
            line += received
        answer: dict[str, Any] = json.loads(line)
        self._owes = False
        return answer

    def _status(self) -> int:
        """With what it ended, or is about to."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(LAST_BREATH)
        self.end()
        return self._process.returncode


class Pool:
    """The processes that wait for a document. Several threads may take from it and give to it at a time."""

    def __init__(self) -> None:
        self._idle: list[Process] = []
        self._lock = threading.Lock()

    def take(self, stop: Stop = never) -> Process:
        """A process that no one else asks; a fresh one where none waits."""
        while process := self._next():
            if process.is_ready:
                return process
            process.end()
        return Process(stop)

    def give(self, process: Process) -> None:
        """Have a process close its document, and let it wait for the next one; it ends where it has grown too much."""
        if not process.is_ready:
            process.end()
            return
        with contextlib.suppress(EndedError):
            kept = process.ask({"verb": "close"})["kept"]
            if process.pages >= MOST_PAGES or kept > MOST_KEPT or not self._keeps(process):
                process.end()

    def _keeps(self, process: Process) -> bool:
        with self._lock:
            has_room = len(self._idle) < MOST_IDLE
            if has_room:
                self._idle.append(process)
        return has_room

    def close(self) -> None:
        """End those that wait."""
        while process := self._next():
            process.end()

    def _next(self) -> Process | None:
        with self._lock:
            return self._idle.pop() if self._idle else None


POOL = Pool()  # of this program: processes are kept from one document to the next
atexit.register(POOL.close)
