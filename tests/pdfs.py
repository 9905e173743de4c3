"""PDFs that tests draw: sound ones from pictures, and every kind of hostile one from its bare objects."""

import io

from PIL import Image
from pypdf import PdfWriter

from tests.pictures import encoded

CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"
RED = b"1 0 0 rg 0 0 72 36 re f"  # page content: a page of 72 x 36 points, painted


def pdf(*pages: Image.Image, dpi: int = 72) -> bytes:
    """A PDF with these pictures as its pages, at 72 dpi one pixel a point."""
    first, *others = (page.copy() for page in pages)  # Pillow leaves its options for JPEG on the images that it writes
    return encoded(first, "PDF", save_all=True, append_images=others, resolution=dpi)


def protected(data: bytes, password: str, algorithm: str = "RC4-128") -> bytes:
    """A PDF that opens with this password alone."""
    writer, file = PdfWriter(io.BytesIO(data)), io.BytesIO()
    writer.encrypt(password, algorithm=algorithm)
    writer.write(file)
    return file.getvalue()


def pdf_of(*objects: bytes) -> bytes:
    """A PDF of these objects as they stand, numbered from 1; the first is its catalog."""
    body, starts = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, start=1):
        starts.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % start for start in starts)
    size = len(objects) + 1
    return (
        body
        + b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
        + b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (size, len(body))
    )


def stream(content: bytes, entries: bytes = b"") -> bytes:
    """An object that holds content, with entries of its dictionary."""
    return b"<</Length %d%s>>\nstream\n%s\nendstream" % (len(content), entries, content)


def page_of(content: int, entries: bytes = b"", box: bytes = b"0 0 72 36") -> bytes:
    """A page object with the content in the object of that number."""
    return b"<</Type/Page/Parent 2 0 R/MediaBox[%s]/Contents %d 0 R%s>>" % (box, content, entries)


def tree(kids: bytes, count: int) -> bytes:
    """A page tree object that says it has `count` pages."""
    return b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, count)


def two_pages(first: bytes, *objects: bytes) -> bytes:
    """A PDF whose first page is this object and whose second is red; `objects` follow as numbers 6 and on."""
    return pdf_of(CATALOG, tree(b"3 0 R 4 0 R", 2), first, page_of(5), stream(RED), *objects)


FORM = b"/Type/XObject/Subtype/Form/BBox[0 0 72 36]/Resources<</XObject<</A %d 0 R>>>>"


def endless() -> bytes:
    """A PDF of two pages: forms eight deep that each draw the next one ten times, a hundred million; and a red one."""
    forms = [stream(b"/A Do " * 10, FORM % (8 + depth)) for depth in range(8)]
    last = stream(RED, b"/Type/XObject/Subtype/Form/BBox[0 0 72 36]")
    return two_pages(page_of(6, b"/Resources<</XObject<</A 7 0 R>>>>"), stream(b"/A Do"), *forms, last)


def bottomless() -> bytes:
    """A PDF of two pages: 800 bytes of a form that contains itself twice, which takes all memory; and a red one."""
    form = stream(b"/A Do /A Do", FORM % 7)
    return two_pages(page_of(6, b"/Resources<</XObject<</A 7 0 R>>>>"), stream(b"/A Do"), form)


ARIAL = b"/Type/FontDescriptor/FontName/%s/Flags 32/FontBBox[-100 -200 1000 900]/ItalicAngle 0/Ascent 891/Descent -216"


def named_letters(font: bytes, *letters: str) -> bytes:
    """A PDF of one line in a font that is not embedded, its letters named as PostScript does: `afii10017`, `Alpha`."""
    names = b"/".join(name.encode() for name in letters)
    encoding = b"<</Type/Encoding/BaseEncoding/WinAnsiEncoding/Differences[65/%s]>>" % names
    widths = b"/FirstChar 65/LastChar %d/Widths[%s]" % (64 + len(letters), b"600 " * len(letters))
    return _line(
        b"(%s)" % bytes(range(65, 65 + len(letters))),
        b"<</Type/Font/Subtype/TrueType/BaseFont/%s%s/FontDescriptor 6 0 R/Encoding%s>>" % (font, widths, encoding),
        b"<<%s/CapHeight 700/StemV 80>>" % ARIAL % font,
    )


def numbered_letters(font: bytes, letters: str, *, are_known: bool = True) -> bytes:
    """A PDF of one line in a font that is not embedded, its letters numbers in it; a table may say which they are."""
    codes = [b"%04x" % number for number in range(36, 36 + len(letters))]
    table = b"".join(b"<%s> <%04x>\n" % (code, ord(letter)) for code, letter in zip(codes, letters, strict=True))
    cmap = (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /x def /CMapType 2 def "
        b"1 begincodespacerange <0000> <FFFF> endcodespacerange %d beginbfchar\n%sendbfchar endcmap end end"
    )
    return _line(
        b"<%s>" % b"".join(codes),
        b"<</Type/Font/Subtype/Type0/BaseFont/%s/Encoding/Identity-H/DescendantFonts[7 0 R]%s>>"
        % (font, b"/ToUnicode 8 0 R" if are_known else b""),
        b"<<%s/CapHeight 700/StemV 80>>" % ARIAL % font,
        b"<</Type/Font/Subtype/CIDFontType2/BaseFont/%s/FontDescriptor 6 0 R/DW 1000"
        b"/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>>>" % font,
        stream(cmap % (len(letters), table)),
    )


def coded_letters(font: bytes, codes: bytes, encoding: bytes, ordering: bytes) -> bytes:
    """A PDF of one line in a font that is not embedded, its letters in one of PDF's own encodings."""
    return _line(
        b"<%s>" % codes.hex().encode(),
        b"<</Type/Font/Subtype/Type0/BaseFont/%s/Encoding/%s/DescendantFonts[7 0 R]>>" % (font, encoding),
        b"<<%s/CapHeight 700/StemV 80>>" % ARIAL % font,
        b"<</Type/Font/Subtype/CIDFontType0/BaseFont/%s/CIDSystemInfo<</Registry(Adobe)/Ordering(%s)/Supplement 2>>"
        b"/FontDescriptor 6 0 R/DW 1000>>" % (font, ordering),
    )


def _line(text: bytes, *font: bytes) -> bytes:
    """A page with a text of 36 points in the font of objects 5 and on."""
    page = page_of(4, b"/Resources<</Font<</F1 5 0 R>>>>", box=b"0 0 400 100")
    return pdf_of(CATALOG, tree(b"3 0 R", 1), page, stream(b"BT /F1 36 Tf 20 40 Td %s Tj ET" % text), *font)


def written(content: bytes, entries: bytes = b"", box: bytes = b"0 0 400 300", font: bytes = b"") -> bytes:
    """A PDF of one page with this content, its font /F1, Helvetica unless said; `entries` are more of the page's."""
    helvetica = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"
    page = page_of(4, b"/Resources<</Font<</F1 5 0 R>>/XObject<</Im 6 0 R>>>>" + entries, box)
    picture = stream(bytes(range(0, 256, 4)), GREY)
    return pdf_of(CATALOG, tree(b"3 0 R", 1), page, stream(content), font or helvetica, picture)


GREY = b"/Type/XObject/Subtype/Image/Width 8/Height 8/BitsPerComponent 8/ColorSpace/DeviceGray"


def words(text: str, x: float, y: float, size: float = 12) -> bytes:
    """Page content that writes a text in /F1."""
    return b"BT /F1 %g Tf %g %g Td (%s) Tj ET " % (size, x, y, text.encode("cp1252"))
