"""What the chat-like faces answer with: the text of one or several documents in turn, and how it ended."""

import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from ocr.faces.gateway.pages import Pages, lines
from ocr.faces.gateway.reader import Reader
from ocr.faces.gateway.servers import Done
from ocr.output.writers import PAGE_SPLIT
from ocr.types import FinishReason, worst

MARKDOWN, EVENTS = "markdown", "events"
FINISHED = (FinishReason.STOP, FinishReason.BLANK)  # every other reason left something out


@dataclass
class Answer:
    """The text of a request's documents. `stream` reads them; what it tells is true once that has ended."""

    reader: Reader
    documents: Sequence[IO[bytes]]
    inputs: Mapping[str, Any]
    client: str
    figures: dict[str, Any]  # filled at the end, for the request's line in the log
    pages: list[dict[str, Any]] = field(default_factory=list)  # of all documents, for markdown alone
    metrics: list[Mapping[str, Any]] = field(default_factory=list)  # of each document
    page_texts: list[str] = field(default_factory=list)  # the markdown of those pages
    texts: list[str] = field(default_factory=list)  # of each document, without attempts that were given up

    async def stream(self) -> AsyncGenerator[str]:
        """The text as it comes. Where a page is begun again, or the next begins, the package's own mark says so."""
        is_markdown = self.inputs.get("output_format", MARKDOWN) == MARKDOWN
        for number, document in enumerate(self.documents):
            if number and is_markdown:
                yield PAGE_SPLIT
            texts = self._markdown(document) if is_markdown else self._as_is(document)
            async with contextlib.aclosing(texts):
                async for text in texts:
                    yield text
        self.figures.update(self._told())

    def _told(self) -> dict[str, Any]:
        """How it went, without a word of what was read."""
        counts = {name: self.sum(name) for name in ("pages", "failed_pages", "problems", "completion_tokens")}
        return {"model": self.model, "finish_reason": self.finish_reason.value, **counts}

    async def _markdown(self, document: IO[bytes]) -> AsyncGenerator[str]:
        """Made of events, so that the whole text is without attempts that were given up, and pages are known."""
        pages = Pages()
        inputs = {**self.inputs, "output_format": EVENTS}
        async with contextlib.aclosing(self.reader.read(document, inputs, self.client)) as output:
            async for line in lines(output):
                if isinstance(line, Done):
                    self.metrics.append(line.metrics)
                elif text := pages.take(line):
                    yield text
        self.pages += pages.read
        self.page_texts += pages.texts
        self.texts.append(pages.markdown)

    async def _as_is(self, document: IO[bytes]) -> AsyncGenerator[str]:
        whole = []
        async with contextlib.aclosing(self.reader.read(document, self.inputs, self.client)) as output:
            async for item in output:
                if isinstance(item, Done):
                    self.metrics.append(item.metrics)
                else:
                    whole.append(item.text)
                    yield item.text
        self.texts.append("".join(whole))

    async def whole(self) -> str:
        """All of the text, once it is there."""
        async with contextlib.aclosing(self.stream()) as texts:
            async for _ in texts:
                pass
        is_markdown = self.inputs.get("output_format", MARKDOWN) == MARKDOWN
        return (PAGE_SPLIT if is_markdown else "").join(self.texts)

    @property
    def finish_reason(self) -> FinishReason:
        """The worst of all documents'."""
        return worst([FinishReason(metrics["finish_reason"]) for metrics in self.metrics])

    @property
    def is_whole(self) -> bool:
        """Whether nothing was left out for want of room, time or patience."""
        return self.finish_reason in FINISHED

    @property
    def model(self) -> str:
        """The model that read, never auto."""
        return str(self.metrics[-1]["model"])

    def sum(self, name: str) -> int:
        """One of the figures that predict() records, of all documents: `pages`, `prompt_tokens`."""
        return sum(int(metrics[name]) for metrics in self.metrics)

    @property
    def own(self) -> dict[str, Any]:
        """What other answers of this kind have no place for, under the name `ocr`."""
        names = ("page", "width", "height", "turned", "finish_reason", "problems", "check", "error")
        return {
            "finish_reason": self.finish_reason.value,
            "model": self.model,
            "image_tokens": self.sum("image_tokens"),
            "pages": [{name: page[name] for name in names} for page in self.pages],
        }
