"""The files that can be made of a document: a row for each format. Knows no output folder."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from PIL import Image, ImageDraw, ImageFont

from ocr.output.drawing import annotate, picture_crops
from ocr.output.hocr import hocr
from ocr.output.html import html
from ocr.output.markdown import picture_name
from ocr.output.plain_text import plain_text
from ocr.output.tables import tables
from ocr.output.writers import JsonWriter, document_markdown
from ocr.types import PageResult

File = tuple[str, bytes]  # its name and what is in it


@dataclass(frozen=True)
class OfPage:
    """A format of files of one page each, made as soon as the page is read; they lie in a folder of the document's."""

    suffix: str  # of that folder
    make: Callable[[Image.Image | None, PageResult], Iterator[File]]  # no image: the page could not be drawn
    use: str  # in the words of the command line's help


@dataclass(frozen=True)
class Read:
    """A document that is read, with the files that were made of its pages."""

    title: str
    pages: Sequence[PageResult]
    folder: Callable[[str], Path]  # where the files of a format of pages are, by its name

    def picture(self, link: str) -> bytes | None:
        """What the markdown links to; None where no such picture was cut out."""
        path = self.folder("figures") / Path(unquote(link)).name
        return path.read_bytes() if path.is_file() else None


@dataclass(frozen=True)
class OfDocument:
    """A format of one file with all pages, made at the end."""

    suffix: str
    compose: Callable[[Read], bytes]
    use: str  # in the words of the command line's help
    needs: tuple[str, ...] = ()  # formats of pages that it is made of


def encoded(text: str) -> bytes:
    """UTF-8; what a file name holds that is no Unicode stands escaped, as JSON wants it too."""
    return text.encode("utf-8", "backslashreplace")


def _markdown(read: Read) -> bytes:
    return encoded(document_markdown(read.pages).rstrip("\n") + "\n")


def _json(read: Read) -> bytes:
    writer = JsonWriter()
    return encoded("".join(map(writer.write, read.pages)) + writer.close())


def _docx(read: Read) -> bytes:
    from ocr.output.word import docx  # a seventh of a second, as that of PDFs: who wants none does not wait for it

    return docx(read.pages, read.picture)


def _pdf(read: Read) -> bytes:
    from ocr.output.searchable_pdf import joined

    return joined((read.folder("pdf-pages") / f"page-{page.page}.pdf").read_bytes() for page in read.pages)


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _annotated(image: Image.Image | None, page: PageResult) -> Iterator[File]:
    if image is not None and not page.error:
        yield f"page-{page.page}.png", _png(annotate(image, page.elements, page.check))


def _figures(image: Image.Image | None, page: PageResult) -> Iterator[File]:
    if image is not None and not page.error:
        yield from ((Path(name).name, _png(crop)) for name, crop in picture_crops(image, page))


def _tables(_image: Image.Image | None, page: PageResult) -> Iterator[File]:
    yield from ((name, encoded(text)) for name, text in tables(page))


def _pdf_page(image: Image.Image | None, page: PageResult) -> Iterator[File]:
    from ocr.output.searchable_pdf import searchable_page

    yield f"page-{page.page}.pdf", searchable_page(image or _notice(page), page)


def _notice(page: PageResult) -> Image.Image:
    """What stands for a page that could not be drawn: a sheet that says so."""
    sheet = Image.new("RGB", (1654, 2339), "white")  # px, A4 at 200 dpi
    words = f"Page {page.page} could not be read."
    ImageDraw.Draw(sheet).text((120, 120), words, fill="black", font=ImageFont.load_default(40))
    return sheet


IMAGES = f".{Path(picture_name(1, 1)).parent}"  # NAME.images/page-1-1.png is what NAME.md links to
OF_PAGE: Mapping[str, OfPage] = {
    "annotated": OfPage(".annotated", _annotated, "each page with its elements framed and labelled"),
    "figures": OfPage(IMAGES, _figures, "the pictures that the text links to"),
    "csv": OfPage(".tables", _tables, "each table as comma-separated values"),
    "pdf-pages": OfPage(".pages", _pdf_page, "each page as a PDF of its own, with its text"),
}
OF_DOCUMENT: Mapping[str, OfDocument] = {
    "md": OfDocument(".md", _markdown, "markdown"),
    "json": OfDocument(".json", _json, "pages, elements, boxes, figures of the reading"),
    "txt": OfDocument(".txt", lambda read: encoded(plain_text(read.pages)), "plain text"),
    "html": OfDocument(
        ".html",
        lambda read: encoded(html(read.pages, read.title, read.picture)),
        "one file with all pictures",
        needs=("figures",),
    ),
    "docx": OfDocument(".docx", _docx, "a Word document", needs=("figures",)),
    # Not NAME.pdf: that may be the document itself.
    "pdf": OfDocument(".searchable.pdf", _pdf, "the pages as they look, their text to be found", needs=("pdf-pages",)),
    "hocr": OfDocument(".hocr", lambda read: encoded(hocr(read.pages, read.title)), "elements and boxes, as XHTML"),
}
FORMATS: Mapping[str, OfPage | OfDocument] = {**OF_DOCUMENT, **OF_PAGE}
FOLDERS = tuple(row.suffix for row in OF_PAGE.values())  # these hold files of ours, and no documents to be read
DOCUMENTS = tuple(row.suffix for row in OF_DOCUMENT.values())  # and these are ours
NAME_BYTES = 255 - max(len(row.suffix) for row in FORMATS.values())  # for a document's own name
