"""What is known of a model without loading it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ocr.decoding.rules import NgramLimit
from ocr.models.tasks import GUNDAM
from ocr.types import Prompt


@dataclass(frozen=True)
class Card:
    """One model: which engine runs it, what it is asked for each task it was trained on, how its answer is decoded."""

    engine: str  # the module that has load(folder, card, settings) -> Engine
    tasks: Mapping[str, Prompt]
    own_prompt: Prompt | None  # the frame around a prompt of the user's own; None: it knows its tasks alone
    presets: Mapping[str, Any]  # those that it takes; what a row means is known to its own processor alone
    end_tokens: tuple[str, ...]  # each ends an answer; those that a checkpoint's tokenizer lacks are passed over
    cpu_preset: str = GUNDAM  # what Auto stands for on a CPU: its vision takes about a minute (bench/vision_cost.md)
    ngram_limit: NgramLimit | None = None
    repeats_elements: bool = False  # whether it is known to write the same element for ever, its box drifting
    replacements: Mapping[str, str] = field(default_factory=dict)  # made in its markdown, as its makers do
    runtime: str = "torch"  # the library that computes
    dtype: str = "auto"  # of the settings' dtypes, the one that its weights read rightly in; auto: any that is fast
    checks_cheaply: bool = True  # whether a second reading of a page takes little beside the model's own
    demo_of: str = ""  # the model in whose place this one shows how things work; it reads little itself
    licence: str = ""  # of the weights
    languages: str = ""  # as its makers say

    def auto(self, device: str) -> str:
        """The preset that Auto stands for on a device, `cpu` or another: what its makers recommend, if that is fast."""
        return self.cpu_preset if device == "cpu" else GUNDAM
