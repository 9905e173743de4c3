"""What reading would use on this machine, and what is wrong with it; each finding says what to do. Mends nothing."""

import importlib
import importlib.util
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from ocr.documents import fonts
from ocr.errors import SetupError, choices
from ocr.faces.problems import count
from ocr.models.catalog import AUTO, MODELS, demo_note
from ocr.reading.reader import Reader
from ocr.settings import VARIABLES, Settings, read_settings
from ocr.weights.installation import INSTALL
from ocr.weights.status import Readiness, status


class State(StrEnum):
    """How good a finding is."""

    OK = "ok"
    NOTE = "note"  # something that may stay as it is
    WRONG = "WRONG"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    state: State
    what: str
    says: str


def examine() -> Iterator[Finding]:
    """All findings, each as soon as it is known; where the settings are wrong nothing more can be said."""
    yield Finding(State.OK, "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    try:
        settings = read_settings()
        reader = Reader(settings)
    except SetupError as error:
        yield Finding(State.WRONG, "settings", str(error))
        return
    yield Finding(State.OK, "settings", "; ".join(_changed(settings)) or "all as they are by default")
    model = _needed(settings, reader)[0]
    yield from RUNTIMES[MODELS[model].runtime](settings, model)
    yield from _weights(settings, reader)
    yield from _presets(settings, reader)
    yield from _memory(settings, reader)
    yield from _fonts()
    for name, (find, use) in OPTIONAL.items():
        yield Finding(State.OK, name, "installed") if find() else Finding(State.NOTE, name, f"not installed: {use}")


def _changed(settings: Settings) -> Iterator[str]:
    """Each setting that is not at its default."""
    for field, (variable, _) in VARIABLES.items():
        value = getattr(settings, field)
        if value != getattr(Settings(), field):
            yield f"{variable}={','.join(value) if isinstance(value, tuple) else value}"


def _needed(settings: Settings, reader: Reader) -> Sequence[str]:
    """The models that must be there: those that OCR_MODELS names, or the one which `auto` stands for."""
    return settings.models or (reader.resolve(AUTO),)


def _torch(settings: Settings, model: str) -> Iterator[Finding]:
    """Device, dtype and attention of a model; imports torch, which takes seconds."""
    try:
        torch = importlib.import_module("torch")
        hardware = importlib.import_module("ocr.engines.hardware").choose_hardware(settings, MODELS[model].dtype)
    except ImportError as error:
        yield Finding(State.WRONG, "torch", f"cannot be imported: {error}; `{INSTALL}`")
        return
    except SetupError as error:
        yield Finding(State.WRONG, "device", str(error))
        return
    yield Finding(State.OK, "torch", torch.__version__)
    if hardware.device.type == "cuda":
        gpu = torch.cuda.get_device_properties(hardware.device)
        yield Finding(State.OK, "device", f"{hardware.device}: {gpu.name}, {gpu.total_memory / 1e9:.1f} GB")
    else:
        yield Finding(State.OK, "device", f"{hardware.device}, {count(hardware.threads, 'thread')}")
    yield Finding(State.OK, "dtype", str(hardware.dtype).removeprefix("torch."))
    yield Finding(State.OK, "attention", hardware.attention)


def _onnxruntime(settings: Settings, _model: str) -> Iterator[Finding]:
    """What runs the networks that read lines, which is the processor whatever OCR_DEVICE says."""
    try:
        version = importlib.import_module("onnxruntime").__version__
    except ImportError as error:
        says = f"cannot be imported: {error}; `{INSTALL}`"
        yield Finding(State.WRONG, "onnxruntime", says)
        return
    yield Finding(State.OK, "onnxruntime", version)
    yield Finding(State.OK, "device", f"cpu, {count(settings.threads, 'thread')}")


RUNTIMES: Mapping[str, Callable[[Settings, str], Iterator[Finding]]] = {"torch": _torch, "onnxruntime": _onnxruntime}


def _weights(settings: Settings, reader: Reader) -> Iterator[Finding]:
    """The weights of each model."""
    needed = _needed(settings, reader)
    for model in MODELS:
        found = status(model, settings.checkpoints)
        is_wrong = found.readiness is Readiness.BROKEN or (found.readiness is Readiness.ABSENT and model in needed)
        good = State.OK if found.is_ready else State.NOTE
        yield Finding(State.WRONG if is_wrong else good, "weights", f"{model}: {found.summary}")
    note = demo_note(needed[0])
    says = f"stands for {needed[0]}"
    yield Finding(State.NOTE, "auto", f"{says}: {note}") if note else Finding(State.OK, "auto", says)


def _presets(settings: Settings, reader: Reader) -> Iterator[Finding]:
    """What the resolution Auto stands for here, for each model that must be there."""
    with suppress(SetupError):  # what is found of the runtime says so
        for model in _needed(settings, reader):
            yield Finding(State.OK, "resolution", f"Auto stands for {reader.auto_preset(model)} with {model}")


def _memory(settings: Settings, reader: Reader) -> Iterator[Finding]:
    """What each model that is there takes, its weights in so many bits, and what fits where the settings do not.

    Of a demo model nobody asks, and for it alone torch would not be imported.
    """
    needed = _needed(settings, reader)
    for model, card in MODELS.items():
        is_meant = card.runtime == "torch" and (model in needed or not card.demo_of)
        if not is_meant or not status(model, settings.checkpoints).is_ready:
            continue
        try:
            memory = importlib.import_module("ocr.models.memory")
            found = memory.demands(model, settings)
        except ImportError:
            return  # what is found of the runtime says so
        except SetupError as error:
            yield Finding(State.WRONG, "memory", f"{model}: {error}")
            continue
        for demand in found:
            yield Finding(State.OK, "memory", f"{model}, OCR_QUANTIZATION={demand.quantization}: {demand}")
        if says := memory.shortage(card, found, settings.quantization):
            state = State.WRONG if model in needed else State.NOTE
            yield Finding(state, "memory", f"{model}: {says}")


def _fonts() -> Iterator[Finding]:
    """Whether the letters of PDFs that do not embed their fonts can be drawn."""
    if missing := fonts.missing_scripts():
        says = f"no installed font has {choices(missing)}: PDFs that do not embed their fonts lose such letters"
        yield Finding(State.NOTE, "fonts", f"{says}; apt-get install {fonts.PACKAGES}")
    else:
        yield Finding(State.OK, "fonts", f"of {choices(fonts.SCRIPTS)}, for PDFs that do not embed theirs")


# What reading can do without, whether it is there, and what it is for.
OPTIONAL: Mapping[str, tuple[Callable[[], object], str]] = {
    "pget": (
        lambda: shutil.which("pget"),
        "weights are downloaded with huggingface_hub, which is slower; an image without it was built where its release "
        "could not be fetched or verified, and building it again brings it",
    ),
    "flash-attn": (lambda: importlib.util.find_spec("flash_attn"), "faster attention on GPUs; sdpa serves without"),
}
