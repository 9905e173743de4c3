"""What tests of the command line share: documents to read, and what lies in a folder afterwards."""

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests.pdfs import pdf
from tests.pictures import encoded, page

Run = Callable[..., int]
Answers = Callable[..., None]


def write(name: str, *pages: Image.Image) -> Path:
    """A PDF or PNG file of these pages, by default one."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    pages = pages or (page(),)
    path.write_bytes(encoded(pages[0]) if path.suffix == ".png" else pdf(*pages))
    return path


def files(folder: str = "out") -> list[str]:
    """What lies in a folder, but for the hidden one that keeps the record, and the table of all pages."""
    paths = (path for path in Path(folder).rglob("*") if path.is_file())
    return sorted(
        str(path.relative_to(folder)) for path in paths if ".ocr" not in path.parts and path.name != "report.csv"
    )
