"""`POST /v1/responses`: OpenAI's newer API, for one question and its answer; nothing is kept for a later one."""

import contextlib
import itertools
import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ocr.faces.gateway.answers import Answer
from ocr.faces.gateway.asking import inputs_of
from ocr.faces.gateway.openai_form import EventStream, event, finish_header, refuse_unhonoured, usage
from ocr.faces.gateway.parts import last_user_message, taken_apart
from ocr.faces.gateway.refusals import Refusal
from ocr.faces.gateway.service import Service, field, payload_of

# What cannot be done, each with the values that ask for nothing of it.
UNHONOURED: Mapping[str, tuple[Any, ...]] = {
    "tools": (None, []),
    "previous_response_id": (None,),
    "conversation": (None,),
    "background": (None, False),
    "prompt": (None,),
    "top_logprobs": (None, 0),
    "text": (None, {}, {"format": {"type": "text"}}, {"format": {"type": "text"}, "verbosity": "medium"}),
}


async def create(request: Request) -> Response:
    """Read the documents of the last user message, and answer with their text."""
    service, payload = Service.of(request), await payload_of(request)
    refuse_unhonoured(payload, UNHONOURED)
    content = _content(payload.get("input"))
    documents, text = await taken_apart(content, request)
    inputs = inputs_of(payload.get("model"), text, payload.get("ocr"), payload.get("max_output_tokens"))
    answer = service.answer(request, documents, inputs)
    form = _Form(payload, answer)
    is_streamed = bool(field(payload, "stream", bool))
    del payload, content  # the document in base64 among it
    if is_streamed:
        return await EventStream.begun(form.events())
    text = await answer.whole()
    return JSONResponse(form.over(text), headers=finish_header(answer))


def _content(given: Any) -> Any:
    """The content of the last user message in `input`: a text alone, messages, or parts that stand for one message."""
    if isinstance(given, str):
        return given
    if isinstance(given, list) and given and all(isinstance(item, dict) and "role" not in item for item in given):
        return given
    return last_user_message(given, "input")


class _Form:
    """One response in OpenAI's form, as it grows."""

    def __init__(self, payload: Mapping[str, Any], answer: Answer) -> None:
        self._answer = answer
        self._item_id = f"msg_{secrets.token_hex(12)}"
        self._head: dict[str, Any] = {
            "id": f"resp_{secrets.token_hex(12)}",
            "object": "response",
            "created_at": int(time.time()),
            "model": str(answer.inputs["model"]),
            "metadata": payload.get("metadata") or {},
            "max_output_tokens": payload.get("max_output_tokens"),
            "parallel_tool_calls": False,
            "tool_choice": "none",
            "tools": [],
            "store": False,
            "text": {"format": {"type": "text"}},
        }

    def _response(self, status: str, **more: Any) -> dict[str, Any]:
        nothing: dict[str, Any] = {"output": [], "error": None, "incomplete_details": None, "usage": None}
        return {**self._head, "status": status, **nothing, **more}

    def _item(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self._item_id, "type": "message", "role": "assistant", "status": status, "content": content}

    def over(self, text: str) -> dict[str, Any]:
        """The response when all is read."""
        status = "completed" if self._answer.is_whole else "incomplete"
        return self._response(
            status,
            model=self._answer.model,
            output=[self._item(status, [_part(text)])],
            incomplete_details=None if self._answer.is_whole else {"reason": "max_output_tokens"},
            usage={
                **usage(self._answer, "input_tokens", "output_tokens"),
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens_details": {"reasoning_tokens": 0},
            },
            ocr=self._answer.own,
        )

    async def events(self) -> AsyncGenerator[str]:
        """The response as a stream, each event with its number."""
        numbers = itertools.count()
        place = {"item_id": self._item_id, "output_index": 0, "content_index": 0}

        def told(kind: str, **more: Any) -> str:
            return event({"type": kind, "sequence_number": next(numbers), **more}, kind)

        async with contextlib.aclosing(self._answer.stream()) as texts:
            first = await anext(texts, "")
            yield told("response.created", response=self._response("in_progress"))
            yield told("response.in_progress", response=self._response("in_progress"))
            yield told("response.output_item.added", output_index=0, item=self._item("in_progress", []))
            yield told("response.content_part.added", **place, part=_part(""))
            shown = ""
            try:
                async for text in _after(first, texts):
                    shown += text
                    yield told("response.output_text.delta", **place, delta=text, logprobs=[])
            except Refusal as refusal:
                error = {"code": "server_error", "message": refusal.message}
                yield told("response.failed", response=self._response("failed", error=error))
                return
        over = self.over(shown)
        yield told("response.output_text.done", **place, text=shown, logprobs=[])
        yield told("response.content_part.done", **place, part=_part(shown))
        yield told("response.output_item.done", output_index=0, item=over["output"][0])
        yield told(f"response.{over['status']}", response=over)


async def _after(first: str, rest: AsyncGenerator[str]) -> AsyncGenerator[str]:
    if first:
        yield first
    async for text in rest:
        yield text


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
