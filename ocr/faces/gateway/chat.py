"""`POST /v1/chat/completions`: OpenAI's chat, whose last user message holds documents and what to do with them."""

import contextlib
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
    "functions": (None, []),
    "n": (None, 1),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "audio": (None,),
    "modalities": (None, ["text"]),
    "stop": (None, [], ""),
    "logit_bias": (None, {}),
    "response_format": (None, {"type": "text"}),
    "web_search_options": (None,),
}


async def complete(request: Request) -> Response:
    """Read the documents of the last user message, and answer with their text."""
    answer, is_streamed, wants_usage = await _asked(request)
    head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time())}
    if is_streamed:
        return await EventStream.begun(_events(answer, head, wants_usage))
    message = {"role": "assistant", "content": await answer.whole(), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, **_end(answer)}
    body = {"object": "chat.completion", "model": answer.model, "choices": [choice], "usage": _usage(answer)}
    return JSONResponse({**head, **body}, headers=finish_header(answer))


async def _asked(request: Request) -> tuple[Answer, bool, bool]:
    """What is to be read, whether as a stream, and whether that is to end with the usage."""
    service, payload = Service.of(request), await payload_of(request)
    refuse_unhonoured(payload, UNHONOURED)
    content = last_user_message(payload.get("messages"), "messages")
    documents, text = await taken_apart(content, request)
    limit = payload.get("max_completion_tokens") or payload.get("max_tokens")
    inputs = inputs_of(payload.get("model"), text, payload.get("ocr"), limit)
    stream_options = field(payload, "stream_options", dict) or {}
    answer = service.answer(request, documents, inputs)
    return answer, bool(field(payload, "stream", bool)), bool(stream_options.get("include_usage"))


async def _events(answer: Answer, head: Mapping[str, Any], wants_usage: bool) -> AsyncGenerator[str]:
    def chunk(delta: Mapping[str, Any], **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None, **more}
        usage = {"usage": None} if wants_usage else {}
        return event({**head, "object": "chat.completion.chunk", "model": model, "choices": [choice], **usage})

    model = str(answer.inputs["model"])  # as it was asked for; the one that read is known at the end
    async with contextlib.aclosing(answer.stream()) as texts:
        first = await anext(texts, "")
        yield chunk({"role": "assistant", "content": ""})
        if first:
            yield chunk({"content": first})
        try:
            async for text in texts:
                yield chunk({"content": text})
        except Refusal as refusal:
            yield event(refusal.json())
            return
    model = answer.model
    yield chunk({}, **_end(answer))
    if wants_usage:
        yield event({**head, "object": "chat.completion.chunk", "model": model, "choices": [], "usage": _usage(answer)})
    yield event("[DONE]")


def _end(answer: Answer) -> dict[str, Any]:
    """Why it ended in OpenAI's words, and under `ocr` all that those have no room for."""
    return {"finish_reason": "stop" if answer.is_whole else "length", "ocr": answer.own}


def _usage(answer: Answer) -> dict[str, Any]:
    return usage(answer, "prompt_tokens", "completion_tokens")
