"""Many pages of a random DeepSeek-OCR at once: as one document, and as callers of one page each."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from bench.batches import drawn
from bench.gpu_check.report import Row
from bench.gpu_check.setup import Bench
from bench.gpu_check.speed import CARD, Engine, loaded_engine, shown
from ocr.types import Decoding, Failed, PageInput, Piece


def at_once(bench: Bench) -> Iterator[Row]:
    """A document and callers, against its pages one after the other."""
    engine, sizes = loaded_engine(bench), bench.sizes
    preset = next(iter(sizes.presets))
    pages = [
        PageInput(drawn(number).resize(sizes.page), CARD.tasks["Free OCR"], "", sizes.presets[preset])
        for number in range(sizes.pages)
    ]
    one, any_ = Decoding(sizes.page_tokens, together=1), Decoding(sizes.page_tokens)

    def callers(of: Sequence[PageInput]) -> int:
        with ThreadPoolExecutor(len(of)) as threads:
            return sum(threads.map(lambda page: read(engine, [page], any_), of))

    read(engine, pages, any_)  # the steps' shapes are recorded
    alone = bench.seconds(lambda: read(engine, pages[:4], one)) / 4  # seconds a page
    yield Row(f"page alone, {preset}, {sizes.page_tokens} tokens at most", shown(alone))
    document, calling = len(pages), min(16, len(pages))
    for what, count, work in (
        (f"document of {document} pages", document, lambda: read(engine, pages, any_)),
        (f"{calling} callers of a page each", calling, lambda: callers(pages[:calling])),
    ):
        bench.forget_peak()
        tokens: list[int] = []
        took = bench.seconds(lambda work=work, tokens=tokens: tokens.append(work()))
        result = f"{took:.3g} s, {count / took:.3g} pages/s, {tokens[0] / took:.0f} tokens/s"
        yield Row(what, result, f"{alone * count / took:.2f} times one alone", memory=bench.peak())


def read(engine: Engine, pages: Sequence[PageInput], decoding: Decoding) -> int:
    """Read the pages by the engine's one way; how many tokens came. Raises RuntimeError where a page failed."""
    tokens = 0
    for output in engine.read(pages, decoding):
        if isinstance(output, Failed):
            raise RuntimeError(f"page {output.page} failed: {output.error}")
        if isinstance(output, Piece) and output.finish:
            tokens += output.tokens
    return tokens
