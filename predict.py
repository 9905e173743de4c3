"""Cog's face: typed inputs in, text out as it streams. Everything else is in `ocr`.

Cog reads this file as text, so the choices are literals here; a test holds them to the tables in `ocr.models.catalog`.
"""

import logging
import sys
from pathlib import Path as FilePath
from tempfile import gettempdir

from cog import BasePredictor, CancelationException, ConcatenateIterator, Input, Path, streaming

from ocr.documents.document import open_document
from ocr.errors import InputError
from ocr.faces.failures import in_terms_of_inputs
from ocr.faces.problems import in_short
from ocr.output.writers import WRITERS, metrics
from ocr.reading.reader import Reader
from ocr.reading.request import Request
from ocr.settings import read_settings
from ocr.types import Decoding, FinishReason, PageResult
from ocr.weights.fetching import fetch

log = logging.getLogger(__name__)


class Predictor(BasePredictor):
    """Reads documents with the models of this image."""

    def setup(self) -> None:
        """Fetch the weights that OCR_MODELS names, and load the models, before the first prediction."""
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
        settings = read_settings()
        self.reader = Reader(settings)
        for model in settings.models:
            fetch(model, settings.checkpoints)
        for model in settings.models or [self.reader.resolve("auto")]:
            self.reader.engine(model)

    @streaming
    def predict(
        self,
        image: Path = Input(
            description="The document to read: a PDF or an image (PNG, JPEG, WebP, TIFF, GIF, BMP, JPEG 2000, AVIF)."
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
            ],
            default="Convert to Markdown",
        ),
        reference_text: str = Input(
            description="For Locate Object by Reference: what to find on the page. For Read Region: the box to read, x1,y1,x2,y2 in pixels of the page. Empty for the other tasks.",  # noqa: E501
            default="",
        ),
        resolution_size: str = Input(
            description="How closely the model looks at the page. Gundam adds close-up tiles of large pages and reads small print best; the others see the whole page in one square of 512, 640, 1024 or 1280 pixels, and are faster.",  # noqa: E501
            choices=["Gundam (Recommended)", "Tiny", "Small", "Base", "Large"],
            default="Gundam (Recommended)",
        ),
        model: str = Input(
            description="Which model reads the page; auto takes the first one this server was set up with.",
            choices=["auto", "deepseek-ocr", "dots.ocr", "dots.mocr", "pp-ocr", "deepseek-ocr-tiny"],
            default="auto",
        ),
        output_format: str = Input(
            description="markdown: clean text, pictures as links. json: one document with every element, its box in page pixels, the reason the text ended and the tokens used. raw: the model's own text with its marks. events: a line of JSON for each thing as it comes, text, whole elements, the end of each page.",  # noqa: E501
            choices=["markdown", "json", "raw", "events"],
            default="markdown",
        ),
        prompt: str = Input(
            description="Your own instruction to the model in place of the task's; leave it empty to use task_type.",
            default="",
        ),
        pages: str = Input(
            description="Which pages of a PDF or a TIFF to read, for example 1-3,7; leave it empty for all. Any other image has one page.",  # noqa: E501
            default="",
        ),
        dpi: int = Input(
            description="How finely the pages of a PDF are drawn, in dots per inch; more than 200 helps with very small print alone. Images are read as they are.",  # noqa: E501
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
            description="Whether a page more than ten times as long as wide, or so large that the model could not read its print, is read in parts between its lines and put together. Only tasks that read print do so; each part may get max_new_tokens.",  # noqa: E501
            default=True,
        ),
    ) -> ConcatenateIterator[str]:
        """Read a document and stream its text."""
        if output_format not in WRITERS:
            raise InputError(f"is {output_format!r}; it must be one of: {', '.join(WRITERS)}.", "output_format")
        with in_terms_of_inputs():
            request = Request(
                model=self.reader.resolve(model),
                task=task_type,
                reference=reference_text,
                resolution=resolution_size,
                prompt=prompt,
                cut_long_pages=cut_long_pages,
            )
            decoding = Decoding(max_new_tokens=max_new_tokens, deadline_s=self.reader.settings.deadline_s)
            document = open_document(uploaded(image), pages, self.reader.settings, dpi)
        writer = WRITERS[output_format]()
        results: list[PageResult] = []
        try:
            for event in self.reader.read(request, document, decoding):
                if isinstance(event, PageResult):
                    results.append(event.without_image())
                    log_page(event)
                if text := writer.write(event):
                    yield text
        except CancelationException:
            self.record_metric("finish_reason", FinishReason.CANCELLED.value)
            raise
        finally:
            document.close()
        if results and all(result.error for result in results):
            raise InputError(results[0].error)
        if text := writer.close():
            yield text
        for name, value in metrics(results).items():
            self.record_metric(name, value)


def log_page(result: PageResult) -> None:
    """Say in the prediction's log what did not go well with a page, and nothing of any other."""
    if result.error:
        log.warning("Page %d cannot be read: %s", result.page, result.error)
    if result.problems:
        log.warning("Page %d: %s", result.page, in_short(result.problems))


def uploaded(image: object) -> FilePath:
    """The file that Cog made of an upload or a URL.

    Cog hands any other string on as it stands, and `/etc/hostname` would open that file on the server. What Cog
    fetched itself is a Path in the folder for temporary files. Raises InputError for anything else.
    """
    folder = FilePath(gettempdir()).resolve()
    if not isinstance(image, FilePath) or not image.is_file() or folder not in image.resolve().parents:
        raise InputError("must be an uploaded file, a data: URL or an http(s) URL; paths are not opened.", "image")
    return image
