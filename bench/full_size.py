"""The full-size model once, on this machine: a random checkpoint in the real format, read by the real predictor.

    python -m bench.full_size [--folder DIR] [--image FILE]      makes the checkpoint there (6.7 GB) unless it is there

Random weights say nothing of quality; they take the memory and the time that trained ones take. The checkpoint is
written tensor by tensor, so making it takes the memory of its largest one. The table is printed as markdown.
"""

import argparse
import json
import os
import resource
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.checkpoints import BOS, EOS, PAD, byte_tokenizer

TENSORS, BYTES = 2710, 6_672_212_480  # of the real checkpoint, whose names and shapes these are
NEW_TOKENS = 64
MARKS = ("<image>", "<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>", "<td>", "</td>", "<tr>", "</tr>")
SPECIAL_IDS = {BOS: 0, EOS: 1, PAD: 2} | {mark: 128815 + index for index, mark in enumerate(MARKS)}
LANGUAGE = {
    "bos_token_id": 0,
    "eos_token_id": 1,
    "first_k_dense_replace": 1,
    "hidden_size": 1280,
    "intermediate_size": 6848,
    "max_position_embeddings": 8192,
    "moe_intermediate_size": 896,
    "n_group": 1,
    "n_routed_experts": 64,
    "n_shared_experts": 2,
    "num_attention_heads": 10,
    "num_experts_per_tok": 6,
    "num_hidden_layers": 12,
    "num_key_value_heads": 10,
    "topk_group": 1,
    "topk_method": "greedy",
    "vocab_size": 129280,
}
CONFIG = {"model_type": "deepseek_vl_v2", "torch_dtype": "bfloat16", "language_config": LANGUAGE, "vision_config": {}}


def shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    """The names and shapes of the real checkpoint's tensors."""
    hidden, vocabulary = LANGUAGE["hidden_size"], LANGUAGE["vocab_size"]
    yield from (("lm_head.weight", (vocabulary, hidden)), ("model.embed_tokens.weight", (vocabulary, hidden)))
    yield from (
        ("model.norm.weight", (hidden,)),
        ("model.image_newline", (hidden,)),
        ("model.view_seperator", (hidden,)),
    )
    yield from _linear("model.projector.layers", hidden, 2048)
    yield from _sam("model.sam_model")
    yield from _clip("model.vision_model")
    for layer in range(LANGUAGE["num_hidden_layers"]):
        yield from _decoder_layer(f"model.layers.{layer}", layer)


def _linear(name: str, out: int, into: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (out, into)
    yield f"{name}.bias", (out,)


def _norm(name: str, size: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (size,)
    yield f"{name}.bias", (size,)


def _sam(name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, neck = 768, 256
    yield f"{name}.pos_embed", (1, 64, 64, width)
    yield f"{name}.patch_embed.proj.weight", (width, 3, 16, 16)
    yield f"{name}.patch_embed.proj.bias", (width,)
    for block in range(12):
        at = f"{name}.blocks.{block}"
        side = 2 * (64 if block in (2, 5, 8, 11) else 14) - 1
        yield from _norm(f"{at}.norm1", width)
        yield from _norm(f"{at}.norm2", width)
        yield from ((f"{at}.attn.rel_pos_h", (side, 64)), (f"{at}.attn.rel_pos_w", (side, 64)))
        yield from _linear(f"{at}.attn.qkv", 3 * width, width)
        yield from _linear(f"{at}.attn.proj", width, width)
        yield from _linear(f"{at}.mlp.lin1", 4 * width, width)
        yield from _linear(f"{at}.mlp.lin2", width, 4 * width)
    yield f"{name}.neck.0.weight", (neck, width, 1, 1)
    yield from _norm(f"{name}.neck.1", neck)
    yield f"{name}.neck.2.weight", (neck, neck, 3, 3)
    yield from _norm(f"{name}.neck.3", neck)
    yield f"{name}.net_2.weight", (512, neck, 3, 3)
    yield f"{name}.net_3.weight", (1024, 512, 3, 3)


def _clip(name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    width = 1024
    yield f"{name}.embeddings.class_embedding", (width,)
    yield f"{name}.embeddings.patch_embedding.weight", (width, 3, 14, 14)
    yield f"{name}.embeddings.position_embedding.weight", (257, width)
    yield from _norm(f"{name}.pre_layrnorm", width)
    for layer in range(24):
        at = f"{name}.transformer.layers.{layer}"
        yield from _norm(f"{at}.layer_norm1", width)
        yield from _norm(f"{at}.layer_norm2", width)
        yield from _linear(f"{at}.self_attn.qkv_proj", 3 * width, width)
        yield from _linear(f"{at}.self_attn.out_proj", width, width)
        yield from _linear(f"{at}.mlp.fc1", 4 * width, width)
        yield from _linear(f"{at}.mlp.fc2", width, 4 * width)


def _decoder_layer(name: str, layer: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden, expert = LANGUAGE["hidden_size"], LANGUAGE["moe_intermediate_size"]
    yield from ((f"{name}.{norm}.weight", (hidden,)) for norm in ("input_layernorm", "post_attention_layernorm"))
    yield from ((f"{name}.self_attn.{proj}_proj.weight", (hidden, hidden)) for proj in "qkvo")
    if layer < LANGUAGE["first_k_dense_replace"]:
        yield from _gated(f"{name}.mlp", LANGUAGE["intermediate_size"])
        return
    yield f"{name}.mlp.gate.weight", (LANGUAGE["n_routed_experts"], hidden)
    yield from _gated(f"{name}.mlp.shared_experts", expert * LANGUAGE["n_shared_experts"])
    for index in range(LANGUAGE["n_routed_experts"]):
        yield from _gated(f"{name}.mlp.experts.{index}", expert)


def _gated(name: str, inner: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden = LANGUAGE["hidden_size"]
    yield from ((f"{name}.{proj}_proj.weight", (inner, hidden)) for proj in ("gate", "up"))
    yield f"{name}.down_proj.weight", (hidden, inner)


def write_checkpoint(
    folder: Path, tensors: Mapping[str, tuple[int, ...]], config: Mapping[str, Any], tokenizer: Any
) -> None:
    """A random bf16 checkpoint of these tensors, one of them in memory at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    header, end = {}, 0
    for name, shape in tensors.items():
        start, end = end, end + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    head = json.dumps(header).encode()
    shard = "model-00001-of-000001.safetensors"
    with (folder / shard).open("wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        for index, shape in enumerate(tensors.values()):
            file.write(_random_bf16(index, shape))
    weight_map = {"metadata": {"total_size": end}, "weight_map": dict.fromkeys(tensors, shard)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(weight_map))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps(config))  # last: without it the folder is no checkpoint


def _random_bf16(seed: int, shape: tuple[int, ...]) -> bytes:
    """Values of the size that keeps activations near 1: ones for norms, 1 / sqrt(inputs) for matrices."""
    scale = float(np.prod(shape[1:])) ** -0.5
    values = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32) * scale + (len(shape) == 1)
    return (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()


def measure(image: Path, resolution: str) -> dict[str, Any]:
    """One row of the table, from a fresh process: set up, read one page of a fixed number of tokens."""
    from cog import Path as CogPath

    from predict import Predictor

    predictor = Predictor()
    metrics: dict[str, Any] = {}
    predictor.record_metric = lambda name, value, mode="replace": metrics.__setitem__(name, value)
    started = time.monotonic()
    predictor.setup()
    load_s = time.monotonic() - started
    engine = predictor.reader.engine("deepseek-ocr")
    vision_s = _timed(engine, "image_features")
    for _ in predictor.predict(
        image=CogPath(image),
        task_type="Convert to Markdown",
        reference_text="",
        resolution_size=resolution,
        model="auto",
        output_format="raw",
        prompt="",
        pages="",
        max_new_tokens=NEW_TOKENS,
    ):
        pass
    first, total = metrics["time_to_first_token"], metrics["completion_tokens"] / metrics["tokens_per_second"]
    return {
        "preset": resolution,
        "image tokens": metrics["image_tokens"],
        "load s": round(load_s, 1),
        "vision s": round(vision_s[0], 2),
        "prefill s": round(first - vision_s[0], 2),
        "tokens/s": round((metrics["completion_tokens"] - 1) / (total - first), 2),
        "peak GB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2),
    }


def _timed(engine: Any, method: str) -> list[float]:
    """Make the engine's method note the seconds it takes in the list that is returned."""
    inner, seconds = getattr(engine, method), []

    def timed(*args: Any) -> Any:
        started = time.monotonic()
        result = inner(*args)
        seconds.append(time.monotonic() - started)
        return result

    setattr(engine, method, timed)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the full-size model with random weights.")
    parser.add_argument("--folder", type=Path, default=Path("bench/.full_size"))
    parser.add_argument("--image", type=Path, default=Path("../shared/images/paper_page_1700x2250.jpg"))
    parser.add_argument("--row", help=argparse.SUPPRESS)  # a preset: measure it in this process and print the row
    arguments = parser.parse_args()
    if arguments.row:
        print(json.dumps(measure(arguments.image, arguments.row)))
        return
    tensors = dict(shapes())
    if (len(tensors), 2 * sum(int(np.prod(shape)) for shape in tensors.values())) != (TENSORS, BYTES):
        raise SystemExit("The names and shapes here are not the real model's.")
    if not (arguments.folder / "deepseek-ocr" / "config.json").exists():
        tokenizer = byte_tokenizer(LANGUAGE["vocab_size"], SPECIAL_IDS)
        write_checkpoint(arguments.folder / "deepseek-ocr", tensors, CONFIG, tokenizer)
    print_table([_row(arguments, preset) for preset in ("Base", "Gundam (Recommended)")])


def _row(arguments: argparse.Namespace, preset: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.full_size", "--image", str(arguments.image), "--row", preset]
    env = {"OCR_CHECKPOINTS": str(arguments.folder), "OCR_DTYPE": "bfloat16", "TMPDIR": str(arguments.image.parent)}
    done = subprocess.run(command, env={**os.environ, **env}, check=True, capture_output=True, text=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def print_table(rows: list[dict[str, Any]]) -> None:
    """The rows as a markdown table."""
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(map(str, row.values())) + " |")


if __name__ == "__main__":
    main()
