"""The model hub as a source: by pget where it is on PATH, else or then by huggingface_hub."""

import os
import re
import shutil
from collections.abc import Sequence
from functools import partial
from urllib.parse import quote, urlsplit

from ocr.errors import SetupError
from ocr.weights.download import Arrival, Job, Offer, complete, run_downloader
from ocr.weights.network import TIMEOUT_S, SourceFailed, retried
from ocr.weights.table import Checkpoint


def endpoint_and_token() -> tuple[str, str | None]:
    """The hub's address and the token for it, from HF_ENDPOINT and HF_TOKEN. No message repeats a secret."""
    endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise SetupError("HF_ENDPOINT must be http(s)://HOST, without a user or password: HF_TOKEN is for those.")
    token = os.environ.get("HF_TOKEN", "").strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise SetupError("HF_TOKEN cannot be a token: it has blanks or unusual characters in it.")
    return endpoint, token or None


def from_hub(job: Job, endpoint: str, token: str | None) -> None:
    """Complete the job's folder from the model hub: by pget where it is, and by huggingface_hub where not, or after."""
    files = _described(job.row, endpoint, token)
    offer = Offer(f"{endpoint}/{job.row.repository}", job.row.revision, files)
    downloaders = [partial(_with_huggingface_hub, job, endpoint, token)]
    pget = shutil.which("pget")
    if pget and token:
        job.say("pget cannot send HF_TOKEN, so huggingface_hub downloads")
    elif pget:
        downloaders.insert(0, partial(_with_pget, job, pget))
    failures = []
    for download in downloaders:
        try:
            return complete(job, offer, download)
        except SourceFailed as failure:
            failures.append(str(failure))
            if download is not downloaders[-1]:
                job.say(f"{failure}; next, huggingface_hub")
    raise SourceFailed("; then ".join(failures))


def _with_pget(job: Job, pget: str, files: Sequence[Arrival]) -> None:
    """Download with Replicate's parallel downloader, which retries; if it fails, its own words are the reason."""
    # Names relative to its working folder, because it splits the lines at blanks.
    manifest = "".join(f"{file.source} {file.name}\n" for file in files)
    run_downloader(job, "pget", [pget, "multifile", "-"], manifest)


def _with_huggingface_hub(job: Job, endpoint: str, token: str | None, files: Sequence[Arrival]) -> None:
    """Download with the hub's own library, file by file."""
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.utils import silent_tqdm  # type: ignore[attr-defined]
    except ImportError:
        raise SourceFailed("neither pget nor huggingface_hub is installed: `pip install huggingface_hub`") from None
    for file in files:
        download = partial(
            hf_hub_download,
            str(job.row.repository),
            file.name,
            revision=job.row.revision,
            local_dir=job.folder,
            endpoint=endpoint,
            token=token or False,  # False: nor one that lies in the user's home
            etag_timeout=TIMEOUT_S,
            tqdm_class=silent_tqdm,
        )
        retried(file.name, download)


def _described(row: Checkpoint, endpoint: str, token: str | None) -> list[Arrival]:
    """A row's files as the hub has them at the pinned revision. Raises SourceFailed if it has others, or none.

    Where huggingface_hub is not installed they are as the table has them, and pget can still get them.
    """
    base = f"{endpoint}/{row.repository}/resolve/{row.revision}"
    known = [Arrival(file.name, f"{base}/{quote(file.name)}", file.size, file.sha256) for file in row.files]
    try:
        from huggingface_hub import get_hf_file_metadata
    except ImportError:
        return known
    files = []
    for file in known:
        ask = partial(get_hf_file_metadata, file.source, token=token or False, timeout=TIMEOUT_S, endpoint=endpoint)
        found = retried(file.name, ask)
        if found.commit_hash not in (None, row.revision):
            raise SourceFailed(f"{file.name}: revision {found.commit_hash} came, {row.revision} is the pinned one")
        # A server that names no revision is a plain mirror, whose etags mean nothing to us.
        is_digest = found.commit_hash and re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", found.etag or "")
        files.append(file._replace(size=file.size or found.size, digest=file.digest or (is_digest and found.etag)))
    return files
