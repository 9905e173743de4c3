"""Full-size models of a patch grid on this machine: random weights in the real dimensions, read through their engine.

    python -m bench.patch_grid [--model NAME …] [--tokens N]

Random weights say nothing of quality; they take the time that trained ones take. Each model reads a page
of noise, A4 at 200 dpi, in the preset Gundam: alone, then 16 of them together. The table is printed as markdown; the
committed one is in bench/patch_grid.md.
"""

import argparse
import time
from typing import Any

import torch
import transformers
from PIL import Image

from bench.shapes_dots import stand_in_tokenizer
from bench.shapes_grid import MODELS
from ocr.engines.hardware import Hardware, choose_hardware
from ocr.engines.native import NativeEngine
from ocr.models import catalog
from ocr.models.patch_grid.card import GridCard
from ocr.models.patch_grid.engine import GridNetwork, model_config, rules_of
from ocr.models.patch_grid.processor import GridProcessor
from ocr.models.tasks import GUNDAM, MARKDOWN
from ocr.settings import Settings
from ocr.types import Decoding, PageInput, Piece, Prepared

A4 = (1654, 2339)  # px at 200 dpi
TOGETHER = 16


def engine(card: GridCard, name: str, hardware: Hardware) -> NativeEngine[Any]:
    """A model with random weights that never ends an answer by itself."""
    full = MODELS[name]
    config = model_config(full.config, card.family)
    with torch.device(hardware.device):
        model = getattr(transformers, card.family.model)._from_config(
            config, dtype=hardware.dtype, attn_implementation=hardware.attention
        )
    rules, text = rules_of(full.pixels, config.vision_config, card), config.get_text_config()
    tokenizer = stand_in_tokenizer(text.vocab_size, full.ids)
    processor = GridProcessor(tokenizer, text.max_position_embeddings, card, rules)
    processor.end_ids = []
    return NativeEngine(processor, GridNetwork(model.eval(), rules))


def read(reader: NativeEngine[Any], card: GridCard, pages: int, tokens: int) -> dict[str, float]:
    """Seconds until each page has a token, and tokens a second from then on."""
    image = Image.effect_noise(A4, 80).convert("RGB")
    asked = [PageInput(image, card.tasks[MARKDOWN], "", card.presets[GUNDAM])] * pages
    spent: dict[int, int] = {}
    started, first, at_first, image_tokens = time.monotonic(), 0.0, 0, 0
    for output in reader.read(asked, Decoding(max_new_tokens=tokens, temperature=0.0, together=pages)):
        if isinstance(output, Prepared):
            image_tokens = output.image_tokens
        elif isinstance(output, Piece):
            spent[output.page] = output.tokens
            if len(spent) == pages and not first:
                first, at_first = time.monotonic() - started, sum(spent.values())
        else:
            raise output.error
    rate = (sum(spent.values()) - at_first) / (time.monotonic() - started - first)
    return {"image tokens": image_tokens, "first": first, "rate": rate}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure full-size models of a patch grid with random weights.")
    parser.add_argument("--model", choices=MODELS, action="append")
    parser.add_argument("--tokens", type=int, default=200)
    arguments = parser.parse_args()
    hardware = choose_hardware(Settings())
    name = torch.cuda.get_device_name() if hardware.device.type == "cuda" else "a processor"
    print(f"On {name}, torch {torch.__version__}, {hardware}:\n")
    print("| model | billion parameters | image tokens | first token, s | tokens/s | of 16 pages together |")
    print("|---|---|---|---|---|---|")
    for model in arguments.model or MODELS:
        card = catalog.MODELS[model]
        assert isinstance(card, GridCard)
        reader = engine(card, model, hardware)
        size = sum(parameter.numel() for parameter in reader.network.model.parameters()) / 1e9
        read(reader, card, 1, 8)  # what is compiled and allocated at first use is not what is measured
        alone, together = (read(reader, card, pages, arguments.tokens) for pages in (1, TOGETHER))
        print(
            f"| {model} | {size:.2f} | {alone['image tokens']} | {alone['first']:.2f} | {alone['rate']:.1f} "
            f"| {together['rate']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
