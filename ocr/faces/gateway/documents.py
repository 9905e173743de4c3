"""The documents of a request into open files: data URLs, base64, file ids, signed URLs of ours, and remote URLs."""

import base64
import binascii
import re
import tempfile
from collections.abc import Callable
from http import HTTPStatus
from typing import IO
from urllib.parse import unquote_to_bytes

import anyio.to_thread

from ocr.errors import OCRError
from ocr.faces.gateway.files import Files
from ocr.faces.gateway.refusals import Refusal, of_error, wrong

Fetch = Callable[[str], IO[bytes]]  # a document at an http(s) URL; raises OCRError
IN_MEMORY = 1 << 20  # bytes of a document that need no file yet
REMOTE = re.compile(r"https?:", re.IGNORECASE)
NO_REMOTE = (
    "URLs of other servers are not fetched here. Send the document itself: as a data: URL, or uploaded as a file."
)


class Documents:
    """Opens what requests name. `fetch` is None where remote documents are not allowed."""

    def __init__(self, files: Files, fetch: Fetch | None, *, max_mb: int) -> None:
        self.files = files
        self._fetch = fetch
        self._max_mb = max_mb

    async def at(self, url: str, param: str) -> IO[bytes]:
        """The document at a URL: data:, a signed one of ours, or a remote one where that is allowed."""
        if url[:5].lower() == "data:":
            return await self.encoded(url, param)
        if file := self.files.behind(url):
            return file.path.open("rb")
        if not REMOTE.match(url):
            raise wrong(f"{param} is no data: URL and no http(s) URL.", param)
        if self._fetch is None:
            raise wrong(NO_REMOTE, param)
        try:
            return await anyio.to_thread.run_sync(self._fetch, url, abandon_on_cancel=True)
        except OCRError as error:
            raise of_error(error) from error

    async def encoded(self, text: str, param: str) -> IO[bytes]:
        """The document in a data: URL or in bare base64."""
        return await anyio.to_thread.run_sync(self._decoded, text, param)

    def stored(self, id_: str, owner: str) -> IO[bytes]:
        """The document that the caller uploaded under this id."""
        return self.files.get(id_, owner).path.open("rb")

    def _decoded(self, text: str, param: str) -> IO[bytes]:
        head, comma, payload = text.partition(",") if text[:5].lower() == "data:" else ("", "", text)
        if head and not comma:
            raise wrong(f"{param} is no whole data: URL; it must be data:application/pdf;base64,….", param)
        if head and not head.lower().endswith(";base64"):
            return self.kept(unquote_to_bytes(payload), param)
        try:
            return self.kept(base64.b64decode("".join(payload.split()), validate=True), param)
        except (binascii.Error, ValueError):
            raise wrong(f"{param} is no base64.", param) from None

    def kept(self, content: bytes, param: str) -> IO[bytes]:
        """Some bytes as an open file. Raises Refusal for none, or too many."""
        if not content:
            raise wrong(f"{param} is empty: the document has 0 bytes.", param)
        if len(content) > self._max_mb * 2**20:
            raise too_large(self._max_mb)
        file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  it is closed when it has been read
        file.write(content)
        return file


def too_large(max_mb: int) -> Refusal:
    """A body or document over the limit."""
    return Refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"It has more than {max_mb} MiB. Send a smaller one.", code="too_large"
    )
