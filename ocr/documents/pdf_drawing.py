"""One PDF as PDFium draws it: sizes, pixels, the fonts that take the place of those it lacks. Knows no limits."""

import contextlib
import ctypes
import io
import logging
import mmap
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium
from PIL import Image

from ocr.documents import fonts
from ocr.documents.pdf_fonts import (
    PLACEHOLDER,
    UNKNOWN,
    StandIns,
    fonts_of_text,
    foreign_letters,
    is_western,
    lost_letters,
)
from ocr.documents.pdf_text import text_of

POINTS_PER_INCH = 72  # a PDF's unit, unless a page has one of its own
ASCII = set(range(33, 127))  # stands among the letters of every script
UNITS, OBJECTS = b"/UserUnit", b"/ObjStm"
MOST_OBJECTS = 2**24  # bytes of a stream of objects


class PdfDrawing:
    """The document, and once more with other fonts where a page needs them: PDFium keeps a document's fonts.

    One document is open at a time. PDFium begins anew after each, as what it keeps of fonts shows in the next one.
    """

    def __init__(self, descriptor: int, length: int, password: str = "") -> None:
        logging.getLogger("pypdfium2").setLevel(logging.CRITICAL)  # its hints are for those who build it
        self._file = io.BufferedReader(_Start(os.dup(descriptor), length))
        self._password = password or None
        self._stand_ins = StandIns()
        self._documents: list[pdfium.PdfDocument] = []  # that are open
        self._probe: pdfium.PdfDocument | None = None  # with a placeholder for every letter
        self._other: tuple[list[Path], pdfium.PdfDocument] | None = None  # with these fonts
        pdfium.raw.FPDF_LoadDocument(b"", None)  # a file without pages leaves the error of one before: of this, no file
        try:
            self.document = self._open()
        except BaseException:
            self.close()
            raise
        with mmap.mmap(descriptor, length, access=mmap.ACCESS_READ) as data:
            self._has_units = _mentions_units(data)

    def close(self) -> None:
        """Let go of the document."""
        for document in self._documents:
            document.close()
        self._file.close()
        pdfium.raw.FPDF_DestroyLibrary()
        pdfium.raw.FPDF_InitLibraryWithConfig(pdfium.raw.FPDF_LIBRARY_CONFIG(version=2))

    def size(self, index: int) -> tuple[float, float]:
        """Width and height of a page in points, as the page is turned."""
        width, height = self.document.get_page_size(index)  # nothing of the page is drawn for this
        unit = self._unit(index)
        return width * unit, height * unit

    def draw(self, index: int, dpi: float) -> tuple[Image.Image, dict[str, Any]]:
        """A page in mode RGB, and what is known of it: is it a placeholder, which letters of which fonts are lost.

        A page whose letters PDFium's own faces lack is drawn once more with installed fonts that have them. Whether
        there are such letters is looked up where any font is not embedded, which is known when the page is drawn.
        """
        scale = dpi / POINTS_PER_INCH * self._unit(index)
        with self._page(self.document, index) as page:
            told: dict[str, Any] = {"is_placeholder": _is_placeholder(self.document, page)}
            asked = self._stand_ins.asked
            letters = self._letters(index) if asked else {}
            if not letters:
                bitmap = self._render(page, scale)
                letters = self._letters(index) if self._stand_ins.asked and not asked else {}
        if letters:
            bitmap, more = self._draw_with_others(index, scale, letters)
            told |= more
        size, pixels = (bitmap.width, bitmap.height), memoryview(bitmap.buffer).cast("B")
        return Image.frombytes("RGB", size, pixels, "raw", "BGR"), told

    def _draw_with_others(
        self, index: int, scale: float, letters: dict[str, set[int]]
    ) -> tuple[pdfium.PdfBitmap, dict[str, Any]]:
        """A page drawn with installed fonts that have these letters, and by font those that none has."""
        wanted = set().union(*letters.values()) - {UNKNOWN}
        chosen, missing = fonts.choose(wanted | ASCII) if wanted else ([], set())
        with self._page(self._with(chosen), index, chosen) as page:
            bitmap = self._render(page, scale, chosen)
        return bitmap, {
            "lost": {font: "".join(map(chr, sorted(found))) for font, found in lost_letters(letters, missing).items()},
            "unknown": [font for font, found in letters.items() if UNKNOWN in found],
        }

    def text(self, index: int, size: tuple[int, int]) -> Mapping[str, Any]:
        """What `text_of` tells of a page that is drawn in this (width, height)."""
        with self._page(self.document, index) as page:
            return text_of(page, size)

    def fonts(self, index: int) -> list[str]:
        """The fonts of a page's text."""
        with self._probed(index) as page:
            return fonts_of_text(page)

    def _letters(self, index: int) -> dict[str, set[int]]:
        """What `foreign_letters` finds on a page; nothing on one whose text cannot be looked at, but may be drawn."""
        asked = self._stand_ins.asked
        with contextlib.suppress(pdfium.PdfiumError), self._probed(index) as page:
            has_seen_fonts_alone = self._stand_ins.asked == asked
            if self._stand_ins.has_pictures or not is_western(page, has_seen_fonts_alone=has_seen_fonts_alone):
                return foreign_letters(page)
        return {}

    def _probed(self, index: int) -> contextlib.AbstractContextManager[pdfium.PdfPage]:
        self._probe = self._probe or self._open()
        return self._page(self._probe, index, [PLACEHOLDER])

    @contextlib.contextmanager
    def _page(self, document: pdfium.PdfDocument, index: int, paths: Sequence[Path] = ()) -> Iterator[pdfium.PdfPage]:
        """A page, with these fonts in the place of those that are not embedded, as all pages of this document."""
        self._stand_ins.use(paths)
        with contextlib.closing(_loaded(document, index)) as page:
            yield page

    def _open(self) -> pdfium.PdfDocument:
        document = pdfium.PdfDocument(self._file, self._password)
        self._documents.append(document)
        with contextlib.suppress(pdfium.PdfiumError):
            document.init_forms()  # what was filled into a form is drawn only then; no script is run for it
        return document

    def _with(self, paths: list[Path]) -> pdfium.PdfDocument:
        """The document with these fonts in the place of those that are not embedded."""
        if not paths:
            return self.document
        if self._other is None or self._other[0] != paths:
            if self._other:
                self._documents.remove(self._other[1])
                self._other[1].close()
            self._other = paths, self._open()
        return self._other[1]

    def _render(self, page: pdfium.PdfPage, scale: float, paths: Sequence[Path] = ()) -> pdfium.PdfBitmap:
        self._stand_ins.use(paths)  # annotations ask for their fonts only here
        self._stand_ins.is_drawing = True
        try:
            return page.render(scale=scale)
        finally:
            self._stand_ins.is_drawing = False

    def _unit(self, index: int) -> float:
        """How many points a page's unit has. PDFium does not say, but what it writes of the page alone does."""
        if not self._has_units:
            return 1.0
        with contextlib.closing(pdfium.PdfDocument.new()) as alone, io.BytesIO() as file:
            pdfium.raw.FPDF_ImportPagesByIndex(alone, self.document, (ctypes.c_int * 1)(index), 1, 0)
            alone.save(file)
            found = re.search(rb"/UserUnit\s+([\d.]+)", file.getvalue())
        unit = float(found[1]) if found else 1.0
        return unit if unit > 0 else 1.0


class _Start(io.FileIO):
    """The first bytes of a file, the rest of which is no part of it."""

    def __init__(self, descriptor: int, length: int, password: str = "") -> None:
        super().__init__(descriptor)
        self._length = length

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            return super().seek(self._length + offset)
        return super().seek(offset, whence)


def _mentions_units(data: mmap.mmap) -> bool:
    """Whether a page may have a unit of its own: the word is in the file, or packed in a stream of objects."""
    return data.find(UNITS) >= 0 or any(UNITS in objects for objects in _object_streams(data))


def _object_streams(data: mmap.mmap) -> Iterator[bytes]:
    """What streams of objects hold, of those that are deflated and not encrypted."""
    mark = data.find(OBJECTS)
    while mark >= 0:
        start, end = data.find(b"stream", mark), data.find(b"endstream", mark)
        with contextlib.suppress(zlib.error):
            yield zlib.decompressobj().decompress(data[start + 6 : end].lstrip(b"\r\n"), MOST_OBJECTS)
        mark = data.find(OBJECTS, mark + 1)


def _loaded(document: pdfium.PdfDocument, index: int) -> pdfium.PdfPage:
    """A page. Fields of a document without a form are made part of it: PDFium draws them as parts of a form alone."""
    page = document[index]
    if document.get_formtype() == pdfium.raw.FORMTYPE_NONE and _has_fields(page):
        pdfium.raw.FPDFPage_Flatten(page, pdfium.raw.FLAT_NORMALDISPLAY)
        page.close()
        page = document[index]
    return page


def _has_fields(page: pdfium.PdfPage) -> bool:
    for index in range(pdfium.raw.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium.raw.FPDFPage_GetAnnot(page, index)
        kind = pdfium.raw.FPDFAnnot_GetSubtype(annotation)
        pdfium.raw.FPDFPage_CloseAnnot(annotation)
        if kind == pdfium.raw.FPDF_ANNOT_WIDGET:
            return True
    return False


def _is_placeholder(document: pdfium.PdfDocument, page: pdfium.PdfPage) -> bool:
    """Whether the page stands in the place of an XFA form, which other readers lay out: it has no fields of its own."""
    kind = document.get_formtype()
    is_lone = kind == pdfium.raw.FORMTYPE_XFA_FOREGROUND and len(document) == 1 and not _has_fields(page)
    return kind == pdfium.raw.FORMTYPE_XFA_FULL or is_lone
