"""Reads many documents one after the other; what fails is noted, and the rest goes on."""

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Protocol

from ocr.documents.document import Document, open_document, page_ranges
from ocr.documents.page import NumberedPage
from ocr.errors import OCRError, SetupError
from ocr.faces.cli.options import NAMES, Options
from ocr.faces.cli.passwords import password
from ocr.faces.cli.progress import Progress
from ocr.faces.cli.sources import Source
from ocr.faces.exits import explained
from ocr.faces.problems import in_short, printable
from ocr.output.folder import Files, Folder
from ocr.output.markdown import Link, picture_name
from ocr.output.report import Report, ReportedDocument
from ocr.output.untrusted import Disarmed, as_json, as_shown
from ocr.output.writers import Writer, page_json
from ocr.reading.reader import Reader
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Check, Decoding, FinishReason, PageEvent, PageResult

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """How every document is read."""

    request: Request
    decoding: Decoding
    pages: str  # which ones, like 1-3,7; "" for all
    dpi: int
    password: str = field(default="", repr=False)  # of protected PDFs; shown and kept nowhere

    @property
    def options(self) -> dict[str, Any]:
        """What the text of a document depends on."""
        rest = {"max_new_tokens": self.decoding.max_new_tokens, "pages": self.pages, "dpi": self.dpi}
        return asdict(self.request) | rest


def job_of(options: Options, reader: Reader) -> Job:
    """What was asked for. Raises InputError for what no document could be read with."""
    request = Request(
        model=reader.resolve(options.model),
        task=options.task,
        reference=options.reference,
        resolution=options.resolution,
        prompt=options.prompt,
        cut_long_pages=not options.whole_pages,
        orient=options.orient,
        check=bool(options.check),
        text_layer=options.text_layer,
    )
    if options.check is None and reader.checks_by_default(request):
        request = replace(request, check=True)
    list(page_ranges(options.pages))  # wrong ones are wrong for every document
    decoding = Decoding(
        max_new_tokens=options.max_new_tokens, deadline_s=reader.settings.deadline_s, together=options.batch
    )
    secret = password(ask=options.password, file=options.password_file)
    return Job(request, decoding, options.pages, options.dpi, secret)


def opened(content: Path | bytes, pages: str, job: Job, settings: Settings) -> Document:
    """A document with these pages, drawn as a job wants them."""
    return open_document(content, pages, settings, job.dpi, has_layers=job.request.wants_layers, password=job.password)


class Sink(Protocol):
    """Where the events of one document go."""

    def write(self, event: PageEvent) -> None:
        """Take in an event."""
        ...

    def close(self) -> None:
        """The document was read to its end."""
        ...


class Printed(Sink, Protocol):
    """A sink on standard output, where what has come so far stays."""

    def break_off(self) -> None:
        """The document will not be read to its end."""
        ...


HEADING_MARK = "\n==> "  # how the line begins that names a document


class TextSink:
    """A document's text on a stream as it comes, below a line that names the document where one is given.

    A line of the text that would pass for such a heading has a backslash. On a terminal, what would steer it stands as
    escapes. With `by_lines` each line comes whole, so that none of a log which goes to the same place begins amid it.
    """

    def __init__(self, out: IO[str], writer: Writer, heading: str = "", *, by_lines: bool = False) -> None:
        self._out, self._writer, self._by_lines = out, writer, by_lines
        self._text = Disarmed(*([HEADING_MARK] if heading else []))
        self._last = ""
        self._line = ""  # the last line, while more of it may come
        self._print(heading.removesuffix("\n"))
        self._print(self._text.feed("\n" if heading else ""))

    def write(self, event: PageEvent) -> None:
        self._print(self._text.feed(self._writer.write(event)))

    def close(self) -> None:
        self._print(self._text.feed(self._writer.close()) + self._text.close())
        if not self._last.endswith("\n"):
            self._print("\n")

    def break_off(self) -> None:
        self._put(self._line)

    def _print(self, text: str) -> None:
        if text:
            self._last = text
            text = self._line + (as_shown(text) if self._out.isatty() else text)
            certain = text.rfind("\n") + 1 if self._by_lines else len(text)
            self._line = text[certain:]
            self._put(text[:certain])

    def _put(self, text: str) -> None:
        if text:
            self._out.write(text)
            self._out.flush()


class JsonLinesSink:
    """Each page on a stream as one line of JSON: the document's name, and what the JSON document has of a page."""

    def __init__(self, out: IO[str], document: str) -> None:
        self._out, self._document = out, document

    def write(self, event: PageEvent) -> None:
        if isinstance(event, PageResult):
            print(as_json({"document": self._document, **page_json(event)}), file=self._out, flush=True)

    def close(self) -> None:
        pass

    def break_off(self) -> None:
        pass


@dataclass
class Outcome:
    """What became of a run."""

    documents: int = 0  # read to their end
    whole: int = 0  # skipped, because the folder holds them whole
    pages: int = 0  # read
    failures: list[str] = field(default_factory=list)  # a line for each document and page that could not be read
    early: list[str] = field(default_factory=list)  # a line for each page whose text ended before the model was done
    problems: list[str] = field(default_factory=list)  # a line for each page of which something was not understood
    checked: int = 0  # pages
    # A row for each of them that disagrees: how much is omitted, unsupported and in conflict, and which page.
    disagreeing: list[tuple[str, str, str, str]] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)  # a line for each page that could not be checked


class Run:
    """Reads documents with one job. What comes of them goes to `printed`, a sink for each, and into `folder`."""

    def __init__(
        self,
        reader: Reader,
        job: Job,
        progress: Progress,
        *,
        printed: Callable[[Source], Printed] | None = None,
        folder: Folder | None = None,
        report: Report | None = None,
    ) -> None:
        """`report` is that of the folder."""
        self._reader, self._job, self._progress = reader, job, progress
        self._printed, self.folder, self.report = printed, folder, report
        self._reported: ReportedDocument | None = None  # the one that is read
        self.outcome = Outcome()

    def run(self, sources: Iterable[Source]) -> None:
        """Read all of them. Raises SetupError where no model can be loaded, BrokenPipeError for a closed output."""
        for source in sources:
            self._progress.next_document(str(source))
            self._reported = self.report.document(source.name, str(source)) if self.report else None
            try:
                self._read(source)
            except (SetupError, BrokenPipeError):
                raise
            except Exception as error:  # whatever one document does, the others are read
                words = sentence(error)
                self._failed(f"{source}: {words}")
                if self._reported:
                    self._reported.fail(words)

    def _read(self, source: Source) -> None:
        content = source.content(self._reader.settings.max_file_mb)
        files = self.folder.document(source.name, content) if self.folder else None
        if files and files.are_whole:
            self.outcome.whole += 1
            self._progress.note(f"{source}: whole already")
            return
        if files and self._reported:
            path = str(content.absolute()) if isinstance(content, Path) else ""
            self._reported.begin(path, files.sha256, files.results)
        with self._open(content, self._job.pages) as document:
            self._document(source, content, document, files)

    def _document(self, source: Source, content: Path | bytes, document: Document, files: Files | None) -> None:
        """Read a document that is open, but for the pages that an earlier run has left in its files."""
        done = set(files.done if files else ())
        missing = [number for number in document.numbers if number not in done]
        if done:
            self._progress.note(f"{source}: {len(done)} of {len(document.numbers)} pages are there already")
        self._reader.engine(self._job.request.model)  # loaded before the clock of the progress starts
        self._progress.open(len(missing))
        printed = self._printed(source) if self._printed else None
        sinks: list[Sink] = [sink for sink in (printed, files, self._reported) if sink is not None]
        link = files.link if files else picture_name
        try:
            if not done:
                self._pages(source, document, sinks, link)
            elif missing:
                with self._open(content, ",".join(map(str, missing))) as rest:
                    self._pages(source, rest, sinks, link)
        except BaseException:
            for begun in (printed, self._reported):
                if begun is not None:
                    begun.break_off()
            raise
        for sink in sinks:
            sink.close()
        self.outcome.documents += 1

    def _open(self, content: Path | bytes, pages: str) -> Document:
        return opened(content, pages, self._job, self._reader.settings)

    def _pages(self, source: Source, document: Iterable[NumberedPage], sinks: Sequence[Sink], link: Link) -> None:
        job = self._job
        with closing(self._reader.read(job.request, document, job.decoding, link)) as events:
            for event in events:
                for sink in sinks:
                    sink.write(event)
                if isinstance(event, PageResult):
                    self._count(source, event)

    def _count(self, source: Source, result: PageResult) -> None:
        self._progress.page(result)
        if result.finish_reason is FinishReason.ERROR:
            self._failed(f"{source}, page {result.page}: {result.error}")
        else:
            self.outcome.pages += 1
            if result.finish_reason not in (FinishReason.STOP, FinishReason.BLANK):
                self.outcome.early.append(f"{source}, page {result.page}: {result.finish_reason}")
        if result.problems:
            self.outcome.problems.append(f"{source}, page {result.page}: {in_short(result.problems)}")

        if result.check:
            self._count_check(f"{source}, page {result.page}", result.check)

    def _count_check(self, page: str, check: Check) -> None:
        if check.failure:
            self.outcome.unchecked.append(f"{page}: {printable(check.failure)}")
            return
        self.outcome.checked += 1
        if check.disagreements:
            omitted, unsupported, conflicts = map(len, (check.omitted, check.unsupported, check.conflicts))
            self.outcome.disagreeing.append((str(omitted), str(unsupported), str(conflicts), page))

    def _failed(self, line: str) -> None:
        self.outcome.failures.append(line)
        self._progress.fail(line)


def sentence(error: Exception) -> str:
    """Why a document could not be read, for people."""
    if isinstance(error, OCRError):
        return error.named(NAMES)
    if isinstance(error, OSError):
        return explained(error)
    log.error("Unexpected error; please report it.", exc_info=error)
    return f"{type(error).__name__}: {error}"
