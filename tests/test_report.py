"""The HTML page of a run: what comes first, what is shown of a page, and that no document can put anything into it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ocr.output import report_page
from ocr.output.report import Kept, documents
from ocr.output.report_page import gathered
from ocr.types import Check, Element, FinishReason, Omitted, PageResult
from tests.browser import Browser, chromium
from tests.commands import Answers, Run, write
from tests.pictures import page

HOSTILE = '</pre><script src="https://example.org/x.js"></script><img src=https://example.org/x onerror=a()>&lt;b&gt;'
RESULT = PageResult(1, 300, 400, "m", "", "text", (), FinishReason.STOP, completion_tokens=5, seconds=1.5)


def made(*pages: PageResult, failure: str = "", name: str = "a", picture: bytes | None = None) -> str:
    figures, shown = gathered([Kept(name, name, failure=failure, pages=pages)])
    return report_page.report_page("a run", figures, shown, lambda _: picture)


def of_page(number: int, reason: FinishReason = FinishReason.STOP, **more: object) -> PageResult:
    return replace(RESULT, page=number, finish_reason=reason, **more)  # type: ignore[arg-type]


def test_pages_that_need_a_look_come_first() -> None:
    pages = [
        of_page(1),
        of_page(2, problems=("a problem",)),
        of_page(3, FinishReason.BLANK),
        of_page(4, FinishReason.LENGTH),
        of_page(5, FinishReason.ERROR, error="It is damaged."),
        of_page(6, check=Check(1, omitted=(Omitted("", (0, 0, 9, 9)),))),
        of_page(7, retries=1),
    ]
    shown = re.findall(r"<h3>a, page (\d)</h3>", made(*pages))
    assert shown == ["5", "4", "2", "6", "7", "1", "3"]


def test_a_page_has_its_picture_frames_text_and_figures() -> None:
    elements = (Element("table", "", (10, 20, 110, 220)), Element("text", ""))
    html = made(of_page(1, elements=elements, problems=("half a table",), retries=2), picture=b"jpeg")
    assert 'viewBox="0 0 300 400"' in html
    assert 'href="data:image/jpeg;base64,anBlZw=="' in html
    assert '<rect x="10" y="20" width="100" height="200" class="frame" stroke="#0e8435">' in html
    for words in ("1.50 s", "5 tokens", "<li>half a table</li>", "2 × read again", "<pre>text</pre>"):
        assert words in html
    assert html.count('class="frame"') == 1
    assert "no picture" in made(of_page(1, FinishReason.ERROR, error="damaged", width=0, height=0))


def test_figures_are_those_of_all_pages_and_what_is_shown_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_page, "MOST_SHOWN", 3)
    monkeypatch.setattr(report_page, "PICTURE_BYTES", 250)
    html = made(*map(of_page, range(1, 21)), picture=bytes(100), failure="It is damaged.")
    assert "<dt>pages</dt><dd>20</dd>" in html
    assert "<dt>tokens</dt><dd>100</dd>" in html
    assert "the 3 of 20 that need a look most" in html
    assert (html.count("<article>"), html.count("data:image")) == (3, 2)
    kept = [Kept(str(number), str(number), failure="no") for number in range(9)]
    figures, shown = gathered(kept)
    html = report_page.report_page("a run", figures, shown, lambda _: None)
    assert html.count("<b>") == 3
    assert "… and 6 more" in html


def test_without_any_page_there_is_still_one() -> None:
    assert "<dd>–</dd>" in made()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def test_what_a_document_says_is_text_and_nothing_is_loaded(browser: Browser, tmp_path: Path) -> None:
    hostile = of_page(
        1,
        FinishReason.ERROR,
        **{"markdown": HOSTILE, "error": HOSTILE, "problems": (HOSTILE, "\x1b[2J"), "model": HOSTILE},  # type: ignore[arg-type]
        elements=(Element(HOSTILE, HOSTILE, (1, 2, 30, 40), HOSTILE),),
    )
    file = tmp_path / "report.html"
    file.write_text(made(hostile, name=HOSTILE, failure=HOSTILE))
    browser.open(file.as_uri())
    assert browser.js("return document.scripts.length + document.images.length") == 0
    assert browser.js("return document.querySelector('pre').textContent") == HOSTILE
    assert browser.js("return performance.getEntriesByType('resource').length") == 0
    assert browser.js("return getComputedStyle(document.querySelector('article')).display") == "grid"
    assert browser.messages() == []
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', file.read_text())
    assert policy
    assert policy[1].startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy[1]


def test_the_command_draws_the_pages_again(run: Run, answers: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    answers("<|ref|>title<|/ref|><|det|>[[0, 0, 999, 500]]<|/det|>\n# A title\n")
    write("a.pdf", page(), page())
    write("b.png")
    assert run("read", "a.pdf", "b.png", "absent.png", "-o", "out") == 1
    assert run("report", "out") == 0
    assert "3 pages shown in out/report.html" in capsys.readouterr().err
    html = Path("out/report.html").read_text()
    assert (html.count("<article>"), html.count("data:image/jpeg"), html.count('class="frame"')) == (3, 3, 3)
    assert "<b>absent.png</b> It cannot be read: No such file or directory." in html
    assert len(list(documents(Path("out")))) == 3
    write("b.png", page(50, 50))
    Path("a.pdf").unlink()
    assert run("report", "out", "-o", "elsewhere.html") == 0
    html = Path("elsewhere.html").read_text()
    assert (html.count("data:image/jpeg"), html.count('class="frame"')) == (0, 3)


def test_what_is_no_report_is_left_alone(run: Run, answers: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    answers("some text")
    write("report.png")
    assert run("report", "nowhere") == 2
    assert "There is no record of a run in 'nowhere'" in capsys.readouterr().err
    assert run("read", "report.png", "-o", "out", "--format", "html") == 0
    document = Path("out/report.html").read_bytes()
    assert run("report", "out") == 2
    assert "'out/report.html' is not a report of this program" in capsys.readouterr().err
    assert Path("out/report.html").read_bytes() == document
    assert run("report", "out", "-o", "run.html") == run("report", "out", "-o", "run.html") == 0
