"""What files, folders, patterns, URLs and standard input are taken for."""

import http.server
import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from ocr.documents.formats import SUFFIXES
from ocr.errors import InputError
from ocr.faces.cli.sources import Source, find, printable
from ocr.output.formats import FORMATS

MIB = 2**20


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"content")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def places(*arguments: str) -> list[str]:
    return [source.place for source in find(arguments)]


def content(source: Source, max_mb: int = 1) -> bytes:
    found = source.content(max_mb)
    return found if isinstance(found, bytes) else found.read_bytes()


def only(*arguments: str) -> Source:
    (source,) = find(arguments)
    return source


def test_a_file_is_a_document_whatever_its_name_ends_in() -> None:
    touch("scan.pdf", "report.v2")
    assert [(source.name, content(source)) for source in find(["scan.pdf", "report.v2"])] == [
        ("scan", b"content"),
        ("report.v2", b"content"),
    ]


def test_a_folder_is_walked_for_documents_in_order() -> None:
    touch("in/b.PDF", "in/a/2.jpeg", "in/a/1.tiff", "in/notes.txt", "in/.hidden.png", "in/.cache/x.png")
    touch("in/b.annotated/page-1.png", "in/b.images/page-1-1.png")
    sources = find(["in"])
    assert [source.place for source in sources] == ["in/b.PDF", "in/a/1.tiff", "in/a/2.jpeg"]
    assert [source.name for source in sources] == ["b", "a/1", "a/2"]


def test_the_suffixes_are_those_of_the_formats_that_are_read() -> None:
    assert {".pdf", ".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".jp2", ".avif"} <= SUFFIXES
    assert not {".eps", ".txt", ".md", ".json"} & SUFFIXES


def test_a_pattern_that_no_shell_expanded_is_expanded() -> None:
    touch("a/1.png", "a/b/2.png", "a/b/3.pdf", "c/4.png")
    assert places("a/**/*.png") == ["a/1.png", "a/b/2.png"]
    assert places("[ac]") == ["a/1.png", "a/b/2.png", "a/b/3.pdf", "c/4.png"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file() -> None:
    touch("[x].png", "x.png")
    assert places("[x].png") == ["[x].png"]


def test_a_document_that_is_named_twice_is_read_once() -> None:
    touch("in/a.png")
    assert places("in", "in/a.png", "./in/a.png") == ["in/a.png"]


def test_names_stay_apart_where_a_file_system_knows_no_case() -> None:
    touch("a/é.png", "b/é.png", "b/É.pdf", "c/é-2.png")
    names = [source.name for source in find(["a/é.png", "b", "c"])]
    assert len({name.casefold() for name in names}) == 4


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("gone.pdf", "It cannot be read: No such file or directory."),
        ("*.pdf", "Nothing matches this pattern."),
        ("empty", "The folder contains no documents; files are read if their names end in one of: "),
    ],
)
def test_what_leads_to_no_document_says_why(argument: str, words: str) -> None:
    Path("empty").mkdir()
    source = only(argument)
    assert str(source) == argument
    with pytest.raises(InputError) as raised:
        source.content(1)
    assert str(raised.value).startswith(words)


def test_a_folder_that_may_not_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    touch("in/a.png", "in/closed/b.png")
    scandir = os.scandir

    def guarded(path: str) -> object:
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    good, closed = find(["in"])
    assert content(good) == b"content"
    assert str(closed) == "in/closed"
    with pytest.raises(InputError, match="It cannot be read: Permission denied"):
        closed.content(1)


def test_linked_folders_are_read_once_and_loops_are_told() -> None:
    touch("in/real/a.png", "elsewhere/b.png", "elsewhere/.hidden/c.png")
    Path("in/away").symlink_to(Path("elsewhere").resolve())
    Path("in/again").symlink_to("real")
    Path("in/real/loop").symlink_to(Path("in").resolve())
    Path("elsewhere/back").symlink_to(Path("in/away"))
    Path("in/itself").symlink_to("itself")
    told: list[str] = []
    sources = find(["in"], told.append)
    assert [(source.place, source.name) for source in sources] == [
        ("in/real/a.png", "real/a"),
        ("in/away/b.png", "away/b"),
    ]
    here = Path.cwd()
    assert told == [
        f"in/again leads to {here}/in/real, which is read already.",
        f"in/real/loop leads to {here}/in, which is read already.",
    ]


def test_a_folder_that_is_a_link_is_read() -> None:
    touch("real/a.png")
    Path("link").symlink_to("real")
    assert places("link") == ["link/a.png"]


@pytest.mark.parametrize("letter", ["a", "ü", "文", "🦉", "\udce9"])
def test_a_long_name_leaves_room_for_the_suffixes_of_the_outputs(letter: str) -> None:
    size = len(os.fsencode(letter))
    longest = letter * (251 // size)
    names = [source.name for source in find([f"{longest}.png", f"a/{longest}.pdf", f"{longest[:-1]}x.png"])]
    for name in names:
        os.fsencode(name)
        assert name.startswith(letter * (220 // size))
        for suffix in (row.suffix for row in FORMATS.values()):
            Path(name + suffix).touch()
    assert len(set(names)) == 3
    assert names == [source.name for source in find([f"{longest}.png", f"b/{longest}.pdf", f"{longest[:-1]}x.png"])]


def test_a_name_that_fits_is_not_touched() -> None:
    name = "a" * 240
    assert only(f"{name}.png").name == name
    first, second = find([f"{name}.png", f"{name}.pdf"])
    assert first.name == name
    assert len(second.name) == 240
    assert second.name.endswith("-2")


def test_a_name_that_no_file_can_have_says_so() -> None:
    with pytest.raises(InputError, match="It cannot be read: File name too long"):
        only("a" * 300).content(1)


def test_a_name_is_shown_on_one_line() -> None:
    assert printable("a\nb\t\x1b[31m ü 文\udcff") == "a\\nb\\t\\x1b[31m ü 文\\udcff"


def test_a_pipe_is_read_within_the_limit() -> None:
    read, write = os.pipe()
    threading.Thread(target=lambda: (os.write(write, b"content"), os.close(write))).start()
    assert content(only(f"/dev/fd/{read}")) == b"content"
    os.close(read)


def piped(data: bytes, *, isatty: bool = False) -> SimpleNamespace:
    return SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: isatty)


def test_standard_input_is_read_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    source = only("-")
    assert source.name == "stdin"
    monkeypatch.setattr(sys, "stdin", piped(bytes(MIB)))
    assert source.content(1) == bytes(MIB)
    monkeypatch.setattr(sys, "stdin", piped(bytes(MIB + 1)))
    with pytest.raises(InputError, match="more than 1 MiB; send a smaller one, or raise OCR_MAX_FILE_MB"):
        source.content(1)


def test_a_terminal_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", piped(b"", isatty=True))
    with pytest.raises(InputError, match="is a terminal; send a document into it"):
        only("-").content(1)


class _Site(http.server.BaseHTTPRequestHandler):
    sent = 0  # bytes of the endless answer

    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/scan.pdf")
            self.end_headers()
        elif self.path.endswith("scan.pdf"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"content")
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(bytes(MIB))
                type(self).sent += MIB
        else:
            self.send_error(404)

    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # whoever hangs up is no error
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_url_is_fetched_and_redirections_are_followed(site: str) -> None:
    assert content(only(f"{site}/moved")) == b"content"
    assert only(f"{site}/papers/my%20scan.pdf?version=2").name == "my scan"


def test_a_url_is_fetched_no_further_than_the_limit(site: str) -> None:
    with pytest.raises(InputError, match="more than 3 MiB"):
        only(f"{site}/endless").content(3)
    assert _Site.sent < 40 * MIB


def test_a_url_that_leads_nowhere_says_so_in_a_sentence(site: str) -> None:
    with pytest.raises(InputError, match=r"^The server answered 404 Not Found\.$"):
        only(f"{site}/gone.pdf").content(1)
    with pytest.raises(InputError, match=r"^It cannot be fetched: .*refused"):
        only("http://127.0.0.1:1/scan.pdf").content(1)
    with pytest.raises(InputError, match=r"^It is no URL: Invalid IPv6 URL\.$"):
        only("http://[::1/scan.pdf").content(1)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_no_proxy_is_asked_for_this_machine(site: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY")
    for name in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"{scheme}://127.0.0.1:1")
    assert content(only(f"{site}/moved")) == b"content"


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("socks5://127.0.0.1:1", r"through a SOCKS proxy, .*: pip install socksio, or unset"),
        ("gopher://127.0.0.1:1", r"^It cannot be fetched: Unknown scheme for proxy"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_one_sentence(proxy: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(InputError, match=words):
        only("http://example.org/scan.pdf").content(1)


@pytest.mark.parametrize(
    ("path", "name"),
    [("/", "127.0.0.1"), ("/..%2f..%2fetc%2fpasswd", "passwd"), ("/a/..", "127.0.0.1"), ("/%0a.b%00", "b")],
)
def test_no_url_names_a_file_outside_the_folder(path: str, name: str) -> None:
    assert only(f"http://127.0.0.1{path}").name == name


def test_a_password_in_a_url_is_not_shown() -> None:
    assert str(only("https://me:secret@example.org/scan.pdf")) == "https://example.org/scan.pdf"


def test_pipes_sockets_and_devices_in_a_folder_are_passed_over_and_told() -> None:
    touch("in/a.png")
    os.mkfifo("in/pipe.png")
    Path("in/zero.png").symlink_to("/dev/zero")
    Path("in/pipes.pdf").symlink_to("pipe.png")
    Path("in/itself.png").symlink_to("itself.png")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("in/socket.pdf")
        told: list[str] = []
        sources = find(["in"], told.append)
    assert [source.place for source in sources] == ["in/a.png", "in/itself.png"]
    assert told == [
        "in/pipe.png is a named pipe and is skipped.",
        "in/pipes.pdf is a named pipe and is skipped.",
        "in/socket.pdf is a socket and is skipped.",
        "in/zero.png is a device and is skipped.",
    ]
    with pytest.raises(InputError, match="It cannot be read: Too many levels of symbolic links"):
        sources[1].content(1)


@pytest.mark.parametrize(("place", "kind"), [("/dev/zero", "a device"), ("/dev/null", "a device"), ("s", "a socket")])
def test_devices_and_sockets_are_refused_by_name(place: str, kind: str) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s")
        (source,) = find([place])
        with pytest.raises(InputError, match=f"^It is {kind} and no file.$"):
            source.content(1)


def test_a_named_pipe_is_read_as_standard_input_is_and_no_further() -> None:
    os.mkfifo("pipe")
    (source,) = find(["pipe"])
    with ThreadPoolExecutor(1) as pool:
        pool.submit(Path("pipe").write_bytes, b"x" * 10)
        assert source.content(1) == b"x" * 10
        endless = pool.submit(subprocess.run, ["/bin/sh", "-c", "cat /dev/zero > pipe"], stderr=subprocess.DEVNULL)
        with pytest.raises(InputError, match="It has more than 1 MiB"):
            source.content(1)
        assert endless.result().returncode != 0
