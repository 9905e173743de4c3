"""PDFs that tests draw: sound ones from pictures, and every kind of hostile one from its bare objects."""

from PIL import Image

from tests.pictures import encoded

CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"
RED = b"1 0 0 rg 0 0 72 36 re f"  # page content: a page of 72 x 36 points, painted


def pdf(*pages: Image.Image, dpi: int = 72) -> bytes:
    """A PDF with these pictures as its pages, at 72 dpi one pixel a point."""
    first, *others = (page.copy() for page in pages)  # Pillow leaves its options for JPEG on the images that it writes
    return encoded(first, "PDF", save_all=True, append_images=others, resolution=dpi)


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
