"""The gateway driven by OpenAI's own client."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from ocr.models.tasks import TASKS
from ocr.types import Check, FinishReason, Omitted, Retry
from tests.gateways import FakeCog, data_url, gateway, get, page_events, post


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FakeCog, str]]:
    cog = FakeCog(slots=4)
    with gateway(cog) as url:
        yield cog, url


@pytest.fixture
def cog(served: tuple[FakeCog, str]) -> FakeCog:
    """The server behind the gateway, as new."""
    cog, _ = served
    cog.events, cog.error, cog.dies_after, cog.pause_s = tuple(page_events("Hello world")), "", None, 0.0
    cog.inputs.clear()
    cog.documents.clear()
    return cog


@pytest.fixture
def client(cog: FakeCog, served: tuple[FakeCog, str]) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{served[1]}/v1", api_key="any", max_retries=0) as client:
        yield client


def image(content: bytes = b"a picture") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_url(content)}}


def said(*parts: Any) -> list[Any]:
    return [{"role": "user", "content": list(parts)}]


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def chat(client: OpenAI, *parts: Any, **more: Any) -> Any:
    return client.chat.completions.create(**{"model": "auto", "messages": said(*parts), **more})


def test_an_image_in_chat_is_read(client: OpenAI, cog: FakeCog) -> None:
    answer = chat(client, image())
    assert answer.choices[0].message.content == "Hello world"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "deepseek-ocr"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (100, 20, 120)
    assert cog.documents == [b"a picture"]
    assert cog.inputs == [{"model": "auto", "output_format": "events"}]


def test_the_text_streams_with_its_role_first_and_its_reason_last(client: OpenAI) -> None:
    chunks = list(chat(client, image(), stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello world"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 120
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_text_streams_as_it_comes(client: OpenAI, cog: FakeCog) -> None:
    cog.pause_s = 0.05
    stream = chat(client, image(), stream=True)
    next(stream), next(stream)
    assert cog.running == 1
    assert "world" in "".join(chunk.choices[0].delta.content or "" for chunk in stream)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_data": data_url(b"%PDF-1.7", "application/pdf"), "filename": "a.pdf"}},
        {"type": "file", "file": {"file_data": base64.b64encode(b"%PDF-1.7").decode(), "filename": "a.pdf"}},
        {"type": "image_url", "image_url": data_url(b"%PDF-1.7")},
        {"type": "image_url", "image_url": {"url": "data:application/pdf,%25PDF-1.7", "detail": "high"}},
    ],
)
def test_a_document_may_be_named_in_several_ways(client: OpenAI, cog: FakeCog, part: Any) -> None:
    chat(client, part)
    assert cog.documents == [b"%PDF-1.7"]


def test_an_uploaded_file_is_read_by_its_id_and_deleted(client: OpenAI, cog: FakeCog) -> None:
    file = client.files.create(file=("a.pdf", b"%PDF-1.7"), purpose="user_data")
    assert (file.bytes, file.filename, file.status) == (8, "a.pdf", "processed")
    chat(client, {"type": "file", "file": {"file_id": file.id}})
    assert cog.documents == [b"%PDF-1.7"]
    assert client.files.content(file.id).read() == b"%PDF-1.7"
    assert [known.id for known in client.files.list()] == [file.id]
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


@pytest.mark.parametrize(
    ("words", "inputs"),
    [
        ("Free OCR", {"task_type": "Free OCR"}),
        ("  free ocr\n", {"task_type": "Free OCR"}),
        ("<image>\nFree OCR.", {"task_type": "Free OCR"}),
        ("<|grounding|>Convert the document to markdown.", {"task_type": "Convert to Markdown"}),
        (
            "Locate <|ref|>the total<|/ref|> in the image.",
            {"task_type": "Locate Object by Reference", "reference_text": "the total"},
        ),
        ("Read this, please.", {"prompt": "Read this, please."}),
        ("", {}),
    ],
)
def test_the_text_selects_a_task_or_is_the_prompt(client: OpenAI, cog: FakeCog, words: str, inputs: Any) -> None:
    chat(client, text(words), image())
    assert cog.inputs == [{"model": "auto", "output_format": "events", **inputs}]


@pytest.mark.parametrize("task", TASKS)
def test_every_task_can_be_asked_for_by_its_name(client: OpenAI, cog: FakeCog, task: str) -> None:
    chat(client, text(task), image())
    assert cog.inputs[0]["task_type"] == task


def test_the_last_user_turn_counts(client: OpenAI, cog: FakeCog) -> None:
    turns = [{"role": "system", "content": "You read."}, *said(text("Free OCR"), image(b"first"))]
    turns += [{"role": "assistant", "content": "It says so."}, *said(image(b"second"))]
    client.chat.completions.create(model="auto", messages=turns)
    assert cog.documents == [b"second"]
    assert "task_type" not in cog.inputs[0]


def test_our_own_options_and_a_preset_in_the_model_name(client: OpenAI, cog: FakeCog) -> None:
    options = {"task": "free ocr", "pages": "1-3", "dpi": 300}
    chat(client, image(), model="deepseek-ocr:base", max_tokens=50, extra_body={"ocr": options})
    assert cog.inputs == [
        {
            "model": "deepseek-ocr",
            "resolution_size": "Base",
            "task_type": "Free OCR",
            "pages": "1-3",
            "dpi": 300,
            "max_new_tokens": 50,
            "output_format": "events",
        }
    ]


def test_a_second_reading_can_be_asked_for_and_what_it_finds_is_told(
    client: OpenAI, cog: FakeCog, served: tuple[FakeCog, str]
) -> None:
    found = Check(2, omitted=(Omitted("Due in May", (0, 0, 90, 20)),))
    cog.events = tuple(page_events("Hello", check=found))
    answer = chat(client, image(), extra_body={"ocr": {"check": True}})
    assert cog.inputs[0]["check"] is True
    assert answer.choices[0].ocr["pages"][0]["check"]["omitted"] == [{"text": "Due in May", "bbox": [0, 0, 90, 20]}]
    response = client.responses.create(model="auto", input=pdf_input(), extra_body={"ocr": {"check": True}})
    assert response.ocr["pages"][0]["check"]["lines"] == 2  # type: ignore[attr-defined]
    assert 'ocr_disagreements_total{kind="omitted",model="deepseek-ocr"} 2.0' in get(f"{served[1]}/metrics").text


def test_the_text_is_the_reference_of_a_task_that_needs_one(client: OpenAI, cog: FakeCog) -> None:
    chat(client, text("the total"), image(), extra_body={"ocr": {"task": "Locate Object by Reference"}})
    assert cog.inputs[0]["reference_text"] == "the total"


def test_a_limit_above_what_a_page_can_be_given_is_as_good_as_the_highest(client: OpenAI, cog: FakeCog) -> None:
    chat(client, image(), max_completion_tokens=1_000_000)
    assert cog.inputs[0]["max_new_tokens"] == 32768


def test_json_can_be_asked_for(client: OpenAI, cog: FakeCog) -> None:
    answer = chat(client, image(), extra_body={"ocr": {"output_format": "json"}})
    assert json.loads(answer.choices[0].message.content)["pages"][0]["markdown"] == "Hello world"


def test_pages_stand_apart_and_one_that_fails_is_told(client: OpenAI, cog: FakeCog) -> None:
    failed = page_events("", 2, finish_reason=FinishReason.ERROR, error="It is torn.")
    cog.events = (*page_events("One"), *failed)
    answer = chat(client, image())
    expected = "One\n\n<--- Page Split --->\n\n<!-- Page 2 could not be read: It is torn. -->"
    assert answer.choices[0].message.content == expected
    assert answer.choices[0].finish_reason == "length"
    assert answer.choices[0].ocr["pages"][1]["error"] == "It is torn."
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chat(client, image(), stream=True))
    assert streamed == expected


def test_an_attempt_that_was_given_up_is_in_no_whole_answer_and_marked_in_a_stream(
    client: OpenAI, cog: FakeCog
) -> None:
    first, again = page_events("Wrong wrong"), page_events("Right")
    cog.events = (*first[:-1], Retry(1, FinishReason.REPETITION), *again[1:])
    assert chat(client, image()).choices[0].message.content == "Right"
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chat(client, image(), stream=True))
    assert streamed == "Wrong wrong\n\n<--- Page Retry --->\n\nRight"


@pytest.mark.parametrize(
    ("reason", "theirs"),
    [("stop", "stop"), ("blank", "stop"), ("length", "length"), ("repetition", "length"), ("deadline", "length")],
)
def test_the_finish_reason_is_true(client: OpenAI, cog: FakeCog, reason: str, theirs: str) -> None:
    cog.events = tuple(page_events("" if reason == "blank" else "Some", finish_reason=FinishReason(reason)))
    answer = client.chat.completions.with_raw_response.create(model="auto", messages=said(image()))
    assert answer.headers["X-OCR-Finish-Reason"] == reason
    assert answer.parse().choices[0].finish_reason == theirs
    assert answer.parse().choices[0].ocr["finish_reason"] == reason
    assert [chunk.choices[0].finish_reason for chunk in chat(client, image(), stream=True)][-1] == theirs


def test_several_documents_are_read_in_turn(client: OpenAI, cog: FakeCog) -> None:
    answer = chat(client, image(b"one"), image(b"two"))
    assert cog.documents == [b"one", b"two"]
    assert answer.choices[0].message.content == "Hello world\n\n<--- Page Split --->\n\nHello world"
    assert answer.usage.total_tokens == 240


@pytest.mark.parametrize(
    ("more", "kind", "words"),
    [
        (
            {"tools": [{"type": "function", "function": {"name": "f"}}]},
            openai.BadRequestError,
            "tools is not supported",
        ),
        ({"n": 2}, openai.BadRequestError, "n is not supported"),
        ({"logprobs": True}, openai.BadRequestError, "logprobs is not supported"),
        ({"stop": ["x"]}, openai.BadRequestError, "stop is not supported"),
        ({"model": "gpt-5"}, openai.NotFoundError, "there are: auto, deepseek-ocr"),
        ({"model": "auto:huge"}, openai.NotFoundError, "gundam, tiny, small, base, large"),
        ({"max_tokens": -1}, openai.BadRequestError, "above 0"),
        ({"messages": said(text("Hello?"))}, openai.BadRequestError, "has no document"),
        ({"messages": []}, openai.BadRequestError, "no message of role user"),
        ({"messages": said({"type": "input_audio"})}, openai.BadRequestError, "'input_audio' cannot be read"),
        ({"messages": said({"type": "image_url"})}, openai.BadRequestError, "needs image_url"),
        ({"messages": said({"type": "file", "file": {"file_data": "%%"}})}, openai.BadRequestError, "no base64"),
        ({"messages": said({"type": "file", "file": {"file_id": "file-x"}})}, openai.NotFoundError, "no file 'file-x'"),
        (
            {"messages": said({"type": "image_url", "image_url": "/etc/hostname"})},
            openai.BadRequestError,
            "no data: URL",
        ),
        (
            {"messages": said({"type": "image_url", "image_url": "http://169.254.169.254/"})},
            openai.BadRequestError,
            "not fetched here",
        ),
        ({"extra_body": {"ocr": {"colour": 1}}}, openai.BadRequestError, "'colour' is no option; there are: "),
        ({"extra_body": {"ocr": {"image": "x"}}}, openai.BadRequestError, "field of its own"),
        ({"extra_body": {"ocr": {"task": "Sing"}}}, openai.BadRequestError, "task_type: is not one of"),
        ({"extra_body": {"ocr": 5}}, openai.BadRequestError, "must be an object"),
        (
            {"messages": said(text("Do it."), image()), "extra_body": {"ocr": {"task": "Free OCR"}}},
            openai.BadRequestError,
            "Leave one out",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(client: OpenAI, more: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words) as refused:
        chat(client, image(), **more)
    assert refused.value.body["type"] == "invalid_request_error"
    with pytest.raises(kind, match=words):
        chat(client, image(), stream=True, **more)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        ("InputError: The image is damaged.", openai.BadRequestError, "The image is damaged"),
        ("SetupError: There is no memory left.", openai.InternalServerError, "no memory left"),
        ("ModelError: It wrote nonsense.", openai.InternalServerError, "nonsense"),
    ],
)
def test_a_prediction_that_fails_says_why(client: OpenAI, cog: FakeCog, error: str, kind: Any, words: str) -> None:
    cog.events, cog.error = (), error
    with pytest.raises(kind, match=words):
        chat(client, image())


def test_a_server_that_goes_away_is_told_in_a_whole_answer_and_in_a_stream(client: OpenAI, cog: FakeCog) -> None:
    cog.dies_after = 4
    with pytest.raises(openai.InternalServerError, match="failed while it was reading") as lost:
        chat(client, image())
    assert lost.value.status_code == 502
    stream = chat(client, image(), stream=True)
    assert next(stream).choices[0].delta.role == "assistant"
    with pytest.raises(openai.APIError, match="failed while it was reading"):
        list(stream)


def test_unknown_fields_are_ignored(client: OpenAI) -> None:
    assert chat(client, image(), temperature=0.2, user="me", extra_body={"keep_alive": 5}).choices


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(served: tuple[FakeCog, str], body: bytes) -> None:
    answer = post(f"{served[1]}/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_the_models_are_listed(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()][:2] == ["auto", "deepseek-ocr"]
    assert client.models.retrieve("dots.ocr").id == "dots.ocr"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-5")


def pdf_input(**more: Any) -> list[Any]:
    return [{"role": "user", "content": [{"type": "input_file", "file_data": data_url(b"%PDF"), **more}]}]


def test_a_response_reads_a_pdf(client: OpenAI, cog: FakeCog) -> None:
    answer = client.responses.create(model="auto:tiny", input=pdf_input(), max_output_tokens=9)
    assert answer.output_text == "Hello world"
    assert (answer.status, answer.model) == ("completed", "deepseek-ocr")
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (100, 20, 120)
    assert cog.inputs[0]["resolution_size"] == "Tiny"
    assert cog.inputs[0]["max_new_tokens"] == 9


def test_a_response_streams_as_the_client_expects(client: OpenAI) -> None:
    content = [{"type": "input_text", "text": "Free OCR"}, {"type": "input_image", "image_url": data_url()}]
    with client.responses.stream(model="auto", input=[{"role": "user", "content": content}]) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.type for event in events][:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "Hello world"
    assert [event.sequence_number for event in events if event.type != "response.output_text.delta"]
    assert final.output_text == "Hello world"
    assert final.usage.total_tokens == 120


def test_a_response_that_was_cut_short_is_incomplete(client: OpenAI, cog: FakeCog) -> None:
    cog.events = tuple(page_events("Some", finish_reason=FinishReason.LENGTH))
    answer = client.responses.create(model="auto", input=pdf_input())
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"
    with client.responses.stream(model="auto", input=pdf_input()) as stream:
        assert list(stream)[-1].type == "response.incomplete"


def test_a_response_by_file_id(client: OpenAI, cog: FakeCog) -> None:
    file = client.files.create(file=("a.png", b"picture"), purpose="vision")
    content = [{"type": "input_image", "file_id": file.id, "detail": "auto"}]
    client.responses.create(model="auto", input=[{"role": "user", "content": content}])
    assert cog.documents == [b"picture"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools is not supported"),
        ({"previous_response_id": "resp_1"}, "previous_response_id is not supported"),
        ({"background": True}, "background is not supported"),
        ({"input": "Hello?"}, "has no document"),
    ],
)
def test_what_a_response_cannot_do_is_refused_in_words(client: OpenAI, more: Any, words: str) -> None:
    with pytest.raises(openai.BadRequestError, match=words):
        client.responses.create(**{"model": "auto", "input": pdf_input(), **more})


def test_a_response_that_fails_in_its_stream_says_so(client: OpenAI, cog: FakeCog) -> None:
    cog.dies_after = 4
    events = list(client.responses.create(model="auto", input=pdf_input(), stream=True))
    assert events[-1].type == "response.failed"
    assert "failed while it was reading" in events[-1].response.error.message
