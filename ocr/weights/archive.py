"""A tar as a source: only the files of the table come out of it, and nothing of a hostile or damaged one."""

import shutil
import tarfile
import urllib.request
from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath

from ocr.weights.download import Arrival, Job, Offer, complete
from ocr.weights.files import short
from ocr.weights.network import TIMEOUT_S, SourceFailed, retried

CHUNK = 1 << 20  # bytes


def from_archive(job: Job, url: str) -> None:
    """Complete the job's folder from a tar, read as it arrives.

    Without pget, which would unpack all that is in it, or need the disk twice to leave the unpacking to us.
    """
    files = [Arrival(file.name, url, file.size, file.sha256) for file in job.row.files]
    complete(job, Offer(url, None, files), partial(_unpack, job, url))


def _unpack(job: Job, url: str, files: Sequence[Arrival]) -> None:
    # Some hosts refuse Python's own name.
    request = urllib.request.Request(url, headers={"User-Agent": "weights.py"})  # noqa: S310 (an address of the table)
    with retried("the archive", partial(urllib.request.urlopen, request, timeout=TIMEOUT_S)) as answer:
        try:
            with tarfile.open(fileobj=answer, mode="r|") as tar:
                _extract(job, tar, {file.name for file in files})
        except tarfile.TarError as error:
            raise SourceFailed(f"the archive is damaged or cut off: {error}") from error


def _extract(job: Job, tar: tarfile.TarFile, names: set[str]) -> None:
    """Write the wanted members, which must lie at the top; others are skipped, a hostile one ends it."""
    allowance = 4 * job.row.total_bytes  # for all members: an archive that goes on for ever is none of ours
    for member in tar:
        _refuse_hostile(member)
        allowance -= tarfile.BLOCKSIZE + member.size
        if allowance < 0:
            raise SourceFailed(f"the archive is far larger than {job.row.name}, at {short(member.name)}")
        name = member.name.removeprefix("./")
        content = tar.extractfile(member) if name in names else None
        if content:
            names.remove(name)
            with (job.folder / name).open("xb") as file:
                shutil.copyfileobj(content, file, CHUNK)
    if names:
        raise SourceFailed(f"the archive ended without {', '.join(sorted(names))}")


def _refuse_hostile(member: tarfile.TarInfo) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise SourceFailed(f"the archive was refused: {short(member.name)} leads out of the folder")
    if not (member.isfile() or member.isdir()) or member.issparse() or member.size < 0:
        raise SourceFailed(f"the archive was refused: {short(member.name)} is a link, a device or the like")
