"""What each checkpoint is made of and where it comes from."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ocr.weights.whole import INDEX


@dataclass(frozen=True)
class File:
    """One file of a checkpoint and what is known of it beforehand; None is asked of the hub and pinned on arrival."""

    name: str
    size: int | None = None  # bytes
    sha256: str | None = None


@dataclass(frozen=True)
class Checkpoint:
    """What one checkpoint is made of and where it comes from; without a repository it is embedded in this project."""

    name: str
    licence: str
    total_bytes: int  # about, for messages and the first look at the disk
    repository: str | None = None  # on the model hub
    revision: str | None = None  # commit there
    files: tuple[File, ...] = ()
    tensor_bytes: int | None = None  # exactly what the tensors of all shards add up to, where it is known
    archive: str | None = None  # a tar of the same files


def _files(*names: str) -> tuple[File, ...]:
    return tuple(File(name) for name in names)


# No sha256 of these files is published where it could be checked, so none stands here.
_DOTS_OCR = Checkpoint(
    name="dots.ocr",
    licence="MIT + supplement",
    total_bytes=6_090_000_000,
    repository="rednote-hilab/dots.ocr",
    revision="c0111ce6bc07803dbc267932ffef0ae3a51dc951",
    files=_files(
        "config.json",
        "generation_config.json",
        "preprocessor_config.json",
        "chat_template.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        INDEX,
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ),
    tensor_bytes=6_078_358_528,  # 643 tensors in bf16
)
_DOTS_MOCR = dataclasses.replace(
    _DOTS_OCR,
    name="dots.mocr",
    repository="rednote-hilab/dots.mocr",
    revision="e539fbb52280393adc081b289ec597430a0f9031",
    tensor_bytes=None,
)
_DEEPSEEK_OCR = Checkpoint(
    name="deepseek-ocr",
    licence="MIT",
    total_bytes=6_683_000_000,
    repository="deepseek-ai/DeepSeek-OCR",
    revision="9f30c71f441d010e5429c532364a86705536c53a",
    files=_files(
        "config.json",
        "processor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        INDEX,
        "model-00001-of-000001.safetensors",
    ),
    tensor_bytes=6_672_212_480,  # 2710 tensors in bf16
    archive="https://weights.replicate.delivery/default/deepseek-ai/DeepSeek-OCR/model.tar",
)
_EMBEDDED = Checkpoint(name="deepseek-ocr-tiny", licence="MIT", total_bytes=23_800_000)
CHECKPOINTS: Mapping[str, Checkpoint] = MappingProxyType(
    {row.name: row for row in (_DEEPSEEK_OCR, _DOTS_OCR, _DOTS_MOCR, _EMBEDDED)}
)
