"""One prediction on a Cog server, over HTTP: inputs in, text out as it comes."""

import base64
import json
import mimetypes
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import EventSource, connect_sse

from ocr.errors import InputError, OCRError, choices
from ocr.faces.cog.schema import PROJECT, openapi
from ocr.faces.failures import failure

PATIENCE_S = 1.0  # for a server that says it is busy
PAUSE_S = 0.05


def stream(url: str, inputs: Mapping[str, Any]) -> Iterator[str]:
    """The text of one prediction, on a server of this machine, as it comes.

    Cog's server answers a moment before it is free for the next prediction and refuses that one with 409 until then,
    so for a second it is asked again. Raises OCRError where the prediction is refused or fails.
    """
    deadline = time.monotonic() + PATIENCE_S
    try:
        with httpx.Client(timeout=httpx.Timeout(10, read=None), trust_env=False) as client:  # no proxy has a part in it
            while True:
                with connect_sse(client, "POST", f"{url}/predictions", json={"input": dict(inputs)}) as events:
                    if events.response.status_code == httpx.codes.OK:
                        yield from _chunks(events)
                        return
                    if events.response.status_code != httpx.codes.CONFLICT or time.monotonic() > deadline:
                        raise _refusal(events.response)
                time.sleep(PAUSE_S)
    except httpx.HTTPError as error:
        raise OCRError(f"The server did not answer to the end: {str(error) or type(error).__name__}.") from error


def _chunks(events: EventSource) -> Iterator[str]:
    for event in events.iter_sse():
        data = json.loads(event.data)
        if event.event == "output":
            yield data["chunk"]
        elif event.event == "completed" and data["status"] != "succeeded":
            raise failure(data.get("error") or f"The prediction ended as {data['status']}.")


def _refusal(response: httpx.Response) -> OCRError:
    """The error that an answer other than 200 tells of: inputs that are wrong, or what keeps the server from it."""
    text = response.read().decode(errors="replace")
    try:
        told = json.loads(text)
    except ValueError:
        told = {"error": text}
    if isinstance(told.get("detail"), list):
        return InputError("; ".join(f"{error['loc'][-1]}: {error['msg']}" for error in told["detail"]))
    return OCRError(f"The server answered {response.status_code}: {told.get('error') or text}")


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


_URL = re.compile(r"data:|https?://", re.IGNORECASE)
_TRUTHS: Mapping[str, bool] = {"true": True, "false": False}


def _value(name: str, value: str, kind: str) -> Any:
    if value.startswith("@"):
        return data_url(Path(value[1:]))
    if name == "image" and not _URL.match(value):
        raise InputError(f"image is {value!r}; write image=@{value} to send that file, or give a URL.")
    if kind == "integer":
        try:
            return int(value)
        except ValueError:
            raise InputError(f"{name} is {value!r}; it must be a whole number.") from None
    if kind == "boolean":
        if value not in _TRUTHS:
            raise InputError(f"{name} is {value!r}; it must be one of: {choices(_TRUTHS)}.")
        return _TRUTHS[value]
    return value


def data_url(path: Path) -> str:
    """A file as a data: URL. Raises InputError for a file that cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"The file {str(path)!r} cannot be read: {error.strerror}.") from error
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
