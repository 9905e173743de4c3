"""The detector of regions, against transformers: the processor's own code, the class's own outputs."""

import ast
import inspect
import json
import math
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import PPDocLayoutV3ForObjectDetection

from ocr.answers.elements import ELEMENT_TYPES
from ocr.errors import SetupError
from ocr.models.catalog import MODELS
from ocr.models.layout.detector import (
    THRESHOLD,
    LayoutDetector,
    PixelRules,
    load,
    model_config,
    pixel_rules,
    pixels,
    regions,
)
from ocr.models.layout.labels import CHECKPOINT, KINDS, kind
from ocr.weights.status import status
from tests.checkpoints_dots import FLOAT32
from tests.checkpoints_layout import LABELS, LAYOUT_CONFIG, LAYOUT_PIXELS, hub_tensors, tiny_detector, write_detector
from tests.pictures import golden_picture

RULES = pixel_rules(LAYOUT_PIXELS)


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_detector()


@pytest.fixture(scope="module")
def detector(model: Any, tmp_path_factory: pytest.TempPathFactory) -> LayoutDetector:
    return load(write_detector(tmp_path_factory.mktemp("layout") / CHECKPOINT, model), FLOAT32)


def weights(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bicubic weights of the four samples around each place, as OpenCV has them: a = -0.75."""
    far = np.abs(places % 1 - np.array([[-1], [0], [1], [2]]))
    near = 1.25 * far**3 - 2.25 * far**2 + 1
    return np.asarray(np.where(far <= 1, near, -0.75 * (far**3 - 5 * far**2 + 8 * far - 4)))


def resampled(levels: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """The first axis stretched to this length, in whole levels; beyond the edges the last sample goes on."""
    places = (np.arange(length) + 0.5) * len(levels) / length - 0.5
    samples = np.floor(places).astype(int) + np.array([[-1], [0], [1], [2]])
    taken = levels[samples.clip(0, len(levels) - 1)]  # (4, length, …)
    return np.asarray((taken * weights(places)[:, :, None, None]).sum(axis=0).round().clip(0, 255))


@pytest.mark.parametrize("size", [(128, 96), (7, 5), (300, 40), (61, 500)], ids=str)
def test_a_page_is_stretched_bicubically_without_a_filter_before(size: tuple[int, int]) -> None:
    image = golden_picture("tiny").resize(size)
    seen = pixels(image, RULES)
    across = resampled(np.asarray(image, np.float64).swapaxes(0, 1), 128).swapaxes(0, 1)
    wanted = resampled(across, 96).transpose(2, 0, 1)[None]
    assert seen.shape == (1, 3, 96, 128) and seen.dtype == torch.float32
    apart = np.abs(seen.numpy() * 255 - wanted)  # torch's weights are rounded too
    assert apart.max() < 2.5 and (apart > 0.5).mean() < 0.02


def test_levels_become_the_numbers_of_the_checkpoint() -> None:
    rules = PixelRules((3, 2), mean=(0.5, 0.25, 0.0), std=(0.5, 2.0, 1.0), rescale=1 / 100)
    seen = pixels(Image.new("RGB", (30, 20), (200, 100, 50)), rules)
    assert seen.shape == (1, 3, 2, 3)
    assert seen[0, :, 0, 0].tolist() == pytest.approx([(2 - 0.5) / 0.5, (1 - 0.25) / 2, 0.5])


def test_a_checkpoint_in_the_hub_s_layout_finds_what_the_class_finds(detector: LayoutDetector, model: Any) -> None:
    seen = pixels(golden_picture("tiny"), RULES)
    with torch.inference_mode():
        ours, theirs = detector.model(seen), model(seen)
    for name in ("logits", "pred_boxes", "order_logits"):
        assert torch.allclose(getattr(ours, name), getattr(theirs, name), atol=1e-3), name
    assert not detector.model.training and detector.model.dtype == torch.float32
    found = detector.find(golden_picture("tiny"))
    assert len(found) == 11 and len({region.label for region in found}) > 2


def processor() -> Any:
    """transformers' processor of this network, its code as installed, without what needs torchvision and OpenCV."""
    spec = find_spec("transformers.models.pp_doclayout_v3")
    assert spec and spec.origin
    source = Path(spec.origin).with_name("image_processing_pp_doclayout_v3.py").read_text()
    (class_,) = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    wanted = ("_get_order_seqs", "post_process_object_detection")
    methods = [node for node in class_.body if isinstance(node, ast.FunctionDef) and node.name in wanted]
    for method in methods:
        method.decorator_list = []
    names: dict[str, Any] = {"torch": torch, "TensorType": Any}
    exec(compile(ast.Module(methods, []), "processor", "exec"), names)
    itself = SimpleNamespace(size={"height": 96, "width": 128}, _extract_polygon_points_by_masks=lambda *_args: [])
    itself._get_order_seqs = lambda logits: names["_get_order_seqs"](itself, logits)
    assert "threshold" in inspect.signature(names["post_process_object_detection"]).parameters
    return lambda found, size: names["post_process_object_detection"](itself, found, THRESHOLD, [size[::-1]])[0]


@pytest.mark.parametrize("seed", range(6))
def test_boxes_labels_scores_and_order_are_those_of_transformers(seed: int) -> None:
    torch.manual_seed(seed)
    queries = 9 + seed
    found = SimpleNamespace(
        logits=torch.randn(1, queries, len(LABELS)) * 2,
        pred_boxes=torch.rand(1, queries, 4),
        order_logits=torch.randn(1, queries, queries) * 3,
        out_masks=torch.randn(1, queries, 4, 4),
    )
    size = 640, 480
    theirs = processor()(found, size)
    ours = regions(found, size, dict(enumerate(LABELS)))
    assert [LABELS.index(region.label) for region in ours] == theirs["labels"].tolist()
    assert [region.score for region in ours] == pytest.approx(theirs["scores"].tolist())
    inside = theirs["boxes"].clamp(min=0).minimum(torch.tensor([640.0, 480.0, 640.0, 480.0]))
    assert torch.allclose(torch.tensor([region.bbox for region in ours]), inside, atol=1e-3)
    assert 1 < len(ours) < queries * len(LABELS)


def test_of_an_order_that_is_certain_each_is_before_those_after_it() -> None:
    order = [2, 0, 3, 1]  # the queries as they are to be read
    logits = torch.full((1, 4, 4), -1e4)
    for row in range(4):
        for column in range(row + 1, 4):
            logits[0, row, column] = 9.0 if order.index(row) < order.index(column) else -9.0
    labels = torch.full((1, 4, 4), -9.0)
    labels[0, range(4), range(4)] = 9.0  # the n-th query has the n-th label
    found = SimpleNamespace(logits=labels, pred_boxes=torch.full((1, 4, 4), 0.5), order_logits=logits)
    assert [region.label for region in regions(found, (100, 100), dict(enumerate("abcd")))] == list("cadb")


def test_what_is_unlikely_is_not_found() -> None:
    logits = torch.full((1, 3, 2), -9.0)
    logits[0, :, 1] = torch.tensor([math.log(THRESHOLD / (1 - THRESHOLD)) + 0.01, -1.0, 4.0])
    found = SimpleNamespace(logits=logits, pred_boxes=torch.rand(1, 3, 4), order_logits=torch.zeros(1, 3, 3))
    scores = [region.score for region in regions(found, (10, 10), {0: "text", 1: "table"})]
    assert sorted(scores) == pytest.approx([0.302, 0.982], abs=1e-3)


def test_numbers_are_those_of_the_checkpoint() -> None:
    config = model_config(LAYOUT_CONFIG)
    assert (config.num_queries, config.d_model, config.decoder_layers) == (11, 16, 2)
    assert config.id2label == dict(enumerate(LABELS))
    assert config.backbone_config.stage_out_channels == [8, 12, 16, 20]
    assert PixelRules((128, 96), (0, 0, 0), (1, 1, 1), 0.00392156862745098) == RULES


def test_a_full_size_network_has_as_many_bytes_as_its_checkpoint() -> None:
    labels = {str(index): label for index, label in enumerate(KINDS)}
    backbone = {"model_type": "hgnet_v2", "arch": "L", "out_features": ["stage1", "stage2", "stage3", "stage4"]}
    sizes = {"num_queries": 300, "d_model": 256, "encoder_hidden_dim": 256, "decoder_layers": 6}
    config = model_config({"model_type": "pp_doclayout_v3", "id2label": labels, "backbone_config": backbone, **sizes})
    with torch.device("meta"):
        tensors = hub_tensors(PPDocLayoutV3ForObjectDetection(config))
    total = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    assert len(labels) == 25
    assert 133_270_468 - total == pytest.approx(133 * len(tensors), rel=0.02)  # the rest is their names and places


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("config.json", {"model_type": "rt_detr"}, "has 'pp_doclayout_v3'"),
        ("config.json", {"num_queries": None}, "lacks num_queries"),
        ("preprocessor_config.json", {"size": None}, "lacks size"),
        ("preprocessor_config.json", {"resample": 2}, "resample 2; this engine runs 3 only"),
        ("preprocessor_config.json", {"size": {"shortest_edge": 800}}, "lacks height, width"),
        ("config.json", {"num_prototypes": 6}, "of another shape"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    tmp_path: Path, model: Any, name: str, change: dict[str, Any], words: str
) -> None:
    folder = write_detector(tmp_path / "checkpoint", model)
    changed = {**json.loads((folder / name).read_text()), **change}
    (folder / name).write_text(json.dumps({field: value for field, value in changed.items() if value is not None}))
    with pytest.raises(SetupError, match=words):
        load(folder, FLOAT32)


def test_it_is_whole_without_a_tokenizer(tmp_path: Path, model: Any) -> None:
    folder = write_detector(tmp_path / CHECKPOINT, model)
    assert status(CHECKPOINT, tmp_path).is_ready
    (folder / "config.json").unlink()
    assert status(CHECKPOINT, tmp_path).faults == ("config.json: missing",)


def test_every_label_stands_for_an_element_that_a_model_can_be_asked_about() -> None:
    assert {each.type for each in KINDS.values()} <= set(ELEMENT_TYPES)
    held = {each.holds for each in KINDS.values()}
    asked = {name for card in MODELS.values() for task in card.tasks.values() for name in task.regions or ()}
    assert {"text", "table", "formula"} <= asked <= held
    assert (kind("stamp").type, kind("stamp").holds) == ("other", "text")
