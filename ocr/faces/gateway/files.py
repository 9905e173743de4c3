"""The files that callers upload: a folder with a limit on its size and its files' age, and URLs that are signed."""

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs, urlsplit

from ocr.faces.gateway.refusals import Refusal

PURPOSES = ("ocr", "user_data", "vision", "assistants")
PIECE = 1 << 20  # bytes


@dataclass(frozen=True)
class StoredFile:
    """An uploaded file. `owner` alone finds it again, but for those who hold a signed URL."""

    id: str
    owner: str
    name: str
    purpose: str
    size: int  # bytes
    created_at: int  # s since 1970
    expires_at: int
    path: Path

    def json(self) -> dict[str, Any]:
        """As OpenAI and Mistral describe a file, both at once."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.size,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
            "sample_type": "ocr_input",
            "source": "upload",
            "deleted": False,
        }


class Files:
    """The store. Its index is in memory: what a folder holds is gone with the process that filled it."""

    def __init__(self, folder: Path, *, max_mb: int, keep_s: float) -> None:
        self._folder = folder
        self._max_bytes = max_mb * 2**20
        self._keep_s = keep_s
        self._files: dict[str, StoredFile] = {}
        self._key = secrets.token_bytes(32)

    def add(self, content: IO[bytes], size: int, *, name: str, purpose: str, owner: str) -> StoredFile:
        """Keep a copy of an open file. Raises Refusal where there is no room for it."""
        self._forget_old()
        if self._used() + size > self._max_bytes:
            room = f"{self._max_bytes / 2**20:.0f} MiB"
            raise Refusal(
                HTTPStatus.INSUFFICIENT_STORAGE,
                f"There is no room for it: files may take {room} together. Delete some, or wait until old ones expire.",
                code="no_room",
            )
        id_ = f"file-{secrets.token_hex(16)}"
        path = self._folder / id_
        with path.open("xb") as file:
            while piece := content.read(PIECE):
                file.write(piece)
        now = int(time.time())
        stored = StoredFile(id_, owner, name[:255] or "document", purpose, size, now, int(now + self._keep_s), path)
        self._files[id_] = stored
        return stored

    def get(self, id_: str, owner: str) -> StoredFile:
        """A caller's own file. Raises Refusal where it has none of this id."""
        self._forget_old()
        file = self._files.get(id_)
        if file is None or file.owner != owner:
            raise Refusal(
                HTTPStatus.NOT_FOUND, f"There is no file {id_[:100]!r}; it may have expired.", code="file_not_found"
            )
        return file

    def all(self, owner: str) -> list[StoredFile]:
        """A caller's own files, the oldest first."""
        self._forget_old()
        return [file for file in self._files.values() if file.owner == owner]

    def delete(self, id_: str, owner: str) -> None:
        """Delete a caller's own file. Raises Refusal where it has none of this id."""
        self._drop(self.get(id_, owner))

    def signed_path(self, file: StoredFile, seconds: float) -> str:
        """A path, with a query, under which anybody may have the file's content for so long."""
        until = min(int(time.time() + seconds), file.expires_at)
        return f"/v1/files/{file.id}/content?expires={until}&signature={self._signature(file.id, until)}"

    def signed(self, id_: str, query: str) -> StoredFile:
        """The file that a signed path leads to. Raises Refusal for one that is not ours or is over."""
        fields = parse_qs(query)
        until, signature = (fields.get(name, [""])[0] for name in ("expires", "signature"))
        right = self._signature(id_, until)
        if not hmac.compare_digest(right.encode(), signature.encode()):
            raise Refusal(HTTPStatus.FORBIDDEN, "The signature of this URL is not right.", code="bad_signature")
        if int(until) < time.time() or id_ not in self._files:
            raise Refusal(HTTPStatus.NOT_FOUND, "This URL has expired, or its file is gone.", code="file_not_found")
        return self._files[id_]

    def behind(self, url: str) -> StoredFile | None:
        """The file that a URL of ours leads to, under whatever host we were called; None for any other URL."""
        parts = urlsplit(url)
        names = parts.path.rsplit("/", 4)[-4:]
        if names[:2] != ["v1", "files"] or names[3:] != ["content"] or "signature=" not in parts.query:
            return None
        return self.signed(names[2], parts.query)

    def _signature(self, id_: str, until: int | str) -> str:
        return hmac.new(self._key, f"{id_}:{until}".encode(), hashlib.sha256).hexdigest()

    def _used(self) -> int:
        return sum(file.size for file in self._files.values())

    def _forget_old(self) -> None:
        for file in [file for file in self._files.values() if file.expires_at < time.time()]:
            self._drop(file)

    def _drop(self, file: StoredFile) -> None:
        del self._files[file.id]
        file.path.unlink(missing_ok=True)
