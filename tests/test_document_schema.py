"""JSON outputs against their schemas: every document and event the project writes fits, and what is wrong does not."""

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from referencing import Registry, Resource

from ocr.answers.dialects import PARSERS
from ocr.answers.elements import ELEMENT_TYPES
from ocr.output.writers import WRITERS, page_json
from ocr.reading.reader import Reader
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import (
    Check,
    Conflict,
    Decoding,
    Element,
    FinishReason,
    Markdown,
    Omitted,
    PageEvent,
    PageResult,
    PageStart,
    Prompt,
    Retry,
    Unsupported,
)
from tests.checkpoints_dots import GOLDEN
from tests.pictures import page
from tests.scripted import scripted

SCHEMA = json.loads(Path("ocr/output/document.schema.json").read_text())
SCHEMA_FITS = Draft202012Validator(SCHEMA)
EVENT = json.loads(Path("ocr/output/event.schema.json").read_text())
DOCUMENT = Resource.from_contents(SCHEMA)
EVENT_FITS = Draft202012Validator(EVENT, registry=Registry().with_resource("document.schema.json", DOCUMENT))
GROUNDED = (
    "<|ref|>title<|/ref|><|det|>[[0, 0, 999, 100]]<|/det|>\n# Größe\n\n"
    "<|ref|>image<|/ref|><|det|>[[0, 200, 500, 999], [3, 4]]<|/det|>\n"
    "<|ref|>sidebar<|/ref|><|det|>[[500, 200, 1999, 999]]<|/det|>\nSome text."
)
DOTS = json.loads((GOLDEN / "layout_answers.json").read_text())
Reads = Callable[..., list[PageEvent]]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Reads a page with the real reader and engine; the model writes the answer that is given, in this form."""

    def events(answer: str, layout: str = "grounded", **decoding: Any) -> list[PageEvent]:
        monkeypatch.setattr(Reader, "engine", lambda self, model: scripted(answer))
        monkeypatch.setattr(Request, "asked", Prompt("<image>\n", dialect=layout))
        request = Request(model="deepseek-ocr", resolution="Tiny")
        return list(Reader(Settings()).read(request, [(1, page(999, 333))], Decoding(**decoding)))

    return events


def written(events: Sequence[PageEvent]) -> dict[str, Any]:
    """The JSON document of these events, found to fit: the schema, and what a schema cannot say of boxes."""
    writer = WRITERS["json"]()
    document: dict[str, Any] = json.loads("".join([*map(writer.write, events), writer.close()]))
    SCHEMA_FITS.validate(document)
    assert put_together(lines(events)) == document
    for page_ in document["pages"]:
        for x1, y1, x2, y2 in (element["bbox"] for element in page_["elements"] if element["bbox"]):
            assert 0 <= x1 <= x2 <= page_["width"]
            assert 0 <= y1 <= y2 <= page_["height"]
    return document


def lines(events: Sequence[PageEvent]) -> list[dict[str, Any]]:
    """The same events as lines, each found to fit, each whole as it comes."""
    writer, found = WRITERS["events"](), []
    for text in (*map(writer.write, events), writer.close()):
        assert text.count("\n") == bool(text) == text.endswith("\n")
        if text:
            found.append(json.loads(text))
            EVENT_FITS.validate(found[-1])
    return found


def put_together(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The JSON document, from lines alone, as a client makes it."""
    pages: dict[int, dict[str, Any]] = {}
    for line in found[:-1]:
        page_ = pages.setdefault(line["page"], {"markdown": "", "elements": []})
        fields = {name: value for name, value in line.items() if name != "event"}
        if line["event"] == "retry":
            page_.update(markdown="", elements=[])
        elif line["event"] == "markdown":
            page_["markdown"] += line["text"]
        elif line["event"] == "element":
            del fields["page"]
            page_["elements"].append(fields)
            assert fields.pop("number") == len(page_["elements"])
        else:
            page_.update(fields)
    end = found[-1]
    assert (end["event"], end["pages"]) == ("end", len(pages))
    return {"pages": list(pages.values()), "finish_reason": end["finish_reason"], "usage": end["usage"]}


def told(*results: PageResult) -> list[PageEvent]:
    """The events that came before such results."""
    found: list[PageEvent] = []
    for result in results:
        found += [PageStart(result.page, result.width, result.height)] if result.width else []
        found += [Markdown(result.markdown)] if result.markdown else []
        found += [*result.elements, result]
    return found


RESULT = PageResult(
    page=1,
    width=100,
    height=50,
    model="deepseek-ocr",
    text="<|ref|>…",
    markdown="Größe",
    elements=(Element("text", "Text", (1.04, 2, 3, 4.96), "Größe"), Element("other", "x")),
    finish_reason=FinishReason.STOP,
    prompt_tokens=80,
    completion_tokens=10,
    image_tokens=73,
    time_to_first_token=0.5,
    seconds=2.0,
    problems=("One.",),
)
NOTHING = replace(
    RESULT, text="", markdown="", elements=(), problems=(), prompt_tokens=0, completion_tokens=0, seconds=0
)
CHECKED = replace(
    RESULT,
    turned=270,
    check=Check(
        12,
        (Omitted("A line.", (1, 2, 3.04, 4)),),
        (Unsupported("Invented.", 0, (1.04, 2, 3, 4.96)), Unsupported("Of none.")),
        (Conflict("1904", "1906", (1, 2, 3, 4), 1), Conflict("", "not", (1, 2, 3, 4))),
    ),
)
UNCHECKED = replace(RESULT, check=Check(0, failure="Most of the print could not be read."))
BLANK = replace(NOTHING, finish_reason=FinishReason.BLANK)
ERROR = replace(NOTHING, finish_reason=FinishReason.ERROR, error="It is damaged.", width=0, height=0)


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator.check_schema(EVENT)


def test_the_schema_knows_what_the_code_knows() -> None:
    assert SCHEMA["$defs"]["element"]["properties"]["type"]["enum"] == list(ELEMENT_TYPES)
    assert SCHEMA["$defs"]["finish_reason"]["enum"] == [reason.value for reason in FinishReason]


@pytest.mark.parametrize("result", [CHECKED, UNCHECKED])
def test_a_check_and_a_turn_fit(result: PageResult) -> None:
    assert written(told(result))["pages"][0] == page_json(result)


@pytest.mark.parametrize("wrong", [{"element": 0}, {"bbox": None}, {"line": None}, {"score": 1}])
def test_a_conflict_that_is_none_does_not_fit(wrong: dict[str, Any]) -> None:
    document = written(told(CHECKED))
    document["pages"][0]["check"]["conflicts"][0].update(wrong)
    with pytest.raises(ValidationError):
        SCHEMA_FITS.validate(document)


def test_every_field_is_described_required_and_there_are_no_others() -> None:
    for part in objects():
        assert part["additionalProperties"] is False
        assert part["required"] == list(part["properties"])
        assert all(len(field["description"]) > 15 for field in part["properties"].values())


def objects() -> Iterator[dict[str, Any]]:
    return (part for part in (SCHEMA, *SCHEMA["$defs"].values()) if part.get("type") == "object")


def test_what_deepseek_answers_fits(read: Reads) -> None:
    (found,) = written(read(GROUNDED))["pages"]
    assert [element["label"] for element in found["elements"]] == ["title", "image", "sidebar"]
    assert found["elements"][2]["bbox"] == [500.0, pytest.approx(66.7, abs=0.1), 999.0, 333.0]
    assert len(found["problems"]) == 1


@pytest.mark.parametrize("name", DOTS)
def test_what_dots_answers_fits_however_broken(read: Reads, name: str) -> None:
    written(read(DOTS[name], "layout_json"))


@pytest.mark.parametrize("layout", PARSERS)
@pytest.mark.parametrize("answer", ["", "(1, 2), (3, 2), (3, 4), (1, 4) OPEN", "[[[ <|det|> {\n\x00\ud7ff\U0001f600"])
def test_any_answer_in_any_form_fits(read: Reads, layout: str, answer: str) -> None:
    written(read(answer, layout))


@pytest.mark.parametrize(
    ("finish", "decoding"),
    [
        (FinishReason.STOP, {}),
        (FinishReason.LENGTH, {"max_new_tokens": 60}),
        (FinishReason.DEADLINE, {"deadline_s": 1e-9}),
    ],
)
def test_a_page_fits_however_it_ends(read: Reads, finish: FinishReason, decoding: dict[str, Any]) -> None:
    assert written(read(GROUNDED, **decoding))["finish_reason"] == finish.value


def test_a_page_that_no_model_answered_fits() -> None:
    assert written(told(BLANK))["finish_reason"] == "blank"
    assert written(told(ERROR))["pages"][0]["error"] == "It is damaged."
    assert written(told(replace(RESULT, finish_reason=FinishReason.ERROR, error="No memory.")))["pages"][0]["markdown"]


def test_a_document_of_several_pages_fits(read: Reads) -> None:
    repeated = replace(RESULT, page=2, finish_reason=FinishReason.REPETITION, retries=2)
    document = written([*read(GROUNDED), *told(repeated, replace(BLANK, page=3), replace(ERROR, page=4))])
    assert [found["finish_reason"] for found in document["pages"]] == ["stop", "repetition", "blank", "error"]
    assert [found["retries"] for found in document["pages"]] == [0, 2, 0, 0]
    assert document["finish_reason"] == "error"


def test_a_document_without_pages_fits() -> None:
    assert written([])["pages"] == []


def test_a_page_read_again_voids_what_came_of_it(read: Reads) -> None:
    given_up = [PageStart(1, 100, 50), Markdown("loop"), Element("text", "t"), Retry(1, FinishReason.REPETITION)]
    found = lines([*given_up, *told(RESULT)[1:]])
    assert [line["event"] for line in found] == [
        *("page", "markdown", "element", "retry", "markdown", "element", "element", "result", "end")
    ]
    assert put_together(found) == written(told(RESULT))


@pytest.mark.parametrize(
    "line",
    [
        {"event": "done"},
        {"event": "markdown", "text": "a"},
        {"event": "markdown", "page": 1, "text": ""},
        {"event": "page", "page": 1, "width": 0, "height": 10, "turned": 0},
        {"event": "element", "page": 1, "type": "text", "label": "", "bbox": None, "text": ""},
        {"event": "element", "page": 1, "number": 1, "type": "words", "label": "", "bbox": None, "text": ""},
        {"event": "retry", "page": 1, "reason": "again"},
    ],
)
def test_a_wrong_line_is_refused(line: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EVENT_FITS.validate(line)


ABSENT = object()
PAGE, ELEMENT = ("pages", 0), ("pages", 0, "elements", 0)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *(((name,), ABSENT) for name in SCHEMA["required"]),
        *(((*PAGE, name), ABSENT) for name in SCHEMA["$defs"]["page"]["required"]),
        *(((*ELEMENT, name), ABSENT) for name in SCHEMA["$defs"]["element"]["required"]),
        *(((*where, "more"), 1) for where in [(), ("usage",), PAGE, (*PAGE, "usage"), ELEMENT]),
        (("pages",), {}),
        (("finish_reason",), "done"),
        ((*PAGE, "finish_reason"), "Stop"),
        ((*PAGE, "page"), 0),
        ((*PAGE, "width"), 0),
        ((*PAGE, "height"), 50.5),
        ((*PAGE, "model"), ""),
        ((*PAGE, "markdown"), None),
        ((*PAGE, "problems"), [""]),
        ((*PAGE, "usage", "image_tokens"), 1.5),
        ((*PAGE, "retries"), None),
        ((*PAGE, "seconds"), -1),
        ((*ELEMENT, "type"), "paragraph"),
        ((*ELEMENT, "label"), None),
        ((*ELEMENT, "bbox"), []),
        ((*ELEMENT, "bbox"), [1, 2, 3]),
        ((*ELEMENT, "bbox"), [1, 2, 3, 4, 5]),
        ((*ELEMENT, "bbox"), [1, 2, 3, "4"]),
        ((*ELEMENT, "bbox"), [-1, 2, 3, 4]),
        # What does not go together:
        ((*PAGE, "error"), "A reason, of a page that was read."),
        ((*PAGE, "error"), ""),
        ((*PAGE, "finish_reason"), "error"),
        ((*PAGE, "finish_reason"), "blank"),
    ],
)
def test_a_wrong_document_is_refused(place: Sequence[str | int], value: object) -> None:
    document = written(told(RESULT))
    with pytest.raises(ValidationError):
        SCHEMA_FITS.validate(changed(document, place, value))


def changed(document: dict[str, Any], place: Sequence[str | int], value: object) -> dict[str, Any]:
    """A copy of the document with this value in this place, or without what is there."""
    document = copy.deepcopy(document)
    part: Any = document
    for step in place[:-1]:
        part = part[step]
    if value is ABSENT:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    return document
