"""The content parts of OpenAI's messages, of both its APIs: texts, and documents however they are named."""

from collections.abc import Mapping, Sequence
from typing import IO, Any

from starlette.requests import Request

from ocr.errors import choices
from ocr.faces.gateway.refusals import wrong
from ocr.faces.gateway.service import Service, client_of, field

MOST_DOCUMENTS = 32  # of one request
NO_DOCUMENT = (
    "The last user message has no document. Add one to its content: an image as image_url or input_image, a PDF as "
    "file or input_file."
)
TEXTS = ("text", "input_text")
DOCUMENTS = ("image_url", "input_image", "file", "input_file")
KINDS = (*TEXTS, *DOCUMENTS)


async def taken_apart(content: Any, request: Request) -> tuple[list[IO[bytes]], str]:
    """The documents of a message, open as long as the request lasts, and its texts together.

    Raises Refusal for a part that is none of ours, and for a message without a document.
    """
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise wrong("The content of the last user message must be a string or a list of parts.", "content")
    for part in parts:
        if part.get("type") not in KINDS:
            raise wrong(
                f"A part of type {str(part.get('type'))[:100]!r} cannot be read; there are: {choices(KINDS)}.",
                "content",
            )
    named = [part for part in parts if part["type"] in DOCUMENTS]
    if not named:
        raise wrong(NO_DOCUMENT, "content")
    if len(named) > MOST_DOCUMENTS:
        raise wrong(f"The message has {len(named)} documents; at most {MOST_DOCUMENTS} are read at once.", "content")
    text = "\n".join(field(part, "text", str) or "" for part in parts if part["type"] in TEXTS)
    opened = request.state.opened
    return [opened.enter_context(await _opened(part, request)) for part in named], text


async def _opened(part: Mapping[str, Any], request: Request) -> IO[bytes]:
    documents = Service.of(request).documents
    kind = part["type"]
    inner = part if kind.startswith("input_") else part.get(kind)
    inner = {"url": inner} if isinstance(inner, str) else inner
    if not isinstance(inner, dict):
        raise wrong(f"A part of type {kind} needs {kind} with the document in it.", kind)
    if id_ := field(inner, "file_id", str):
        return documents.stored(id_, client_of(request))
    if data := field(inner, "file_data", str):
        return await documents.encoded(data, "file_data")
    for name in ("url", "image_url", "file_url"):
        if url := field(inner, name, str):
            return await documents.at(url, kind)
    raise wrong(f"The part of type {kind} names no document.", kind)


def last_user_message(messages: Any, param: str) -> Any:
    """The content of the last message whose role is user. Raises Refusal where there is none."""
    if not isinstance(messages, Sequence) or not all(isinstance(message, dict) for message in messages):
        raise wrong(f"{param} must be a list of messages.", param)
    for message in reversed(messages):
        if message.get("role") == "user":
            return message.get("content")
    raise wrong(f"{param} has no message of role user.", param)
