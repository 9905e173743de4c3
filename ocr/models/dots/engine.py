"""The dots.ocr engine, which runs dots.mocr too: its config, pixels, prompt and features around transformers' Qwen2
and our own vision tower. Knows no files of the user's, no HTTP or Cog; runs no code from a checkpoint."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor
from transformers import Qwen2Config, Qwen2ForCausalLM

from ocr.answers.boxes import Scale
from ocr.answers.dialects import PARSERS
from ocr.decoding.loop import merged_embeddings
from ocr.decoding.rules import TokenRule
from ocr.engines.hardware import choose_hardware
from ocr.engines.loading import load_model, load_tokenizer, read_json, token_id
from ocr.engines.native import PageEngine, Ready
from ocr.engines.patches import PatchRules, patch_rows, resized_size
from ocr.engines.prompts import fill
from ocr.errors import InputError, SetupError
from ocr.models.dots.vision import Grid, VisionShape, VisionTower
from ocr.reading.repetition import RepeatedElements
from ocr.settings import Settings
from ocr.types import Box, PageInput, Prompt, Resolution

IMAGE = "<|imgpad|>"  # stands once for each image token
FRAME = ("<|user|><|img|>" + IMAGE + "<|endofimg|>", "<|endofuser|><|assistant|>")  # nothing before, nothing between
SYSTEM_FRAME = ("<|system|>", "<|endofsystem|>")  # ordinary text to the tokenizer; a line of its own before FRAME
ENDS = ("<|endoftext|>", "<|assistant|>", "<|endofassistant|>")  # any of them ends an answer
FRAME_TOKENS = ("<|user|>", "<|img|>", IMAGE, "<|endofimg|>", "<|endofuser|>", "<|assistant|>")


def load(folder: Path, settings: Settings) -> "DotsOCR":
    """The engine of the checkpoint in a folder. Raises SetupError for one that is not whole or not this model."""
    hardware = choose_hardware(settings)
    tokenizer = load_tokenizer(folder)
    config = model_config(read_json(folder / "config.json"))
    rules = patch_rules(read_json(folder / "preprocessor_config.json"), config.vision_config)
    model = load_model(DotsOCRForCausalLM, folder, config, hardware, hardware.attention)
    return DotsOCR(model, tokenizer, rules)


_TEXT_FIELDS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
    "rms_norm_eps",
    "tie_word_embeddings",
)
_VISION_FIELDS = {
    "embed_dim": "embed",
    "hidden_size": "hidden",
    "intermediate_size": "intermediate",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "rms_norm_eps": "eps",
    "patch_size": "patch",
    "spatial_merge_size": "merge",
    "num_channels": "channels",
}
# What the code here is written for. A checkpoint that says otherwise would load, and answer nonsense.
_TEXT_FIXED = {"attention_bias": True, "hidden_act": "silu", "rope_scaling": None, "use_sliding_window": False}
_VISION_FIXED = {"is_causal": False, "post_norm": True, "temporal_patch_size": 1, "use_bias": False}


def model_config(checkpoint: Mapping[str, Any]) -> Qwen2Config:
    """transformers' config of the language model for a checkpoint's own config.json, the tower's shape beside it.

    `vision_config` of what is returned is a VisionShape. Raises SetupError for another model's config.
    """
    if checkpoint.get("model_type") != "dots_ocr" or not isinstance(checkpoint.get("vision_config"), dict):
        raise SetupError(
            f"The checkpoint's config.json has model_type {checkpoint.get('model_type')!r}; "
            "that of dots.ocr and dots.mocr has 'dots_ocr' and a vision_config."
        )
    vision = checkpoint["vision_config"]
    _check_fields("config.json", checkpoint, (*_TEXT_FIELDS, "rope_theta", "image_token_id"), _TEXT_FIXED)
    _check_fields("vision_config", vision, _VISION_FIELDS, _VISION_FIXED)
    config = Qwen2Config(
        **{field: checkpoint[field] for field in _TEXT_FIELDS},
        layer_types=["full_attention"] * checkpoint["num_hidden_layers"],
        rope_parameters={"rope_type": "default", "rope_theta": float(checkpoint["rope_theta"])},
    )
    config.image_token_id = checkpoint["image_token_id"]
    config.vision_config = VisionShape(**{ours: vision[theirs] for theirs, ours in _VISION_FIELDS.items()})
    return config


def _check_fields(where: str, given: Mapping[str, Any], needed: Iterable[str], fixed: Mapping[str, Any]) -> None:
    absent = [field for field in needed if field not in given]
    if absent:
        raise SetupError(f"The checkpoint's {where} lacks {', '.join(absent)}.")
    for field, value in fixed.items():
        if given.get(field, value) != value:
            raise SetupError(f"The checkpoint's {where} has {field} {given[field]!r}; this engine runs {value!r} only.")


def patch_rules(preprocessor: Mapping[str, Any], vision: VisionShape) -> PatchRules:
    """How pages become patches, from a checkpoint's preprocessor_config.json.

    Raises SetupError if values are missing or are not those that the tower was built for.
    """
    needed = ("patch_size", "merge_size", "min_pixels", "max_pixels", "image_mean", "image_std")
    fixed = {"patch_size": vision.patch, "merge_size": vision.merge, "temporal_patch_size": 1}
    _check_fields("preprocessor_config.json", preprocessor, needed, fixed)
    patch, merge, min_pixels, max_pixels, mean, std = (preprocessor[field] for field in needed)
    return PatchRules(
        patch,
        merge,
        min_pixels,
        max_pixels,
        tuple(mean),
        tuple(std),
        rescale=preprocessor.get("rescale_factor", 1 / 255),
        resample=preprocessor.get("resample", Image.Resampling.BICUBIC),
    )


class DotsOCRForCausalLM(Qwen2ForCausalLM):  # type: ignore[misc]
    """The language model with the vision tower beside it, named as in the checkpoint, so that one load checks both."""

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__(config)
        self.vision_tower = VisionTower(config.vision_config)


@dataclass(frozen=True)
class _Page(Ready):
    """One page ready to run."""

    image: Image.Image
    size: tuple[int, int]  # px, width and height that the model sees
    grid: Grid
    layout: str  # the name of the answer's form


class DotsOCR(PageEngine[_Page]):
    """A loaded dots.ocr or dots.mocr model; an `ocr.types.Engine`."""

    def __init__(self, model: Any, tokenizer: Tokenizer, rules: PatchRules) -> None:
        super().__init__(model, tokenizer)
        self.rules = rules
        added = tuple(token.content for token in tokenizer.get_added_tokens_decoder().values())
        self.reserved = added + SYSTEM_FRAME
        for token in FRAME_TOKENS:
            token_id(tokenizer, token)  # raises where the tokenizer would spell it out
        self._image = token_id(tokenizer, IMAGE)
        if self._image != model.config.image_token_id:
            raise SetupError(
                f"The tokenizer has {IMAGE!r} as {self._image}, the config as {model.config.image_token_id}; "
                "the files are of different checkpoints."
            )
        self._ends = [found for token in ENDS if (found := tokenizer.token_to_id(token)) is not None]

    def check(self, prompt: Prompt, text: str) -> None:
        """Raise InputError for words that hold one of the model's own tokens, or that are no box where one is asked."""
        if REGION in prompt.template:
            read_box(text)
        else:
            fill(prompt, text, self.reserved)

    def prepare(self, page: PageInput) -> _Page:
        """A page's size for the model and its prompt. Raises InputError for a page, text or box it cannot be given."""
        size = resized_size(
            *page.image.size,
            multiple=self.rules.multiple,
            min_pixels=self.rules.min_pixels,
            max_pixels=self._most_pixels(page.resolution),
        )
        count = size[0] * size[1] // self.rules.multiple**2
        ids = tuple(self._prompt_ids(page, size, count))
        if len(ids) >= self.context:
            raise InputError(
                f"The prompt has {len(ids)} tokens, {count} of them the image's; this model takes fewer than "
                f"{self.context} together with its answer. Shorten the text or choose a smaller resolution_size."
            )
        grid = (size[1] // self.rules.patch, size[0] // self.rules.patch)
        return _Page(ids, count, size, page.image, size, grid, page.prompt.layout)

    def _most_pixels(self, resolution: Resolution) -> int:
        return min(resolution.max_pixels or self.rules.max_pixels, self.rules.max_pixels)

    def most_image_tokens(self, resolution: Resolution) -> int:
        """How many tokens an image can take at this preset."""
        return self._most_pixels(resolution) // self.rules.multiple**2

    def _prompt_ids(self, page: PageInput, size: tuple[int, int], image_tokens: int) -> Iterator[int]:
        system = page.prompt.system.join(SYSTEM_FRAME) + "\n" if page.prompt.system else ""
        text = system + self._wording(page, size).join(FRAME)
        for token in self.tokenizer.encode(text, add_special_tokens=False).ids:
            yield from [token] * (image_tokens if token == self._image else 1)

    def _wording(self, page: PageInput, size: tuple[int, int]) -> str:
        """The prompt with everything filled in that its template names."""
        width, height = page.image.size
        template = page.prompt.template.replace("{width}", str(width)).replace("{height}", str(height))
        if REGION in template:
            return template.replace(REGION, region(page.text, page.image.size, size))
        return fill(replace(page.prompt, template=template), page.text, self.reserved)

    def embed(self, page: _Page) -> Tensor:
        """The prompt's embeddings with the image's features in their places, (tokens, hidden)."""
        rows = torch.from_numpy(patch_rows(page.image, page.size, self.rules))
        return self.merge(page.ids, rows, [page.grid])

    def merge(self, ids: Sequence[int], rows: Tensor, grids: Sequence[Grid]) -> Tensor:
        """The embeddings of these ids, (tokens, hidden), with the features of the images at each `<|imgpad|>`."""
        return merged_embeddings(self.model, ids, self.image_features(rows, grids), self._image)

    @torch.inference_mode()
    def image_features(self, rows: Tensor, grids: Sequence[Grid]) -> Tensor:
        """What the tower makes of the images whose patches are `rows`, (image tokens, hidden)."""
        use_flash = self.model.config._attn_implementation == "flash_attention_2"
        rows = rows.to(self.model.device, self.model.dtype)
        features: Tensor = self.model.vision_tower(rows, grids, use_flash)
        return features

    def end_ids(self) -> Sequence[int]:
        """The tokens that each end an answer."""
        return self._ends

    def own_rules(self, page: _Page) -> list[TokenRule]:
        """The end of an answer whose elements repeat."""
        scale = Scale(extent=page.size, page=page.image.size)
        return [RepeatedElements(self.decode_ids, PARSERS[page.layout](scale))]

    def decode_ids(self, ids: Sequence[int]) -> str:
        """Ids to text, special tokens left out."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text


REGION = "{region}"  # in a template, where the box stands
_BOX = re.compile(r"\[?\s*" + r"\s*,\s*".join([r"(-?\d{1,9}(?:\.\d{1,9})?)"] * 4) + r"\s*\]?")


def read_box(words: str) -> Box:
    """The box `x1,y1,x2,y2` as numbers. Raises InputError for anything but four of them in order."""
    match = _BOX.fullmatch(words.strip())
    x1, y1, x2, y2 = map(float, match.groups()) if match else (0.0, 0.0, 0.0, 0.0)
    if not (0 <= x1 < x2 and 0 <= y1 < y2):
        raise InputError(
            f"reference_text is {words[:80]!r}; the box to read is four numbers x1,y1,x2,y2 in pixels of the page, "
            "with 0 <= x1 < x2 and 0 <= y1 < y2."
        )
    return x1, y1, x2, y2


def region(words: str, page: tuple[int, int], seen: tuple[int, int]) -> str:
    """The box `x1,y1,x2,y2` in pixels of the page as the prompt has it: `[x1, y1, x2, y2]` in pixels the model sees.

    `page` and `seen` are (width, height). Raises InputError for anything but four numbers in order inside the page.
    """
    width, height = page
    x1, y1, x2, y2 = read_box(words)
    if x2 > width or y2 > height:
        raise InputError(
            f"reference_text is {words[:80]!r}; the box to read is four numbers x1,y1,x2,y2 in pixels of the page, "
            f"with 0 <= x1 < x2 <= {width} and 0 <= y1 < y2 <= {height}."
        )
    scaled = (x1 * seen[0] / width, y1 * seen[1] / height, x2 * seen[0] / width, y2 * seen[1] / height)
    return str([int(side) for side in scaled])  # the makers round down too
