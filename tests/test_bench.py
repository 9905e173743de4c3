"""The shapes of the full-size checkpoints, held to what is known of them and to the engines' own models."""

import json
import math
import shutil
from pathlib import Path

import pytest

from bench import long_document, shapes_deepseek, shapes_dots
from bench.full_size import FullSize, measure, write_checkpoint
from ocr.models.deepseek.engine import model_config
from ocr.models.dots import engine as dots
from ocr.models.dots.card import DOTS_OCR
from ocr.settings import Settings
from tests.checkpoints_dots import TINY


def test_the_full_size_deepseek_checkpoint_has_the_known_number_of_tensors_and_bytes() -> None:
    sizes = {name: math.prod(shape) for name, shape in shapes_deepseek.shapes().items()}
    assert (len(sizes), 2 * sum(sizes.values())) == (2710, 6_672_212_480)
    unused = sizes["model.vision_model.embeddings.patch_embedding.weight"]
    assert sum(sizes.values()) - unused == 3_335_504_128


def test_the_full_size_deepseek_config_is_the_hubs(shared: Path) -> None:
    hub = json.loads((shared / "golden" / "deepseek" / "hub_config.json").read_text())
    ours = model_config(dict(shapes_deepseek.CONFIG), image_token_id=128815)
    assert ours.to_dict() == model_config(hub, image_token_id=128815).to_dict()


def test_the_stand_in_deepseek_tokenizer_has_the_real_ids(shared: Path) -> None:
    added = json.loads((shared / "golden" / "deepseek" / "added_tokens.json").read_text())
    real = {token["content"]: int(index) for index, token in added.items()}
    assert {name: real[name] for name in shapes_deepseek.SPECIAL_IDS} == shapes_deepseek.SPECIAL_IDS


def test_the_full_size_dots_checkpoint_has_the_known_number_of_tensors_and_parameters() -> None:
    shapes = shapes_dots.shapes()
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    vision = sum(size for name, size in sizes.items() if name.startswith("vision_tower."))
    assert len(shapes) == 643
    assert (sum(sizes.values()) - vision, vision) == (1_777_088_000, 1_262_091_264)


def test_the_tiny_dots_checkpoint_has_the_reference_s_names_and_shapes() -> None:
    golden = {name: tuple(shape) for name, shape in TINY["shapes"].items()}
    assert shapes_dots.shapes(TINY["config"]) == golden


def test_the_stand_in_dots_tokenizer_has_the_real_ids() -> None:
    tokenizer = shapes_dots.stand_in_tokenizer()
    assert tokenizer.get_vocab_size() == 151936
    text = "".join(shapes_dots.SPECIAL_IDS)
    assert tokenizer.encode(text).ids == list(shapes_dots.SPECIAL_IDS.values())
    assert tokenizer.decode(tokenizer.encode("Grüße, 你好").ids) == "Grüße, 你好"


def test_a_random_checkpoint_is_one_that_the_engine_loads(tmp_path: Path) -> None:
    ids = {name: TINY["config"]["vocab_size"] - 1 - index for index, name in enumerate(shapes_dots.SPECIAL_IDS)}
    ids["<|imgpad|>"], taken = TINY["config"]["image_token_id"], ids["<|imgpad|>"]
    for name, index in ids.items():
        if name != "<|imgpad|>" and index == ids["<|imgpad|>"]:
            ids[name] = taken
    model = FullSize(
        shapes=lambda: shapes_dots.shapes(TINY["config"]),
        tokenizer=lambda: shapes_dots.stand_in_tokenizer(TINY["config"]["vocab_size"], ids),
        files={"preprocessor_config.json": shapes_dots.PREPROCESSOR, "config.json": TINY["config"]},
        presets=(),
    )
    write_checkpoint(tmp_path, model)
    engine = dots.load(tmp_path, DOTS_OCR, Settings(device="cpu", dtype="bfloat16"))
    norms = engine.network.model.model.norm.weight.float()
    assert norms.mean().item() == pytest.approx(1, abs=0.5)


def test_the_long_document_is_read_to_its_end(tmp_path: Path) -> None:
    long_document.write_pdf(tmp_path / "long.pdf", 3)
    seen = long_document.go_through(tmp_path / "long.pdf", 3)
    assert seen["pages"] == 3
    assert seen["reads"] > seen["draws"] > 10  # MB


def test_a_page_is_measured_through_the_predictor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = {"MODELS": "deepseek-ocr-tiny", "CHECKPOINTS": "", "DEVICE": "cpu", "DTYPE": "float32"}
    for name, value in settings.items():
        monkeypatch.setenv(f"OCR_{name}", value)
    image = shutil.copy("examples/invoice.png", tmp_path)
    row = measure("deepseek-ocr-tiny", Path(image), "Small")
    assert row["image tokens"] == 111
    assert row["vision s"] > 0
    assert row["tokens/s"] > 0
