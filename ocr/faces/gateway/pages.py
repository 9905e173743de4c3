"""The lines of output_format=events into pages and markdown: the other end of `ocr.output.writers.EventsWriter`."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from ocr.faces.gateway.servers import Chunk, Done
from ocr.output.writers import MarkdownWriter, document_markdown
from ocr.types import FinishReason, Markdown, PageEvent, PageResult, PageStart, Retry


async def lines(output: AsyncIterator[Chunk | Done]) -> AsyncGenerator[Mapping[str, Any] | Done]:
    """The events of a prediction that was asked for them, then its figures."""
    rest = ""
    async for item in output:
        if isinstance(item, Done):
            yield item
            return
        *whole, rest = (rest + item.text).split("\n")
        for line in whole:
            yield json.loads(line)


class Pages:
    """What has come of a document: its pages, each as the JSON document has it as soon as it is read."""

    def __init__(self) -> None:
        self.read: list[dict[str, Any]] = []
        self._results: list[PageResult] = []
        self._markdown = ""  # these two of the page that is being read
        self._elements: list[Mapping[str, Any]] = []
        self._writer = MarkdownWriter()

    @property
    def markdown(self) -> str:
        """That of all pages that are read, without the attempts that were given up."""
        return document_markdown(self._results)

    @property
    def texts(self) -> list[str]:
        """The same page by page; one that could not be read says so."""
        return [document_markdown([result]) for result in self._results]

    def take(self, line: Mapping[str, Any]) -> str:
        """Take one event in; gives the markdown that a reader of the stream sees with it, often nothing."""
        event = self._event(line)
        return self._writer.write(event) if event else ""

    def _event(self, line: Mapping[str, Any]) -> PageEvent | None:
        match line["event"]:
            case "page":
                self._markdown, self._elements = "", []
                return PageStart(line["page"], line["width"], line["height"])
            case "markdown":
                self._markdown += line["text"]
                return Markdown(line["text"])
            case "element":
                self._elements.append({name: line[name] for name in line.keys() - {"event", "page", "number"}})
            case "retry":
                self._markdown, self._elements = "", []
                return Retry(line["page"], FinishReason(line["reason"]))
            case "result":
                return self._result(line)
        return None

    def _result(self, line: Mapping[str, Any]) -> PageResult:
        markdown, elements = self._markdown, self._elements
        self._markdown, self._elements = "", []
        rest = {name: value for name, value in line.items() if name != "event"}
        self.read.append({**rest, "markdown": markdown, "elements": elements})
        result = PageResult(
            page=line["page"],
            width=line["width"],
            height=line["height"],
            model=line["model"],
            text=line["text"],
            markdown=markdown,
            elements=(),
            finish_reason=FinishReason(line["finish_reason"]),
            error=line["error"] or "",
        )
        self._results.append(result)
        return result
