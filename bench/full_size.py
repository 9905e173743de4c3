"""Full-size models once, on this machine: random checkpoints in the real format, read by the real predictor.

    python -m bench.full_size [--folder DIR] [--image FILE] [--model NAME …]     makes checkpoints there if they are not

Random weights say nothing of quality; they take the memory and the time that trained ones take. A checkpoint is
written tensor by tensor, so making it takes the memory of its largest one. The table is printed as markdown; the
committed one is in bench/full_size.md.
"""

import argparse
import asyncio
import json
import os
import resource
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from bench import shapes_deepseek, shapes_dots

NEW_TOKENS = 33

Values = Callable[[int, tuple[int, ...]], bytes]  # a seed and a shape to a tensor in bf16, as its bytes


@dataclass(frozen=True)
class FullSize:
    """What a model's checkpoint is made of, and the presets it is measured with."""

    shapes: Callable[[], Mapping[str, tuple[int, ...]]]
    tokenizer: Callable[[], Tokenizer]
    files: Mapping[str, Mapping[str, Any]]  # JSON by file name; config.json is the last to be written
    presets: Sequence[str]


MODELS: Mapping[str, FullSize] = {
    "deepseek-ocr": FullSize(
        shapes_deepseek.shapes,
        shapes_deepseek.stand_in_tokenizer,
        {"config.json": shapes_deepseek.CONFIG},
        ("Base", "Gundam (Recommended)"),
    ),
    "deepseek-ocr-2": FullSize(
        shapes_deepseek.shapes_2,
        shapes_deepseek.stand_in_tokenizer,
        {"config.json": shapes_deepseek.CONFIG_2},
        ("Base", "Gundam (Recommended)"),
    ),
    "dots.ocr": FullSize(
        shapes_dots.shapes,
        shapes_dots.stand_in_tokenizer,
        {"preprocessor_config.json": shapes_dots.PREPROCESSOR, "config.json": shapes_dots.CONFIG},
        ("Tiny", "Small"),
    ),
}


def need_checkpoint(root: Path, name: str) -> None:
    """Make a model's checkpoint in its folder under `root`, unless it is there."""
    if not (root / name / "config.json").exists():
        write_checkpoint(root / name, MODELS[name])


def write_checkpoint(folder: Path, model: FullSize, values: Values | None = None) -> None:
    """A random bf16 checkpoint, one tensor of it in memory at a time; `values` makes them in place of the processor."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = model.shapes()
    header, end = {}, 0
    for name, shape in tensors.items():
        start, end = end, end + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    head = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        for index, shape in enumerate(tensors.values()):
            file.write((values or _random_bf16)(index, shape))
    model.tokenizer().save(str(folder / "tokenizer.json"))
    for name, content in model.files.items():
        (folder / name).write_text(json.dumps(content))


def _random_bf16(seed: int, shape: tuple[int, ...]) -> bytes:
    """Values of the size that keeps activations near 1: ones for norms, 1 / sqrt(inputs) for matrices."""
    scale = float(np.prod(shape[1:])) ** -0.5
    values = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32) * scale + (len(shape) == 1)
    return (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()


def measure(model: str, image: Path, preset: str) -> dict[str, Any]:
    """One row of the table, in a process of its own: set up, then read one page of a fixed number of tokens."""

    from ocr.faces.cog.client import data_url
    from ocr.faces.cog.schema import openapi
    from predict import Predictor

    metrics: dict[str, Any] = {}
    predictor = Predictor()
    predictor.record_metric = lambda name, value, mode="replace": metrics.update({name: value})
    started = time.monotonic()
    predictor.setup()
    load_s = time.monotonic() - started
    vision_s = _timed(predictor.reader.engine(model).network, "image_features")
    fields = openapi(Path("predict.py").read_text())["components"]["schemas"]["Input"]["properties"]
    given = {name: field["default"] for name, field in fields.items() if "default" in field}
    given |= {"image": data_url(image), "resolution_size": preset, "model": model, "output_format": "raw"}
    given |= {"orient": "off", "cut_long_pages": False, "max_new_tokens": NEW_TOKENS}
    asked = predictor.predict(**given)
    for _ in asyncio.run(asked):
        pass
    first, total = metrics["time_to_first_token"], metrics["completion_tokens"] / metrics["tokens_per_second"]
    return {
        "model": model,
        "preset": preset,
        "image tokens": metrics["image_tokens"],
        "load s": round(load_s, 1),
        "vision s": round(vision_s[0], 2),
        "prefill s": round(first - vision_s[0], 2),
        "tokens/s": round((metrics["completion_tokens"] - 1) / (total - first), 2),
        "s/token": round((total - first) / (metrics["completion_tokens"] - 1), 3),
        "peak GB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2),
    }


def _timed(network: Any, method: str) -> list[float]:
    """Make the network's method note the seconds it takes in the list that is returned."""
    inner = getattr(network, method)
    seconds: list[float] = []

    def timed(*args: Any) -> Any:
        started = time.monotonic()
        result = inner(*args)
        seconds.append(time.monotonic() - started)
        return result

    setattr(network, method, timed)
    return seconds


def _row(arguments: argparse.Namespace, model: str, preset: str) -> dict[str, Any]:
    """Measure in a fresh process, whose peak memory is that of this one reading."""
    options = ["--image", str(arguments.image.resolve()), "--row", model, preset]
    settings = {
        "OCR_CHECKPOINTS": str(arguments.folder),
        "OCR_MODELS": model,
        "OCR_DTYPE": "bfloat16",
        "OCR_DEVICE": "cpu",
    }
    command = [sys.executable, "-m", "bench.full_size", *options]
    done = subprocess.run(command, env={**os.environ, **settings}, check=True, stdout=subprocess.PIPE, text=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure full-size models with random weights.")
    parser.add_argument("--folder", type=Path, default=Path("bench/.full_size"))
    parser.add_argument("--image", type=Path, default=Path("../shared/images/paper_page_1700x2250.jpg"))
    parser.add_argument("--model", choices=MODELS, action="append")
    parser.add_argument("--row", nargs=2, help=argparse.SUPPRESS)  # model and preset: measure in this process
    arguments = parser.parse_args()
    if arguments.row:
        model, preset = arguments.row
        print(json.dumps(measure(model, arguments.image, preset)))
        return
    rows = []
    for model in arguments.model or MODELS:
        need_checkpoint(arguments.folder, model)
        rows += [_row(arguments, model, preset) for preset in MODELS[model].presets]
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(map(str, row.values())) + " |")


if __name__ == "__main__":
    main()
