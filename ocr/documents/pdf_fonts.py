"""Fonts in the place of those that a PDF names and does not embed. Part of the process that draws: knows PDFium.

PDFium has faces of its own for such fonts, with the letters of western Europe, and asks the system for others by name
alone: for none of Arial, whose place its own face takes. What that face lacks is not drawn. So it is told here which
installed fonts to take, once it is known which letters the page needs.
"""

import contextlib
import ctypes
import io
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from ocr.documents.fonts import as_wide_as, first_face

# Letters that PDFium's own faces have; its Symbol and Dingbats are never replaced.
OWN_LETTERS = frozenset(map(ord, bytes(range(1, 256)).decode("cp1252", errors="ignore") + "\N{MINUS SIGN}\ufb01\ufb02"))
UNKNOWN = 0
OWN_FONTS = ("Symbol", "ZapfDingbats")
PICTURE_FONTS = ("Wingdings", "Webdings")  # whose letters are pictures that no other font has in their places
COLLECTION = 0x74746366  # the "table" of a file that holds several faces: the whole file
HIDDEN = (raw.FPDF_TEXTRENDERMODE_INVISIBLE, raw.FPDF_TEXTRENDERMODE_CLIP)
VALUES = (b"V", b"Contents")  # of an annotation, whose text is no part of the page's


PLACEHOLDER = Path("placeholder")  # stands for the font that has every letter: a square


class StandIns:
    """Answers PDFium when it asks for a font: with the first of those in use, and for letters it lacks the second."""

    def __init__(self) -> None:
        self.asked = 0  # how many fonts were asked for: where all are embedded none is
        self.has_pictures = False  # whether any of PICTURE_FONTS was
        self.is_drawing = False  # PDFium asks for the font of missing letters when it draws
        self._paths: Sequence[Path] = ()
        self._fonts: dict[int, tuple[bytes, int]] = {}  # by number: a file's content, and where its first face begins
        self._numbers: dict[Path, int] = {}
        self._answers: list[object] = []  # as long as PDFium may ask
        types = dict(raw.FPDF_SYSFONTINFO._fields_)
        self._info = raw.FPDF_SYSFONTINFO(version=1)
        for name, answer in {
            "EnumFonts": lambda _info, _mapper: None,
            "MapFont": self._map,
            "GetFont": lambda _info, _name: None,
            "GetFontData": self._data,
            "GetFaceName": self._name,
            "GetFontCharset": lambda _info, _font: 0,
            "DeleteFont": lambda _info, _font: None,
        }.items():
            self._answers.append(types[name](answer))
            setattr(self._info, name, self._answers[-1])
        raw.FPDF_SetSystemFontInfo(ctypes.pointer(self._info))

    def use(self, paths: Sequence[Path]) -> None:
        """Take these fonts from now on, for pages of a document that none was taken for; none for PDFium's own."""
        self._paths = paths

    def _map(self, _info: Any, _weight: int, _italic: int, _charset: int, _pitch: int, face: Any, _exact: Any) -> Any:
        name = ctypes.string_at(face).decode(errors="replace")
        self.asked += 1
        self.has_pictures |= name.startswith(PICTURE_FONTS)
        if not self._paths or (name.startswith(PICTURE_FONTS) and self._paths[0] != PLACEHOLDER):
            return None
        is_for_missing = self.is_drawing and name == "Helvetica"
        return self._number(self._paths[-1] if is_for_missing else as_wide_as(self._paths[0], name))

    def _number(self, path: Path) -> int:
        """By what PDFium knows a font, whose file is read when it is first asked for."""
        if path not in self._numbers:
            data = placeholder() if path == PLACEHOLDER else path.read_bytes()
            self._numbers[path] = len(self._numbers) + 1
            self._fonts[self._numbers[path]] = data, first_face(io.BytesIO(data))
        return self._numbers[path]

    def _name(self, _info: Any, font: int, buffer: Any, size: int) -> int:
        name = b"stand-in %d\0" % font  # one name for each, or PDFium takes one it has for another
        if size >= len(name):
            ctypes.memmove(buffer, name, len(name))
        return len(name)

    def _data(self, _info: Any, font: int, table: int, buffer: Any, size: int) -> int:
        data, start = self._fonts[font]
        if table not in (0, COLLECTION) or (table == COLLECTION and not start):
            return 0
        if table == 0:
            data = data[start:] if start else data  # by the length PDFium knows which face is meant
        if size >= len(data):
            ctypes.memmove(buffer, data, len(data))
        return len(data)


def placeholder() -> bytes:
    """A TrueType font with the same square for every letter.

    PDFium passes over a text of one letter that has no glyph. With this font none is passed over.
    """
    corners = ((0, 0), (0, 700), (700, 0), (0, -700))  # each from the one before
    square = struct.pack(">5hHH", 1, 0, 0, 700, 700, len(corners) - 1, 0) + b"\1" * len(corners)
    square += struct.pack(">8h", *(corner[axis] for axis in (0, 1) for corner in corners))
    every = struct.pack(">HHIIIIII", 13, 0, 28, 0, 1, 0, 0x10FFFF, 1)  # all code points are glyph 1
    tables = {  # OpenType 1.9 says what stands in each
        b"cmap": struct.pack(">HH HHI HHI", 0, 2, 3, 1, 20, 3, 10, 20) + every,
        b"glyf": square,
        b"head": struct.pack(
            ">IIIIHHQQ4hHH3h", 0x10000, 0, 0, 0x5F0F3CF5, 0, 1000, 0, 0, 0, 0, 700, 700, 0, 8, 2, 1, 0
        ),
        b"hhea": struct.pack(">IhhhH11hH", 0x10000, 800, -200, 0, 800, 0, 0, 700, 1, *(0,) * 7, 2),
        b"hmtx": struct.pack(">HhHh", 800, 0, 800, 0),
        b"loca": struct.pack(">III", 0, 0, len(square)),
        b"maxp": struct.pack(">I14H", 0x10000, 2, len(corners), 1, 0, 0, 1, *(0,) * 8),
    }
    entries, content = b"", b""
    for name, table in sorted(tables.items()):
        entries += struct.pack(">4sIII", name, 0, 12 + 16 * len(tables) + len(content), len(table))
        content += table + bytes(-len(table) % 4)
    return struct.pack(">I4H", 0x10000, len(tables), 0, 0, 0) + entries + content


def is_western(page: pdfium.PdfPage, *, has_seen_fonts_alone: bool) -> bool:
    """Whether PDFium's own faces have all letters of a page, found out quickly; False also where it is not certain.

    A font that does not say its letters shows it on the first page with it, so pages with fonts of earlier ones alone
    are not looked through for that: it takes longer than all else.
    """
    with contextlib.closing(page.get_textpage()) as text:
        letters = set(map(ord, text.get_text_range()))
        indices = range(0 if has_seen_fonts_alone else raw.FPDFText_CountChars(text))
        return (letters | _of_annotations(page)) <= OWN_LETTERS and not any(
            raw.FPDFText_HasUnicodeMapError(text.raw, index) for index in indices
        )


def foreign_letters(page: pdfium.PdfPage) -> dict[str, set[int]]:
    """The letters of a page, by the names of fonts that are not embedded, which PDFium's own faces lack.

    UNKNOWN stands for letters of which the PDF does not say which they are. The letters of annotations are under "":
    of their fonts nothing is known.
    """
    found = {"": _of_annotations(page) - OWN_LETTERS}
    for (font, is_embedded), letter in _written(page):
        is_own = letter in OWN_LETTERS and not font.startswith(PICTURE_FONTS)
        if not (is_own or is_embedded or chr(letter).isspace() or font.startswith(OWN_FONTS)):
            found.setdefault(font, set()).add(letter)
    return {font: letters for font, letters in found.items() if letters}


def lost_letters(letters: Mapping[str, set[int]], missing: set[int]) -> dict[str, set[int]]:
    """Of the letters of fonts that are not embedded those that are not drawn, where no font has the missing ones."""
    lost = {
        font: (found & missing) | (found & OWN_LETTERS if font.startswith(PICTURE_FONTS) else set()) - {UNKNOWN}
        for font, found in letters.items()
    }
    return {font: found for font, found in lost.items() if found}


def fonts_of_text(page: pdfium.PdfPage) -> list[str]:
    """The names of the fonts of a page's text, white space and hidden text left out."""
    return sorted({font for (font, _), letter in _written(page) if letter == UNKNOWN or not chr(letter).isspace()})


def _written(page: pdfium.PdfPage) -> Iterator[tuple[tuple[str, bool], int]]:
    """Each letter of a page's text that is not hidden, with its font's name and whether that is embedded."""
    with contextlib.closing(page.get_textpage()) as text:
        fonts: dict[int | None, tuple[str, bool] | None] = {}  # by the address of the text object
        for index in range(raw.FPDFText_CountChars(text)):
            piece = raw.FPDFText_GetTextObject(text, index)
            address = ctypes.cast(piece, ctypes.c_void_p).value
            if address not in fonts:
                fonts[address] = _font_of(piece) if address else None
            if font := fonts[address]:
                is_known = raw.FPDFText_HasUnicodeMapError(text, index) == 0
                yield font, raw.FPDFText_GetUnicode(text, index) if is_known else UNKNOWN


def _font_of(piece: Any) -> tuple[str, bool] | None:
    """A text object's font: its name, and whether it is embedded; None for hidden text."""
    font = raw.FPDFTextObj_GetFont(piece)
    if not font or raw.FPDFTextObj_GetTextRenderMode(piece) in HIDDEN:
        return None
    name = ctypes.create_string_buffer(200)
    raw.FPDFFont_GetBaseFontName(font, name, len(name))
    return name.value.decode(errors="replace"), raw.FPDFFont_GetIsEmbedded(font) == 1


def _of_annotations(page: pdfium.PdfPage) -> set[int]:
    """The letters of what was filled into fields and of notes."""
    found: set[int] = set()
    for index in range(raw.FPDFPage_GetAnnotCount(page)):
        annotation = raw.FPDFPage_GetAnnot(page, index)
        for key in VALUES:
            value = (ctypes.c_ushort * 1000)()
            raw.FPDFAnnot_GetStringValue(annotation, key, value, ctypes.sizeof(value))
            found |= set(map(ord, bytes(value).decode("utf-16-le", errors="ignore").rstrip("\0")))
        raw.FPDFPage_CloseAnnot(annotation)
    return found
