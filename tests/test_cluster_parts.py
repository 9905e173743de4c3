"""Documents read in parts by several readers, without a cluster: division, claims, putting together, what is kept."""

import json
import re
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ocr.errors import InputError
from ocr.faces.cli.cluster import FAILURES, Tally, listed
from ocr.faces.cli.options import Options
from ocr.faces.cli.parts import CLAIMS, PARTS, RECORDS, Done, Part, PartReader, Turns, Work, selection, split
from ocr.faces.cli.run import job_of
from ocr.output.store import FolderStore
from ocr.reading.reader import Reader
from ocr.settings import Settings, read_settings
from tests.commands import Answers, Run, files, write
from tests.pictures import page

FORMATS = ("md", "json", "annotated", "figures")
Working = Callable[..., Work]


@pytest.fixture
def working(run: Run, answers: Answers) -> Working:
    """Makes the way in which parts are read, by a model that writes the same on every page."""
    answers("some text")

    def work(run: str = "this", *, pages: str = "", per_part: int = 2, resume: bool = False) -> Work:
        given: dict[str, Any] = dict.fromkeys(Options.__dataclass_fields__)
        given |= {"model": "auto", "task": "Convert to Markdown", "resolution": "Tiny", "reference": "", "prompt": ""}
        given |= {"pages": pages, "dpi": 72, "max_new_tokens": 200, "orient": "off", "text_layer": "off"}
        settings = read_settings()
        job = job_of(Options(**given), Reader(settings))
        return Work(run, settings, job, FORMATS, str(Path("out").absolute()), per_part, attempts=3, resume=resume)

    return work


def parts(work: Work, *places: str) -> list[Part]:
    return [part for source in listed(places, work.settings, pytest.fail) for part in split(work, source)]


def read(work: Work, some: Iterable[Part]) -> list[Done]:
    """What comes of parts that two readers read in turn."""
    readers = PartReader(work), PartReader(work)
    return [readers[number % 2].read(part) for number, part in enumerate(some)]


def outputs(folder: str = "out") -> dict[str, bytes]:
    """What every file holds, but for how long pages took."""
    taken = re.compile(rb'"seconds": ?[\d.e-]+')
    return {name: taken.sub(b"", Path(folder, name).read_bytes()) for name in files(folder)}


def kept(what: str) -> list[str]:
    return sorted(path.name for path in Path("out", what).rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("numbers", "words"), [([1], "1"), ([1, 2, 3, 7, 9, 10], "1-3,7,9-10"), ([2, 4], "2,4"), ([], "")]
)
def test_page_numbers_are_written_as_the_option_takes_them(numbers: Sequence[int], words: str) -> None:
    assert selection(numbers) == words


@pytest.mark.parametrize(
    ("pages", "expected"), [("", ["1-2", "3-4", "5"]), ("2,4-9", ["2,4", "5"]), ("1-2", ["1-2"]), ("3", ["3"])]
)
def test_a_document_is_divided_into_ranges_of_the_pages_that_are_wanted(
    working: Working, pages: str, expected: list[str]
) -> None:
    write("a.pdf", *[page()] * 5)
    divided = parts(working(pages=pages), "a.pdf")
    assert [part.pages for part in divided] == expected
    assert {part.of for part in divided} == {tuple(expected) if len(expected) > 1 else ()}
    assert len({part.key for part in divided}) == 1


def test_what_has_one_page_is_not_opened_before_it_is_read(working: Working) -> None:
    Path("a.png").write_bytes(b"none")
    (part,) = parts(working(), "a.png")
    assert (part.pages, part.of, part.error) == ("", (), "")


def test_the_key_of_a_document_changes_with_it_and_with_what_is_asked(working: Working) -> None:
    write("a.png")
    (first,) = parts(working(), "a.png")
    assert parts(working("another"), "a.png")[0].key == first.key
    assert parts(working(pages="1"), "a.png")[0].key != first.key
    write("a.png", page(300, 300))
    assert parts(working(), "a.png")[0].key != first.key


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 2, 0, 3, 1)], ids=str)
def test_parts_in_any_order_leave_the_bytes_that_read_leaves(
    working: Working, run: Run, order: tuple[int, ...]
) -> None:
    write("in/a.pdf", *[page(), page(300, 200)] * 3)
    write("in/b/c.png")
    write("in/d.tif.png", page(400, 100))
    words = ("--format", ",".join(FORMATS), "--dpi", "72", "--orient", "off", "--no-check")
    assert run("read", "in", "-o", "plain", *words) == 0
    work = working()
    divided = parts(work, "in")
    done = read(work, [divided[number] for number in order])
    assert sum(each.is_finished for each in done) == 3
    assert outputs() == outputs("plain")
    assert (len(kept(RECORDS)), kept(PARTS), kept(CLAIMS)) == (3, [], [])


def test_who_finishes_a_document_counts_all_its_pages(working: Working) -> None:
    write("a.pdf", *[page()] * 3)
    first, last = read(working(), parts(working(), "a.pdf"))
    assert (first.read, first.is_finished, first.parts) == (2, False, 2)
    assert (last.read, last.is_finished, last.parts) == (3, True, 2)


def test_a_part_that_is_read_again_leaves_the_same(working: Working) -> None:
    write("a.pdf", *[page()] * 3)
    work = working()
    first, last = parts(work, "a.pdf")
    read(work, [first, first])  # as when its reader died before it could say what came of it
    assert kept(PARTS) == ["1-2.tar"]
    read(work, [last])
    before = outputs()
    (again,) = read(work, [last])
    assert (again.is_finished, again.read) == (True, 3)
    assert outputs() == before


def test_another_run_with_resume_reads_nothing_that_is_whole(working: Working) -> None:
    write("a.png")
    write("b.pdf", *[page()] * 3)
    read(working(), parts(working(), "a.png", "b.pdf"))
    later = working("later", resume=True)
    divided = parts(later, "a.png", "b.pdf")
    assert [(part.is_whole, part.of) for part in divided] == [(True, ()), (True, ())]
    assert [(done.is_whole, done.read) for done in read(later, divided)] == [(True, 0), (True, 0)]


def test_without_resume_everything_is_read_again(working: Working, answers: Answers) -> None:
    write("a.png")
    read(working(), parts(working(), "a.png"))
    answers("other text")
    assert [done.is_whole for done in read(working("later"), parts(working("later"), "a.png"))] == [False]
    assert Path("out/a.md").read_text() == "other text\n"


def test_what_was_deleted_or_changed_is_made_again(working: Working) -> None:
    for name in ("a", "b", "c"):
        write(f"{name}.png")
    read(working(), parts(working(), "a.png", "b.png", "c.png"))
    Path("out/a.md").unlink()
    write("b.png", page(300, 300))
    later = working("later", resume=True)
    assert [done.is_whole for done in read(later, parts(later, "a.png", "b.png", "c.png"))] == [False, False, True]
    assert Path("out/a.md").exists()


def test_a_document_with_failed_pages_is_read_again_by_a_later_run(
    working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("a.png")
    with monkeypatch.context() as patch:
        patch.setattr("ocr.reading.reader._of_page", lambda *_: (_ for _ in ()).throw(InputError("No.")))
        (done,) = read(working(), parts(working(), "a.png"))
    assert (done.failed, done.is_finished, done.read) == (((1, "No."),), True, 0)
    later = working("later", resume=True)
    assert [done.read for done in read(later, parts(later, "a.png"))] == [1]


def test_parts_of_a_run_that_ended_are_not_read_again(working: Working, monkeypatch: pytest.MonkeyPatch) -> None:
    write("a.pdf", *[page()] * 4)
    read(working(), parts(working(), "a.pdf")[:1])
    later = working("later", resume=True)
    opened: list[str] = []
    monkeypatch.setattr(PartReader, "_read_pages", lambda _self, part, *_: opened.append(part.pages))
    read(later, parts(later, "a.pdf")[:1])
    assert opened == []


def claim(part: Part, attempts: int) -> None:
    for number in range(1, attempts + 1):
        FolderStore(Path("out")).put(f"{CLAIMS}/{part.key}.all.{number}", b"{}\n")


def test_a_document_whose_reader_died_is_tried_again_and_its_claims_are_taken_back(working: Working) -> None:
    write("a.png")
    (part,) = parts(working(), "a.png")
    claim(part, 2)
    (done,) = read(working(), [part])
    assert (done.error, done.is_finished) == ("", True)
    assert kept(CLAIMS) == []


def test_after_so_many_deaths_a_document_is_given_up_until_the_next_run(working: Working) -> None:
    write("a.png")
    (part,) = parts(working(), "a.png")
    claim(part, 3)
    (done,) = read(working(), [part])
    assert (done.error, done.attempts) == ("The reader died 3 times while it read this.", 3)
    assert read(working(), [part])[0].error == done.error  # as long as nobody was told
    tally = Tally(1, FolderStore(Path("out")), say=lambda line: None)
    tally.add(done)
    assert kept(CLAIMS) == []
    assert read(working(), [part])[0].is_finished


def test_a_claim_stands_while_a_part_is_read(working: Working, monkeypatch: pytest.MonkeyPatch) -> None:
    write("a.png")
    seen: list[str] = []

    def look(*_: object) -> None:
        seen.extend(kept(CLAIMS))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PartReader, "_read_pages", look)
    (part,) = parts(working(), "a.png")
    (done,) = read(working(), [part])
    assert seen == [f"{part.key}.all.1"]
    assert (done.error, done.is_finished) == ("No space left on device", False)
    assert kept(CLAIMS) == []


def test_what_cannot_be_read_is_a_row_with_the_reason(working: Working) -> None:
    Path("none.pdf").write_bytes(b"nothing")
    done = read(working(), parts(working(), "none.pdf", "missing.png"))
    assert [each.is_finished for each in done] == [False, False]
    assert "PDF" in done[0].error
    assert done[1].error == "It cannot be read: No such file or directory."


def test_a_reader_without_weights_says_so_of_every_part(working: Working, tmp_path: Path) -> None:
    write("a.png")
    work = working()
    (part,) = parts(work, "a.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reader, "engine", ORIGINAL)
        (done,) = read(replace(work, settings=replace(work.settings, checkpoints=tmp_path / "none")), [part])
    assert "weights" in done.setup
    assert kept(RECORDS) == []


ORIGINAL = Reader.engine


def test_a_part_of_something_else_is_read_again(working: Working) -> None:
    write("a.pdf", *[page()] * 4)
    work = working()
    first, last = parts(work, "a.pdf")
    write("b.pdf", *[page(300, 200)] * 4)
    read(work, parts(work, "b.pdf")[:1])
    (another,) = Path("out", PARTS).rglob("*.tar")
    for content in (another.read_bytes(), b"none", b""):
        FolderStore(Path("out")).put(f"{PARTS}/{first.key}/1-2.tar", content)
        (done,) = read(work, [last])
        assert (done.error, done.is_finished) == ("", False)
        (done,) = read(work, [first])
        assert (done.error, done.is_finished, done.read) == ("", True, 4)
        FolderStore(Path("out")).remove(first.record)


def test_who_reads_alone_waits_for_the_others_and_keeps_them_out() -> None:
    turns, order = Turns(), []
    is_alone, may_end = threading.Event(), threading.Event()

    def alone() -> None:
        with turns.alone():
            is_alone.set()
            may_end.wait(10)
            order.append("alone")

    def beside() -> None:
        is_alone.wait(10)
        with turns.beside():
            order.append("beside")

    threads = [threading.Thread(target=each) for each in (alone, beside)]
    with turns.beside(), turns.beside():
        for thread in threads:
            thread.start()
        assert not is_alone.wait(0.05)
        order.append("before")
    assert is_alone.wait(10)
    may_end.set()
    for thread in threads:
        thread.join(10)
    assert order == ["before", "alone", "beside"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path)
    store.put("a/b.md", b"before")

    def full(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        store.put("a/b.md", b"after")
    assert [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()] == [b"before"]


def test_a_store_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").symlink_to(tmp_path / "away")
    with pytest.raises(InputError, match="is a link"):
        FolderStore(tmp_path / "out").put("a/b.md", b"text")
    assert list((tmp_path / "away").iterdir()) == []


def test_a_list_names_documents_by_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("x/a.png", "y/a.png", "z.png"):
        write(name)
    Path("list.txt").write_text("\ufeffx/a.png\n\ny\n  x/a.png\nhttps://example.org/b.pdf\n")
    found = list(listed(["@list.txt", "z.png"], Settings(), pytest.fail))
    assert [source.name for source in found] == ["a", "a-2", "b", "z"]
    assert [source.place for source in found[:2]] == [str(tmp_path / "x/a.png"), str(tmp_path / "y/a.png")]
    assert [bool(source.stamp) for source in found] == [True, True, False, True]


@pytest.mark.parametrize(("words", "reason"), [(["-"], "Standard input"), (["@none.txt"], "none.txt")])
def test_what_other_machines_cannot_read_is_refused(words: list[str], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        list(listed(words, Settings(), pytest.fail))


def test_a_line_a_document_with_its_rate_and_a_list_of_what_failed(tmp_path: Path) -> None:
    said: list[str] = []
    times = iter([0.0, 4.0, 8.0, 20.0])
    tally = Tally(4, FolderStore(tmp_path), said.append, lambda: next(times))
    tally.add(Done("a.pdf", "a", "1-2", 2, read=2, seconds=3.0, is_finished=False))
    tally.add(Done("b.png", "b", read=1, seconds=1.0, early=1))
    tally.add(Done("a.pdf", "a", "3", 2, read=3, seconds=2.0))
    tally.add(Done("c.png", "c", is_whole=True))
    tally.add(Done("d.png", "d", error="It is none.", is_finished=False))
    tally.close()
    assert said[:4] == [
        "1/4  b.png: 1 page in 1.0 s, 1 ended early; 0.25 pages/s, 0:00:12 left",
        "2/4  a.pdf: 3 pages in 5.0 s; 0.5 pages/s, 0:00:08 left",
        "3/4  c.png: whole already",
        "4/4  d.png: It is none.",
    ]
    assert said[4] == "4 pages read, 2 documents done, 1 whole already, in 0:00:20"
    assert said[5] == "1 could not be read; all are in failures.jsonl:\n  d.png: It is none."
    lines = [json.loads(line) for line in (tmp_path / FAILURES).read_text().splitlines()]
    assert lines == [{"document": "d.png", "pages": "", "error": "It is none."}]


def test_a_document_of_which_a_part_failed_is_a_failure(tmp_path: Path) -> None:
    tally = Tally(2, FolderStore(tmp_path), lambda line: None)
    tally.add(Done("a.pdf", "a", "1-2", 2, error="Too bad.", is_finished=False))
    tally.add(Done("a.pdf", "a", "3", 2, read=1, is_finished=False))
    for pages in ("1-2", "3"):
        tally.add(Done("b.pdf", "b", pages, 2, read=1, is_finished=False))
    assert [failure["error"][:8] for failure in tally.failures] == ["Too bad.", "It is re"]
    assert (tally.read, tally.over) == (0, 2)


def test_without_ray_it_is_said_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    write("a.png")
    assert run("cluster", "read", "a.png", "-o", "out") == 1
    assert "pip install -r requirements-ray.txt" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--gpus-per-reader", "1.5"], "a share from 0 to 1"),
        (["--attempts", "0"], "from 1 to 100"),
        (["--readers", "many"], "from 1 to 10000"),
        (["--jsonl"], "No such option"),
        ([], "Missing option '-o'"),
        (["-o", "s3a://me:secret@store/out"], "be written to 's3a://me@store/out'. A URI begins with one of"),
    ],
)
def test_wrong_options_are_named(run: Run, words: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cluster", "read", "a.png", *words, *(["-o", "out"] if words and "-o" not in words else [])) == 2
    assert reason in capsys.readouterr().err
    assert not Path("s3a:").exists()
