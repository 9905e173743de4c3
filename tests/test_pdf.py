"""PDFs of every kind that can go wrong, drawn by the real process; each gets one clear sentence."""

import io
import struct
import zlib
from pathlib import Path

import pypdfium2 as pdfium
import pytest
from PIL import Image
from pypdf import PdfWriter

from ocr.documents.document import open_document
from ocr.documents.page import DrawnPage
from ocr.errors import InputError
from ocr.settings import Settings
from tests.pdfs import CATALOG, RED, page_of, pdf, pdf_of, stream, tree, two_pages

SETTINGS = Settings()
PAINTED = "red"


def seen(data: bytes, selection: str = "", settings: Settings = SETTINGS) -> list[str]:
    """What comes of each page: `red`, `white`, or its error."""
    return [_seen(page) for _, page in open_document(data, selection, settings)]


def _seen(page: DrawnPage | InputError) -> str:
    if isinstance(page, InputError):
        assert "\n" not in str(page)
        return str(page)
    width, height = page.image.size
    return {(255, 0, 0): PAINTED, (255, 255, 255): "white"}[page.image.getpixel((width // 2, height // 2))]


def pages(data: bytes, settings: Settings = SETTINGS, dpi: int = 200) -> list[DrawnPage]:
    """The pages of a document whose pages can all be drawn."""
    drawn = [page for _, page in open_document(data, "", settings, dpi) if isinstance(page, DrawnPage)]
    assert all("\n" not in problem for page in drawn for problem in page.problems)
    return drawn


def refused(data: bytes, settings: Settings = SETTINGS) -> str:
    """Why the file is not opened."""
    with pytest.raises(InputError) as raised:
        open_document(data, "", settings)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"%PDF-1.7 nothing more", "its end is missing"),
        (b"%PDF-1.7\nnothing more\nstartxref\n0\n%%EOF\n", "cannot be opened"),
    ],
)
def test_a_damaged_pdf_is_refused(data: bytes, words: str) -> None:
    assert refused(data).startswith("The PDF is damaged")
    assert words in refused(data)


def test_a_truncated_pdf_is_refused_wherever_it_is_cut() -> None:
    """Also where PDFium would make a document of what is left, some pages or parts of them missing."""
    whole = two_pages(page_of(5))
    kept = whole[: whole.index(b"startxref")]
    assert len(pdfium.PdfDocument(kept)) == 2
    for end in range(20, len(kept), 50):
        assert "its end is missing, and pages may be too" in refused(whole[:end])


def test_a_pdf_without_pages_says_so() -> None:
    assert refused(pdf_of(CATALOG, tree(b"", 0))) == "The PDF has no pages."


def test_a_pdf_with_a_password_is_told_apart_from_a_damaged_one() -> None:
    writer = PdfWriter(io.BytesIO(pdf(Image.new("RGB", (72, 36)))))
    writer.encrypt("secret", algorithm="RC4-128")
    locked = io.BytesIO()
    writer.write(locked)
    assert refused(locked.getvalue()).startswith("The PDF is protected with a password; send a copy")


def test_a_pdf_with_another_protection_is_told_apart_too() -> None:
    lock = b"<</Filter/SomeonesOwn/V 1/R 2/O(%s)/U(%s)/P -4>>" % (b"o" * 32, b"u" * 32)
    locked = pdf_of(CATALOG, tree(b"3 0 R", 1), page_of(4), stream(RED), lock)
    locked = locked.replace(b"/Root 1 0 R", b"/Root 1 0 R/Encrypt 5 0 R/ID[<00><00>]")
    assert "protected in a way that cannot be opened" in refused(locked)


def test_a_page_that_is_too_small_does_not_stop_the_others() -> None:
    first, second = seen(two_pages(page_of(5, box=b"0 0 1 1")))
    assert first == "Page 1 at 200 dpi has 3 x 3 pixels; each side needs at least 8 to hold a letter."
    assert second == PAINTED


@pytest.mark.parametrize(
    ("box", "max_pixels", "dpi", "size", "drawn_at"),
    [
        (b"0 0 720 360", 500_000, 200, (1000, 500), "100"),
        (b"0 0 720 360", 500_000, 101, (1000, 500), "100"),
        (b"0 0 14400 14400", 1_000_000, 72, (1000, 1000), "5"),
        (b"0 0 14400 1440", 200_000, 600, (1410, 141), "7.05"),
    ],
)
def test_a_page_too_large_at_the_wanted_dpi_is_drawn_at_the_finest_that_fits_and_told(
    box: bytes, max_pixels: int, dpi: int, size: tuple[int, int], drawn_at: str
) -> None:
    first, second = pages(two_pages(page_of(5, box=box)), Settings(max_pixels=max_pixels), dpi)
    assert first.image.size == size
    (told,) = first.problems
    for words in (
        f"at {dpi} dpi",
        f"at most {max_pixels:,} are read",
        "OCR_MAX_PIXELS",
        f"It is drawn at {drawn_at} dpi",
    ):
        assert words in told
    assert second.problems == ()


def test_a_page_that_just_fits_is_drawn_as_wanted() -> None:
    data = two_pages(page_of(5, box=b"0 0 720 360"))
    first, _ = pages(data, Settings(max_pixels=500_000), dpi=100)
    assert (first.image.size, first.problems) == ((1000, 500), ())


def test_a_crop_box_outside_the_media_box_has_its_own_sentence() -> None:
    first, second = seen(two_pages(page_of(5, b"/CropBox[1000 1000 1200 1200]")))
    assert first.startswith("Page 1 of the PDF shows nothing: its crop box lies outside its media box.")
    assert second == PAINTED


@pytest.mark.parametrize(("unit", "factor"), [(b"2.0", 2), (b"10", 10), (b".5", 0.5), (b"0", 1), (b"-3", 1)])
def test_the_unit_of_a_page_counts(unit: bytes, factor: float) -> None:
    """ISO 32000: UserUnit is the size of a unit in points, of the page that has it alone."""
    first, second = pages(two_pages(page_of(5, b"/UserUnit %s" % unit)))
    assert first.image.size == (200 * factor, 100 * factor)
    assert first.image.getpixel((first.image.width // 2, first.image.height // 2)) == (255, 0, 0)
    assert second.image.size == (200, 100)


def test_a_unit_in_a_packed_stream_of_objects_counts() -> None:
    page = page_of(4, b"/UserUnit 3")
    packed = zlib.compress(b"3 0 " + page)
    head = b"/Type/ObjStm/N 1/First 4/Filter/FlateDecode"
    objects = [CATALOG, tree(b"3 0 R", 1), b"null", stream(RED), stream(packed, head)]
    body, starts = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, start=1):
        starts.append(len(body))
        if number != 3:
            body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    rows = [struct.pack(">BIB", 0, 0, 255), *(struct.pack(">BIB", 1, start, 0) for start in starts)]
    rows[3] = struct.pack(">BIB", 2, 5, 0)  # object 3 is the first in the stream of object 5
    rows.append(struct.pack(">BIB", 1, len(body), 0))
    table = stream(b"".join(rows), b"/Type/XRef/Size 7/W[1 4 1]/Root 1 0 R")
    data = body + b"6 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF\n" % (table, len(body))
    assert b"UserUnit" not in data
    assert [page.image.size for page in pages(data)] == [(600, 300)]


@pytest.mark.parametrize(
    "more", [bytes(10_000), b"\n" * 5_000, b"<html>" + b" an answer of a server " * 400], ids=["zeros", "lines", "html"]
)
def test_bytes_after_the_end_of_a_pdf_are_no_part_of_it(more: bytes, tmp_path: Path) -> None:
    data = two_pages(page_of(5)) + more
    assert seen(data) == [PAINTED, PAINTED]
    (tmp_path / "a.pdf").write_bytes(data)
    assert len(list(open_document(tmp_path / "a.pdf", "", SETTINGS))) == 2


def test_an_earlier_versions_end_is_not_the_end() -> None:
    """What follows it is a part of the next version, of which pages may be missing."""
    whole = two_pages(page_of(5))
    assert "its end is missing" in refused(whole + b"5 0 obj\n<</Length 9>>\nstream\n1 0 0 rg" + bytes(5_000))
    assert seen(whole + whole[9:]) == [PAINTED, PAINTED]


def test_a_million_pages_claimed_are_refused_and_the_real_ones_can_be_read() -> None:
    data = pdf_of(CATALOG, tree(b"3 0 R", 1_000_000), page_of(4), stream(RED))
    assert "1,000,000 pages; at most 1,000 are read in one request" in refused(data)
    first, second = seen(data, "1-2")
    assert first == PAINTED
    assert second.startswith("Page 2 of the PDF is damaged and cannot be drawn")


def test_a_page_that_is_missing_does_not_stop_the_others() -> None:
    first, second, third = seen(pdf_of(CATALOG, tree(b"3 0 R 9 0 R 3 0 R", 3), page_of(4), stream(RED)))
    assert (first, third) == (PAINTED, PAINTED)
    assert second.startswith("Page 2 of the PDF is damaged")


@pytest.mark.parametrize("kids", [b"3 0 R 2 0 R", b"2 0 R 3 0 R"])
def test_a_page_tree_that_contains_itself_gives_its_real_page(kids: bytes) -> None:
    first, second = seen(pdf_of(CATALOG, tree(kids, 2), page_of(4), stream(RED)))
    assert first == PAINTED
    assert second.startswith("Page 2 of the PDF is damaged")


def test_a_page_tree_of_itself_alone_has_no_page_that_can_be_drawn() -> None:
    (only,) = seen(pdf_of(CATALOG, tree(b"2 0 R", 1)))
    assert only.startswith("Page 1 of the PDF is damaged")


def test_javascript_is_never_run() -> None:
    """The library has no engine for it, and the pages are those of the same file without it."""
    assert pdfium.PDFIUM_INFO.flags == ()
    script = b"<</S/JavaScript/JS(this.deletePages\\(0\\); this.getField\\('f'\\).value = 'x'; while \\(true\\);)>>"
    catalog = b"<</Type/Catalog/Pages 2 0 R/OpenAction %s/AA<</WC %s>>/AcroForm<</Fields[]>>>>" % (script, script)
    page = page_of(4, b"/AA<</O %s>>" % script)
    assert seen(pdf_of(catalog, tree(b"3 0 R 3 0 R", 2), page, stream(RED))) == [PAINTED, PAINTED]


@pytest.mark.parametrize("form", [b"/AcroForm<</Fields[6 0 R]>>", b"/AcroForm<<>>", b""], ids=["form", "empty", "none"])
def test_what_was_filled_into_a_form_is_drawn(form: bytes) -> None:
    """Also where the form itself was lost, as when files are joined."""
    look = stream(RED, b"/Type/XObject/Subtype/Form/BBox[0 0 72 36]")
    field = b"<</Type/Annot/Subtype/Widget/FT/Tx/T(f)/V(x)/F 4/Rect[0 0 72 36]/AP<</N 5 0 R>>>>"
    page = page_of(4, b"/Annots[6 0 R]")
    catalog = b"<</Type/Catalog/Pages 2 0 R%s>>" % form
    assert seen(pdf_of(catalog, tree(b"3 0 R", 1), page, stream(b""), look, field)) == [PAINTED]
    hidden = field.replace(b"/F 4", b"/F 6")
    assert seen(pdf_of(catalog, tree(b"3 0 R", 1), page, stream(b""), look, hidden)) == ["white"]


@pytest.mark.parametrize("rendering", [b"", b"/NeedsRendering true"], ids=["", "dynamic"])
def test_the_placeholder_of_an_xfa_form_is_told(rendering: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    catalog = b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[]/XFA 5 0 R>>%s>>" % rendering
    form = stream(b'<xdp:xdp xmlns:xdp="http://ns.adobe.com/xdp/"></xdp:xdp>')
    (page,) = pages(pdf_of(catalog, tree(b"3 0 R", 1), page_of(4), stream(RED), form))
    assert len(page.problems) == 1
    assert "Page 1 is the placeholder of an XFA form" in page.problems[0]
    assert capfd.readouterr().err == ""


def test_an_xfa_form_with_fields_of_its_own_is_drawn_and_not_told() -> None:
    look = stream(RED, b"/Type/XObject/Subtype/Form/BBox[0 0 72 36]")
    field = b"<</Type/Annot/Subtype/Widget/FT/Tx/T(f)/V(x)/F 4/Rect[0 0 72 36]/AP<</N 5 0 R>>>>"
    catalog = b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[6 0 R]/XFA 7 0 R>>>>"
    objects = (page_of(4, b"/Annots[6 0 R]"), stream(b""), look, field, stream(b"<xdp/>"))
    (page,) = pages(pdf_of(catalog, tree(b"3 0 R", 1), *objects))
    assert page.problems == ()
    assert _seen(page) == PAINTED
