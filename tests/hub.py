"""A model hub on 127.0.0.1 that misbehaves on request, and tiny checkpoints for it to serve.

It answers `/REPOSITORY/resolve/REVISION/FILE` as the real one does: HEAD and GET, ranges, the revision in
X-Repo-Commit, a git blob id as the ETag of a small file, sha256 and size of a large one in X-Linked-*; and
`/archive.tar`.
"""

import hashlib
import http.server
import json
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import prod
from urllib.parse import unquote

REPOSITORY = "tester/tiny"
REVISION = "0123456789abcdef0123456789abcdef01234567"
INDEX = "model.safetensors.index.json"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
PIECES = 20  # a body goes out in so many writes


def safetensors(tensors: Mapping[str, tuple[str, list[int]]], item_bytes: int = 2) -> bytes:
    """A safetensors file with these names, dtypes and shapes, filled with bytes that differ from place to place."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape) in tensors.items():
        begin, end = end, end + prod(shape) * item_bytes
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}  # type: ignore[assignment]
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    return struct.pack("<Q", len(raw)) + raw + bytes(i * 7919 % 251 for i in range(end))


def checkpoint() -> dict[str, bytes]:
    """The files of a tiny checkpoint in two shards."""
    shards = {
        SHARDS[0]: {"embed.weight": ("BF16", [40, 500]), "norm.weight": ("BF16", [500])},
        SHARDS[1]: {"head.weight": ("BF16", [20, 500])},
    }
    weight_map = {tensor: shard for shard, tensors in shards.items() for tensor in tensors}
    return {
        "config.json": json.dumps({"model_type": "tiny"}).encode(),
        "tokenizer.json": json.dumps({"model": {"vocab": {f"t{i}": i for i in range(2000)}}}).encode(),
        INDEX: json.dumps({"metadata": {}, "weight_map": weight_map}).encode(),
        **{name: safetensors(tensors) for name, tensors in shards.items()},
    }


@dataclass
class Fault:
    """How the GET of one file goes wrong; left as it is, nothing does."""

    status: int = 200
    cut_at: float | None = None  # share of the file after which no byte ever comes
    flip_at: float | None = None  # share of the file at which a byte is another
    slow_s: float = 0.0  # between pieces
    hold: threading.Event | None = None  # after the first half, until it is set
    times: int | None = None  # so many requests, then good; None: for ever


@dataclass
class Hub:
    """What is served, what goes wrong, and what was asked."""

    files: dict[str, bytes] = field(default_factory=checkpoint)
    archive: bytes | None = None
    faults: dict[str, Fault] = field(default_factory=dict)  # by file name, for GET
    head_faults: dict[str, Fault] = field(default_factory=dict)
    promised: dict[str, int] = field(default_factory=dict)  # sizes that are not the true ones
    revision: str = REVISION
    speaks_hub: bool = True  # with the headers only a hub has
    ranges: bool = True
    redirects: bool = False  # large files, to another host
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)  # method, URL, headers
    held: threading.Event = field(default_factory=threading.Event)  # a hold has begun
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage(self) -> str:
        return f"http://localhost:{self.port}"  # another host by name

    def gets(self, name: str) -> int:
        """How often a file was asked for with GET."""
        return sum(method == "GET" and url.endswith(f"/{name}") for method, url, _ in self.requests)

    def fault(self, faults: dict[str, Fault], name: str) -> Fault:
        found = faults.get(name, Fault())
        if found.times is not None:
            found.times -= 1
            if found.times < 0:
                return Fault()
        return found


class _Handler(http.server.BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self.answer("HEAD")

    def do_GET(self) -> None:
        self.answer("GET")

    def answer(self, method: str) -> None:
        hub, name = self.hub, unquote(self.path.rsplit("/", 1)[-1])
        hub.requests.append((method, f"http://{self.headers['Host']}{self.path}", dict(self.headers)))
        body = hub.archive if self.path == "/archive.tar" else hub.files.get(name)
        known = (f"/{REPOSITORY}/resolve/{REVISION}/{name}", f"/storage/{name}", "/archive.tar")
        fault = hub.fault(hub.faults if method == "GET" else hub.head_faults, name)
        if body is None or self.path not in known:
            fault = Fault(status=404)
        if fault.status != 200:
            self.send_response(fault.status)
            self.send_header("Content-Length", "0")
            if fault.status == 404:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.end_headers()
        elif hub.redirects and name.endswith(".safetensors") and not self.path.startswith("/storage/"):
            self.send_response(302)
            self.send_header("Location", f"{hub.storage}/storage/{name}")
            self.describe(name, body or b"")
            self.end_headers()
        else:
            self.send_file(method, name, body or b"", fault)

    def describe(self, name: str, body: bytes) -> None:
        size = self.hub.promised.get(name, len(body))
        if not self.hub.speaks_hub:
            self.send_header("ETag", f'"{len(body):x}-5f0c"')
        elif name.endswith(".safetensors"):
            self.send_header("X-Linked-ETag", f'"{hashlib.sha256(body).hexdigest()}"')
            self.send_header("X-Linked-Size", str(size))
        else:
            blob = hashlib.sha1(b"blob %d\0" % len(body) + body)
            self.send_header("ETag", f'"{blob.hexdigest()}"')
        if self.hub.speaks_hub:
            self.send_header("X-Repo-Commit", self.hub.revision)

    def send_file(self, method: str, name: str, body: bytes, fault: Fault) -> None:
        begin, end = 0, len(body)
        wanted = self.headers.get("Range", "") if self.hub.ranges else ""
        if wanted:
            first, last = wanted.removeprefix("bytes=").split("-")
            begin, end = int(first), min(int(last or end) + 1, end)
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(end - begin))
        if wanted:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(body)}")
        self.describe(name, body)
        self.end_headers()
        if method == "GET":
            self.send_body(body, begin, end, fault)

    def send_body(self, body: bytes, begin: int, end: int, fault: Fault) -> None:
        if fault.flip_at is not None:
            place = int(len(body) * fault.flip_at)
            body = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        stop = end if fault.cut_at is None else min(end, int(len(body) * fault.cut_at))
        step = max(1, (end - begin) // PIECES)
        for place in range(begin, stop, step):
            if fault.hold and place - begin >= (end - begin) // 2:
                self.hub.held.set()
                fault.hold.wait(60)
            with suppress(ConnectionError):  # the client was killed
                self.wfile.write(body[place : min(place + step, stop)])
            if fault.slow_s:
                threading.Event().wait(fault.slow_s)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the requests are kept for the tests."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing about clients that went away."""


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve until the block ends."""
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
