"""`report`: an output folder as one HTML page, its pages drawn anew from the documents where these are as they were."""

import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from PIL import Image

from ocr.documents.document import MIN_DPI, open_document
from ocr.documents.page import DrawnPage
from ocr.errors import InputError
from ocr.output.folder import digest
from ocr.output.formats import encoded
from ocr.output.report import documents
from ocr.output.report_page import MARK, Shown, gathered, report_page
from ocr.settings import Settings

PAGE = "report.html"
SIDE = 800  # px of a picture's longer side
QUALITY = 55  # of its JPEG

Place = tuple[str, int]  # a document's name, and the number of a page


def write_report(folder: Path, to: Path, settings: Settings, password: str) -> int:
    """Write the page of an output folder; how many pages of documents are shown on it.

    Raises InputError for a folder of which nothing is known, and where the page would replace a file that is no report.
    """
    if to.exists() and MARK not in to.read_text(encoding="utf-8", errors="replace")[:500]:
        raise InputError(f"{str(to)!r} is not a report of this program and is left alone: name another file with -o.")
    figures, shown = gathered(documents(folder))
    if not figures.documents:
        raise InputError(
            f"There is no record of a run in {str(folder)!r}: name a folder that `read -o` has written into."
        )
    pictures = _pictures(shown, settings, password)
    title = f"{folder.absolute().name}: {figures.pages:,} pages of {figures.documents:,} documents"
    page = report_page(title, figures, shown, lambda each: pictures.get((each.kept.name, each.page.page)))
    fresh = to.with_name(f".{to.name}.part")
    fresh.unlink(missing_ok=True)
    with fresh.open("xb") as file:
        file.write(encoded(page))
    fresh.replace(to)
    return len(shown)


def _pictures(shown: Sequence[Shown], settings: Settings, password: str) -> Mapping[Place, bytes]:
    """The pages that can be drawn, as JPEG."""
    wanted: defaultdict[str, list[Shown]] = defaultdict(list)
    for each in shown:
        if each.page.width:
            wanted[each.kept.name].append(each)
    pictures: dict[Place, bytes] = {}
    for pages in wanted.values():
        with suppress(InputError, OSError):  # of a document that has gone or changed there are frames alone
            pictures |= _of_document(pages, settings, password)
    return pictures


def _of_document(pages: Sequence[Shown], settings: Settings, password: str) -> Mapping[Place, bytes]:
    kept = pages[0].kept
    path = Path(kept.path)
    if not path.is_file() or digest(path) != kept.sha256:
        return {}
    turns = {each.page.page: each.page.turned for each in pages}
    with open_document(path, ",".join(map(str, turns)), settings, MIN_DPI, password=password) as document:
        return {
            (kept.name, number): _jpeg(page.image, turns[number])
            for number, page in document
            if isinstance(page, DrawnPage)
        }


def _jpeg(page: Image.Image, turned: int) -> bytes:
    page = page.rotate(-turned, expand=True)
    page.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    page.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()
