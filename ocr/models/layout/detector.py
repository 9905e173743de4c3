"""PP-DocLayoutV3 as a detector of regions, around transformers' own class: pages to its pixels, what it says to boxes
in reading order. Knows no text, no HTTP and no Cog; runs no code from a checkpoint."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import PPDocLayoutV3Config, PPDocLayoutV3ForObjectDetection

from ocr.engines.checkpoint import check_fields, read_json
from ocr.engines.hardware import choose_hardware
from ocr.engines.loading import load_model
from ocr.errors import SetupError
from ocr.settings import Settings
from ocr.types import Box, Region

MODEL_TYPE = "pp_doclayout_v3"
THRESHOLD = 0.3  # of the score, in the pipelines of PaddleOCR-VL's and GLM-OCR's makers


def load(folder: Path, settings: Settings) -> "LayoutDetector":
    """The detector of the checkpoint in a folder. Raises SetupError for one that is not whole or not this network.

    It always computes in float32: it is small, and boxes are finer than what half as many bits can tell.
    """
    hardware = replace(choose_hardware(settings), dtype=torch.float32, bits=None)
    config = model_config(read_json(folder / "config.json"))
    rules = pixel_rules(read_json(folder / "preprocessor_config.json"))
    # Its backbone knows no other attention, and has none.
    return LayoutDetector(load_model(PPDocLayoutV3ForObjectDetection, folder, config, hardware, "eager"), rules)


_FIELDS = ("id2label", "num_queries", "d_model", "encoder_hidden_dim", "decoder_layers", "backbone_config")


def model_config(checkpoint: Mapping[str, Any]) -> PPDocLayoutV3Config:
    """transformers' config for a checkpoint's own config.json. Raises SetupError for another network's."""
    if checkpoint.get("model_type") != MODEL_TYPE:
        raise SetupError(
            f"The checkpoint's config.json has model_type {checkpoint.get('model_type')!r}; "
            f"that of the detector of regions has {MODEL_TYPE!r}."
        )
    check_fields("config.json", checkpoint, _FIELDS, {})
    return PPDocLayoutV3Config.from_dict(copy.deepcopy(dict(checkpoint)))  # which transformers writes into


@dataclass(frozen=True)
class PixelRules:
    """How a page becomes what the network sees, as its preprocessor_config.json has it."""

    size: tuple[int, int]  # px, width and height
    mean: tuple[float, float, float]  # of the red, green and blue levels from 0 to 1
    std: tuple[float, float, float]
    rescale: float


_STEPS = dict.fromkeys(("do_resize", "do_rescale", "do_normalize"), True)


def pixel_rules(preprocessor: Mapping[str, Any]) -> PixelRules:
    """The rules of a preprocessor_config.json. Raises SetupError where numbers are missing or steps are others."""
    fixed = {**_STEPS, "resample": int(Image.Resampling.BICUBIC)}
    check_fields("preprocessor_config.json", preprocessor, ("size",), fixed)
    size = preprocessor["size"]
    check_fields("size in preprocessor_config.json", size, ("height", "width"), {})
    return PixelRules(
        (size["width"], size["height"]),
        tuple(preprocessor.get("image_mean", (0.0, 0.0, 0.0))),
        tuple(preprocessor.get("image_std", (1.0, 1.0, 1.0))),
        preprocessor.get("rescale_factor", 1 / 255),
    )


def pixels(page: Image.Image, rules: PixelRules) -> Tensor:
    """An RGB page as the network sees it, (1, 3, height, width) in float32: stretched, whatever its aspect.

    Bicubic without a filter against aliasing, in whole levels: as torchvision resizes levels for transformers' own
    processor, which approximates OpenCV.
    """
    levels = torch.from_numpy(np.array(page)).permute(2, 0, 1)[None]  # (1, 3, height, width), 0 to 255
    seen = torch.nn.functional.interpolate(levels, size=rules.size[::-1], mode="bicubic", antialias=False)
    mean, std = (torch.tensor(values)[:, None, None] / rules.rescale for values in (rules.mean, rules.std))
    return (seen.float() - mean) / std


def ranks(order_logits: Tensor) -> Tensor:
    """The place of each query in reading order, (queries,), from the logits (queries, queries) that one is before
    another.

    Only those above the diagonal say anything: each is a vote that its column comes after its row, and against it that
    its row does. Source: _get_order_seqs() of transformers' processor.
    """
    after = torch.sigmoid(order_logits).triu(diagonal=1)
    before = (1.0 - torch.sigmoid(order_logits)).triu(diagonal=1)
    votes = after.sum(dim=0) + before.sum(dim=1)
    return votes.argsort().argsort()


def regions(found: Any, page: tuple[int, int], labels: Mapping[int, str]) -> list[Region]:
    """What the network says of one page of this (width, height), in reading order and page pixels.

    Of all scores of queries and labels as many as there are queries count, the highest; a query may have two labels.
    Source: post_process_object_detection() of transformers' processor, without its polygons.
    """
    scores, places = torch.sigmoid(found.logits[0]).flatten().topk(found.logits.shape[1])
    queries, kinds = places // found.logits.shape[2], places % found.logits.shape[2]
    rank = ranks(found.order_logits[0])[queries]
    likely = [index for index in rank.argsort(stable=True).tolist() if scores[index] >= THRESHOLD]
    boxes = found.pred_boxes[0, queries].tolist()
    return [Region(labels[int(kinds[at])], _on_page(boxes[at], page), float(scores[at])) for at in likely]


def _on_page(box: Sequence[float], page: tuple[int, int]) -> Box:
    """A box by its centre and size, in parts of the page, by its corners in pixels inside the page."""
    x, y, width, height = box
    sides = [(x, width, page[0]), (y, height, page[1])]
    (x1, x2), (y1, y2) = (
        [min(max((middle + half * length) * px, 0.0), float(px)) for half in (-0.5, 0.5)]
        for middle, length, px in sides
    )
    return x1, y1, x2, y2


class LayoutDetector:
    """An `ocr.types.Detector`. Pages of several callers are looked at one after the other."""

    def __init__(self, model: Any, rules: PixelRules) -> None:
        self.model, self.rules = model, rules
        self._looking = Lock()

    @torch.inference_mode()
    def find(self, image: Image.Image) -> list[Region]:
        """See `ocr.types.Detector`."""
        with self._looking:
            found = self.model(pixels(image, self.rules).to(self.model.device))
        return regions(found, image.size, self.model.config.id2label)
