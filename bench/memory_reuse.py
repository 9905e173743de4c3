"""What keeping freed memory saves: the SAM encoder of DeepSeek-OCR at full size, with and without, side by side.

    python -m bench.memory_reuse

Each run is a process of its own, because the C library's settings are; they take turns, so that what else the machine
does falls on both.
"""

import json
import subprocess
import sys
import time

import torch
from transformers.models.unlimited_ocr.configuration_unlimited_ocr import UnlimitedOcrSamVisionConfig
from transformers.models.unlimited_ocr.modeling_unlimited_ocr import UnlimitedOcrSamVisionEncoder

from ocr.engines.loading import freed_memory_goes_back

ROUNDS, RUNS = 3, 3


def seconds(kind: str) -> float:
    """The best time of a few for one 1024 px view in bf16, random weights, in this process."""
    if kind == "kept":
        with freed_memory_goes_back():
            pass  # what follows the block is what is measured
    config = UnlimitedOcrSamVisionConfig()
    config._attn_implementation = "sdpa"
    encoder = UnlimitedOcrSamVisionEncoder(config).to(torch.bfloat16).eval()
    pixels = torch.randn(1, 3, 1024, 1024, dtype=torch.bfloat16)
    times = []
    with torch.inference_mode():
        for _ in range(RUNS):
            started = time.perf_counter()
            encoder(pixels)
            times.append(time.perf_counter() - started)
    return min(times)


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(seconds(sys.argv[1])))
        return
    best = {"given back": float("inf"), "kept": float("inf")}
    for _ in range(ROUNDS):
        for kind in best:
            command = [sys.executable, "-m", "bench.memory_reuse", kind]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            best[kind] = min(best[kind], json.loads(done.stdout))
    print(f"kept / given back: {best['kept'] / best['given back']:.2f}")


if __name__ == "__main__":
    main()
