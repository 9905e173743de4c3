"""A run as one HTML page that needs nothing else: no script, no request, text of a document never markup.

However large the run is, the page stays at some 30 MB: the pages that need a look most are shown, at most `MOST_SHOWN`,
and their pictures have `PICTURE_BYTES` together. The figures at the top are those of all pages.
"""

import base64
import hashlib
import heapq
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from ocr.output.drawing import COLOURS, DISAGREEMENTS
from ocr.output.report import TABLE, Kept
from ocr.output.untrusted import as_shown
from ocr.types import Box, FinishReason, PageResult

MOST_SHOWN = 200  # pages, and documents that could not be read
PICTURE_BYTES = 16 * 2**20  # of all pictures together
MARK = '<meta name="generator" content="ocr report">'  # by which a page of ours is known
BARS = 24  # of the histogram

Picture = bytes | None  # a JPEG of the page as it was read; None where it cannot be had


@dataclass(frozen=True)
class Shown:
    """A page with the document that it is of."""

    kept: Kept
    page: PageResult

    @property
    def urgency(self) -> tuple[object, ...]:
        """What comes first when pages are sorted by it."""
        page = self.page
        disagreements = page.check.disagreements if page.check else 0
        worst = -list(FinishReason).index(page.finish_reason)
        if page.finish_reason is FinishReason.BLANK:
            worst = 0
        return worst, -len(page.problems), -disagreements, -page.retries, self.kept.document, page.page


@dataclass
class Figures:
    """What is counted of all pages."""

    documents: int = 0
    tokens: int = 0
    with_problems: int = 0
    retried: int = 0
    seconds: list[float] = field(default_factory=list)  # of each page that a model read
    reasons: Counter[FinishReason] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)  # documents, and why they could not be read
    failed: int = 0  # of these documents, those left out of the list too

    def add(self, kept: Kept) -> None:
        """Count a document."""
        self.documents += 1
        self.failed += bool(kept.failure)
        if kept.failure and len(self.failures) < MOST_SHOWN:
            self.failures.append((kept.document, kept.failure))
        for page in kept.pages:
            self.tokens += page.completion_tokens
            self.with_problems += bool(page.problems)
            self.retried += page.retries > 0
            self.reasons[page.finish_reason] += 1
            if page.seconds:
                self.seconds.append(page.seconds)

    @property
    def pages(self) -> int:
        """How many there are."""
        return self.reasons.total()


def gathered(documents: Iterable[Kept]) -> tuple[Figures, list[Shown]]:
    """The figures of all documents, each of which is taken once, and the pages to be shown, in their order."""
    figures = Figures()

    def pages() -> Iterator[Shown]:
        for kept in documents:
            figures.add(kept)
            yield from (Shown(kept, page) for page in kept.pages)

    shown = heapq.nsmallest(MOST_SHOWN, pages(), key=lambda each: each.urgency)
    return figures, shown


def report_page(title: str, figures: Figures, shown: Sequence[Shown], picture: Callable[[Shown], Picture]) -> str:
    """The whole page; `picture` is asked for each page that is shown, until they are too large together."""
    left = PICTURE_BYTES
    cards = []
    for each in shown:
        jpeg = picture(each) if left > 0 else None
        left -= len(jpeg or b"")
        cards.append(_card(each, jpeg if left >= 0 else None))
    parts = [
        _HEAD.format(title=_text(title), mark=MARK, csp=_CSP, style=_STYLE),
        f"<h1>{_text(title)}</h1>\n",
        _tiles(figures),
        '<div class="charts">\n' + _reasons(figures) + _histogram(figures.seconds) + "</div>\n",
        _failures(figures),
        f"<h2>Pages{_how_many(figures, shown)}</h2>\n",
        *cards,
        "</body>\n</html>\n",
    ]
    return "".join(parts)


def _text(text: str) -> str:
    return escape(as_shown(text))


def _how_many(figures: Figures, shown: Sequence[Shown]) -> str:
    if len(shown) == figures.pages:
        return ", those with problems first"
    return f': the {len(shown):,} of {figures.pages:,} that need a look most; all are in <a href="{TABLE}">{TABLE}</a>'


def _tiles(figures: Figures) -> str:
    total = sum(figures.seconds)
    early = sum(figures.reasons[each] for each in FinishReason if each not in (FinishReason.STOP, FinishReason.BLANK))
    tiles = {
        "documents": f"{figures.documents:,}",
        "pages": f"{figures.pages:,}",
        "documents failed": f"{figures.failed:,}",
        "pages failed or ended early": f"{early:,}",
        "pages with problems": f"{figures.with_problems:,}",
        "pages read again": f"{figures.retried:,}",
        "tokens": f"{figures.tokens:,}",
        "time": _duration(total),
        "seconds a page, median": f"{statistics.median(figures.seconds):.2f}" if figures.seconds else "–",
    }
    return '<dl class="tiles">\n' + "".join(map(_tile, tiles, tiles.values())) + "</dl>\n"


def _tile(name: str, value: str) -> str:
    is_bad = name.split()[-1] in ("failed", "early", "problems") and value != "0"
    kind = ' class="bad"' if is_bad else ""
    return f"<div{kind}><dt>{name}</dt><dd>{value}</dd></div>\n"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"


REASON_COLOURS: Mapping[FinishReason, str] = {
    FinishReason.STOP: "#0e8435",
    FinishReason.BLANK: "#7d8790",
    FinishReason.LENGTH: "#c78a00",
    FinishReason.REPETITION: "#c54b05",
    FinishReason.DEADLINE: "#893ae2",
    FinishReason.CANCELLED: "#587093",
    FinishReason.ERROR: "#de1829",
}


def _reasons(figures: Figures) -> str:
    """A bar for each reason that there is."""
    counts = [(reason, figures.reasons[reason]) for reason in FinishReason if figures.reasons[reason]]
    most = max((count for _, count in counts), default=1)
    rows = []
    for row, (reason, count) in enumerate(counts):
        top, width = 26 * row, max(260 * count / most, 2)
        rows.append(
            f'<text x="82" y="{top + 15}" text-anchor="end">{reason}</text>'
            f'<rect x="90" y="{top + 2}" width="{width:.1f}" height="18" rx="2" fill="{REASON_COLOURS[reason]}"/>'
            f'<text x="{96 + width:.1f}" y="{top + 15}">{count:,}</text>\n'
        )
    return _chart("Why pages ended", 420, max(26 * len(rows), 26), "".join(rows))


def _histogram(seconds: Sequence[float]) -> str:
    """How many pages took how long."""
    if not seconds:
        return ""
    longest = max(seconds)
    counts = Counter(min(int(BARS * each / longest), BARS - 1) for each in seconds)
    most, width = max(counts.values()), 420 / BARS
    bars = "".join(
        f'<rect x="{bar * width:.1f}" y="{110 - 100 * count / most:.1f}" width="{width - 2:.1f}" '
        f'height="{100 * count / most:.1f}" fill="#176fd4"><title>{count:,} pages, '
        f"{bar * longest / BARS:.2f} to {(bar + 1) * longest / BARS:.2f} s</title></rect>\n"
        for bar, count in sorted(counts.items())
    )
    middle = 420 * statistics.median(seconds) / longest
    marks = (
        f'<line x1="0" y1="110.5" x2="420" y2="110.5"/><text x="0" y="126">0 s</text>'
        f'<text x="420" y="126" text-anchor="end">{longest:.1f} s</text>'
        f'<line x1="{middle:.1f}" y1="4" x2="{middle:.1f}" y2="110" stroke-dasharray="3 3">'
        f"<title>median {statistics.median(seconds):.2f} s</title></line>"
    )
    return _chart("Seconds a page; dashed: the median", 420, 132, bars + marks)


def _chart(title: str, width: int, height: int, content: str) -> str:
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<figure><figcaption>{title}</figcaption><svg {size} role="img">\n{content}</svg></figure>\n'


def _failures(figures: Figures) -> str:
    if not figures.failed:
        return ""
    rows = "".join(f"<li><b>{_text(name)}</b> {_text(reason)}</li>\n" for name, reason in figures.failures)
    left = figures.failed - len(figures.failures)
    more = f'<li>… and {left:,} more: <a href="{TABLE}">{TABLE}</a></li>\n' if left else ""
    return f'<h2>Documents that could not be read</h2>\n<ul class="failures">\n{rows}{more}</ul>\n'


def _card(shown: Shown, jpeg: Picture) -> str:
    page = shown.page
    facts = [f"{page.seconds:.2f} s", f"{page.completion_tokens:,} tokens", _text(page.model)]
    facts += [f"{page.retries} × read again"] if page.retries else []
    facts += [f"turned by {page.turned}°"] if page.turned else []
    facts += [f"{page.check.disagreements} disagreements"] if page.check and page.check.disagreements else []
    told = [page.error] if page.error else []
    problems = "".join(f"<li>{_text(problem)}</li>\n" for problem in (*told, *page.problems))
    colour = REASON_COLOURS[page.finish_reason]
    return (
        f"<article>\n{_sheet(page, jpeg)}<div>\n<h3>{_text(shown.kept.document)}, page {page.page}</h3>\n"
        f'<p class="facts"><svg width="11" height="11"><rect width="11" height="11" rx="2" fill="{colour}"/></svg> '
        f"<b>{page.finish_reason}</b> · {' · '.join(facts)}</p>\n"
        + (f'<ul class="problems">\n{problems}</ul>\n' if problems else "")
        + (f"<pre>{_text(page.markdown)}</pre>\n" if page.markdown.strip() else '<p class="none">no text</p>\n')
        + "</div>\n</article>\n"
    )


def _sheet(page: PageResult, jpeg: Picture) -> str:
    """The page with its frames; without a picture of it a blank sheet, without a size nothing."""
    if not page.width or not page.height:
        return '<p class="none">no picture</p>\n'
    size = f'width="{page.width}" height="{page.height}"'
    ground = f'<rect {size} fill="#fff"/>'
    if jpeg:
        link = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
        ground = f'<image {size} preserveAspectRatio="none" href="{link}"/>'
    frames = [
        _frame(each.bbox, COLOURS.get(each.type, COLOURS["other"]), f"{number} {each.type}", "")
        for number, each in enumerate(page.elements, 1)
        if each.bbox
    ]
    if page.check:
        places = [("omitted", each.bbox) for each in page.check.omitted]
        places += [("conflict", each.bbox) for each in page.check.conflicts]
        places += [("unsupported", each.bbox) for each in page.check.unsupported if each.bbox]
        frames += [_frame(box, DISAGREEMENTS[name], name, ' stroke-dasharray="4 3"') for name, box in places]
    return f'<svg class="sheet" viewBox="0 0 {page.width} {page.height}">\n{ground}\n{"".join(frames)}</svg>\n'


def _frame(box: Box, colour: str, title: str, dash: str) -> str:
    left, top, right, bottom = box
    place = f'x="{left:.0f}" y="{top:.0f}" width="{max(right - left, 1):.0f}" height="{max(bottom - top, 1):.0f}"'
    return f'<rect {place} class="frame" stroke="{colour}"{dash}><title>{_text(title)}</title></rect>\n'


_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --dim: light-dark(#666, #999);
  --bad: light-dark(#c01c28, #ff7b7b); }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 2rem 0 0.75rem; }
h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: 0.6rem; margin: 0; }
.tiles div { border: 1px solid var(--line); border-radius: 6px; padding: 0.5rem 0.75rem; }
dt { color: var(--dim); font-size: 0.8rem; } dd { margin: 0; font-size: 1.3rem; } .bad dd { color: var(--bad); }
.charts { display: flex; flex-wrap: wrap; gap: 1.5rem 3rem; margin-top: 1.5rem; }
figure { margin: 0; } figcaption { font-weight: 600; margin-bottom: 0.5rem; }
figure svg { max-width: 100%; height: auto; } text { font-size: 12px; fill: currentColor; }
line { stroke: currentColor; }
article { display: grid; grid-template-columns: minmax(0, 20rem) minmax(0, 1fr); gap: 1.25rem; align-items: start;
  border-top: 1px solid var(--line); padding: 1rem 0; break-inside: avoid; }
.sheet { width: 100%; max-height: 30rem; background: var(--soft); outline: 1px solid var(--line); }
.frame { fill: none; stroke-width: 1.25px; vector-effect: non-scaling-stroke; }
.facts { margin: 0.2rem 0 0.6rem; color: var(--dim); font-size: 0.85rem; }
ul { padding-left: 1.2rem; margin: 0 0 0.6rem; overflow-wrap: anywhere; } .problems, .failures { color: var(--bad); }
pre { max-height: 24rem; overflow: auto; margin: 0; padding: 0.75rem; background: var(--soft); border-radius: 6px;
  white-space: pre-wrap; overflow-wrap: anywhere; font: 12.5px/1.45 ui-monospace, monospace; }
.none { color: var(--dim); margin: 0; padding: 2rem 0; text-align: center; background: var(--soft); }
div > .none { padding: 0.75rem; }
@media (max-width: 45rem) { article { grid-template-columns: 1fr; } }
"""
_CSP = (
    f"default-src 'none'; img-src data:; style-src 'sha256-"
    f"{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; base-uri 'none'; form-action 'none'"
)
_HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{mark}
<meta http-equiv="Content-Security-Policy" content="{csp}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
"""
