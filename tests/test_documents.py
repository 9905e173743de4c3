"""Files into pages: images, TIFFs and PDFs that the tests draw, and selections of pages."""

import io
import os
import struct
import weakref
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from pypdf import PdfWriter

from ocr.documents import tiff
from ocr.documents.document import open_document, select_pages
from ocr.documents.drawing import Drawing
from ocr.documents.page import DrawnPage
from ocr.errors import InputError
from ocr.settings import Settings
from tests.pdfs import pdf, protected
from tests.pictures import encoded, page

SETTINGS = Settings()
Page = tuple[int, DrawnPage | InputError]
RED, GREEN, BLUE = (Image.new("RGB", (144, 72), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255)))


def pages_of(data: bytes | Path, selection: str = "", settings: Settings = SETTINGS, dpi: int = 200) -> list[Page]:
    return list(open_document(data, selection, settings, dpi))


def seen(pages: list[Page]) -> list[tuple[int, int | str]]:
    """Each page's number, and its strongest colour in the middle (0, 1, 2 for red, green, blue) or its error."""
    return [
        (number, str(page) if isinstance(page, InputError) else int(np.argmax(np.asarray(page.image).mean((0, 1)))))
        for number, page in pages
    ]


def sizes(pages: list[Page]) -> list[tuple[int, tuple[int, int]]]:
    """Each page that could be drawn: its number, and its width and height."""
    return [(number, page.image.size) for number, page in pages if isinstance(page, DrawnPage)]


def frames(format_: str = "TIFF", **options: str) -> bytes:
    """An image file with a red, a green and a blue frame."""
    return encoded(RED, format_, save_all=True, append_images=[GREEN, BLUE], **options)


@pytest.mark.parametrize("make", [lambda path: path, Path.read_bytes], ids=["path", "bytes"])
def test_a_file_and_its_content_give_the_same_pages(make: type[Path], tmp_path: Path) -> None:
    for name, data in {"image": encoded(RED), "document.pdf": pdf(RED), "frames": frames()}.items():
        path = tmp_path / f"a {name}\nof Zürich"
        path.write_bytes(data)
        assert seen(pages_of(make(path)))[0] == (1, 0)


def test_an_image_is_one_page() -> None:
    ((number, drawn),) = pages_of(encoded(page()), "1")
    assert isinstance(drawn, DrawnPage)
    assert drawn.problems == ()
    assert (number, drawn.image.size, drawn.image.mode) == (1, (200, 120), "RGB")


def test_a_pdf_is_drawn_at_200_dpi_in_its_order() -> None:
    pages = pages_of(pdf(RED, GREEN, BLUE))
    assert seen(pages) == [(1, 0), (2, 1), (3, 2)]
    assert sizes(pages) == [(number, (400, 200)) for number in (1, 2, 3)]


@pytest.mark.parametrize(("dpi", "size"), [(72, (144, 72)), (300, (600, 300)), (600, (1200, 600))])
def test_a_pdf_is_drawn_at_the_dpi_that_is_asked_for(dpi: int, size: tuple[int, int]) -> None:
    assert sizes(pages_of(pdf(RED), dpi=dpi)) == [(1, size)]


@pytest.mark.parametrize("dpi", [0, 71, 601])
def test_a_dpi_out_of_its_range_is_refused(dpi: int) -> None:
    with pytest.raises(InputError, match=f"dpi is {dpi}; it must be from 72 to 600"):
        open_document(encoded(page()), "", SETTINGS, dpi)


@pytest.mark.parametrize("data", [pdf(RED, GREEN, BLUE), frames()], ids=["PDF", "TIFF"])
def test_selected_pages_alone_are_drawn(data: bytes) -> None:
    document = open_document(data, "3,1", SETTINGS)
    assert document.numbers == (1, 3)
    assert seen(list(document)) == [(1, 0), (3, 2)]


def test_pages_are_drawn_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    draw = Drawing.draw

    def noted(self: Drawing, number: int) -> DrawnPage:
        drawn.append(number)
        return draw(self, number)

    monkeypatch.setattr(Drawing, "draw", noted)
    with open_document(pdf(RED, GREEN, BLUE), "", SETTINGS) as document:
        assert drawn == []
        next(iter(document))
        assert drawn == [1]


@pytest.mark.parametrize("data", [pdf(RED, GREEN), frames()], ids=["PDF", "TIFF"])
def test_a_page_is_not_kept(data: bytes) -> None:
    with open_document(data, "", SETTINGS) as document:
        pages = iter(document)
        kept = weakref.ref(next(pages)[1])
        assert kept() is None
        next(pages)


def test_a_closed_document_has_no_more_pages() -> None:
    document = open_document(frames(), "", SETTINGS)
    pages = iter(document)
    next(pages)
    document.close()
    assert list(pages) == []


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_deflate", "jpeg", "group4"])
def test_each_frame_of_a_tiff_is_a_page(compression: str) -> None:
    shades = [Image.new("1" if compression == "group4" else "RGB", (40, 30 + n), "white") for n in range(3)]
    data = encoded(shades[0], "TIFF", save_all=True, append_images=shades[1:], compression=compression)
    assert sizes(pages_of(data)) == [(1, (40, 30)), (2, (40, 31)), (3, (40, 32))]


def test_each_frame_of_a_tiff_is_turned_upright() -> None:
    data = encoded(RED, "TIFF", save_all=True, append_images=[GREEN], tiffinfo={0x0112: 6})  # turned a quarter
    assert sizes(pages_of(data)) == [(1, (72, 144)), (2, (72, 144))]


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG", "AVIF"])
def test_of_an_animation_the_first_frame_is_read(format_: str) -> None:
    data = frames(format_)
    assert getattr(Image.open(io.BytesIO(data)), "n_frames", 1) == 3
    assert seen(pages_of(data)) == [(1, 0)]


def test_a_damaged_frame_does_not_stop_the_others(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(frames(compression="tiff_lzw"))
    with Image.open(io.BytesIO(data)) as image:
        image.seek(1)
        start, size = image.tag_v2[273][0], image.tag_v2[279][0]  # where the frame's strip is
    data[start : start + size] = b"\xaa" * size
    first, second, third = seen(pages_of(bytes(data)))
    assert (first, third) == ((1, 0), (3, 2))
    assert "Page 2 is damaged or incomplete" in str(second[1])
    capfd.readouterr()  # the decoder complains there, too


def test_a_frame_over_the_limit_does_not_stop_the_others() -> None:
    data = encoded(RED, "TIFF", save_all=True, append_images=[Image.new("1", (9000, 9000)), BLUE])
    first, second, third = seen(pages_of(data, settings=Settings(max_pixels=20_000)))
    assert (first, third) == ((1, 0), (3, 2))
    assert "Page 2 has 9000 x 9000 = 81,000,000 pixels; at most 20,000" in str(second[1])


def directories(tiff: bytes) -> list[int]:
    """Where a TIFF's directories say where the next one is: 4 bytes each."""
    (start,) = struct.unpack_from("<I", tiff, 4)
    found = []
    while start:
        (entries,) = struct.unpack_from("<H", tiff, start)
        found.append(start + 2 + 12 * entries)
        (start,) = struct.unpack_from("<I", tiff, found[-1])
    return found


def test_frames_that_cannot_be_reached_are_told() -> None:
    data = bytearray(frames())
    struct.pack_into("<I", data, directories(data)[0], 10**8)  # the second one is beyond the file's end
    first, second = seen(pages_of(bytes(data)))
    assert first == (1, 0)
    assert "Page 2 is damaged or incomplete" in str(second[1])


def kinds_of_pages(*kinds: int, tag: int = 254) -> bytes:
    """A TIFF with a picture of each of these kinds: by default of the tag NewSubfileType."""
    first, *others = (Image.new("RGB", (40, 30 + number), "white") for number in range(len(kinds)))
    data = bytearray(encoded(first, "TIFF", save_all=True, append_images=others, tiffinfo={tag: 0}))
    entry = struct.pack("<HHI", tag, 4 if tag == 254 else 3, 1)
    position = -1
    for kind in kinds:
        position = data.index(entry, position + 1)
        struct.pack_into("<I", data, position + 8, kind)
    return bytes(data)


def test_reduced_copies_and_masks_of_a_tiff_are_no_pages() -> None:
    """1 says reduced copy, 2 one page of several, 4 mask; they add up."""
    assert sizes(pages_of(kinds_of_pages(0, 1, 2, 4, 3, 0))) == [(1, (40, 30)), (2, (40, 32)), (3, (40, 35))]
    assert sizes(pages_of(kinds_of_pages(0, 1, 5))) == [(1, (40, 30))]
    assert sizes(pages_of(kinds_of_pages(1, 1))) == [(1, (40, 30))]  # of what else?
    assert sizes(pages_of(kinds_of_pages(1, 2, 3, tag=255))) == [(1, (40, 30)), (2, (40, 32))]  # the older tag: 2


def test_a_page_of_a_strange_kind_does_not_stop_the_others(tmp_path: Path) -> None:
    """Also where it is the first, at which Pillow does not open the file."""
    deep = np.full((30, 40, 3), 2**31, np.uint32)
    with tifffile.TiffWriter(tmp_path / "a.tif", bigtiff=True) as file:
        file.write(deep.astype(np.complex64), photometric="rgb")
        file.write(deep, photometric="rgb")
        file.write(np.asarray(BLUE), photometric="rgb")
    (_, first), (_, second), (_, third) = pages_of(tmp_path / "a.tif")
    assert "Page 1 is a TIFF with pixels that are not read: complex numbers" in str(first)
    assert isinstance(second, DrawnPage) and isinstance(third, DrawnPage)
    assert (second.image.getpixel((3, 3)), third.image.getpixel((3, 3))) == ((128, 128, 128), (0, 0, 255))


def test_frames_in_a_ring_come_once() -> None:
    data = bytearray(frames())
    struct.pack_into("<I", data, directories(data)[2], 8)  # after the third comes the first
    assert seen(pages_of(bytes(data))) == [(1, 0), (2, 1), (3, 2)]


def test_more_frames_than_any_document_has_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff, "MAX_FRAMES", 2)
    with pytest.raises(InputError, match="more than 2 pages; split it"):
        tiff.Tiff(io.BytesIO(frames()), max_pixels=10**6)


@pytest.mark.parametrize("data", [encoded(page())[:200], frames()[:100], b"", b"no image"])
def test_an_image_that_cannot_be_decoded_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(InputError):
        open_document(data, "", SETTINGS)


def test_a_file_over_the_limit_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(3 * 2**20)
    for source in (tmp_path / "large.png", bytes(3 * 2**20)):
        with pytest.raises(InputError, match=r"3\.0 MiB; at most 2 .*OCR_MAX_FILE_MB"):
            open_document(source, "", Settings(max_file_mb=2))


def test_what_is_no_file_is_one_clear_sentence(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, words in {"absent\nfile": "No such file", ".": "is no file", "pipe": "is no file"}.items():
        with pytest.raises(InputError, match=words) as raised:
            open_document(tmp_path / name, "", SETTINGS)
        assert "\n" not in str(raised.value)


def test_an_encrypted_pdf_with_an_empty_password_is_read() -> None:
    writer = PdfWriter(io.BytesIO(pdf(RED)))
    writer.encrypt("", owner_password="of its author", algorithm="RC4-128")
    file = io.BytesIO()
    writer.write(file)
    assert seen(pages_of(file.getvalue())) == [(1, 0)]


@pytest.mark.parametrize("algorithm", ["RC4-40", "RC4-128"])
def test_a_protected_pdf_is_read_with_its_password(algorithm: str) -> None:
    file, secret = protected(pdf(RED), "Schlüssel", algorithm), "Schlüssel"
    with open_document(file, "", SETTINGS, password=secret) as document:
        assert seen(list(document)) == [(1, 0)]
    for wrong in ("Schlussel", f"{secret} "):
        with pytest.raises(InputError, match="the one that was given does not open it") as raised:
            open_document(file, "", SETTINGS, password=wrong)
        assert wrong not in str(raised.value)
    with open_document(pdf(RED), "", SETTINGS, password=secret) as document:
        assert seen(list(document)) == [(1, 0)]


def test_a_real_pdf_is_read(shared: Path) -> None:
    assert sizes(pages_of(shared / "images" / "paper_demo.pdf")) == [(1, (2339, 3308)), (2, (2339, 3308))]


@pytest.mark.parametrize(
    ("selection", "numbers"),
    [
        ("", [1, 2, 3, 4, 5]),
        (" ", [1, 2, 3, 4, 5]),
        ("2", [2]),
        ("4-5,1", [1, 4, 5]),
        ("1-3, 2 - 4", [1, 2, 3, 4]),
        ("2,4-9,6", [2, 4, 5]),
    ],
)
def test_a_selection_names_pages_in_order_and_each_once(selection: str, numbers: list[int]) -> None:
    assert select_pages(selection, 5, most=5) == numbers


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        ("0", "'0' is no range of pages, which are counted from 1"),
        ("2,0-3", "'0-3' is no range of pages"),
        ("6", "is '6'; none of these can be read: the document has pages 1 to 5"),
        ("7,9-12", "none of these can be read"),
        ("3-1", "'3-1' is no range of pages"),
        ("1,", "'' is no page"),
        ("a", "'a' is no page or range. Write it like 1-3,7"),
        ("-2", "'-2' is no page"),
        ("9" * 12, "is no page"),
    ],
)
def test_a_wrong_selection_names_the_part_that_cannot_be(selection: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        select_pages(selection, 5, most=5)


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        ("", r"The document has 1,234 pages; at most 10 .* Select fewer, like 1-10, or raise OCR_MAX_PAGES"),
        ("1-8,3-11,20", r"pages is '1-8,3-11,20'; up to '3-11' it selects 11 pages; at most 10 .*OCR_MAX_PAGES"),
    ],
)
def test_too_many_pages_are_refused_with_their_number_and_the_way_out(selection: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        select_pages(selection, 1234, most=10)
    assert select_pages("1225-1234", 1234, most=10) == list(range(1225, 1235))


def test_pages_beyond_the_last_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with open_document(pdf(RED), "1-2", SETTINGS) as document:
        assert document.numbers == (1,)
    assert caplog.messages == ["Of the pages 1-2 those beyond the last are left out: the document has 1 page."]


def test_the_pages_of_a_request_are_limited_by_the_setting() -> None:
    with pytest.raises(InputError, match="has 3 pages; at most 2"):
        open_document(frames(), "", Settings(max_pages=2))
