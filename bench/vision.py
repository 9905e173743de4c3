"""DeepSeek-OCR's vision in float32 on a processor: transformers' attention over whole views and ours, in turns.

    python -m bench.vision [--rounds N]

Full-size encoders with random weights. Time on the clock, medians; the peak is what a process that sees one view holds.
"""

import argparse
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformers import UnlimitedOcrForConditionalGeneration

from bench import shapes_deepseek
from ocr.models.deepseek.engine import attend_to_whole_views, model_config

SIDES = (512, 640, 1024, 1280)  # px, of the presets and of tiles


def encoders(kind: str) -> Any:
    """A model with one layer of text, for none of it is run; its weights are the same at each call."""
    language = {**shapes_deepseek.CONFIG["language_config"], "num_hidden_layers": 1}
    config = model_config({**shapes_deepseek.CONFIG, "language_config": language}, image_token_id=128815)
    model = UnlimitedOcrForConditionalGeneration._from_config(config, attn_implementation="sdpa").eval()
    chance = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        scale = parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.0
        parameter.data.normal_(0.0, scale, generator=chance).add_(float(parameter.dim() == 1))
    if kind == "ours":
        attend_to_whole_views(model)
    return model


@torch.inference_mode()
def seconds(model: Any, view: torch.Tensor) -> tuple[float, torch.Tensor]:
    """How long a view takes, and what is seen of it."""
    started = time.perf_counter()
    seen = model.model.vision_tower(view).last_hidden_state
    return time.perf_counter() - started, seen


def row(models: dict[str, Any], side: int, rounds: int) -> str:
    """A row of the table: medians, their ratio, the largest difference."""
    view = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(side))
    taken = [{name: seconds(model, view) for name, model in models.items()} for _ in range(rounds)]
    theirs, ours = (statistics.median(each[name][0] for each in taken) for name in models)
    seen = [seen for _, seen in taken[0].values()]
    off = float((seen[0] - seen[1]).abs().max() / seen[0].abs().max())
    peaks = [peak(side, name) for name in models]
    cells = (side, f"{theirs:.2f}", f"{ours:.2f}", f"{theirs / ours:.2f}", f"{off:.0e}", *peaks)
    return "| " + " | ".join(map(str, cells)) + " |"


def peak(side: int, kind: str) -> str:
    """GB that a process of its own holds at most."""
    command = [sys.executable, "-m", "bench.vision", "--peak", str(side), kind]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare two ways to attend over whole views.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)  # side and kind, in this process
    arguments = parser.parse_args()
    if arguments.peak:
        side, kind = arguments.peak
        seconds(encoders(kind), torch.zeros(1, 3, int(side), int(side)))
        peak_kb = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
        print(f"{int(peak_kb[1]) * 1024 / 1e9:.2f}" if peak_kb else "-")
        return
    models = {kind: encoders(kind) for kind in ("theirs", "ours")}
    seconds(models["ours"], torch.zeros(1, 3, SIDES[0], SIDES[0]))  # what the first view of a process takes beside
    print("| view px | transformers s | here s | ratio | off by | peak GB | here GB |\n|" + "---|" * 7)
    for side in SIDES:
        print(row(models, side, arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
