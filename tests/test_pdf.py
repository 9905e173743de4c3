"""PDFs of every kind that can go wrong, drawn by the real process; each gets one clear sentence."""

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pypdfium2 as pdfium
import pytest
from PIL import Image
from pypdf import PdfWriter

from ocr.documents import pdf as module
from ocr.documents.document import open_document
from ocr.documents.page import DrawnPage
from ocr.errors import InputError, SetupError
from ocr.settings import Settings
from tests.pdfs import CATALOG, RED, page_of, pdf, pdf_of, stream, tree, two_pages

SETTINGS = Settings()
PAINTED = "red"


def seen(data: bytes, selection: str = "", settings: Settings = SETTINGS) -> list[str]:
    """What comes of each page: `red`, `white`, or its error."""
    return [_seen(image) for _, image in open_document(data, selection, settings)]


def _seen(page: DrawnPage | InputError) -> str:
    if isinstance(page, InputError):
        assert "\n" not in str(page)
        return str(page)
    width, height = page.image.size
    return {(255, 0, 0): PAINTED, (255, 255, 255): "white"}[page.image.getpixel((width // 2, height // 2))]


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
    assert refused(locked.getvalue()) == "The PDF is protected with a password; send a copy without one."


def test_a_pdf_with_another_protection_is_told_apart_too() -> None:
    lock = b"<</Filter/SomeonesOwn/V 1/R 2/O(%s)/U(%s)/P -4>>" % (b"o" * 32, b"u" * 32)
    locked = pdf_of(CATALOG, tree(b"3 0 R", 1), page_of(4), stream(RED), lock)
    locked = locked.replace(b"/Root 1 0 R", b"/Root 1 0 R/Encrypt 5 0 R/ID[<00><00>]")
    assert "protected in a way that cannot be opened" in refused(locked)


@pytest.mark.parametrize(
    ("side", "max_pixels", "words"),
    [
        (
            20_000,
            200_000_000,
            "has 55556 x 55556 = 3,086,469,136 pixels; at most 200,000,000 are read. Send a smaller one",
        ),
        (
            5_000,
            150_000_000,
            "has 13889 x 13889 = 192,904,321 pixels; at most 150,000,000 are read. Set dpi to 176 or less",
        ),
        (1, 200_000_000, "has 3 x 3 pixels; each side needs at least 8"),
    ],
)
def test_a_page_of_a_size_that_cannot_be_read_does_not_stop_the_others(side: int, max_pixels: int, words: str) -> None:
    data = two_pages(page_of(5, box=b"0 0 %d %d" % (side, side)))
    first, second = seen(data, settings=Settings(max_pixels=max_pixels))
    assert first.startswith(f"Page 1 at 200 dpi {words}")
    assert second == PAINTED


def test_the_advised_dpi_is_the_highest_that_fits() -> None:
    data, settings = two_pages(page_of(5, box=b"0 0 720 360")), Settings(max_pixels=500_000)
    assert "Set dpi to 100 or less" in seen(data, settings=settings)[0]
    sizes = [page.image.size for _, page in open_document(data, "1", settings, 100) if isinstance(page, DrawnPage)]
    assert sizes == [(1000, 500)]
    assert isinstance(next(iter(open_document(data, "1", settings, 101)))[1], InputError)


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


def test_what_was_filled_into_a_form_is_drawn() -> None:
    look = stream(RED, b"/Type/XObject/Subtype/Form/BBox[0 0 72 36]")
    field = b"<</Type/Annot/Subtype/Widget/FT/Tx/T(f)/V(x)/F 4/Rect[0 0 72 36]/AP<</N 5 0 R>>>>"
    catalog = b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[6 0 R]>>>>"
    page = page_of(4, b"/Annots[6 0 R]")
    assert seen(pdf_of(catalog, tree(b"3 0 R", 1), page, stream(b""), look, field)) == [PAINTED]


FORM = b"/Type/XObject/Subtype/Form/BBox[0 0 72 36]/Resources<</XObject<</A %d 0 R>>>>"


@pytest.fixture
def short_of_memory(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Limits that a hostile page meets within a second or two."""
    monkeypatch.setattr(module, "MEMORY", 2**28)
    return Settings(max_pixels=10**6)


def test_a_form_that_contains_itself_does_not_stop_the_other_pages(short_of_memory: Settings) -> None:
    """Drawn in this process, 800 bytes like these take all memory, and the system kills the whole server."""
    endless = two_pages(
        page_of(6, b"/Resources<</XObject<</A 7 0 R>>>>"), stream(b"/A Do"), stream(b"/A Do /A Do", FORM % 7)
    )
    first, second = seen(endless, settings=short_of_memory)
    assert first == "Page 1 of the PDF cannot be drawn: it takes more than 60 s or 0.25 GiB, or breaks the PDF reader."
    assert second == PAINTED


def test_a_page_that_takes_for_ever_does_not_stop_the_other_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forms eight deep that each draw the next one ten times: a hundred million drawings."""
    monkeypatch.setattr(module, "SECONDS", 1)
    forms = [stream(b"/A Do " * 10, FORM % (8 + depth)) for depth in range(8)]
    last = stream(RED, b"/Type/XObject/Subtype/Form/BBox[0 0 72 36]")
    endless = two_pages(page_of(6, b"/Resources<</XObject<</A 7 0 R>>>>"), stream(b"/A Do"), *forms, last)
    first, second = seen(endless)
    assert first.startswith("Page 1 of the PDF cannot be drawn: it takes more than 1 s")
    assert second == PAINTED


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The processes that are started meanwhile."""
    started: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)  # type: ignore[call-overload]
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    yield started


def test_the_process_ends_with_the_document(processes: list[subprocess.Popen[bytes]]) -> None:
    data = two_pages(page_of(5))
    assert seen(data) == [PAINTED, PAINTED]  # read to its end
    with open_document(data, "", SETTINGS) as document:  # given up after a page
        next(iter(document))
    refused(pdf_of(CATALOG, tree(b"", 0)))  # refused
    assert len(processes) == 3
    assert all(process.returncode is not None for process in processes)


def test_one_process_draws_all_the_pages(processes: list[subprocess.Popen[bytes]]) -> None:
    assert seen(two_pages(page_of(5))) == [PAINTED, PAINTED]
    assert len(processes) == 1


def test_a_process_draws_no_more_than_its_pages(
    processes: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGES", 2)
    assert seen(pdf_of(CATALOG, tree(b"3 0 R " * 5, 5), page_of(4), stream(RED))) == [PAINTED] * 5
    assert len(processes) == 3


def test_a_process_that_cannot_run_is_the_operators_to_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "_PROJECT", tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)  # by which script/test finds the project from anywhere
    with pytest.raises(SetupError, match="process that draws PDFs cannot run"):
        open_document(two_pages(page_of(5)), "", SETTINGS)
    assert "ocr" in capfd.readouterr().err
