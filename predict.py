"""Cog's face: typed inputs in, text out as it streams. Everything else is in `ocr`.

Cog reads this file as text, so the choices are literals here; a test holds them to the tables in `ocr.models.catalog`.

The method stays predict(), which every Cog takes, with `predict:` in cog.yaml. Since 0.21 Cog calls it run(),
and it refuses a class that has both. The base class is the newer one, whose run() leads here.
"""

import logging
from collections.abc import Generator, Iterator

from cog import BaseRunner, CancelationException, ConcatenateIterator, Input, Path, concurrent, streaming

from ocr.documents.document import Document, open_document
from ocr.errors import InputError, choices
from ocr.faces.cog import slots
from ocr.faces.cog.inputs import check_lengths, document_of
from ocr.faces.cog.leftovers import remove_leftovers
from ocr.faces.failures import log_to_stderr, told_in_short
from ocr.faces.problems import in_short
from ocr.output.writers import WRITERS, Writer, metrics
from ocr.reading.reader import Reader
from ocr.reading.request import Request
from ocr.settings import read_settings
from ocr.types import Decoding, FinishReason, PageResult
from ocr.weights.fetching import fetch
from ocr.weights.table import with_needed

log = logging.getLogger(__name__)

PIECE = 500_000  # characters, each of 6 bytes at most on Cog's way, where 6 MiB are what goes in one message


class Predictor(BaseRunner):
    """Reads documents with the models of this image."""

    def setup(self) -> None:
        """Clean up after servers that were, fetch the weights that OCR_MODELS names, load the models."""
        log_to_stderr()
        remove_leftovers()
        slots.hear_cancels()
        settings = read_settings()
        self.reader = Reader(settings)
        for name in with_needed(settings.models):
            fetch(name, settings.checkpoints)
        for model in settings.models or [self.reader.resolve("auto")]:
            self.reader.engine(model)

    @streaming
    @concurrent(max=8)
    async def predict(
        self,
        image: Path = Input(
            description="The document to read: a PDF or an image (PNG, JPEG, WebP, TIFF, GIF, BMP, JPEG 2000, AVIF). An upload, a data: URL, or an http(s) URL of at most 8,000 characters."  # noqa: E501
        ),
        task_type: str = Input(
            description="What to do with the page. Convert to Markdown keeps headings, tables and formulas; Free OCR gives plain text; Locate Object by Reference finds what reference_text names. Not every model was trained for every task.",  # noqa: E501
            choices=[
                "Convert to Markdown",
                "Free OCR",
                "Parse Figure",
                "Locate Object by Reference",
                "OCR with Boxes",
                "Describe Image",
                "Detect Layout",
                "Read Region",
                "Parse Web Page",
                "Spot Scene Text",
                "Image to SVG",
                "Parse Layout",
                "Convert Pages Together",
            ],
            default="Convert to Markdown",
        ),
        reference_text: str = Input(
            description="For Locate Object by Reference: what to find on the page. For Read Region: the box to read, x1,y1,x2,y2 in pixels of the page. At most 2,000 characters; empty for the other tasks.",  # noqa: E501
            default="",
        ),
        resolution_size: str = Input(
            description="How closely the model looks at the page. Auto is Gundam on a GPU; on a CPU it is the closest look that takes about a minute, if Gundam takes longer. Gundam adds close-up tiles of large pages and reads small print best; the others see the whole page in one square of 512, 640, 1024 or 1280 pixels, and are faster.",  # noqa: E501
            choices=["Auto", "Gundam (Recommended)", "Tiny", "Small", "Base", "Large"],
            default="Auto",
        ),
        model: str = Input(
            description="Which model reads the page; auto takes the first one this server was set up with.",
            choices=[
                "auto",
                "deepseek-ocr",
                "dots.ocr",
                "dots.mocr",
                "deepseek-ocr-2",
                "unlimited-ocr",
                "qwen3-vl-4b",
                "qwen2.5-vl-7b",
                "olmocr-2",
                "firered-ocr",
                "ovisocr2",
                "lightonocr-2",
                "lightonocr-2-bbox",
                "paddleocr-vl",
                "glm-ocr",
                "got-ocr2",
                "pp-ocr",
                "deepseek-ocr-tiny",
            ],
            default="auto",
        ),
        output_format: str = Input(
            description="markdown: clean text, pictures as links. json: one document with every element, its box in page pixels, the reason the text ended and the tokens used. raw: the model's own text with its marks. events: one line of JSON for each piece of text, complete element and end of a page, as it comes.",  # noqa: E501
            choices=["markdown", "json", "raw", "events"],
            default="markdown",
        ),
        prompt: str = Input(
            description="Your own instruction to the model in place of the task's; at most 20,000 characters. Leave it empty to use task_type.",  # noqa: E501
            default="",
        ),
        pages: str = Input(
            description="Which pages of a PDF or a TIFF to read, for example 1-3,7; at most 10,000 characters. Leave it empty for all; any other image has one page.",  # noqa: E501
            default="",
        ),
        dpi: int = Input(
            description="Rendering resolution for PDF pages, in DPI; more than 200 helps only with very small print. Images are read as they are.",  # noqa: E501
            default=200,
            ge=72,
            le=600,
        ),
        max_new_tokens: int = Input(
            description="The most tokens of text a page may get. A page that needs more ends early, and its finish_reason says length.",  # noqa: E501
            default=8192,
            ge=1,
            le=32768,
        ),
        cut_long_pages: bool = Input(
            description="Whether a page is read in parts, cut between its lines and joined again, if it is more than ten times as long as wide or too large for the model to read its print. Applies only to tasks that read print; max_new_tokens is for each part.",  # noqa: E501
            default=True,
        ),
        orient: str = Input(
            description="Whether pages are turned upright before they are read. auto turns a page that lies on its side or upside down, if that is certain and it has print; off never turns a page; 90, 180 and 270 turn each page clockwise by that many degrees. Boxes are those of the turned page.",  # noqa: E501
            choices=["auto", "off", "90", "180", "270"],
            default="auto",
        ),
        check: bool = Input(
            description="Whether each page is read a second time by pp-ocr and the two readings are compared: text that the answer lacks, text that is nowhere on the page, numbers and words that differ. The differences are in the json and events formats, and counted in the metrics.",  # noqa: E501
            default=False,
        ),
        text_layer: str = Input(
            description="Where the text of PDF pages comes from. off: it is read from what is visible. auto: it is taken from the PDF itself, with its boxes, for pages where the PDF contains all the text that is visible; the other pages are read. In the json and events formats each page says which.",  # noqa: E501
            choices=["off", "auto"],
            default="off",
        ),
    ) -> ConcatenateIterator[str]:
        """Read a document and stream its text."""

        def text() -> Generator[str, None, None]:
            with told_in_short():
                check_lengths(
                    {
                        "task_type": task_type,
                        "reference_text": reference_text,
                        "resolution_size": resolution_size,
                        "model": model,
                        "output_format": output_format,
                        "prompt": prompt,
                        "pages": pages,
                        "text_layer": text_layer,
                    }
                )
                if output_format not in WRITERS:
                    raise InputError(f"is {output_format!r}; it must be one of: {choices(WRITERS)}.", "output_format")
                request = Request(
                    model=self.reader.resolve(model),
                    task=task_type,
                    reference=reference_text,
                    resolution=resolution_size,
                    prompt=prompt,
                    cut_long_pages=cut_long_pages,
                    orient=orient,
                    check=check,
                    text_layer=text_layer,
                )
                decoding = Decoding(max_new_tokens=max_new_tokens, deadline_s=self.reader.settings.deadline_s)
                settings = self.reader.settings
                content = document_of(image, settings, slots.check)
                with open_document(content, pages, settings, dpi, has_layers=request.wants_layers) as document:
                    yield from self._text(request, document, decoding, WRITERS[output_format]())

        return slots.streamed(text())

    def _text(self, request: Request, document: Document, decoding: Decoding, writer: Writer) -> Iterator[str]:
        """The text of a document as it comes; its metrics go to Cog at the end."""
        results: list[PageResult] = []
        try:
            for event in self.reader.read(request, document, decoding, stop=slots.check):
                if isinstance(event, PageResult):
                    results.append(event.without_image())
                    log_page(event)
                yield from pieces(writer.write(event))
        except CancelationException:
            self.record_metric("finish_reason", FinishReason.CANCELLED.value)
            raise
        if results and all(result.error for result in results):
            raise InputError(results[0].error)
        yield from pieces(writer.close())
        for name, value in metrics(results).items():
            self.record_metric(name, value)


# Cog's worker makes what it is told to be a Path into a file before predict() begins: it fetches URLs from anywhere,
# without a limit, and hears no cancel meanwhile. So the schema has a Path, and the worker sees text, which it hands on.
Predictor.predict.__annotations__["image"] = str


def pieces(text: str) -> Iterator[str]:
    """A text in parts, of which Cog sends each as it stands; of a longer one it leaves a file behind for ever."""
    return (text[start : start + PIECE] for start in range(0, len(text), PIECE))


def log_page(result: PageResult) -> None:
    """Say in the prediction's log what did not go well with a page, and nothing of any other."""
    if result.error:
        log.warning("Page %d cannot be read: %s", result.page, result.error)
    if result.problems:
        log.warning("Page %d: %s", result.page, in_short(result.problems))
