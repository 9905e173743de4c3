"""The files of a checkpoint beside its tensors: its tokenizer, its configs. Knows no model and no torch."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocr.errors import OCRError, SetupError
from ocr.weights.installation import WEIGHTS

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@contextmanager
def laid_to_files(folder: Path) -> Iterator[None]:
    """Within the block the checkpoint in a folder is loaded; what fails there is a SetupError that names the folder.

    For a number that it cannot take, a class of transformers fails in any way. A library or memory that lacks is no
    fault of the files.
    """
    try:
        yield
    except (OCRError, ImportError, MemoryError):
        raise
    except Exception as error:
        said = " ".join(" ".join(str(error).splitlines()[:2]).split())  # what follows is a trace
        raise SetupError(
            f"The files in {folder} cannot be loaded ({type(error).__name__}: {said}). One of them, most likely "
            f"config.json, was changed or is another model's; `{WEIGHTS} verify {folder.name}` finds what differs "
            "from weights that were fetched."
        ) from error


def load_tokenizer(folder: Path) -> "Tokenizer":
    """The checkpoint's tokenizer exactly as its tokenizer.json has it."""
    from tokenizers import Tokenizer  # not installed where pp-ocr alone reads

    try:
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library raises bare Exception
        raise SetupError(f"{folder / 'tokenizer.json'} cannot be read: {error}") from error


def token_id(tokenizer: "Tokenizer", token: str) -> int:
    """The id of a special token by its name; ids differ between checkpoints. Raises SetupError if there is none."""
    found: int | None = tokenizer.token_to_id(token)
    if found is None:
        raise SetupError(f"The tokenizer has no token {token!r}, which this model needs; is it another model's?")
    return found


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a checkpoint. Raises SetupError for a file that is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SetupError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise SetupError(f"{path} holds no JSON object.")
    return value


def check_fields(where: str, given: Mapping[str, Any], needed: Iterable[str], fixed: Mapping[str, Any]) -> None:
    """Raise SetupError unless a config has these fields, and those that are fixed have that value or are left out."""
    absent = [field for field in needed if field not in given]
    if absent:
        raise SetupError(f"The checkpoint's {where} lacks {', '.join(absent)}.")
    for field, value in fixed.items():
        if given.get(field, value) != value:
            raise SetupError(f"The checkpoint's {where} has {field} {given[field]!r}; this engine runs {value!r} only.")
