"""A random DeepSeek-OCR beside transformers' generate() on the same weights, in turns, and the machine's limits."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import GenerationConfig
from transformers.generation.streamers import BaseStreamer

from bench.batches import drawn
from bench.full_size import Values, write_checkpoint
from bench.gpu_check.report import Row
from bench.gpu_check.setup import Bench, give_back, roomy_folder
from ocr.decoding.loop import RunningBatch
from ocr.decoding.recording import Record
from ocr.decoding.rules import Budget
from ocr.decoding.runner import SlotRunner
from ocr.decoding.sequence import in_order
from ocr.engines.native import NativeEngine, recorder
from ocr.models.catalog import MODELS
from ocr.models.deepseek.engine import load, normalise
from ocr.settings import Settings
from ocr.types import Decoding, PageInput, Piece
from tests.sequences import sequence

CARD = MODELS["deepseek-ocr"]
OURS, THEIRS = "ours", "transformers"

Engine = NativeEngine[Any]


def loading(bench: Bench) -> Iterator[Row]:
    """Make the checkpoint and load it as any other."""
    size = 2 * sum(torch.Size(shape).numel() for shape in bench.sizes.model.shapes().values())
    with roomy_folder(size) as scratch:
        folder = Path(scratch) / "deepseek-ocr"
        making = bench.seconds(lambda: write_checkpoint(folder, bench.sizes.model, random_values(bench.device)))
        yield Row("random checkpoint made", f"{making:.1f} s", f"{size / 1e9:.2f} GB")
        yield from in_four_bits(bench, folder)
        give_back()
        bench.forget_peak()
        loaded: list[Engine] = []
        settings = Settings(device=bench.device.type, dtype="bfloat16")
        took = bench.seconds(lambda: loaded.append(load(folder, CARD, settings)))
    bench.engine = loaded[0]
    text = loaded[0].network.model.config.text_config
    how = f"attention {text._attn_implementation}, experts {text._experts_implementation}"
    yield Row("checkpoint loaded", f"{took:.1f} s", how, memory=bench.peak())


def in_four_bits(bench: Bench, folder: Path) -> Iterator[Row]:
    """What a card must have where weights are in 4 bits, and a token then."""
    bench.forget_peak()
    loaded: list[Engine] = []
    settings = Settings(device=bench.device.type, dtype="bfloat16", quantization="4bit")
    took = bench.seconds(lambda: loaded.append(load(folder, CARD, settings)))
    yield Row("checkpoint loaded in 4 bits", f"{took:.1f} s", memory=bench.peak())
    bench.forget_peak()
    token = median(own_steps(loaded[0], bench, random_prompts(loaded[0], bench, 1), None))
    yield Row("token in 4 bits, batch 1", shown(token), memory=bench.peak())


def random_values(device: torch.device) -> Values:
    """What `write_checkpoint` fills tensors with, made on the device: as the processor's values are, in less time."""

    def values(seed: int, shape: tuple[int, ...]) -> bytes:
        generator = torch.Generator(device).manual_seed(seed)
        numbers = torch.randn(shape, generator=generator, device=device)
        numbers *= torch.Size(shape[1:]).numel() ** -0.5
        whole = (numbers + (len(shape) == 1)).bfloat16().view(torch.int16).cpu()
        return whole.numpy().tobytes()

    return values


def loaded_engine(bench: Bench) -> Engine:
    """The engine of the random model. Raises RuntimeError where it could not be loaded."""
    if bench.engine is None:
        raise RuntimeError("the random model was not loaded; see the section before")
    return bench.engine


def in_turns(bench: Bench, work: Mapping[str, Callable[[], list[float]]]) -> tuple[dict[str, float], dict[str, str]]:
    """The median of the seconds that each kind of work gives, and its peak memory; a first round warms up."""
    seconds: dict[str, list[float]] = {kind: [] for kind in work}
    memory: dict[str, str] = {}
    for turn in range(bench.sizes.rounds + 1):
        for kind, one in work.items():
            bench.forget_peak()
            taken = one()
            seconds[kind] += taken if turn else []
            memory[kind] = bench.peak()
    return {kind: median(taken) for kind, taken in seconds.items()}, memory


def compared(what: str, taken: tuple[dict[str, float], dict[str, str]], limit: float, each: int = 1) -> Row:
    """Ours beside transformers' own, for so many tokens each."""
    seconds, memory = taken
    ours, theirs = seconds[OURS], seconds[THEIRS]
    rate = f", {each / ours:.0f} tokens/s" if each > 1 else ""
    beside = f"{THEIRS} {shown(theirs)}, {theirs / ours:.2f} times ours, peak {memory[THEIRS]} GB"
    return Row(what, shown(ours) + rate, beside, shown(limit) if limit else "", memory[OURS])


def shown(seconds: float) -> str:
    """Milliseconds to three places."""
    return f"{1000 * seconds:.3g} ms"


@dataclass(frozen=True)
class Page:
    """A page at one preset, as the engine and as generate() take it."""

    given: PageInput
    ready: Any
    whole: Tensor  # (1, 3, base, base), normalised
    tiles: Tensor | None


def prepared(engine: Engine, bench: Bench, preset: str) -> Page:
    """A page of bars, of the size of a scan."""
    given = PageInput(drawn(1).resize(bench.sizes.page), CARD.tasks["Free OCR"], "", bench.sizes.presets[preset])
    ready = engine.processor.prepare(given)
    views = ready.views
    return Page(given, ready, normalise([views.whole]), normalise(views.tiles) if views.tiles else None)


def pages(bench: Bench) -> Iterator[Row]:
    """Vision and first text of a page at each preset."""
    engine = loaded_engine(bench)
    for preset in bench.sizes.presets:
        page = prepared(engine, bench, preset)
        counted = f"{page.ready.image_tokens} tokens, {len(page.ready.views.tiles)} tiles"
        seeing = operations(lambda page=page: see(engine, page)) / bench.product_rate if bench.product_rate else 0.0
        yield vision(f"vision, {preset} ({counted})", bench, engine, page, seeing)
        pixels = bench.typical(lambda page=page: engine.processor.prepare(page.given), times=bench.sizes.repeats)
        yield Row(f"page to views and prompt on the processor, {preset}", shown(pixels))
        reading = read_bytes(engine) / bench.read_rate if bench.read_rate else 0.0
        what = f"first text, {preset} ({len(page.ready.ids)} tokens of prompt)"
        yield first_texts(what, bench, engine, page, seeing + reading)


def vision(what: str, bench: Bench, engine: Engine, page: Page, limit: float) -> Row:
    """The image's features, ours and theirs; theirs have their pixels on the device beforehand."""
    inputs = generate_inputs(engine, page)
    work = {
        OURS: lambda: [bench.seconds(lambda: see(engine, page)) for _ in range(bench.sizes.repeats)],
        THEIRS: lambda: [bench.seconds(lambda: see_theirs(engine, inputs)) for _ in range(bench.sizes.repeats)],
    }
    return compared(what, in_turns(bench, work), limit)


def first_texts(what: str, bench: Bench, engine: Engine, page: Page, limit: float) -> Row:
    """From a decoded image to its first token, ours and theirs."""
    work = {
        OURS: lambda: [bench.seconds(lambda: first_text(engine, page))],
        THEIRS: lambda: [bench.seconds(lambda: first_text_theirs(engine, page))],
    }
    return compared(what, in_turns(bench, work), limit)


def see(engine: Engine, page: Page) -> Tensor:
    """The image's features as the engine makes them, its pixels on the processor."""
    features: Tensor = engine.network.image_features(page.whole, page.tiles, page.ready.views.rows)
    return features


@torch.inference_mode()
def see_theirs(engine: Engine, inputs: Mapping[str, Any]) -> None:
    """The image's features as transformers makes them."""
    names = ("pixel_values", "pixel_values_local", "num_local_patches", "patches_grid")
    engine.network.model.get_image_features(**{name: inputs[name] for name in names if name in inputs})


def generate_inputs(engine: Engine, page: Page) -> dict[str, Any]:
    """A page as transformers' own class takes it."""
    model = engine.network.model
    ids = torch.tensor([page.ready.ids], device=model.device)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    inputs["pixel_values"] = page.whole.to(model.device, model.dtype)
    if page.tiles is not None:
        views = page.ready.views
        inputs["pixel_values_local"] = page.tiles.to(model.device, model.dtype)
        inputs |= {"num_local_patches": [len(page.tiles)], "patches_grid": [[views.columns, views.rows]]}
    return inputs


def first_text(engine: Engine, page: Page) -> None:
    """From a decoded image to the first token, by the engine's one way."""
    with closing(engine.read([page.given], Decoding(max_new_tokens=2))) as outputs:
        next(output for output in outputs if isinstance(output, Piece))


def first_text_theirs(engine: Engine, page: Page, count: int = 1) -> None:
    """The same to so many tokens, the pixels made by our processor: theirs needs torchvision."""
    views = engine.processor.prepare(page.given).views
    again = Page(page.given, page.ready, normalise([views.whole]), normalise(views.tiles) if views.tiles else None)
    generate(engine.network.model, count, **generate_inputs(engine, again))


def generate(model: Any, count: int, **inputs: Any) -> list[float]:
    """When each of so many greedy tokens came, by transformers' own loop."""
    clock = TokenClock()
    # Fewest as well as most: an end of text that is left out here would be the model's own.
    settings = GenerationConfig(max_new_tokens=count, min_new_tokens=count, do_sample=False, pad_token_id=2)
    model.generate(**inputs, generation_config=settings, streamer=clock)
    if len(clock.times) != count:
        raise RuntimeError(f"generate() made {len(clock.times)} tokens, not {count}")
    return clock.times


class TokenClock(BaseStreamer):  # type: ignore[misc]
    """Notes when tokens come; they come on the processor, so the device is done with them."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._is_prompt = True

    def put(self, _value: Tensor) -> None:
        if not self._is_prompt:
            self.times.append(time.perf_counter())
        self._is_prompt = False

    def end(self) -> None:
        """There is nothing to close."""


def steps(bench: Bench) -> Iterator[Row]:
    """A token of each row at different numbers of rows, recorded and not, with either way to compute the experts."""
    engine = loaded_engine(bench)
    for rows in bench.sizes.batches:
        prompts = random_prompts(engine, bench, rows)
        what = f"token, batch {rows}, context {bench.sizes.context}"
        yield tokens(what, bench, engine, prompts)
        record = recorder(engine.network.model)
        if record is not None:
            yield own(f"{what}, steps not recorded", rows, own_steps(engine, bench, prompts, None))
        with batched_experts(engine.network.model):
            yield own(f"{what}, experts by batched_mm", rows, own_steps(engine, bench, prompts, record))


def own(what: str, rows: int, seconds: Sequence[float]) -> Row:
    """Ours alone, for a token of so many rows."""
    took = median(seconds)
    return Row(what, f"{shown(took)}, {rows / took:.0f} tokens/s")


def tokens(what: str, bench: Bench, engine: Engine, prompts: Tensor) -> Row:
    """A step of as many rows as there are prompts, ours and theirs."""
    rows, context = prompts.shape
    record = recorder(engine.network.model)
    work = {
        OURS: lambda: own_steps(engine, bench, prompts, record),
        THEIRS: lambda: their_steps(engine, bench, prompts),
    }
    limit = step_bytes(engine, rows, context) / bench.read_rate if bench.read_rate else 0.0
    return compared(what, in_turns(bench, work), limit, each=rows)


def random_prompts(engine: Engine, bench: Bench, rows: int) -> Tensor:
    """Ids (rows, context) of ordinary tokens, like no other row's: equal rows would ask the same experts."""
    words = torch.Generator().manual_seed(rows)
    return torch.randint(3, 256, (rows, bench.sizes.context), generator=words).to(engine.network.model.device)


def own_steps(engine: Engine, bench: Bench, prompts: Tensor, record: Record | None) -> list[float]:
    """Seconds of each step of our loop, the first pass and a few steps after it left out."""
    model = engine.network.model
    batch = RunningBatch(SlotRunner(model, record=record))
    with torch.inference_mode():
        embeds = model.get_input_embeddings()(prompts)
    batch.join([sequence(in_order(row), [Budget(bench.sizes.steps + 1)]) for row in embeds])
    return later([bench.seconds(batch.step) for _ in range(bench.sizes.steps)])


def their_steps(engine: Engine, bench: Bench, prompts: Tensor) -> list[float]:
    """Seconds between tokens of generate(), from the same place on."""
    times = generate(
        engine.network.model, bench.sizes.steps, input_ids=prompts, attention_mask=torch.ones_like(prompts)
    )
    return later([0.0, *(after - before for before, after in pairwise(times))])


def later(seconds: list[float]) -> list[float]:
    """Without the first pass and the fifth of the steps after it, which warm up."""
    return seconds[1 + len(seconds) // 5 :]


@contextmanager
def batched_experts(model: Any) -> Iterator[None]:
    """Within the block, experts are computed as generate() does on a GPU: a copy of its weights for each token."""
    before = model.get_experts_implementation()
    model.set_experts_implementation({at: "batched_mm" if how == "grouped_mm" else how for at, how in before.items()})
    try:
        yield
    finally:
        model.set_experts_implementation(before)


def operations(work: Callable[[], object]) -> int:
    """The floating-point operations of some work: those of products, convolutions and attention."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def language_bytes(engine: Engine) -> tuple[int, int]:
    """The bytes of the weights that each token asks for, and of all experts; the table of embeddings is neither."""
    model = engine.network.model
    always, some = model.lm_head.weight.nbytes, 0
    for name, weight in model.model.language_model.named_parameters():
        if ".experts." in name:
            some += weight.nbytes
        elif "embed_tokens" not in name:
            always += weight.nbytes
    return always, some


def read_bytes(engine: Engine) -> int:
    """What a first pass reads at least: hundreds of tokens ask all experts."""
    return sum(language_bytes(engine))


def step_bytes(engine: Engine, rows: int, context: int) -> float:
    """What a step reads at least: weights, those of experts that some row asks, and the keys and values of all rows.

    Of n experts each token asks k; if it did so by chance, a share of 1 - (1 - k / n) ** rows would be asked at all.
    """
    text = engine.network.model.config.text_config
    always, some = language_bytes(engine)
    share = 1 - (1 - text.num_experts_per_tok / text.num_experts) ** rows
    kept = 2 * text.num_hidden_layers * text.num_key_value_heads * (text.hidden_size // text.num_attention_heads)
    return always + share * some + rows * context * kept * engine.network.model.dtype.itemsize
