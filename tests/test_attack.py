"""What strangers may send: mutated files of every format, and answers of every dialect, whatever is in them."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr.answers.boxes import Scale
from ocr.answers.dialects import PARSERS
from ocr.answers.elements import ELEMENT_TYPES, Elements
from ocr.documents.formats import FORMATS
from ocr.output.markdown import MarkdownPage
from ocr.output.untrusted import MARKS
from ocr.types import Opened, Text
from tests.attack.files import Report, attack
from tests.attack.mutations import MUTATIONS, mutated, samples
from tests.worst import OPENINGS, PIECES

SEED = 20_261_128


def test_mutated_files_of_every_format_are_read_or_refused_and_leave_nothing() -> None:
    report = attack(count=520, seconds=300, seed=SEED)
    assert report.faults == []
    assert report.leaks == []
    assert report.tried == 520
    assert set(report.formats) == set(FORMATS)
    assert all({*of.counts} == {"read", "refused"} for of in report.formats.values())


def test_a_mutated_file_is_the_same_in_every_run_and_no_sound_one() -> None:
    files = [mutated(number, SEED) for number in range(200)]
    assert files == [mutated(number, SEED) for number in range(200)]
    assert sum(data in samples().values() for _, _, data in files) < 5
    assert {change for _, changes, _ in files for change in changes.split(" + ")} == set(MUTATIONS)


@pytest.mark.parametrize("outcome", ["crash, status -11", "hang", "refused without a reason", "KeyError: 'x'"])
def test_what_is_neither_read_nor_refused_is_a_fault(outcome: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use = {} if outcome.startswith(("crash", "hang")) else {"mb": 1, "handles": 1, "threads": 1}
    answer = {"outcome": outcome, "seconds": 1.0, "mb": 1.0, "use": use}
    monkeypatch.setattr("tests.attack.files._Reader.read", lambda _reader, _data: answer)
    report = attack(count=2, seconds=60, seed=SEED)
    assert [fault.rpartition(": ")[2] in outcome for fault in report.faults] == [True, True]


def test_what_grows_is_a_leak() -> None:
    held = {"mb": 50.0, "handles": 4, "threads": 1}
    assert Report(first=held, last=held).leaks == []
    grown = Report(first=held, last={"mb": 500.0, "handles": 5, "threads": 2}, left=["tmp123"])
    assert grown.leaks == ["handles", "threads", "memory", "tmp123"]


def test_the_command_prints_a_table_and_says_with_its_status_whether_all_held() -> None:
    command = [sys.executable, "-m", "tests.attack", "files", "--count", "12"]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| all | 12 |" in done.stdout


TEXT = st.lists(
    st.one_of(
        st.sampled_from(sorted({*PIECES.values(), *(text for each in OPENINGS.values() for text in each.values())})),
        st.sampled_from(
            [*MARKS, "<|/ref|>", "<|det|>", "<|/det|>", "]]", "}", "}]", '"', "-1e999", "9" * 20, "\u2028"]
        ),
        st.text(max_size=8),
        st.integers(-(10**12), 10**12).map(str),
    ),
    max_size=30,
).map("".join)


@pytest.mark.parametrize("dialect", PARSERS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_a_model_writes_comes_out_inside_the_page_and_nothing_raises(
    dialect: str, data: st.DataObject
) -> None:
    text, size = data.draw(TEXT), data.draw(st.integers(1, 50))
    width, height, left, top = (data.draw(st.integers(low, 5000)) for low in (1, 1, 0, 0))
    parser = PARSERS[dialect](Scale(extent=(999.0, 999.0), page=(width, height), origin=(left, top)))
    page, elements, shown = MarkdownPage(1, lists_boxes=data.draw(st.booleans())), Elements(), ""
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    for event in itertools.chain(*map(parser.feed, pieces), parser.close()):
        shown += page.write(event)
        for element in elements.feed(event):
            assert element.type in ELEMENT_TYPES
        if isinstance(event, Opened) and event.bbox:
            x1, y1, x2, y2 = event.bbox
            assert left <= x1 <= x2 <= left + width
            assert top <= y1 <= y2 <= top + height
        assert isinstance(event, Opened | Text)
    shown += page.close()
    assert not any(mark in shown for mark in MARKS[:2])
    assert all(isinstance(problem, str) and problem for problem in parser.problems)
    assert sum(map(len, parser.problems)) <= 20 * len(text) + 200
