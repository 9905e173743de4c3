"""PDFs that do not embed their fonts: drawn with installed ones, or told, and never taken for blank."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ocr.documents import fonts
from ocr.documents.document import open_document
from ocr.documents.page import DrawnPage
from ocr.documents.processes import POOL
from ocr.errors import InputError
from ocr.faces.cli.doctor import examine
from ocr.settings import Settings
from tests.pdfs import CATALOG, coded_letters, named_letters, numbered_letters, page_of, pdf_of, stream, tree
from tests.truetype import collection, truetype

RARE = "\ua930\ua931\ua932"  # letters of Rejang, which hardly any machine has
SQUARES = truetype(RARE + "АБВ中文")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for fonts of whoever runs the tests, empty at first; those of the machine are there too."""
    if not fonts.choose(set(map(ord, RARE)))[1]:
        pytest.skip("this machine has a font with the letters of Rejang")
    folder = tmp_path / ".fonts"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    POOL.close()  # processes look for fonts once
    yield folder
    POOL.close()


def drawn(data: bytes) -> DrawnPage | InputError:
    ((_, page),) = open_document(data, "", Settings(), 72)
    assert isinstance(page, DrawnPage | InputError)
    return page


def squares(page: DrawnPage | InputError) -> int:
    """How many squares of the test's font there are on a page: each is 22 px wide and 25 high."""
    assert isinstance(page, DrawnPage)
    return round(int((np.asarray(page.image.convert("L")) < 128).sum()) / (0.6 * 36 * 0.7 * 36))


@pytest.mark.parametrize("file", [SQUARES, collection(SQUARES)], ids=["font", "collection"])
def test_letters_of_a_font_that_is_not_embedded_are_drawn_with_an_installed_one(installed: Path, file: bytes) -> None:
    (installed / "squares.ttf").write_bytes(file)
    page = drawn(numbered_letters(b"ArialMT", RARE))
    assert squares(page) == len(RARE)
    assert isinstance(page, DrawnPage) and page.problems == ()


def test_a_second_font_draws_what_the_first_one_lacks(installed: Path) -> None:
    (installed / "squares.ttf").write_bytes(truetype([*map(chr, range(33, 127)), RARE[0]]))
    (installed / "others.ttf").write_bytes(truetype(RARE[1]))
    page = drawn(numbered_letters(b"TimesNewRomanPSMT", RARE[:2]))
    assert squares(page) == 2


def test_letters_that_no_font_has_are_told_with_their_fonts_name(installed: Path) -> None:
    (installed / "squares.ttf").write_bytes(truetype([*map(chr, range(33, 127)), RARE[0]]))
    page = drawn(numbered_letters(b"SomeFont-Bold", RARE))
    assert isinstance(page, DrawnPage)
    assert not page.is_blank
    (told,) = page.problems
    assert told.startswith(f"Page 1 has 2 different letters that are not drawn ({RARE[1:]}): the font SomeFont-Bold")


def test_a_page_whose_text_is_not_drawn_is_an_error_and_not_blank(installed: Path) -> None:
    error = drawn(numbered_letters(b"SomeFont-Bold", RARE))
    assert isinstance(error, InputError)
    assert "Page 1 of the PDF has text, but nothing of it shows" in str(error)
    assert "SomeFont-Bold" in str(error)


def written(content: bytes) -> bytes:
    font = b"/Resources<</Font<</F1 5 0 R>>>>"
    base = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    return pdf_of(CATALOG, tree(b"3 0 R", 1), page_of(4, font, b"0 0 200 100"), stream(content), base)


def test_white_text_on_white_is_an_error_and_not_blank() -> None:
    error = drawn(written(b"1 g BT /F1 36 Tf 20 40 Td (Total) Tj ET"))
    assert isinstance(error, InputError)
    assert "as light as the page" in str(error)


@pytest.mark.parametrize(
    "content", [b"", b"BT /F1 36 Tf 20 40 Td (   ) Tj ET", b"BT /F1 36 Tf 3 Tr 20 40 Td (Total) Tj ET"]
)
def test_white_space_and_hidden_text_leave_a_page_blank(content: bytes) -> None:
    page = drawn(written(content))
    assert isinstance(page, DrawnPage)
    assert page.is_blank


def test_text_that_does_not_say_its_letters_is_told() -> None:
    page = drawn(numbered_letters(b"ArialMT", "abc", are_known=False))
    assert isinstance(page, DrawnPage)
    (told,) = page.problems
    assert "text in the font ArialMT, which is not embedded, and does not say which letters it is" in told


def test_western_letters_are_drawn_as_without_any_installed_font(installed: Path) -> None:
    data = named_letters(b"ArialMT", "A", "B", "germandbls", "eacute", "Euro")
    before = drawn(data)
    (installed / "squares.ttf").write_bytes(truetype(map(chr, range(33, 256))))
    after = drawn(data)
    assert isinstance(before, DrawnPage) and isinstance(after, DrawnPage)
    assert before.image.tobytes() == after.image.tobytes()
    assert (before.problems, after.problems) == ((), ())


def test_pages_with_other_fonts_come_as_they_do_alone(installed: Path) -> None:
    """PDFium keeps a document's fonts: the second page's letters must not depend on the first one's."""
    (installed / "a.ttf").write_bytes(truetype(RARE[0]))
    (installed / "b.ttf").write_bytes(truetype(RARE[1]))
    both = _two(RARE[:2])
    together = [page for _, page in open_document(both, "", Settings(), 72)]
    alone = [next(iter(open_document(both, str(number), Settings(), 72)))[1] for number in (1, 2)]
    assert [squares(page) for page in together] == [squares(page) for page in alone] == [1, 1]  # type: ignore[arg-type]


def _two(letters: str) -> bytes:
    """A PDF of two pages, each with one of these letters in the same font."""
    data = numbered_letters(b"ArialMT", letters)
    second = page_of(9, b"/Resources<</Font<</F1 5 0 R>>>>", b"0 0 400 100")
    parts = [part.split(b" obj\n", 1)[1] for part in data.split(b"\nendobj\n")[:-1]]
    parts[1] = tree(b"3 0 R 10 0 R", 2)
    parts[3] = stream(b"BT /F1 36 Tf 20 40 Td <0024> Tj ET")
    return pdf_of(*parts, stream(b"BT /F1 36 Tf 20 40 Td <0025> Tj ET"), second)


def test_what_was_filled_into_a_field_is_drawn_with_an_installed_font(installed: Path) -> None:
    (installed / "squares.ttf").write_bytes(SQUARES)
    data = numbered_letters(b"ArialMT", RARE)
    parts = [part.split(b" obj\n", 1)[1] for part in data.split(b"\nendobj\n")[:-1]]
    look = parts[3].split(b"stream\n")[1].removesuffix(b"\nend")
    parts[2] = page_of(4, b"/Annots[9 0 R]", b"0 0 400 100")
    parts[3] = stream(b"")
    value = ("\ufeff" + RARE).encode("utf-16-be").hex().encode()
    field = b"<</Type/Annot/Subtype/Widget/FT/Tx/T(f)/V<%s>/F 4/Rect[0 0 400 100]/AP<</N 10 0 R>>>>" % value
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 400 100]/Resources<</Font<</F1 5 0 R>>>>"
    page = drawn(pdf_of(*parts, field, stream(look, form)))
    assert squares(page) == len(RARE)
    western = value.replace(b"a930", b"0041").replace(b"a931", b"0042").replace(b"a932", b"0043")
    assert western != value
    plain = numbered_letters(b"ArialMT", "ABC")
    parts[7] = plain.split(b"\n8 0 obj\n")[1].split(b"\nendobj")[0]
    page = drawn(pdf_of(*parts, field.replace(value, western), stream(look, form)))
    assert 0 < squares(page) < len(RARE)  # letters, no placeholders


SAMPLES = {
    "Cyrillic": named_letters(b"ArialMT", "afii10017", "afii10018", "afii10019", "afii10020", "afii10021"),
    "Greek": named_letters(b"TimesNewRomanPSMT", "Alpha", "Beta", "Gamma", "alpha", "beta"),
    "Polish and Czech": named_letters(b"Helvetica", "aogonek", "sacute", "zdotaccent", "rcaron", "uring"),
    "Chinese": coded_letters(b"STSong-Light", "中文發票".encode("utf-16-be"), b"UniGB-UCS2-H", b"GB1"),
    "Japanese": coded_letters(b"MS-Gothic", "日本語かな".encode("cp932"), b"90ms-RKSJ-H", b"Japan1"),
    "Korean": coded_letters(b"HYSMyeongJo-Medium", "한국어".encode("utf-16-be"), b"UniKS-UCS2-H", b"Korea1"),
}


@pytest.mark.parametrize("script", SAMPLES)
def test_the_letters_of_a_script_are_drawn_where_a_font_has_them_and_told_where_not(script: str) -> None:
    page = drawn(SAMPLES[script])
    if script in fonts.missing_scripts():
        assert isinstance(page, InputError) or page.problems
    else:
        assert isinstance(page, DrawnPage)
        assert page.problems == ()
        ink = np.asarray(page.image.convert("L")) < 128
        gaps = np.diff(ink.any(axis=0).astype(int)) == 1
        assert gaps.sum() >= 3  # letters, one beside the other


def test_a_file_that_is_no_font_has_no_letters(installed: Path) -> None:
    for content in (b"", b"ttcf", b"\0\1\0\0\xff\xff", SQUARES[:100], bytes(1000)):
        (installed / "damaged.ttf").write_bytes(content)
        fonts.letters.cache_clear()
        assert fonts.letters(installed / "damaged.ttf") == frozenset()


def test_the_letters_of_a_font_file_are_those_that_it_draws(installed: Path) -> None:
    (installed / "a.ttf").write_bytes(SQUARES)
    assert fonts.letters(installed / "a.ttf") == set(map(ord, RARE + "АБВ中文"))
    (installed / "b.ttc").write_bytes(collection(SQUARES))
    assert fonts.letters(installed / "b.ttc") == set(map(ord, RARE + "АБВ中文"))


def test_the_doctor_tells_of_missing_letters_before_it_happens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "squares.ttf").write_bytes(truetype("łęřůΩΔλЖДя"))
    monkeypatch.setattr(fonts, "FOLDERS", [str(tmp_path)])
    fonts.installed.cache_clear()
    try:
        (finding,) = [finding for finding in examine() if finding.what == "fonts"]
    finally:
        fonts.installed.cache_clear()
    assert finding.state == "note"
    assert "no installed font has Chinese, Japanese, Korean, Thai, Devanagari" in finding.says
    assert f"apt-get install {fonts.PACKAGES}" in finding.says


def test_the_images_install_the_fonts_that_the_doctor_names() -> None:
    for name in ("cog.yaml", "cog.cpu.yaml"):
        lines = (Path(__file__).parent.parent / name).read_text().splitlines()
        assert [line.strip(" -") for line in lines if line.strip().startswith("- fonts-")] == fonts.PACKAGES.split()
