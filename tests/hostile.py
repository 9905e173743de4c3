"""A web site of this machine that answers as no honest one does."""

import contextlib
import gzip
import http.server
import socket
import socketserver
import threading
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from tests.pictures import encoded, page

PNG = encoded(page())
MIB = 2**20
ZEROS = gzip.compress(bytes(64 * MIB), 9)  # 64 kB


class Site(http.server.BaseHTTPRequestHandler):
    """Each path is a way to answer; `asked` holds the paths that were asked for, `sent` the bytes of endless bodies."""

    asked: list[str] = []  # noqa: RUF012  shared on purpose
    logins: list[str | None] = []  # noqa: RUF012
    sent = 0

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        self.asked.append(self.path)
        self.logins.append(self.headers["Authorization"])
        with contextlib.suppress(OSError):  # the other side has had enough
            getattr(self, place.path.strip("/").replace("-", "_") or "page")(parse_qs(place.query))

    def _answer(self, status: int, *, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def page(self, _query: dict[str, list[str]]) -> None:
        self._answer(200, body=PNG)

    def packed(self, _query: dict[str, list[str]]) -> None:
        self._answer(200, body=gzip.compress(PNG), Content_Encoding="gzip")

    def packed_bomb(self, _query: dict[str, list[str]]) -> None:
        self._answer(200, body=ZEROS, Content_Encoding="gzip")

    def packed_cut(self, _query: dict[str, list[str]]) -> None:
        self._answer(200, body=gzip.compress(PNG)[:-9], Content_Encoding="gzip")

    def packed_twice(self, _query: dict[str, list[str]]) -> None:
        self._answer(200, body=2 * gzip.compress(PNG), Content_Encoding="gzip")

    def packed_otherwise(self, _query: dict[str, list[str]]) -> None:
        self._answer(200, body=PNG, Content_Encoding="br")

    def says_large(self, _query: dict[str, list[str]]) -> None:
        self._answer(200, Content_Length="9" * 20)

    def says_more(self, _query: dict[str, list[str]]) -> None:
        self._answer(200, body=PNG, Content_Length=str(len(PNG) + 1))

    def to(self, query: dict[str, list[str]]) -> None:
        self._answer(302, Location=query["url"][0])

    def loop(self, _query: dict[str, list[str]]) -> None:
        self._answer(302, Location="/loop")

    def gone(self, _query: dict[str, list[str]]) -> None:
        self.send_response(404, "x" * 30_000)
        self.end_headers()

    def endless(self, _query: dict[str, list[str]]) -> None:
        self._answer(200)
        while True:
            self.wfile.write(bytes(MIB))
            Site.sent += MIB

    def trickle(self, _query: dict[str, list[str]]) -> None:
        self._answer(200)
        self._drip(b"x")

    def slow_head(self, _query: dict[str, list[str]]) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        self._drip(b"x")

    def silent(self, _query: dict[str, list[str]]) -> None:
        self.connection.recv(1)

    def large_head(self, _query: dict[str, list[str]]) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            self.wfile.write(b"X: " + b"x" * 1000 + b"\r\n")

    def _drip(self, drop: bytes) -> None:
        """A drop a moment, until the other side has gone."""
        self.connection.settimeout(0.02)
        while True:
            self.wfile.write(drop)
            with contextlib.suppress(TimeoutError):
                if not self.connection.recv(1):
                    return

    def log_message(self, *_args: object) -> None:
        """Keep the test's output clean."""


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Site)


@contextlib.contextmanager
def hostile_site(host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """The URL of the site while it is up."""
    Site.asked.clear()
    Site.logins.clear()
    Site.sent = 0
    with _Server(host, port) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://{host}:{server.server_address[1]}"
        server.shutdown()
