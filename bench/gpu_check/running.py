"""Pages in a running batch, with either attention, and the trained tiny model on the example pages."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from bench.batches import drawn
from bench.gpu_check.report import Row
from bench.gpu_check.setup import Bench
from bench.gpu_check.tiny import DEEPSEEK, DOTS, Engine, Tiny, all_logits, difference, equal, near
from ocr.decoding.loop import RunningBatch
from ocr.decoding.recording import Record
from ocr.decoding.rules import Budget
from ocr.decoding.runner import SlotRunner
from ocr.decoding.sequence import FirstPass
from ocr.engines.hardware import choose_hardware
from ocr.engines.native import recorder
from ocr.errors import SetupError
from ocr.models.catalog import MODELS
from ocr.reading.reader import Reader
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Decoding, PageInput, PageResult
from tests.sequences import decode, sequence, tokens

ROOT = Path(__file__).resolve().parent.parent.parent

SIZES = ((200, 120), (700, 300), (90, 300), (660, 1400), (512, 640))  # px
TASKS = ("Free OCR", "Convert to Markdown", "OCR with Boxes", "Free OCR", "Convert to Markdown")  # of different lengths
# When each of the pages joins, in steps, and the part of the tokens after which it leaves.
PLAN = ((0, 1.0), (0, 0.5), (2, 1.0), (5, 0.4), (6, 1.0))


def batches(bench: Bench) -> Iterator[Row]:
    """Pages that join and leave a running batch, against each alone and against a processor."""
    count = bench.sizes.tokens
    for tiny in (DEEPSEEK, DOTS):
        on_cpu = tiny.load(bench, "float32", "cpu")
        wanted = alone(on_cpu, prompts(bench, on_cpu, tiny), count)
        for dtype in bench.sizes.dtypes:
            engine = tiny.load(bench, dtype)
            pages = prompts(bench, engine, tiny)
            own = alone(engine, pages, count)
            yield equal(f"{tiny.name} pages alone", dtype, own, wanted, "float32 on the processor")
            yield joining(f"{tiny.name} joining and leaving", dtype, engine, pages, own)
            if record := recorder(engine.network.model):
                what = f"{tiny.name} joining and leaving, steps recorded"
                yield joining(what, dtype, engine, pages, own, record)


def prompts(bench: Bench, engine: Engine, tiny: Tiny) -> list[FirstPass]:
    """The prompts of a few pages, of different lengths."""
    card = MODELS[tiny.name]
    asked = zip(SIZES, TASKS, bench.sizes.squares[tiny.name], strict=True)
    inputs = [PageInput(printed(size), card.tasks[task], "", preset) for size, task, preset in asked]
    return [engine.network.first_pass(engine.processor.prepare(page)) for page in inputs]


def printed(size: tuple[int, int]) -> Image.Image:
    """A page of bars that no other size has."""
    return drawn(size[0]).resize(size)


def alone(engine: Engine, pages: Sequence[FirstPass], count: int) -> list[list[int]]:
    """The tokens of each page by itself."""
    return [tokens(decode(engine.network.model, [page], [[Budget(count)]]))[0] for page in pages]


def joining(
    what: str,
    dtype: str,
    engine: Engine,
    pages: Sequence[FirstPass],
    own: Sequence[Sequence[int]],
    record: Record | None = None,
) -> Row:
    """Whether pages that join and leave a running batch get the tokens that they get alone."""
    budgets = [max(1, int(part * len(page))) for page, (_, part) in zip(own, PLAN, strict=True)]
    found = running(engine, pages, budgets, record)
    return equal(
        what, dtype, found, [page[:budget] for page, budget in zip(own, budgets, strict=True)], "each page alone"
    )


def running(
    engine: Engine, pages: Sequence[FirstPass], budgets: Sequence[int], record: Record | None
) -> list[list[int]]:
    """The tokens of the pages, each of which joins a running batch by the plan and leaves it after its budget."""
    batch = RunningBatch(SlotRunner(engine.network.model, record=record))
    rows = [sequence(page, [Budget(budget)]) for page, budget in zip(pages, budgets, strict=True)]
    for step in itertools.count():
        for row, (start, _) in zip(rows, PLAN, strict=True):
            if start == step:
                batch.join([row])
        if batch.is_empty and step > max(start for start, _ in PLAN):
            return [row.tokens for row in rows]
        batch.step()
    raise AssertionError("the count has no end")


def flash(bench: Bench) -> Iterator[Row]:
    """flash_attention_2 against sdpa in bf16, where flash-attn is installed."""
    try:
        choose_hardware(Settings(device=bench.device.type, dtype="bfloat16", attention="flash_attention_2"))
    except SetupError as error:
        yield Row("flash_attention_2", f"left out: {error}")
        return
    for tiny in (DEEPSEEK, DOTS):
        by_sdpa, by_flash = (tiny.load(bench, "bfloat16", attention=kind) for kind in ("sdpa", "flash_attention_2"))
        pages, wanted = prompts(bench, by_flash, tiny), prompts(bench, by_sdpa, tiny)
        apart = [
            difference(all_logits(by_flash, page.embeds), all_logits(by_sdpa, other.embeds).float().cpu().numpy())
            for page, other in zip(pages, wanted, strict=True)
        ]
        yield near(f"{tiny.name} logits by flash_attention_2", "bfloat16", apart, "sdpa")
        own = alone(by_flash, pages, bench.sizes.tokens)
        yield joining(f"{tiny.name} joining and leaving by flash_attention_2", "bfloat16", by_flash, pages, own)


def examples(bench: Bench) -> Iterator[Row]:
    """The trained tiny model reads the example pages."""
    for dtype in bench.sizes.dtypes[:2]:
        reader = Reader(Settings(device=bench.device.type, dtype=dtype))
        texts, wanted = [], []
        for name in bench.sizes.examples:
            path = ROOT / "examples" / name
            texts.append(read_markdown(reader, Image.open(path).convert("RGB")).split())
            wanted.append(path.with_suffix(".md").read_text(encoding="utf-8").split())
        yield equal("examples read by deepseek-ocr-tiny", dtype, texts, wanted, "examples/*.md")


def read_markdown(reader: Reader, image: Image.Image) -> str:
    """What the embedded model makes of a page."""
    events = reader.read(Request(model="deepseek-ocr-tiny"), [(1, image)], Decoding(max_new_tokens=1000))
    (result,) = (event for event in events if isinstance(event, PageResult))
    if result.error:
        raise RuntimeError(result.error)
    return result.markdown
