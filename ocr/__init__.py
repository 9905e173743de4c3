"""Document pages in, their text and layout out: vision-language OCR models behind one route.

file -> documents -> pages -> engine (pixels + prompt -> text) -> layout (text -> elements) -> writers

    from ocr import read

    for page in read("paper.pdf"):
        print(page.markdown)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ocr.faces.python import read

__version__ = "0.1.0"
__all__ = ["__version__", "read"]


def __getattr__(name: str) -> Any:
    """`read` when it is first asked for: the weights' own commands need the standard library alone."""
    if name != "read":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ocr.faces.python import read

    return read
