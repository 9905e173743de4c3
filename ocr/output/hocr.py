"""Pages as hOCR 1.2: the elements that have a place, with their boxes, for tools that take OCR's results."""

from collections.abc import Iterator, Sequence
from html import escape

from ocr.output.blocks import plain_lines
from ocr.types import Element, PageResult

_HEAD = """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml">
<head>
<title>{title}</title>
<meta charset="utf-8" />
<meta name="ocr-system" content="{model}" />
<meta name="ocr-capabilities" content="ocr_page ocr_carea ocr_par ocr_line" />
</head>
<body>
"""
_END = "</body>\n</html>\n"


def hocr(pages: Sequence[PageResult], title: str) -> str:
    """A whole document. An element is an area with one paragraph; a line of its text has a box where it is the only
    one, since nothing is known of where in an element the others stand."""
    models = ", ".join(dict.fromkeys(page.model for page in pages))
    head = _HEAD.format(title=_xml(title), model=_xml(models))
    return head + "".join(map(_page, pages)) + _END


def _page(page: PageResult) -> str:
    areas = (element for element in page.elements if element.bbox is not None)
    inner = "".join(_area(page.page, number, element) for number, element in enumerate(areas, 1))
    title = f"bbox 0 0 {page.width} {page.height}; ppageno {page.page - 1}"
    return f'<div class="ocr_page" id="page_{page.page}" title="{title}">\n{inner}</div>\n'


def _area(page: int, number: int, element: Element) -> str:
    box = "bbox " + " ".join(str(round(side)) for side in element.bbox or ())
    lines = "\n".join(_lines(plain_lines(element.text), box))
    return (
        f'<div class="ocr_carea" id="block_{page}_{number}" title="{box}">'
        f'<p class="ocr_par" id="par_{page}_{number}" title="{box}">{lines}</p></div>\n'
    )


def _lines(texts: Sequence[str], box: str) -> Iterator[str]:
    title = f' title="{box}"' if len(texts) == 1 else ""
    return (f'<span class="ocr_line"{title}>{_xml(text)}</span>' for text in texts)


def _xml(text: str) -> str:
    return escape("".join(sign if _is_xml(sign) else "\ufffd" for sign in text))


def _is_xml(sign: str) -> bool:
    """Whether XML 1.0 can hold it."""
    return sign in "\t\n\r" or " " <= sign < "\ud800" or "\ue000" <= sign <= "\ufffd" or sign > "\uffff"
