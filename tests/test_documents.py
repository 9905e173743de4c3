"""Files into pages: images, PDFs that the tests draw, and selections of pages."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pypdfium2 as pdfium
import pytest
from PIL import Image
from pypdf import PdfWriter

from ocr.documents import read_pages, select_pages
from ocr.errors import InputError
from ocr.settings import Settings
from tests.pictures import encoded, page

SETTINGS = Settings()


def pdf(*pages: Image.Image, dpi: int = 72) -> bytes:
    """A PDF with these pictures as its pages, one pixel a point."""
    return encoded(pages[0], "PDF", save_all=True, append_images=pages[1:], resolution=dpi)


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        (tmp_path / "upload").write_bytes(data)
        return tmp_path / "upload"

    return write


def test_an_image_is_one_page(file: Callable[[bytes], Path]) -> None:
    ((number, image),) = read_pages(file(encoded(page())), "1", SETTINGS)
    assert (number, image.size, image.mode) == (1, (200, 120), "RGB")


RED, GREEN, BLUE = (Image.new("RGB", (144, 72), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255)))


def test_a_pdf_is_drawn_at_200_dpi_in_its_order(file: Callable[[bytes], Path]) -> None:
    pages = list(read_pages(file(pdf(RED, GREEN, BLUE)), "", SETTINGS))
    assert [(number, image.size, image.mode) for number, image in pages] == [(n, (400, 200), "RGB") for n in (1, 2, 3)]
    strongest = [int(np.argmax(image.getpixel((200, 100)))) for _, image in pages]
    assert strongest == [0, 1, 2]


def test_selected_pages_alone_are_drawn(file: Callable[[bytes], Path]) -> None:
    pages = read_pages(file(pdf(RED, GREEN, BLUE)), "3,1", SETTINGS)
    assert [(number, int(np.argmax(image.getpixel((200, 100))))) for number, image in pages] == [(1, 0), (3, 2)]


def test_pages_are_drawn_when_they_are_wanted(file: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    render = pdfium.PdfPage.render

    def noted(self: pdfium.PdfPage, **options: float) -> pdfium.PdfBitmap:
        drawn.append(1)
        return render(self, **options)

    monkeypatch.setattr(pdfium.PdfPage, "render", noted)
    pages = read_pages(file(pdf(RED, GREEN, BLUE)), "", SETTINGS)
    assert drawn == []
    next(pages)
    assert drawn == [1]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"%PDF-1.7 nothing more", "PDF is damaged"),
        (pdf(RED)[:300], "PDF is damaged"),
        (pdf(Image.new("RGB", (60, 60)), dpi=1), "Page 1 at 200 dpi has .* OCR_MAX_PIXELS"),
    ],
    ids=["no pdf", "cut", "huge page"],
)
def test_a_pdf_that_cannot_be_read_gets_one_clear_sentence(
    file: Callable[[bytes], Path], data: bytes, words: str
) -> None:
    with pytest.raises(InputError, match=words) as raised:
        list(read_pages(file(data), "", Settings(max_pixels=10_000_000)))
    assert "\n" not in str(raised.value)


def test_a_pdf_with_a_password_is_told_apart_from_a_damaged_one(file: Callable[[bytes], Path]) -> None:
    writer = PdfWriter(io.BytesIO(pdf(RED)))
    writer.encrypt("secret", algorithm="RC4-128")
    locked = io.BytesIO()
    writer.write(locked)
    with pytest.raises(InputError, match="protected with a password; send a copy without one"):
        read_pages(file(locked.getvalue()), "", SETTINGS)


def test_a_real_pdf_is_read(shared: Path) -> None:
    pages = [(number, image.size) for number, image in read_pages(shared / "images" / "paper_demo.pdf", "", SETTINGS)]
    assert pages == [(1, (2339, 3308)), (2, (2339, 3308))]


@pytest.mark.parametrize(
    ("selection", "numbers"),
    [("", [1, 2, 3, 4, 5]), (" ", [1, 2, 3, 4, 5]), ("2", [2]), ("4-5,1", [1, 4, 5]), ("1-3, 2 - 4", [1, 2, 3, 4])],
)
def test_a_selection_names_pages_in_order_and_each_once(selection: str, numbers: list[int]) -> None:
    assert select_pages(selection, 5) == numbers


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        ("0", "'0' cannot be read: the document has pages 1 to 5"),
        ("6", "'6' cannot be read"),
        ("2,4-9", "'4-9' cannot be read"),
        ("3-1", "'3-1' cannot be read"),
        ("1,", "'' is no page"),
        ("a", "'a' is no page or range. Write it like 1-3,7"),
        ("-2", "'-2' is no page"),
        ("9" * 12, "is no page"),
    ],
)
def test_a_wrong_selection_names_the_part_that_cannot_be(selection: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        select_pages(selection, 5)
