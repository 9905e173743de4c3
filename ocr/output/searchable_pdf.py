"""Pages as a PDF that looks as they do and whose text can be found and copied: invisible letters lie over it."""

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image
from pypdf import PdfWriter
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    FloatObject,
    NameObject,
    NumberObject,
    StreamObject,
)

from ocr.output.blocks import plain_lines
from ocr.types import Box, PageResult

POINTS_PER_PX = 72 / 200  # as PDF pages are drawn by default, 200 px an inch
JPEG_QUALITY = 85
LETTER_WIDTH = 0.5  # of its height, for each letter alike; a line is stretched to the width it has on the page


@dataclass(frozen=True)
class PlacedLine:
    """Text in one line, and where on the page it lies, in px."""

    text: str
    bbox: Box


def placed_lines(page: PageResult) -> Iterator[PlacedLine]:
    """The page's text in lines, each over the element that says it.

    Where in an element its lines stand is estimated from its size. Text without places is spread over the whole page.
    """
    placed = [element for element in page.elements if element.bbox is not None and element.text]
    for element in placed:
        yield from _spread(plain_lines(element.text), element.bbox)  # type: ignore[arg-type]
    if not placed:
        yield from _spread(plain_lines(page.markdown), (0, 0, page.width, page.height))


def _spread(lines: Sequence[str], box: Box) -> Iterator[PlacedLine]:
    """Break lines so that they fill a box with letters as large as possible."""
    left, top, right, bottom = box
    count = _lines_that_fit(lines, max(right - left, 1), max(bottom - top, 1))
    broken = list(_broken(lines, (right - left) * count / max(bottom - top, 1) / LETTER_WIDTH))
    height = (bottom - top) / max(len(broken), 1)
    for index, text in enumerate(broken):
        yield PlacedLine(text, (left, top + index * height, right, top + (index + 1) * height))


def _lines_that_fit(lines: Sequence[str], width: float, height: float) -> int:
    """Into how many lines of this box, in px, the text is broken."""
    letters = sum(map(len, lines))
    count = max(len(lines), round(math.sqrt(letters * LETTER_WIDTH * height / width)), 1)
    while sum(math.ceil(len(line) * height * LETTER_WIDTH / (count * width)) for line in lines) > count:
        count += 1 + count // 20
    return count


def _broken(lines: Sequence[str], longest: float) -> Iterator[str]:
    """Lines of words no longer than this many letters, if no word is."""
    for line in lines:
        words: list[str] = []
        length = 0
        for word in line.split():
            if words and length + len(word) > longest:
                yield " ".join(words)
                words, length = [], 0
            words.append(word)
            length += len(word) + 1
        yield " ".join(words)


def searchable_page(image: Image.Image, page: PageResult) -> bytes:
    """One page as a PDF of its own; see `joined`."""
    writer = PdfWriter()
    width, height = (side * POINTS_PER_PX for side in image.size)
    sheet = writer.add_blank_page(width, height)
    lines = list(placed_lines(page))
    fonts = _Fonts(writer, {letter for line in lines for letter in line.text})
    content = f"q {width:.3f} 0 0 {height:.3f} 0 0 cm /Page Do Q\n".encode()
    content += b"".join(_shown(line, fonts, height) for line in lines)
    sheet[NameObject("/Contents")] = writer._add_object(_stream(content))
    sheet[NameObject("/Resources")] = DictionaryObject(
        {
            NameObject("/XObject"): DictionaryObject({NameObject("/Page"): writer._add_object(_picture(image))}),
            NameObject("/Font"): fonts.resource,
        }
    )
    return _written(writer)


def joined(pages: Iterable[bytes]) -> bytes:
    """PDFs of one page each as one document."""
    writer = PdfWriter()
    for page in pages:
        writer.append(io.BytesIO(page), import_outline=False)
    return _written(writer)


def _written(writer: PdfWriter) -> bytes:
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _picture(image: Image.Image) -> StreamObject:
    """The page's pixels as a JPEG."""
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=JPEG_QUALITY)
    stream = StreamObject()
    stream._data = out.getvalue()
    stream.update(
        {
            NameObject("/Type"): NameObject("/XObject"),
            NameObject("/Subtype"): NameObject("/Image"),
            NameObject("/Width"): NumberObject(image.width),
            NameObject("/Height"): NumberObject(image.height),
            NameObject("/ColorSpace"): NameObject("/DeviceRGB"),
            NameObject("/BitsPerComponent"): NumberObject(8),
            NameObject("/Filter"): NameObject("/DCTDecode"),
        }
    )
    return stream


def _shown(line: PlacedLine, fonts: "_Fonts", page_height: float) -> bytes:
    """What puts a line of invisible text over its box; the origin of a PDF is the lower left corner."""
    left, top, right, bottom = (side * POINTS_PER_PX for side in line.bbox)
    size = max(bottom - top, 0.1)
    stretch = (right - left) / (len(line.text) * size * LETTER_WIDTH) * 100
    start = f"BT {stretch:.2f} Tz 1 0 0 1 {left:.2f} {page_height - bottom:.2f} Tm\n"
    parts = [f"/{font} {size:.2f} Tf <{codes.hex()}> Tj\n" for font, codes in fonts.encode(line.text)]
    return (start + "".join(parts) + "ET\n").encode()


class _Fonts:
    """Fonts of 255 letters each that have no shape: nothing is drawn, and no font file is needed."""

    def __init__(self, writer: PdfWriter, letters: Iterable[str]) -> None:
        self._codes: dict[str, tuple[str, int]] = {}
        self.resource = DictionaryObject()
        ordered = sorted(letters)
        for start in range(0, len(ordered), 255):
            name = f"F{start // 255}"
            batch = ordered[start : start + 255]
            self._codes |= {letter: (name, code) for code, letter in enumerate(batch, 1)}
            self.resource[NameObject(f"/{name}")] = writer._add_object(_font(writer, batch))

    def encode(self, text: str) -> Iterator[tuple[str, bytes]]:
        """The text as codes, piece by piece with the font that each is in."""
        font, codes = "", bytearray()
        for letter in text:
            name, code = self._codes[letter]
            if name != font and codes:
                yield font, bytes(codes)
                codes = bytearray()
            font = name
            codes.append(code)
        if codes:
            yield font, bytes(codes)


def _font(writer: PdfWriter, letters: Sequence[str]) -> DictionaryObject:
    """A type 3 font (ISO 32000-1, 9.6.5) whose codes from 1 are these letters; all glyphs are the same empty one."""
    width = round(LETTER_WIDTH * 1000)
    glyph = writer._add_object(_stream(f"{width} 0 0 0 {width} 1000 d1".encode()))
    names = [NameObject(f"/g{code}") for code in range(1, len(letters) + 1)]
    return DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type3"),
            NameObject("/FontBBox"): _numbers(0, 0, width, 1000),
            NameObject("/FontMatrix"): _numbers(0.001, 0, 0, 0.001, 0, 0),
            NameObject("/FirstChar"): NumberObject(1),
            NameObject("/LastChar"): NumberObject(len(letters)),
            NameObject("/Widths"): _numbers(*[width] * len(letters)),
            NameObject("/CharProcs"): DictionaryObject(dict.fromkeys(names, glyph)),
            NameObject("/Encoding"): DictionaryObject(
                {NameObject("/Differences"): ArrayObject([NumberObject(1), *names])}
            ),
            NameObject("/Resources"): DictionaryObject(),
            NameObject("/ToUnicode"): writer._add_object(_stream(_unicode_map(letters))),
        }
    )


def _unicode_map(letters: Sequence[str]) -> bytes:
    """What each code of a font means, as a CMap (ISO 32000-1, 9.10.3); at most 100 lines a block."""
    lines = [f"<{code:02x}> <{letter.encode('utf-16-be', 'replace').hex()}>" for code, letter in enumerate(letters, 1)]
    blocks_of_lines = [lines[start : start + 100] for start in range(0, len(lines), 100)]
    maps = [f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar\n" for block in blocks_of_lines]
    return (
        "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n/CMapName /Letters def\n/CMapType 2 def\n"
        "1 begincodespacerange\n<00> <ff>\nendcodespacerange\n"
        f"{''.join(maps)}endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n"
    ).encode()


def _stream(content: bytes) -> StreamObject:
    stream = DecodedStreamObject()
    stream.set_data(content)
    return stream.flate_encode()


def _numbers(*values: float) -> ArrayObject:
    return ArrayObject([FloatObject(value) for value in values])
