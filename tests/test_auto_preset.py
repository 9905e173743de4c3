"""What the resolution Auto stands for: by model and device, and what is told of it."""

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench.vision_cost import ABOUT_A_MINUTE, TOWERS, seconds
from ocr.engines import hardware
from ocr.errors import SetupError
from ocr.faces.cli.main import main
from ocr.models.catalog import MODELS
from ocr.models.tasks import BASE, GUNDAM, LARGE, SMALL
from ocr.reading import reader as reader_module
from ocr.reading.reader import Reader
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Decoding, PageResult
from tests.checkpoints_dots import write_dots
from tests.pictures import page
from tests.strips import lines

A4 = (1654, 2339)  # px at 200 dpi


@pytest.fixture(scope="module")
def dots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a tiny dots.ocr is."""
    folder = tmp_path_factory.mktemp("checkpoints")
    write_dots(folder / "dots.ocr")
    return folder


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes this a machine with such a device."""
    return lambda device: monkeypatch.setattr(hardware, "choose_device", lambda _wanted: torch.device(device))


@pytest.mark.parametrize("model", TOWERS)
def test_on_a_cpu_auto_is_the_closest_look_that_takes_about_a_minute(model: str) -> None:
    took, chosen = seconds(model), MODELS[model].auto("cpu")
    assert took[chosen] == max((s for s in took.values() if s <= ABOUT_A_MINUTE), default=took[GUNDAM])
    assert chosen == GUNDAM or took[GUNDAM] > ABOUT_A_MINUTE


def test_models_whose_vision_was_not_counted_keep_what_their_makers_recommend() -> None:
    assert {model for model, card in MODELS.items() if card.cpu_preset != GUNDAM} <= set(TOWERS)


@pytest.mark.parametrize(
    ("model", "device", "preset"),
    [
        ("dots.ocr", "cpu", SMALL),
        ("dots.mocr", "cpu", SMALL),
        ("qwen2.5-vl-7b", "cpu", BASE),
        ("ovisocr2", "cpu", LARGE),
        ("olmocr-2", "cpu", GUNDAM),
        ("deepseek-ocr", "cpu", GUNDAM),
        ("pp-ocr", "cpu", GUNDAM),
        ("dots.ocr", "cuda", GUNDAM),
        ("qwen2.5-vl-7b", "cuda", GUNDAM),
    ],
)
def test_auto_stands_for_what_suits_model_and_device(
    model: str, device: str, preset: str, on: Callable[[str], None]
) -> None:
    on(device)
    request = Request(model=model)
    assert request.resolution == "Auto"
    assert Reader(Settings()).settled(request).resolution == preset


@pytest.mark.parametrize(("model", "resolution"), [("dots.ocr", GUNDAM), ("dots.ocr", BASE), ("pp-ocr", "Auto")])
def test_nobody_asks_for_the_device_where_the_preset_is_known(
    model: str, resolution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "_imported", None)
    settled = Reader(Settings()).settled(Request(model=model, resolution=resolution))
    assert settled.resolution == (GUNDAM if resolution == "Auto" else resolution)


def test_without_torch_it_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ocr.engines.hardware", None)
    with pytest.raises(SetupError, match=r"dots\.ocr needs a library that is missing"):
        Reader(Settings()).settled(Request(model="dots.ocr"))


@pytest.mark.parametrize(
    ("device", "level", "words"),
    [
        ("cpu", logging.WARNING, "For dots.ocr the resolution Auto is Small here, so that it sees a page within"),
        ("cuda", logging.INFO, "For dots.ocr the resolution Auto is Gundam (Recommended) here."),
    ],
)
def test_it_is_told_once_when_the_model_is_loaded(
    device: str,
    level: int,
    words: str,
    on: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    on(device)
    monkeypatch.setattr(Reader, "_loaded", lambda *_: "it")
    caplog.set_level(logging.INFO, "ocr")
    reader = Reader(Settings())
    assert [reader.engine("dots.ocr"), reader.engine("dots.ocr")] == ["it", "it"]
    (told,) = (record for record in caplog.records if "resolution Auto" in record.message)
    assert told.levelno == level
    assert told.message.startswith(words)


def test_print_too_small_for_it_is_a_problem_of_the_page(dots: Path) -> None:
    image, _ = lines(A4, 60, pitch=38, font_px=16)
    reader = Reader(Settings(checkpoints=dots, device="cpu", dtype="float32"))

    def read(resolution: str) -> PageResult:
        request = Request(model="dots.ocr", task="Free OCR", resolution=resolution, orient="off")
        *_, result = reader.read(request, [(1, image)], Decoding(max_new_tokens=1))
        assert isinstance(result, PageResult)
        return result

    auto, small, base = map(read, ("Auto", "Small", "Base"))
    assert auto.image_tokens == small.image_tokens < base.image_tokens
    assert auto.problems == small.problems
    assert any("print of less than 6 px is often misread. Choose a larger preset" in told for told in auto.problems)
    assert not any("often misread" in told for told in base.problems)


def test_what_it_was_is_kept_for_resuming(
    dots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"CHECKPOINTS": str(dots), "DEVICE": "cpu", "DTYPE": "float32", "MODELS": "dots.ocr"}.items():
        monkeypatch.setenv(f"OCR_{name}", value)
    page().save("a.png")
    asked = ("read", "a.png", "-o", "out", "--task=free", "--max-new-tokens=1", "--orient=off", "--resume")
    for resolution, is_whole in ((), False), (("--resolution=small",), True), (("--resolution=base",), False):
        main([*asked, *resolution])
        assert ("1 whole already" in capsys.readouterr().err) is is_whole
