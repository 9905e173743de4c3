"""What a model takes of memory, told before it is loaded: by the shapes of its tensors and the numbers of its config.

Weights are counted to the byte. What is computed with is judged by what stands beside each other where it is most.
"""

import copy
import importlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from ocr.decoding.cache import room_to_grow
from ocr.engines.checkpoint import laid_to_files
from ocr.engines.hardware import Hardware, choose_device, choose_hardware, free_bytes, own_bytes
from ocr.engines.loading import stored_dtype
from ocr.engines.native import NativeEngine
from ocr.engines.packed import PackedFile
from ocr.engines.quantization import quantize
from ocr.errors import InputError, choices
from ocr.models.card import Card
from ocr.models.catalog import MODELS
from ocr.settings import QUANTIZATIONS, Settings
from ocr.types import PageInput
from ocr.weights.files import size_text

log = logging.getLogger(__name__)

PAGE = (1654, 2339)  # px: A4 at 200 dpi
ANSWER = 2000  # tokens, of a dense page
AMPLE = 4  # times the weights as they are stored: where so much is free there is nothing to reckon

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Demand:
    """What a model takes with its weights in so many bits, in bytes."""

    quantization: str
    held: float  # the weights as they stay
    loading: float  # at most, until they are there
    pages: Mapping[str, float]  # beside the weights, to read one page, at most, by preset
    device: torch.device
    process: float  # taken already, by the libraries above all

    def __str__(self) -> str:
        pages = choices(f"{size_text(self.reading(preset))} at {preset}" for preset in self.pages)
        return f"{size_text(self.process + self.loading)} to load; to read a page {pages}"

    def reading(self, preset: str) -> float:
        """What the device holds while a page is read."""
        return self.process + self.held + self.pages[preset]

    def peak(self, preset: str) -> float:
        """What the device holds at most; weights for another one pass through the machine's memory."""
        loading = self.process + self.loading if self.device.type == "cpu" else 0.0
        return max(loading, self.reading(preset))

    def fits(self, preset: str) -> bool:
        """Whether it can be had at present."""
        has_room = self.reading(preset) - self.process <= free_bytes(self.device)
        return has_room and self.loading <= free_bytes(CPU)


def demands(model: str, settings: Settings, answer: int = ANSWER) -> list[Demand]:
    """What a model whose checkpoint is there takes for each quantization, a page's answer of so many tokens included.

    Raises SetupError as loading it does.
    """
    card, folder = MODELS[model], settings.checkpoints / model
    hardware = choose_hardware(settings, card.dtype)
    dtype = str(hardware.dtype).removeprefix("torch.")
    bare = replace(settings, device="meta", dtype=dtype, attention="sdpa", quantization="none")
    with laid_to_files(folder):
        engine: NativeEngine[Any] = importlib.import_module(card.engine).load(folder, card, bare)
    pages = dict(_pages(model, engine, hardware, answer))
    return [_demand(engine.network.model, folder, quantization, hardware, pages) for quantization in QUANTIZATIONS]


def _demand(
    network: nn.Module, folder: Path, quantization: str, hardware: Hardware, pages: Mapping[str, float]
) -> Demand:
    """Of a model on the device `meta`."""
    bits, stored = QUANTIZATIONS[quantization], stored_dtype(folder)
    if bits:
        rounded = copy.deepcopy(network)
        quantize(rounded, bits)
        held = _bytes(rounded, hardware.dtype)
        loading = (
            held
            if PackedFile(folder, bits).fill(rounded, stored)
            else _bytes(network, stored) + _stacked(network, stored)
        )
    else:
        held = _bytes(network, hardware.dtype)
        loading = held + _stacked(network, hardware.dtype)
    process = own_bytes() if hardware.device.type == "cpu" else 0.0
    return Demand(quantization, held, loading, pages, hardware.device, process)


def _bytes(network: nn.Module, dtype: torch.dtype) -> float:
    """Of the parameters in this dtype, and of the buffers, which stay as they are."""
    numbers = sum(parameter.numel() for parameter in network.parameters())
    return numbers * dtype.itemsize + sum(buffer.nbytes for buffer in network.buffers())


def _stacked(network: nn.Module, dtype: torch.dtype) -> float:
    """Of the largest matrices of experts: they stand beside the pieces that they are made of while these are read."""
    stacks = [parameter.numel() for parameter in network.parameters() if parameter.dim() == 3]
    return max(stacks, default=0) * dtype.itemsize


def _pages(model: str, engine: NativeEngine[Any], hardware: Hardware, answer: int) -> Iterator[tuple[str, float]]:
    """What one page takes beside the weights, at each preset whose prompt the model has room for."""
    card, network = MODELS[model], engine.network
    config, itemsize = network.model.config.get_text_config(), hardware.dtype.itemsize
    for name, preset in card.presets.items():
        try:
            page = engine.processor.prepare(
                PageInput(Image.new("RGB", PAGE), next(iter(card.tasks.values())), "", preset)
            )
        except InputError:
            continue
        tokens = len(page.ids)
        computed = max(network.seeing_bytes(page, hardware), tokens * _numbers_computed(config) * itemsize)
        new = min(answer, engine.processor.context - tokens, network.window or answer)
        yield name, computed + room_to_grow(tokens + new) * _numbers_kept(config) * itemsize


def _numbers_computed(config: Any) -> int:
    """How many numbers a decoder computes with for each token of a prompt, in its widest feed-forward layer."""
    hidden = config.hidden_size
    chosen, inner = getattr(config, "num_experts_per_tok", 0), getattr(config, "moe_intermediate_size", 0)
    return int(4 * hidden + max(3 * config.intermediate_size, chosen * (2 * hidden + 4 * inner)))


def _numbers_kept(config: Any) -> int:
    """How many numbers a decoder keeps of each token: the keys and values of its layers with attention."""
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
    layers = sum(kind != "linear_attention" for kind in kinds)
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * layers * config.num_key_value_heads * size)


def shortage(card: Card, found: Sequence[Demand], chosen: str) -> str:
    """What there is too little memory for with the chosen quantization, and the settings that fit, as a sentence.

    It is about the preset that Auto stands for, or else the first one that the model has room for; "" where that fits,
    and on a system that hides its memory.
    """
    demand = next(demand for demand in found if demand.quantization == chosen)
    preset = next((name for name in (card.auto(demand.device.type), *demand.pages) if name in demand.pages), None)
    free = free_bytes(demand.device)
    if not free or preset is None or demand.fits(preset):
        return ""
    room = size_text(demand.process + free)
    return (
        f"it takes {size_text(demand.peak(preset))} of memory at the preset {preset}, and can have {room}; "
        f"{_fitting(found)}."
    )


def _fitting(found: Sequence[Demand]) -> str:
    fitting = [(demand, [preset for preset in demand.pages if demand.fits(preset)]) for demand in found]
    words = [_named(demand, presets) for demand, presets in fitting if presets]
    if words:
        return "what fits: " + "; ".join(words)
    every = [(demand, preset) for demand in found for preset in demand.pages]
    least, preset = min(every, key=lambda each: (each[0].peak(each[1]), each[0].reading(each[1])))
    return f"no settings fit, and least is taken by {_named(least, [preset])}"


def _named(demand: Demand, presets: Sequence[str]) -> str:
    few = "" if len(presets) == len(demand.pages) else f" at {choices(presets)}"
    return f"OCR_QUANTIZATION={demand.quantization}{few} ({size_text(max(map(demand.peak, presets)))})"


def warn(model: str, settings: Settings) -> None:
    """Say in the log before a model is loaded if this machine has no room for it. Raises SetupError as loading does."""
    stored = sum(path.stat().st_size for path in (settings.checkpoints / model).glob("*.safetensors"))
    device = choose_device(settings.device)
    if min(free_bytes(CPU), free_bytes(device)) > AMPLE * stored:
        return
    if says := shortage(MODELS[model], demands(model, settings), settings.quantization):
        log.warning("%s may not have the memory it needs: %s", model, says)
