"""What the chat completions and the responses share of OpenAI's form: refusals, usage, streams of events."""

import contextlib
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ocr.faces.gateway.answers import Answer
from ocr.faces.gateway.refusals import wrong


def refuse_unhonoured(payload: Mapping[str, Any], unhonoured: Mapping[str, tuple[Any, ...]]) -> None:
    """Raise Refusal for a field that asks for what cannot be done; its table has the values that ask for nothing."""
    for name, nothing in unhonoured.items():
        if payload.get(name) not in nothing:
            raise wrong(f"{name} is not supported: this server only reads documents. Leave it out.", name)


def usage(answer: Answer, given: str, written: str) -> dict[str, Any]:
    """The tokens of an answer under the names that one of the APIs has for those given and those written."""
    counts = {given: answer.sum("prompt_tokens"), written: answer.sum("completion_tokens")}
    return {**counts, "total_tokens": sum(counts.values())}


def finish_header(answer: Answer) -> dict[str, str]:
    """Why it ended, in the package's own words."""
    return {"X-OCR-Finish-Reason": answer.finish_reason.value}


def event(data: Any, name: str = "") -> str:
    """One server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return (f"event: {name}\n" if name else "") + f"data: {text}\n\n"


class EventStream(Response):
    """A stream of events, closed as soon as its reader leaves. Made with `begun`."""

    media_type = "text/event-stream"

    def __init__(self, first: str, events: AsyncGenerator[str]) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._first = first
        self._events = events

    @classmethod
    async def begun(cls, events: AsyncGenerator[str]) -> "EventStream":
        """The stream, once its first event is there: what goes wrong before that is an answer with a status."""
        try:
            return cls(await anext(events), events)
        except BaseException:
            await events.aclose()
            raise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with contextlib.aclosing(self._events):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self._first.encode(), "more_body": True})
            async for text in self._events:
                await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
