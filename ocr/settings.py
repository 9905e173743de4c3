"""The OCR_* environment variables, read once into one frozen value; a wrong one is refused with the allowed ones."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ocr.errors import SetupError, choices
from ocr.weights.installation import CHECKPOINTS

DEVICES = ("auto", "cuda", "cpu")
DTYPES = ("auto", "bfloat16", "float16", "float32")
ATTENTIONS = ("auto", "flash_attention_2", "sdpa", "eager")
QUANTIZATIONS: Mapping[str, int | None] = {"none": None, "8bit": 8, "4bit": 4}
SWITCH = {"0": False, "1": True}
MAX_BATCH = 64  # pages
MAX_SLOTS = 64  # predictions


@dataclass(frozen=True)
class Settings:
    """What the operator decided. docs/settings.md documents each variable."""

    models: tuple[str, ...] = ()  # setup fetches and loads these; empty: whichever checkpoint is there
    checkpoints: Path = CHECKPOINTS  # one folder per model
    device: str = "auto"
    dtype: str = "auto"
    attention: str = "auto"
    quantization: str = "none"  # of the language model's weights
    max_pixels: int = 64_000_000  # of one image: what 2 GiB hold of the worst format; A4 at 600 dpi has 35 million
    max_file_mb: int = 100  # MiB; Cog's own limit on a request body
    drawing_s: int = 600  # seconds of processor time to draw or decode all pages of one document
    max_pages: int = 1000  # of one request: a thick book; at seconds a page it holds the server for an hour and more
    fetch_s: float = 60.0  # seconds in all for a document that is fetched from a URL
    fetch_private: bool = False  # whether URLs may lead to this machine, its networks, and through proxies
    deadline_s: float | None = None  # seconds for one page, all attempts
    slots: int = 8  # predictions that a server takes at a time
    batch: int | None = None  # pages that are decoded together; None: as many as memory has room for
    threads: int = field(default_factory=lambda: allowed_cores())  # of the processor, that a model computes with


CORES = Path("/sys/devices/system/cpu")  # what the system says of each of its processors
QUOTA = Path("/sys/fs/cgroup/cpu.max")  # microseconds of processor time this container may take in a period


def allowed_cores() -> int:
    """The physical cores this process may use, at least one: more threads than these make every one of them slower.

    OMP_NUM_THREADS, by which an operator may have shared them out already, is the most that is said.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    siblings = (CORES / f"cpu{number}" / "topology" / "thread_siblings_list" for number in allowed)
    cores = len({path.read_text() if path.exists() else str(path) for path in siblings})
    quota, _, period = QUOTA.read_text().partition(" ") if QUOTA.exists() else ("max", "", "")
    granted = math.ceil(int(quota) / int(period)) if quota.isdigit() else cores
    shared_out = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores, granted, int(shared_out) if shared_out.isdigit() else cores))


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings in the environment; an unset or empty variable means its default.

    Raises SetupError, naming the variable, its value and what is allowed.
    """
    default = Settings()

    def read(name: str, parse: Callable[[str, str], object], otherwise: object) -> object:
        value = environment.get(name, "").strip()
        return parse(name, value) if value else otherwise

    return Settings(
        **{  # type: ignore[arg-type]
            field: read(name, parse, getattr(default, field)) for field, (name, parse) in VARIABLES.items()
        }
    )


def _names(_name: str, value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))


def _folder(_name: str, value: str) -> Path:
    return Path(value).expanduser().resolve()


def _one_of(allowed: tuple[str, ...]) -> Callable[[str, str], str]:
    def parse(name: str, value: str) -> str:
        if value not in allowed:
            raise SetupError(f"{name} is {value!r}; it must be one of: {choices(allowed)}.")
        return value

    return parse


def _positive_int(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or int(value) == 0:
        raise SetupError(f"{name} is {value!r}; it must be a whole number above 0.")
    return int(value)


def _seconds(name: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise SetupError(f"{name} is {value!r}; it must be a number of seconds above 0, or empty for the default.")
    return seconds


def _batch(name: str, value: str) -> int | None:
    if value == "auto":
        return None
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= MAX_BATCH:
        raise SetupError(f"{name} is {value!r}; it must be auto or a whole number from 1 to {MAX_BATCH}.")
    return int(value)


def _yes_or_no(name: str, value: str) -> bool:
    if value not in SWITCH:
        raise SetupError(f"{name} is {value!r}; it must be one of: {choices(SWITCH)}.")
    return SWITCH[value]


def _slots(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= MAX_SLOTS:
        raise SetupError(f"{name} is {value!r}; it must be a whole number from 1 to {MAX_SLOTS}.")
    return int(value)


VARIABLES: Mapping[str, tuple[str, Callable[[str, str], object]]] = {
    "models": ("OCR_MODELS", _names),
    "checkpoints": ("OCR_CHECKPOINTS", _folder),
    "device": ("OCR_DEVICE", _one_of(DEVICES)),
    "dtype": ("OCR_DTYPE", _one_of(DTYPES)),
    "attention": ("OCR_ATTENTION", _one_of(ATTENTIONS)),
    "quantization": ("OCR_QUANTIZATION", _one_of(tuple(QUANTIZATIONS))),
    "max_pixels": ("OCR_MAX_PIXELS", _positive_int),
    "max_file_mb": ("OCR_MAX_FILE_MB", _positive_int),
    "drawing_s": ("OCR_DRAWING_S", _positive_int),
    "max_pages": ("OCR_MAX_PAGES", _positive_int),
    "fetch_s": ("OCR_FETCH_S", _seconds),
    "fetch_private": ("OCR_FETCH_PRIVATE", _yes_or_no),
    "deadline_s": ("OCR_DEADLINE_S", _seconds),
    "slots": ("OCR_SLOTS", _slots),
    "batch": ("OCR_BATCH", _batch),
    "threads": ("OCR_THREADS", _positive_int),
}
