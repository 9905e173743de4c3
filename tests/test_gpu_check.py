"""The check of a GPU, tried on the processor with tiny sizes."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import UnlimitedOcrForConditionalGeneration

from bench import shapes_deepseek
from bench.gpu_check import __main__ as gpu_check
from bench.gpu_check import running, speed, tiny
from bench.gpu_check.report import COLUMNS, Done, Row, Section, document, run
from bench.gpu_check.setup import SMALL, Bench
from ocr.models.deepseek.engine import model_config

PROJECT = Path(__file__).resolve().parent.parent
ON_CPU = ("--device", "cpu", "--small")


def test_the_whole_check_runs_on_a_processor_and_fills_every_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu_check.main([*ON_CPU, "--out", str(tmp_path / "gpu.md")]) == 0
    table = (tmp_path / "gpu.md").read_text()
    assert table.strip() in capsys.readouterr().out
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines() if line.startswith("| ")]
    assert {len(row) for row in rows} == {len(COLUMNS)}
    found = [(what.strip(), [cell.strip() for cell in cells]) for what, *cells in rows[1:]]
    assert all(result for _, (result, *_) in found)
    assert [what for what, _ in found] == [*expected_rows()]
    speeds = [cells for what, cells in found if re.match(r"vision|first text|token, batch \d, context \d+$", what)]
    assert len(speeds) == 7
    assert all(compared.startswith("transformers") and limit and peak for _, compared, limit, peak in speeds)


def expected_rows() -> Iterator[str]:
    """What stands in the first column."""
    yield from ("**Machine**", "card", "versions", "flash-attn", "experts of a mixture", "memory read", "bf16 product")
    for name, title, kinds in (
        ("DeepSeek-OCR", "DeepSeek-OCR", ("vision", "embeddings", "logits", "greedy")),
        ("dots.ocr", "dots.ocr", ("vision", "logits", "greedy", "padded batch")),
    ):
        yield f"**Golden numbers of {title}**"
        yield from (f"{name} {kind}, float32" for kind in kinds)
    yield "**Batches**"
    for name in ("deepseek-ocr", "dots.ocr"):
        yield from (f"{name} {kind}, float32" for kind in ("pages alone", "joining and leaving"))
    yield from ("**flash-attn**", "flash_attention_2")
    yield from ("**Embedded model**", "examples read by deepseek-ocr-tiny, float32")
    yield from ("**Full-size random DeepSeek-OCR**", "random checkpoint made")
    yield from ("checkpoint loaded in 4 bits", "token in 4 bits, batch 1", "checkpoint loaded", "**Pages**")
    for preset, image, prompt in (("Base", "7 tokens, 0 tiles", 18), ("Gundam", "10 tokens, 2 tiles", 21)):
        yield f"vision, {preset} ({image})"
        yield f"page to views and prompt on the processor, {preset}"
        yield f"first text, {preset} ({prompt} tokens of prompt)"
    yield "**Tokens**"
    for rows in (1, 2, 3):
        yield f"token, batch {rows}, context 12"
        yield f"token, batch {rows}, context 12, experts by batched_mm"
    yield from (
        "**Many pages**",
        "page alone, Base, 5 tokens at most",
        "document of 3 pages",
        "3 callers of a page each",
    )


def broken() -> Iterator[Row]:
    yield Row("a row", "of a section")
    raise ValueError("a kernel | of no use")


def slow() -> Iterator[Row]:
    yield Row("at once", "done")
    time.sleep(60)
    yield Row("a minute later", "done")


def right() -> Iterator[Row]:
    yield Row("two and two", "4", "4")


def wrong() -> Iterator[Row]:
    yield Row("two and two", "5", "4", is_right=False)


@pytest.mark.parametrize(
    ("rows", "seconds", "words"),
    [
        (
            broken,
            60,
            ["**BROKE** ValueError: a kernel \\| of no use", "| a row | of a section |", 'raise ValueError("a'],
        ),
        (slow, 0.05, ["**BROKE** bench.gpu_check.report.OutOfTimeError: it was not done after 0 s", "| at once |"]),
        (wrong, 60, ["| two and two | **WRONG** 5 | 4 |"]),
    ],
)
def test_what_goes_wrong_in_a_section_is_told_and_the_rest_goes_on(
    rows: Callable[[], Iterator[Row]], seconds: float, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [Section("First", seconds, rows), Section("Second", 60, right)]
    monkeypatch.setattr(gpu_check, "sections", lambda _bench: asked)
    assert gpu_check.main([*ON_CPU, "--out", str(tmp_path / "gpu.md")]) == 1
    table = (tmp_path / "gpu.md").read_text()
    for word in [*words, "| two and two | 4 | 4 |"]:
        assert word in table


def test_sections_that_no_time_is_left_for_break_at_once() -> None:
    first, second = run([Section("First", 60, slow), Section("Second", 60, right)], total=0.05)
    assert [row.what for row in first.rows] == ["at once"]
    assert not second.rows
    assert "took all the time there is" in second.error
    assert "took all the time" in document("head", [first, second])


def test_a_section_is_right_when_it_ended_and_all_its_rows_are() -> None:
    assert Done("a", [*right()], 1.0).is_right
    assert not Done("a", [*right(), *wrong()], 1.0).is_right
    assert not Done("a", [*right()], 1.0, error="Traceback").is_right


@pytest.mark.parametrize(("largest", "is_right"), [(9e-5, True), (2e-4, False), (float("nan"), False)])
def test_results_must_be_near_the_golden_ones(largest: float, is_right: bool) -> None:
    assert tiny.near("logits", "float32", [1e-6, largest, 1e-6]).is_right == is_right


def test_tokens_must_be_the_same_ones_in_float32_alone() -> None:
    texts = [[1, 2, 3], [4, 5, 6]], [[1, 2, 3], [4, 5, 7]]
    row = tiny.equal("greedy", "float32", *texts, "golden")
    assert (row.result, row.is_right) == ("1 of 2 equal, the first other one parts after 2 tokens", False)
    assert tiny.equal("greedy", "bfloat16", *texts, "golden").is_right


def test_flash_attention_is_held_to_sdpa_where_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = tiny.Tiny.load
    asked: list[str] = []

    def by_sdpa(self: tiny.Tiny, bench: Bench, dtype: str, device: str = "", attention: str = "sdpa") -> tiny.Engine:
        assert dtype == "bfloat16"
        asked.append(attention)
        return load(self, bench, "float32", device)  # a processor is slow at bfloat16

    monkeypatch.setattr(running, "choose_hardware", lambda settings: None)
    monkeypatch.setattr(tiny.Tiny, "load", by_sdpa)
    rows = [*running.flash(Bench(torch.device("cpu"), SMALL, tmp_path))]
    assert asked == ["sdpa", "flash_attention_2"] * 2
    assert [(row.result, row.compared) for row in rows] == [
        ("0.0e+00 of scale", "sdpa, at most 0.3"),
        ("5 of 5 equal", "each page alone"),
    ] * 2


def test_without_a_gpu_it_says_so_and_measures_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(SystemExit) as exit_:
        gpu_check.main([])
    assert exit_.value.code == 2
    assert "sees no GPU here; try --device cpu --small" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("device", "out", "path"),
    [("cuda", "", PROJECT / "bench" / "gpu.md"), ("cuda", "/there", Path("/there/gpu.md")), ("cpu", "/there", None)],
)
def test_the_table_goes_where_it_is_looked_for(
    device: str, out: str, path: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUT", out)
    assert gpu_check.default_out(device) == path


def test_a_token_reads_the_active_weights_of_the_full_size_model() -> None:
    with torch.device("meta"):
        config = model_config(dict(shapes_deepseek.CONFIG), image_token_id=128815)
        model = UnlimitedOcrForConditionalGeneration(config).to(torch.bfloat16)
    engine: Any = SimpleNamespace(network=SimpleNamespace(model=model))
    assert speed.step_bytes(engine, rows=1, context=0) == pytest.approx(1.148e9, rel=1e-3)
    assert speed.step_bytes(engine, rows=1, context=300) - speed.step_bytes(engine, rows=1, context=0) == (
        300 * 12 * 2 * 1280 * 2  # tokens, layers, keys and values, hidden, bytes
    )
    everything = speed.step_bytes(engine, rows=10_000, context=0)
    assert everything == pytest.approx(speed.read_bytes(engine), rel=1e-6)


def test_the_script_takes_its_pins_from_the_gpu_images(tmp_path: Path) -> None:
    script = (PROJECT / "script" / "gpu-check").read_text()
    names = re.search(r"^libraries=\((.*)\)$", script, re.MULTILINE)
    assert names
    pins = (PROJECT / "requirements.txt").read_text()
    for name in names[1].split():
        assert re.search(rf"^{name}==\d", pins, re.MULTILINE), name
