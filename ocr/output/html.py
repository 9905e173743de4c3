"""Pages as one HTML file that needs nothing else: no script, no request, text of a document never markup."""

import base64
from collections.abc import Callable, Iterator, Sequence
from html import escape

from ocr.output.blocks import Block, Cell, Kind, Run, blocks
from ocr.types import PageResult

Picture = Callable[[str], bytes | None]  # the PNG that the markdown's link means; None where there is none

_HEAD = """\
<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ max-width: 48em; margin: 2em auto; padding: 0 1em; font: 1em/1.5 sans-serif; color: #222; background: #fff; }}
section + section {{ border-top: 1px solid #bbb; margin-top: 2em; padding-top: 1em; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
td, th {{ border: 1px solid #bbb; padding: 0.2em 0.5em; text-align: left; vertical-align: top; }}
img {{ max-width: 100%; }}
pre {{ overflow-x: auto; background: #f4f4f4; padding: 0.5em; }}
.error {{ color: #a00; }}
</style>
</head>
<body>
"""
_END = "</body>\n</html>\n"


def html(pages: Sequence[PageResult], title: str, picture: Picture) -> str:
    """A whole document: tables as tables, pictures within the file, formulas left as TeX in escaped brackets."""
    return _HEAD.format(title=escape(title)) + "".join(_section(page, picture) for page in pages) + _END


def _section(page: PageResult, picture: Picture) -> str:
    lines = [f'<section id="page-{page.page}">', *_body(page.markdown, picture)]
    if page.error:
        lines.append(f'<p class="error">Page {page.page} could not be read: {escape(page.error)}</p>')
    return "\n".join([*lines, "</section>\n"])


def _body(markdown: str, picture: Picture) -> Iterator[str]:
    return (_block(block, picture) for block in blocks(markdown))


def _block(block: Block, picture: Picture) -> str:
    match block.kind:
        case Kind.HEADING:
            return f"<h{block.level}>{_text(block.runs)}</h{block.level}>"
        case Kind.ITEM:  # with its own mark: what the document counts is kept, however it counts
            return f'<div style="margin-left: {block.level * 1.5}em">{escape(block.mark)} {_text(block.runs)}</div>'
        case Kind.TABLE:
            return "<table>\n" + "".join(map(_row, block.rows)) + "</table>"
        case Kind.FORMULA:
            return f"<p>\\[{escape(block.runs[0].text)}\\]</p>"
        case Kind.CODE:
            return f"<pre>{escape(block.text)}</pre>"
        case Kind.PICTURE:
            return _image(block, picture(block.link))
        case _:
            return f"<p>{_text(block.runs)}</p>"


def _row(cells: Sequence[Cell]) -> str:
    return "<tr>" + "".join(map(_cell, cells)) + "</tr>\n"


def _cell(cell: Cell) -> str:
    tag = "th" if cell.is_head else "td"
    spans = "".join(
        f' {name}="{count}"' for name, count in (("colspan", cell.columns), ("rowspan", cell.rows)) if count > 1
    )
    return f"<{tag}{spans}>{_text(cell.runs)}</{tag}>"


def _image(block: Block, png: bytes | None) -> str:
    words = escape(block.text)
    if png is None:
        return f"<p>[{words or 'picture'}]</p>"
    return f'<img alt="{words}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def _text(runs: Sequence[Run]) -> str:
    return "".join(map(_run, runs))


def _run(run: Run) -> str:
    text = f"\\({escape(run.text)}\\)" if run.is_formula else escape(run.text).replace("\n", "<br>\n")
    for tag, wanted in (("code", run.is_code), ("em", run.is_italic), ("strong", run.is_bold)):
        text = f"<{tag}>{text}</{tag}>" if wanted else text
    return text
