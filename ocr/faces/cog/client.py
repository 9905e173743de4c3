"""One prediction on a Cog server, over HTTP: inputs in, text out as it comes."""

import base64
import json
import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import EventSource, connect_sse

from ocr.errors import InputError, OCRError, choices
from ocr.faces.cog.failures import failure
from ocr.faces.cog.schema import PROJECT, openapi


def stream(url: str, inputs: Mapping[str, Any]) -> Iterator[str]:
    """The text of one prediction as it comes. Raises OCRError where the prediction is refused or fails."""
    client = httpx.Client(timeout=httpx.Timeout(10, read=None))
    try:
        with client, connect_sse(client, "POST", f"{url}/predictions", json={"input": dict(inputs)}) as events:
            if events.response.status_code != httpx.codes.OK:
                raise InputError(_refusal(events.response.read()))
            yield from _chunks(events)
    except httpx.HTTPError as error:
        raise OCRError(f"The server did not answer to the end: {str(error) or type(error).__name__}.") from error


def _chunks(events: EventSource) -> Iterator[str]:
    for event in events.iter_sse():
        data = json.loads(event.data)
        if event.event == "output":
            yield data["chunk"]
        elif event.event == "completed" and data["status"] != "succeeded":
            raise failure(data.get("error") or f"The prediction ended as {data['status']}.")


def _refusal(body: bytes) -> str:
    detail = json.loads(body).get("detail", body.decode())
    if not isinstance(detail, list):
        return str(detail)
    return "; ".join(f"{error['loc'][-1]}: {error['msg']}" for error in detail)


def parse_inputs(pairs: Sequence[str]) -> dict[str, Any]:
    """`name=value` pairs as the inputs of a prediction; `@FILE` stands for the file's content.

    Raises InputError for a name that predict() lacks (Cog would drop it without a word), a value of another type or a
    file that is not there.
    """
    document = openapi((PROJECT / "predict.py").read_text(encoding="utf-8"))
    properties = document["components"]["schemas"]["Input"]["properties"]
    inputs: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or name not in properties:
            raise InputError(f"-i {pair!r} is no input; write name=value with one of: {choices(properties)}.")
        inputs[name] = _value(name, value, properties[name].get("type", "string"))
    return inputs


def _value(name: str, value: str, kind: str) -> Any:
    if value.startswith("@"):
        return data_url(Path(value[1:]))
    if kind == "integer":
        try:
            return int(value)
        except ValueError:
            raise InputError(f"{name} is {value!r}; it must be a whole number.") from None
    return value


def data_url(path: Path) -> str:
    """A file as a data: URL. Raises InputError for a file that cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"The file {str(path)!r} cannot be read: {error.strerror}.") from error
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
