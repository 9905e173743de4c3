"""The DeepSeek-OCR engine against the reference's own numbers, and what it refuses to load or to be asked.

The golden numbers are float32 results of the hub's code; sums are taken in another order here, so values agree to
about 1e-6 of their scale. The tests allow 1e-5 of it, which any real difference exceeds by far; tokens are identical.
"""

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel, UnlimitedOcrConfig
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from ocr.decoding.rules import NgramBan
from ocr.engines.native import NativeEngine
from ocr.errors import InputError, SetupError
from ocr.models.catalog import MODELS
from ocr.models.deepseek.card import DEEPSEEK_OCR
from ocr.models.deepseek.engine import load, model_config, normalise
from ocr.settings import Settings
from ocr.types import Decoding, Failed, FinishReason, PageInput, Piece, Prepared
from tests.checkpoints import DEEPSEEK_CONFIG, GOLDEN, deepseek_shapes, seeded, write_deepseek
from tests.pictures import page
from tests.sequences import NoEnd, decode

VISION = np.load(GOLDEN / "deepseek" / "tiny_vision_upstream.npz")
END_TO_END = np.load(GOLDEN / "deepseek" / "tiny_e2e_upstream.npz")
CASES = sorted({key.split("/")[0] for key in END_TO_END.files})
CPU = Settings(device="cpu", dtype="float32")
TINY = MODELS["deepseek-ocr"].presets["Tiny"]
FREE_OCR = MODELS["deepseek-ocr"].tasks["Free OCR"]


def picture(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    values = 2 * np.random.RandomState(seed).random_sample(int(np.prod(shape))) - 1
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def assert_close(found: torch.Tensor, golden: NDArray[np.float32]) -> None:
    assert tuple(found.shape) == golden.shape
    assert np.abs(found.numpy() - golden).max() <= 1e-5 * np.abs(golden).max()


def test_the_seeded_weights_are_the_references() -> None:
    first = seeded("model.sam_model.blocks.0.attn.qkv.weight", (192, 64)).ravel()[:2]
    np.testing.assert_allclose(first, [-0.2073434, 0.1151112], rtol=1e-6)


@pytest.mark.parametrize("size", [512, 640, 1024, 1280])
def test_the_vision_encoders_are_the_references(engine: NativeEngine[Any], size: int) -> None:
    pixels = picture(1000 + size, (1, 3, size, size))
    tower = engine.network.model.model.vision_tower
    with torch.inference_mode():
        sam = tower.sam_encoder(pixels).last_hidden_state
        clip = tower.vision_encoder(sam).last_hidden_state
        features = engine.network._encode(pixels).flatten(1, 2)
    assert_close(sam, VISION[f"{size}/sam"])
    assert_close(clip, VISION[f"{size}/clip"])
    assert_close(features, VISION[f"{size}/proj"])


@pytest.mark.parametrize("case", CASES)
def test_features_logits_and_tokens_are_the_references(engine: NativeEngine[Any], case: str) -> None:
    golden = {key.split("/")[1]: END_TO_END[key] for key in END_TO_END.files if key.startswith(f"{case}/")}
    base, tile, columns, rows, _before, _after, seed, image_tokens = map(int, golden["meta"])
    whole = picture(seed, (1, 3, base, base))
    tiles = picture(seed + 1, (columns * rows, 3, tile, tile)) if columns * rows > 1 else None
    ids = golden["input_ids"].tolist()

    features = engine.network.image_features(whole, tiles, rows)
    assert len(features) == image_tokens
    embeds = engine.network.merge(ids, features, engine.processor.image_token)
    assert_close(embeds, golden["embeds"])

    with torch.inference_mode():
        out = engine.network.model(inputs_embeds=embeds[None], output_hidden_states=True)
    assert_close(out.logits[0], golden["logits"])
    for layer in range(2):  # transformers gives the last layer's output only after the final norm
        assert_close(out.hidden_states[layer + 1][0, -16:], golden[f"hidden_last16_layer{layer}"])

    plain = [step.token for step in decode(engine.network.model, [embeds], [[NoEnd(48)]])]
    assert plain == golden["greedy"].tolist()
    ban = NgramBan(3, 100_000)
    for token in ids:  # the reference's ban looks at the prompt too
        ban.accept(token)
    assert [step.token for step in decode(engine.network.model, [embeds], [[NoEnd(48), ban]])] == golden[
        "ngram3"
    ].tolist()


def test_the_last_layer_is_the_references_before_the_norm(engine: NativeEngine[Any]) -> None:
    found: list[torch.Tensor] = []
    layer = engine.network.model.model.language_model.layers[-1]
    handle = layer.register_forward_hook(lambda _module, _args, output: found.append(output))
    for case in CASES:
        embeds = torch.from_numpy(END_TO_END[f"{case}/embeds"])
        with torch.inference_mode():
            engine.network.model(inputs_embeds=embeds[None])
        assert_close(found[-1][0, -16:], END_TO_END[f"{case}/hidden_last16_layer2"])
    handle.remove()


def test_every_golden_array_is_compared() -> None:
    compared = {"meta", "input_ids", "embeds", "logits", "greedy", "ngram3"} | {
        f"hidden_last16_layer{layer}" for layer in range(3)
    }
    assert {key.split("/")[1] for key in END_TO_END.files} == compared
    assert {key.split("/")[1] for key in VISION.files} == {"sam", "clip", "proj"}


def test_the_hubs_config_becomes_the_one_that_fits_the_real_model(shared: Path) -> None:
    hub = json.loads((shared / "golden" / "deepseek" / "hub_config.json").read_text())
    wanted = json.loads((GOLDEN / "deepseek" / "config_deepseek_ocr_v1_for_unlimited_ocr.json").read_text())
    assert_same_config(model_config(hub, image_token_id=128815), wanted)


def assert_same_config(found: UnlimitedOcrConfig, wanted: dict[str, Any]) -> None:
    expected = UnlimitedOcrConfig(**{key: value for key, value in wanted.items() if key != "architectures"})
    ignored = {"architectures", "dtype", "transformers_version"}
    assert {k: v for k, v in found.to_dict().items() if k not in ignored} == {
        k: v for k, v in expected.to_dict().items() if k not in ignored
    }


def test_every_layer_attends_to_everything(engine: NativeEngine[Any]) -> None:
    assert set(engine.network.model.config.text_config.layer_types) == {"full_attention"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda config: config.update(model_type="qwen2"), ["'qwen2'", "deepseek_vl_v2"]),
        (lambda config: config.pop("language_config"), ["language_config"]),
        (lambda config: config["language_config"].pop("n_group"), ["lacks n_group"]),
        (lambda config: config["vision_config"].update(width=1152), ["width 1152", "encoders"]),
    ],
)
def test_another_models_config_is_refused(change: Callable[[dict[str, Any]], object], words: list[str]) -> None:
    config = json.loads(json.dumps(DEEPSEEK_CONFIG))
    change(config)
    with pytest.raises(SetupError) as raised:
        model_config(config, image_token_id=299)
    for word in words:
        assert word in str(raised.value)


@pytest.fixture(scope="module")
def tensors() -> dict[str, NDArray[np.float32]]:
    return {name: seeded(name, shape) for name, shape in deepseek_shapes().items()}


def loaded(folder: Path, tensors: Mapping[str, NDArray[np.float32]]) -> NativeEngine[Any]:
    return load(write_deepseek(folder, tensors=tensors), DEEPSEEK_OCR, CPU)


def test_a_missing_tensor_is_an_error(tmp_path: Path, tensors: dict[str, NDArray[np.float32]]) -> None:
    absent = ("model.layers.1.self_attn.q_proj.weight", "model.norm.weight")
    rest = {name: tensor for name, tensor in tensors.items() if name not in absent}
    with pytest.raises(SetupError, match=r"do not fit each other: 2 missing \(.*q_proj.*norm"):
        loaded(tmp_path, rest)


def test_an_unexpected_tensor_is_an_error(tmp_path: Path, tensors: dict[str, NDArray[np.float32]]) -> None:
    extra = {f"model.layers.9.norm{index}.weight": np.ones(4, np.float32) for index in range(5)}
    with pytest.raises(SetupError, match=r"5 unexpected \(.*and 2 more\)"):
        loaded(tmp_path, tensors | extra)


def test_a_tensor_of_another_shape_is_an_error(tmp_path: Path, tensors: dict[str, NDArray[np.float32]]) -> None:
    with pytest.raises(SetupError, match=r"1 of another shape \(.*norm.weight \(79,\) for \(80,\)"):
        loaded(tmp_path, tensors | {"model.norm.weight": np.ones(79, np.float32)})


def test_a_saved_position_buffer_does_not_break_loading(
    tmp_path: Path, tensors: dict[str, NDArray[np.float32]]
) -> None:
    stray = {"model.vision_model.embeddings.position_ids": np.arange(257, dtype=np.int64)[None]}
    loaded(tmp_path, tensors | stray)


def test_all_tensors_land_bit_equal(engine: NativeEngine[Any], tensors: dict[str, NDArray[np.float32]]) -> None:
    def numbers(values: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.sort(np.concatenate([value.ravel() for value in values]))

    ours = [tensor.numpy() for tensor in engine.network.model.state_dict().values()]
    theirs = [value for name, value in tensors.items() if not name.endswith("patch_embedding.weight")]
    assert np.array_equal(numbers(ours), numbers(theirs))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_wanted_dtype_is_loaded_and_decodes(checkpoints: Path, dtype: str) -> None:
    engine = load(checkpoints / "deepseek-ocr", DEEPSEEK_OCR, Settings(device="cpu", dtype=dtype))
    assert {parameter.dtype for parameter in engine.network.model.parameters()} == {getattr(torch, dtype)}
    assert engine.network.model.model.language_model.rotary_emb.inv_freq.dtype is torch.float32
    assert len(read(engine, Decoding(max_new_tokens=3))) == 4


def test_the_choice_of_hardware_is_logged(checkpoints: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        engine = load(
            checkpoints / "deepseek-ocr", DEEPSEEK_OCR, Settings(device="cpu", dtype="float32", attention="eager")
        )
    assert "Running on cpu, float32, eager." in caplog.messages
    assert engine.network.model.config.text_config._attn_implementation == "eager"
    assert engine.network.model.config.vision_config.sam_config._attn_implementation == "eager"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Settings(device="cuda"), "OCR_DEVICE is 'cuda'"),
        (Settings(device="cpu", attention="flash_attention_2"), "needs a CUDA device; use auto or sdpa"),
    ],
)
def test_hardware_that_is_not_there_is_an_error(checkpoints: Path, settings: Settings, words: str) -> None:
    if settings.device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(SetupError, match=words):
        load(checkpoints / "deepseek-ocr", DEEPSEEK_OCR, settings)


def test_flash_attention_is_for_the_language_model_and_vision_keeps_its_bias(
    checkpoints: Path, engine: NativeEngine[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The routing, on any machine: in the kernel's place stands a function of its interface."""
    calls = 0

    def kernel(
        _module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float, **_more: Any
    ) -> tuple[Tensor, None]:
        nonlocal calls
        calls += 1
        assert mask is None
        out = scaled_dot_product_attention(query, key, value, is_causal=query.shape[2] > 1, scale=scaling)
        return out.transpose(1, 2), None

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._local_mapping, "flash_attention_2", kernel)
    monkeypatch.setattr(PreTrainedModel, "_flash_attn_can_dispatch", lambda *_args, **_options: True)
    monkeypatch.setattr("transformers.modeling_utils.lazy_import_flash_attention", lambda *_args, **_options: None)
    monkeypatch.setattr("ocr.engines.hardware._what_flash_lacks", lambda device, dtype: "")
    flash = load(checkpoints / "deepseek-ocr", DEEPSEEK_OCR, CPU)
    assert flash.network.model.config.text_config._attn_implementation == "flash_attention_2"
    assert flash.network.model.config.vision_config.sam_config._attn_implementation == "sdpa"
    few = Decoding(max_new_tokens=4, together=1)
    assert read(flash, few) == read(engine, few)
    assert calls == 4 * 3  # steps and layers


def read(
    engine: NativeEngine[Any], decoding: Decoding, text: str = "", **change: Any
) -> list[Prepared | Piece | Failed]:
    inputs = {"image": page(), "prompt": FREE_OCR, "text": text, "preset": TINY, **change}
    return list(engine.read([PageInput(**inputs)], decoding))


def refused(engine: NativeEngine[Any], text: str) -> None:
    """Ask with words that are refused, and raise what the engine says of them."""
    (failed,) = read(engine, Decoding(), text, prompt=MODELS["deepseek-ocr"].own_prompt)
    assert isinstance(failed, Failed)
    assert not failed.again
    raise failed.error


@pytest.mark.parametrize(
    ("preset", "size", "image_tokens"),
    [
        ("Tiny", (500, 300), 73),
        ("Small", (500, 300), 111),
        ("Base", (500, 300), 273),
        ("Large", (500, 300), 421),
        ("Gundam (Recommended)", (500, 300), 273),
        ("Gundam (Recommended)", (1200, 600), 273 + 10 * (20 + 1)),
    ],
)
def test_the_prompt_has_the_published_number_of_image_tokens(
    engine: NativeEngine[Any], preset: str, size: tuple[int, int], image_tokens: int
) -> None:
    prepared = engine.processor.prepare(PageInput(page(*size), FREE_OCR, "", MODELS["deepseek-ocr"].presets[preset]))
    assert prepared.image_tokens == image_tokens
    assert prepared.ids[0] == 0  # BOS
    assert prepared.ids[1 : image_tokens + 1] == (299,) * image_tokens
    assert engine.processor.tokenizer.decode(prepared.ids[image_tokens + 1 :]) == "\nFree OCR."


def test_a_page_is_announced_then_read_to_its_end(engine: NativeEngine[Any]) -> None:
    prepared, *pieces = read(engine, Decoding(max_new_tokens=6))
    assert prepared == Prepared(0, 1 + 73 + len("\nFree OCR."), 73, (999.0, 999.0))
    assert [piece.finish for piece in pieces] == [None] * 5 + [FinishReason.LENGTH]
    assert [piece.tokens for piece in pieces] == [1, 2, 3, 4, 5, 6]


def test_the_budget_ends_at_the_models_context(engine: NativeEngine[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.processor, "context", 100)
    pieces = read(engine, Decoding(max_new_tokens=5000))[1:]
    assert len(pieces) == 100 - (1 + 73 + len("\nFree OCR."))
    assert pieces[-1].finish is FinishReason.LENGTH


def test_a_prompt_longer_than_the_context_is_refused(engine: NativeEngine[Any]) -> None:
    with pytest.raises(InputError, match=r"prompt has \d+ tokens, 73 of them the image's.*fewer than 8192"):
        refused(engine, "x" * 9000)


@pytest.mark.parametrize("token", ["<image>", "<|ref|>", "<td>", "<｜end▁of▁sentence｜>"])
def test_special_tokens_cannot_be_smuggled_into_the_prompt(engine: NativeEngine[Any], token: str) -> None:
    with pytest.raises(InputError, match="meaning of its own"):
        refused(engine, f"total {token}")


def test_a_deadline_in_the_past_keeps_the_first_token(engine: NativeEngine[Any]) -> None:
    pieces = read(engine, Decoding(deadline_s=1e-9))[1:]
    assert [piece.finish for piece in pieces] == [FinishReason.DEADLINE]


def test_a_page_that_is_stopped_gets_no_more_tokens(engine: NativeEngine[Any]) -> None:
    seen: list[int] = []
    stopped = PageInput(page(), FREE_OCR, "", TINY, stop=lambda: FinishReason.CANCELLED if len(seen) == 2 else None)
    for piece in engine.read([stopped], Decoding()):
        if isinstance(piece, Piece):
            seen.append(piece.tokens)
    assert seen == [1, 2, 2]
    assert piece == Piece(0, "", 2, FinishReason.CANCELLED)


def test_pages_together_read_as_they_do_alone(engine: NativeEngine[Any]) -> None:
    pages = [PageInput(page(*size), FREE_OCR, "", TINY) for size in ((200, 120), (90, 300))]
    pages.append(PageInput(page(), FREE_OCR, "", MODELS["deepseek-ocr"].presets["Base"]))
    decoding = Decoding(max_new_tokens=25)

    def texts(pages: list[PageInput]) -> list[str]:
        pieces = [piece for piece in engine.read(pages, decoding) if isinstance(piece, Piece)]
        return ["".join(piece.text for piece in pieces if piece.page == index) for index in range(len(pages))]

    assert texts(pages) == [texts([one])[0] for one in pages]


def test_tiles_seen_one_by_one_are_the_tiles_seen_together(
    engine: NativeEngine[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, tiles = picture(1, (1, 3, 1024, 1024)), picture(2, (4, 3, 640, 640))
    alone = engine.network.image_features(whole, tiles, rows=2)
    monkeypatch.setattr(engine.network, "_chunks", lambda tiles: [tiles])
    assert_close(engine.network.image_features(whole, tiles, rows=2), alone.numpy())


def test_grey_is_the_zero_of_the_pixels() -> None:
    levels = np.asarray(Image.new("RGB", (2, 2), (0, 127, 255)))
    assert normalise([levels])[0, :, 0, 0].tolist() == pytest.approx([-1, 127 / 127.5 - 1, 1], abs=1e-6)


@pytest.mark.parametrize(
    ("preset", "size", "scale"),
    [
        ("Gundam (Recommended)", (600, 600), 1024 / 600),  # the whole alone
        ("Gundam (Recommended)", (1280, 1280), 1.0),  # 2 x 2 tiles
        ("Gundam (Recommended)", (600, 9000), 640 * 9 / 9000),  # 9 tiles, in which lines stand closer than letters
        ("Base", (2048, 512), 0.5),
        ("Tiny", (1024, 256), 0.5),  # stretched to twice its height, and shrunk to half its width
    ],
)
def test_the_scale_is_that_of_the_closest_view(
    engine: NativeEngine[Any], preset: str, size: tuple[int, int], scale: float
) -> None:
    assert engine.scale(size, MODELS["deepseek-ocr"].presets[preset]) == pytest.approx(scale)
