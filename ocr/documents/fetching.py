"""A document at a URL into a temporary file, within a size and a time. Knows no format of documents.

A stranger may name the URL, and a stranger's server answers. So each host is looked up once, and the address that was
checked is the one connected to; redirects are followed here, each checked as the first; packed bodies are unpacked in
small pieces.
"""

import base64
import contextlib
import tempfile
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import IO, Any

import httpcore
import httpx

from ocr.documents.addresses import addresses, is_loopback, is_public
from ocr.errors import InputError, OCRError, SetupError, shortened

SCHEMES = ("http", "https")
REDIRECTS = 5  # followed at most
CHUNK = 1 << 16  # bytes
STEP_S = 0.1  # between two looks whether there is time left; Ctrl-C and a cancelled prediction are heard then
CONNECT_S = 10.0  # for one address of a host that may have several
LONGEST_REASON = 200  # characters of what a library says, which may quote the server
CANNOT = "It cannot be fetched:"
NO_SOCKS = (
    "It cannot be fetched through a SOCKS proxy, for which a package is missing: pip install socksio, or unset the "
    "variable that names the proxy (ALL_PROXY, HTTPS_PROXY, HTTP_PROXY)."
)
_NO_ANSWER = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpx.InvalidURL,
    zlib.error,
    ValueError,  # for a proxy of no kind that there is
)


def nothing() -> None:
    """The check of a caller who waits to the end."""


def fetch_document(
    url: str, *, max_mb: int, seconds: float, private: bool = False, check: Callable[[], None] = nothing
) -> IO[bytes]:
    """What an http(s) URL leads to, as an open file that has no name and is gone when it is closed.

    `seconds` are for all of it, names, redirects and body. Where `private` is false, only public addresses are asked,
    and no proxy, behind which nobody could check where a name leads; where it is true, any address, and the proxies of
    the environment. Raises InputError for what cannot be fetched, within a moment after the seconds are over.
    `check` is called while there is anything to wait for; what it raises ends the download.
    """
    until = time.monotonic() + seconds
    with contextlib.ExitStack() as opened:
        file = opened.enter_context(tempfile.TemporaryFile())
        download = _Download(url, file, max_mb, _Network(until, private))
        download.start()
        try:
            while download.is_alive() and time.monotonic() < until:
                download.join(STEP_S)
                check()
        finally:
            download.network.until = 0.0  # where it still runs, its next step is its last
        if download.is_alive() or time.monotonic() >= until:
            raise InputError(f"{CANNOT} it did not come in {seconds:g} s. Send the file itself, or raise OCR_FETCH_S.")
        if download.failure:
            raise download.failure
        opened.pop_all()
        return file


class _Download(threading.Thread):
    """The fetching in a thread of its own: a lookup or a connection that waits hears nothing."""

    def __init__(self, url: str, file: IO[bytes], max_mb: int, network: "_Network") -> None:
        super().__init__(daemon=True)
        self._url, self._file, self._max_mb = url, file, max_mb
        self.network = network
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            self._fetch()
        except OCRError as error:
            self.failure = error
        except ImportError:
            self.failure = InputError(NO_SOCKS)
        except _NO_ANSWER as error:
            reason = shortened(str(error) or type(error).__name__, LONGEST_REASON)
            self.failure = InputError(f"{CANNOT} {reason}.")
        except Exception as error:
            self.failure = error

    def _fetch(self) -> None:
        url = parsed(self._url)
        for _ in range(1 + REDIRECTS):
            with self.network.pool(url) as pool, pool.stream("GET", _target(url), headers=_headers(url)) as answer:
                place = _header(answer, b"location")
                if not (HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST and place):
                    self._save(answer)
                    return
                url = parsed(place, url)
        raise InputError(f"{CANNOT} it is redirected more than {REDIRECTS} times.")

    def _save(self, answer: httpcore.Response) -> None:
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            raise InputError(f"The server answered {_status(answer.status)}.")
        left = self._max_mb * 2**20
        stated = _header(answer, b"content-length")
        too_large = InputError(f"It has more than {self._max_mb} MiB; send a smaller one, or raise OCR_MAX_FILE_MB.")
        if stated and int(stated) > left:  # h11 lets nothing but a number through
            raise too_large
        try:
            for piece in _unpacked(answer.iter_stream(), _header(answer, b"content-encoding").lower()):
                left -= len(piece)
                if left < 0:
                    raise too_large
                self._file.write(piece)
            self._file.seek(0)  # which writes what is left to be written
        except OSError as error:
            folder = tempfile.gettempdir()
            raise SetupError(f"The temporary folder {folder} cannot be written: {error.strerror}.") from error


class _Network(httpcore.NetworkBackend):
    """Connections to the addresses that may be asked, none of whose steps outlasts the time there is in all."""

    def __init__(self, until: float, private: bool) -> None:
        self.until = until
        self._private = private
        self._system = httpcore.SyncBackend()

    def left_s(self) -> float:
        """The seconds that are left. Raises httpcore.TimeoutException where none are."""
        if (left := self.until - time.monotonic()) <= 0:
            raise httpcore.TimeoutException("there is no time left")
        return left

    def pool(self, url: httpx.URL) -> httpcore.ConnectionPool:
        """What connects to a URL, through the environment's proxy where any address may be asked."""
        proxy = environments_proxy(url) if self._private else None
        trusted = httpx.create_ssl_context() if url.scheme == "https" else None
        return httpcore.ConnectionPool(ssl_context=trusted, network_backend=self, proxy=proxy)

    def connect_tcp(self, host: str, port: int, *_given: Any, **_options: Any) -> httpcore.NetworkStream:
        found = [address for address in addresses(host, port) if self._private or is_public(address)]
        if not found:
            kind = "no address" if self._private else "no public address"
            raise InputError(f"{CANNOT} the host {shortened(host, LONGEST_REASON)!r} has {kind}.")
        for address in found:
            try:
                stream = self._system.connect_tcp(str(address), port, timeout=min(CONNECT_S, self.left_s()))
                return _Stream(stream, self)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class _Stream(httpcore.NetworkStream):
    """A connection whose every step looks whether there is time left."""

    def __init__(self, stream: httpcore.NetworkStream, network: _Network) -> None:
        self._stream, self._network = stream, network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while True:
            with contextlib.suppress(httpcore.ReadTimeout):
                return self._stream.read(max_bytes, timeout=min(STEP_S, self._network.left_s()))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout=self._network.left_s())

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, ssl_context: Any, server_hostname: Any = None, timeout: Any = None) -> httpcore.NetworkStream:
        limit = min(CONNECT_S, self._network.left_s())
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout=limit), self._network)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def parsed(text: str, base: httpx.URL | None = None) -> httpx.URL:
    """A URL, or one that is meant from another. Raises InputError for one that is none, or of another scheme."""
    try:
        url = base.join(text) if base else httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise InputError(f"It is no URL: {shortened(str(error), LONGEST_REASON)}.") from error
    if url.scheme not in SCHEMES or not url.host:
        raise InputError(f"{CANNOT} {'it is redirected to' if base else 'it is'} no http(s) URL.")
    return url


def environments_proxy(url: httpx.URL) -> httpcore.Proxy | None:
    """The proxy that the environment names for a URL; none for this machine, which a proxy could not reach.

    Raises ValueError for a proxy of no known kind.
    """
    if is_loopback(url.host) or urllib.request.proxy_bypass(url.host):
        return None
    named = urllib.request.getproxies()
    place = named.get(url.scheme) or named.get("all")
    if not place:
        return None
    proxy = httpx.Proxy(place if "://" in place else f"http://{place}")
    return httpcore.Proxy(_target(proxy.url), auth=proxy.raw_auth)


def _target(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _headers(url: httpx.URL) -> dict[bytes | str, bytes | str]:
    login: dict[bytes | str, bytes | str] = {}
    if url.userinfo:
        login = {"Authorization": f"Basic {base64.b64encode(f'{url.username}:{url.password}'.encode()).decode()}"}
    host = url.netloc.decode("ascii")
    return {"Host": host, "Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "document-ocr", **login}


def _header(answer: httpcore.Response, name: bytes) -> str:
    """A header's value; of several with one name the first, and empty where there is none."""
    return next((value.decode("latin-1").strip() for key, value in answer.headers if key.lower() == name), "")


def _status(number: int) -> str:
    """A status in the standard's words, not the server's."""
    try:
        return f"{number} {HTTPStatus(number).phrase}"
    except ValueError:
        return str(number)


def _unpacked(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """A body as it was before the server packed it, in pieces that are small whatever it unpacks to."""
    if encoding in ("", "identity"):
        yield from pieces
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise InputError(f"{CANNOT} it comes packed as {shortened(encoding, LONGEST_REASON)!r}, which is not read.")
    unpacker = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)  # 32: gzip's head or zlib's
    for piece in pieces:
        while piece:
            yield unpacker.decompress(piece, CHUNK)
            piece = unpacker.unconsumed_tail
        if unpacker.unused_data:
            raise InputError(f"{CANNOT} something follows its packed body.")
    yield unpacker.flush()
    if not unpacker.eof:
        raise InputError(f"{CANNOT} its packed body is cut off.")
