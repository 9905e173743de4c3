"""A page as its file gives it: pixels, and what may be missing in them. Knows no format."""

from dataclasses import dataclass
from functools import cached_property

from PIL import Image

from ocr.documents import blank
from ocr.documents.text_layer import TextLayer
from ocr.errors import InputError


@dataclass(frozen=True)
class DrawnPage:
    """One page of a document, ready to be read."""

    image: Image.Image  # upright, mode RGB
    problems: tuple[str, ...] = ()  # what of the page is missing in the image or may be wrong, one sentence each
    found_blank: bool | None = None  # as whoever drew it found; None where nobody has looked
    turned: int = 0  # degrees clockwise by which it was turned from how its file has it: 0, 90, 180 or 270
    layer: TextLayer | None = None  # its text in the file; None where it has none, or nobody asked for it

    @cached_property
    def is_blank(self) -> bool:
        """Whether there is nothing to read on it; see `blank.is_blank`."""
        return blank.is_blank(self.image) if self.found_blank is None else self.found_blank


# Its number from 1, and the page or why it cannot be read; an image alone is a page without problems.
NumberedPage = tuple[int, DrawnPage | Image.Image | InputError]
