"""The processes that draw: their limits, how they are stopped, kept and end; and what none of that may cost."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ocr.documents import drawing, processes
from ocr.documents.document import open_document
from ocr.documents.mailbox import ROOM, Mailbox, areas, room
from ocr.documents.page import DrawnPage
from ocr.errors import InputError, SetupError
from ocr.settings import Settings
from tests.pdfs import CATALOG, RED, bottomless, endless, page_of, pdf, pdf_of, stream, tree, two_pages
from tests.pictures import encoded, page

SETTINGS = Settings()
LONG = 30.0  # seconds after which something that should come is given up
Processes = list[subprocess.Popen[bytes]]


def seen(data: bytes, settings: Settings = SETTINGS) -> list[str]:
    """What comes of each page: `drawn`, or its error."""
    return ["drawn" if isinstance(page, DrawnPage) else str(page) for _, page in open_document(data, "", settings)]


def refused(data: bytes) -> str:
    """Why the file is not opened."""
    with pytest.raises(InputError) as raised:
        open_document(data, "", SETTINGS)
    return str(raised.value)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    """The processes that are started meanwhile; none waits from before."""
    noted: Processes = []

    class Noted(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)  # type: ignore[call-overload]
            noted.append(self)

    processes.POOL.close()
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", Noted)
        yield noted
    processes.POOL.close()


@pytest.fixture
def a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of time that hostile files meet soon."""
    monkeypatch.setattr(drawing, "SECONDS", 1)


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose first scan comes that many times: each makes the decoder go through all its blocks."""
    whole = encoded(Image.new("L", (4000, 4000), 200), "JPEG", progressive=True)
    start = whole.index(b"\xff\xda")
    end = min(position for mark in (b"\xff\xc4", b"\xff\xda") if (position := whole.find(mark, start + 2)) > 0)
    return whole[:start] + whole[start:end] * count + whole[end:]


# Before, the server's own process decoded these: 2,000 scans for 81 s, and a hundred megabytes of comment for minutes.
ENDLESS = {
    "scans": lambda: many_scans(1000),
    "comments": lambda: b"P6\n" + (b"#" * 99 + b"\n") * 200_000 + b"9 9\n255\n" + bytes(243),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_image_that_takes_for_ever_is_refused(kind: str, a_second: None) -> None:
    data = ENDLESS[kind]()
    assert refused(data) == "The file cannot be opened: it takes more than 1 s of processor time."


def test_a_page_that_takes_for_ever_does_not_stop_the_other_pages(a_second: None) -> None:
    assert seen(endless()) == ["Page 1 cannot be drawn: it takes more than 1 s of processor time.", "drawn"]


def test_a_page_that_takes_all_memory_does_not_stop_the_other_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "MEMORY", 2**28)
    first, second = seen(bottomless(), Settings(max_pixels=10**6))
    assert first == "Page 1 cannot be drawn: it breaks its decoder, or takes more than 0.25 GiB of memory."
    assert second == "drawn"


def test_an_image_that_takes_more_memory_than_is_allowed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 38 bytes did; here it is as large as allowed, and the memory small."""
    monkeypatch.setattr(drawing, "MEMORY", 2**27)
    data = encoded(Image.new("1", (7000, 7000)), "TIFF", compression="group4")
    assert refused(data) == "The file cannot be opened: it takes more than 0.125 GiB of memory."
    assert seen(encoded(page())) == ["drawn"]


def test_the_memory_grows_with_the_pixels_that_the_operator_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "MEMORY", 2**27)
    data = encoded(Image.new("1", (7000, 7000)), "TIFF", compression="group4")
    assert seen(data, Settings(max_pixels=10 * Settings.max_pixels)) == ["drawn"]


def test_the_pages_of_a_document_have_a_time_together(a_second: None) -> None:
    settings = Settings(drawing_s=1)
    first, second = seen(endless(), settings)
    assert first.startswith("Page 1 cannot be drawn: it takes more than 1 s")
    assert second == (
        "Page 2 cannot be drawn: the document has used up its 1 s of processor time. "
        "Send fewer pages at a time, or raise OCR_DRAWING_S on the server."
    )
    assert seen(two_pages(page_of(5)), settings) == ["drawn", "drawn"]


def test_the_time_of_every_page_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them takes less than the document may."""
    ask = processes.Process.ask

    def slow(self: processes.Process, *question: object) -> dict[str, object]:
        return ask(self, *question) | {"seconds": 0.4}  # type: ignore[arg-type]

    monkeypatch.setattr(processes.Process, "ask", slow)
    data = pdf_of(CATALOG, tree(b"3 0 R " * 4, 4), page_of(4), stream(RED))
    assert [page[:20] for page in seen(data, Settings(drawing_s=1))] == [
        "drawn",
        "drawn",
        "Page 3 cannot be draw"[:20],
        "Page 4 cannot be draw"[:20],
    ]


def test_a_decoder_that_crashes_costs_its_page_alone(started: Processes) -> None:
    def crash() -> None:
        if is_open and len(started) == 1:
            started[0].send_signal(signal.SIGSEGV)

    is_open: list[bool] = []
    document = open_document(endless(), "", SETTINGS, stop=crash)
    is_open.append(True)
    first, second = document
    assert str(first[1]) == "Page 1 cannot be drawn: it breaks its decoder, or takes more than 2 GiB of memory."
    assert isinstance(second[1], DrawnPage)


def test_whatever_else_goes_wrong_with_a_page_is_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the program itself has no memory for the first page's pixels."""
    pixels = processes.Process.pixels

    def scarce(self: processes.Process, size: tuple[int, int], stop: processes.Stop) -> Image.Image:
        monkeypatch.setattr(processes.Process, "pixels", pixels)
        raise MemoryError

    monkeypatch.setattr(processes.Process, "pixels", scarce)
    assert seen(two_pages(page_of(5))) == ["Page 1 cannot be drawn: MemoryError.", "drawn"]


class _StoppedError(BaseException):
    """As Cog cancels: no Exception, so that nobody takes it for a failure."""


@pytest.mark.parametrize("data", [endless(), many_scans(1000)], ids=["PDF", "image"])
def test_what_is_no_longer_wanted_ends_at_once(data: bytes, started: Processes) -> None:
    def stop() -> None:
        if calls.append(0) or len(calls) == 3:
            raise _StoppedError

    calls: list[int] = []
    with pytest.raises(_StoppedError):
        list(open_document(data, "", SETTINGS, stop=stop))
    assert len(calls) == 3
    assert [process.returncode for process in started] == [-signal.SIGKILL]


def test_ctrl_c_is_heard_while_a_page_is_drawn(started: Processes) -> None:
    with open_document(endless(), "", SETTINGS) as document:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            next(iter(document))
    assert [process.returncode for process in started] == [-signal.SIGKILL]


def test_an_exception_that_is_set_in_a_thread_is_heard_while_it_waits_for_a_page(started: Processes) -> None:
    """So Cog cancels a prediction; it comes when the thread next runs a line of Python."""
    raised: list[BaseException] = []

    def draw() -> None:
        try:
            list(open_document(endless(), "", SETTINGS))
        except _StoppedError as error:
            raised.append(error)

    thread = threading.Thread(target=draw)
    thread.start()
    wait_for(lambda: bool(started) and processor_seconds(started[0].pid) > 0.3)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_StoppedError))
    thread.join(LONG)
    assert len(raised) == 1
    assert [process.returncode for process in started] == [-signal.SIGKILL]


def wait_for(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def processor_seconds(pid: int) -> float:
    """That a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_running(pid: int) -> bool:
    """Whether there is such a process, and not merely what is left of it until its parent looks."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize("selection", ["1", "2"], ids=["at work", "idle"])
def test_a_process_ends_with_the_program_that_started_it_even_where_that_is_killed(
    selection: str, tmp_path: Path
) -> None:
    (tmp_path / "a.pdf").write_bytes(endless())
    program = (
        "import subprocess, sys, time; from pathlib import Path; from ocr.documents.document import open_document;"
        "from ocr.settings import Settings; popen = subprocess.Popen.__init__\n"
        "def noted(self, *args, **options):\n    popen(self, *args, **options); print(self.pid, flush=True)\n"
        "subprocess.Popen.__init__ = noted\n"
        f"list(open_document(Path({str(tmp_path / 'a.pdf')!r}), {selection!r}, Settings()))\n"
        "print('drawn', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        if selection == "1":
            wait_for(lambda: processor_seconds(pid) > 0.5)
        else:
            assert parent.stdout.readline() == "drawn\n"
        assert is_running(pid)
        parent.kill()
        wait_for(lambda: not is_running(pid))


def test_a_process_outlives_the_thread_that_started_it(started: Processes) -> None:
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(seen, encoded(page())).result() == ["drawn"]
    assert seen(two_pages(page_of(5))) == ["drawn", "drawn"]
    assert len(started) == 1


def test_a_process_is_kept_for_the_next_document(started: Processes) -> None:
    data = two_pages(page_of(5))
    assert seen(data) == ["drawn", "drawn"]  # read to its end
    with open_document(data, "", SETTINGS) as document:  # given up after a page
        next(iter(document))
    refused(pdf_of(CATALOG, tree(b"", 0)))
    refused(b"no image")
    assert seen(encoded(page())) == ["drawn"]
    assert len(started) == 1
    processes.POOL.close()
    assert started[0].returncode is not None


def test_a_refusal_says_nothing_of_the_document_before() -> None:
    """PDFium keeps its last error, and a file without pages sets none."""
    assert "damaged" in refused(b"%PDF-1.7\nnothing more\nstartxref\n0\n%%EOF\n")
    assert refused(pdf_of(CATALOG, tree(b"", 0))) == "The PDF has no pages."


def test_a_process_waits_for_others_while_the_last_page_is_read(started: Processes) -> None:
    for _ in open_document(two_pages(page_of(5)), "2", SETTINGS):
        assert seen(encoded(page())) == ["drawn"]
    assert len(started) == 1


def test_a_process_draws_no_more_than_its_pages(started: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MOST_PAGES", 2)
    assert [seen(encoded(page())) for _ in range(5)] == [["drawn"]] * 5
    assert len(started) == 3


def test_a_process_that_has_grown_is_not_kept(started: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MOST_KEPT", 0)
    assert [seen(encoded(page(800, 800))) for _ in range(2)] == [["drawn"]] * 2
    assert len(started) == 2


def test_a_document_is_opened_anew_after_some_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    open_ = drawing.Drawing._open
    monkeypatch.setattr(drawing.Drawing, "_open", lambda self, what: opened.append(what) or open_(self, what))
    monkeypatch.setattr(drawing, "PAGES", 2)
    assert seen(pdf_of(CATALOG, tree(b"3 0 R " * 5, 5), page_of(4), stream(RED))) == ["drawn"] * 5
    assert len(opened) == 3


def test_a_process_that_died_while_it_waited_is_replaced(started: Processes) -> None:
    assert seen(encoded(page())) == ["drawn"]
    started[0].kill()
    started[0].wait()
    assert seen(encoded(page())) == ["drawn"]
    assert len(started) == 2


def test_several_threads_each_get_their_own_pages(started: Processes) -> None:
    colors = [(level, 255 - level, 0) for level in range(0, 240, 20)]

    def middle(color: tuple[int, int, int]) -> list[object]:
        picture = Image.new("RGB", (300, 200), color)
        pages = [
            page
            for _, page in open_document(encoded(picture, "TIFF", save_all=True, append_images=[picture]), "", SETTINGS)
        ]
        return [page.image.getpixel((150, 100)) for page in pages if isinstance(page, DrawnPage)]

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(middle, colors * 2)) == [[color] * 2 for color in colors * 2]
    assert len(started) <= 12  # four at a time, of which two are kept
    assert sum(process.poll() is None for process in started) <= processes.MOST_IDLE


def test_a_copy_of_the_program_gets_processes_of_its_own(started: Processes) -> None:
    """Two that asked one process would get each other's pages."""
    assert seen(encoded(page())) == ["drawn"]
    waiting = processes.POOL.take()
    assert waiting.is_ready
    copy = os.fork()
    if copy == 0:
        os._exit(waiting.is_ready)
    assert os.waitpid(copy, 0)[1] == 0
    assert waiting.is_ready
    waiting.end()


def test_a_process_that_cannot_run_is_the_operators_to_mend(
    started: Processes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(processes, "_PROJECT", tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)  # by which script/test finds the project from anywhere
    with pytest.raises(SetupError, match="process that draws pages cannot run"):
        open_document(two_pages(page_of(5)), "", SETTINGS)
    assert "ocr" in capfd.readouterr().err


def test_what_decoders_say_of_a_damaged_file_is_in_no_log(capfd: pytest.CaptureFixture[str]) -> None:
    data = encoded(page(), "TIFF", compression="tiff_lzw")
    assert "damaged" in refused(data[:8] + b"\xaa" * 200 + data[208:])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("size", [(8, 8), (1654, 2339), (3000, 4000), (8, ROOM), (ROOM, 9), (600_000, 20)], ids=str)
def test_pixels_arrive_as_they_were_sent(size: tuple[int, int]) -> None:
    with room() as file:
        ours, theirs = Mailbox(file.fileno()), Mailbox(file.fileno())
    sent = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8))
    taken = Image.new("RGB", size)
    for area in areas(size):
        theirs.put(sent, area)
        ours.take(taken, area)
    assert taken.tobytes() == sent.tobytes()


def test_a_page_of_a_pdf_has_the_pixels_of_its_picture() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (2400, 2000, 3), np.uint8))
    ((_, drawn),) = open_document(encoded(picture, "PNG"), "", SETTINGS)
    assert isinstance(drawn, DrawnPage)
    assert drawn.image.tobytes() == picture.tobytes()
    assert len(list(areas(picture.size))) > 1
    assert isinstance(pdf(picture), bytes)
