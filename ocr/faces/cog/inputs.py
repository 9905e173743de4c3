"""What a request brings: how long its inputs may be, and the document that its `image` is."""

import binascii
import re
from collections.abc import Callable, Mapping
from typing import IO
from urllib.parse import unquote_to_bytes

from ocr.documents.fetching import fetch_document, nothing
from ocr.errors import InputError
from ocr.settings import Settings

LONGEST_CHOICE = 200  # characters of an input that has choices
LONGEST_URL = 8000  # characters; what servers are asked to take at least (RFC 9110, 4.1)
# Characters of an input that is free text.
LONGEST: Mapping[str, int] = {
    "reference_text": 2000,
    "prompt": 20_000,  # far more than the 8192 tokens of the smallest context hold
    "pages": 10_000,  # a thousand numbers apart
}
LONGEST_PLAIN = 100_000  # characters of a data: URL without base64, each of which may take the time of a step
ESCAPES = {"%2B": "+", "%2F": "/", "%3D": "="}  # what of base64 is percent-encoded in a URL

_URL = re.compile(r"https?:", re.IGNORECASE)
_DATA = re.compile(r"data:[^,]{0,1000}?(?P<base64>;base64)?,", re.IGNORECASE)


def check_lengths(inputs: Mapping[str, str]) -> None:
    """Raise InputError for the first input that is longer than its kind may be; `image` is not for here."""
    for name, value in inputs.items():
        _check_length(name, value, LONGEST.get(name, LONGEST_CHOICE))


def _check_length(name: str, value: str, longest: int) -> None:
    if len(value) > longest:
        raise InputError(f"has {len(value):,} characters; at most {longest:,} are taken.", name)


def document_of(image: object, settings: Settings, check: Callable[[], None] = nothing) -> IO[bytes] | bytes:
    """What `image` holds or leads to: a data: URL decoded, or an http(s) URL fetched, as OCR_FETCH_* allow.

    `check` is called while that takes time, and may raise. Raises InputError for anything else: a path would open that
    file on the server.
    """
    if isinstance(image, str) and image[:5].lower() == "data:":
        return decoded(image)
    if isinstance(image, str) and _URL.match(image):
        _check_length("image", image, LONGEST_URL)
        return fetch_document(
            image, max_mb=settings.max_file_mb, seconds=settings.fetch_s, private=settings.fetch_private, check=check
        )
    raise InputError("must be an uploaded file, a data: URL or an http(s) URL; paths are not opened.", "image")


def decoded(url: str) -> bytes:
    """The content of a data: URL (RFC 2397). Raises InputError for one that holds none."""
    head = _DATA.match(url)
    if head is None:
        raise InputError("is no data: URL; it must begin like data:image/png;base64,", "image")
    content = url[head.end() :]
    if not head["base64"]:
        if len(content) > LONGEST_PLAIN:
            raise InputError(f"is a data: URL without base64; at most {LONGEST_PLAIN:,} characters are taken.", "image")
        return unquote_to_bytes(content)
    for escape, sign in ESCAPES.items() if "%" in content else ():
        content = content.replace(escape, sign).replace(escape.lower(), sign)
    try:
        if "%" in content:
            raise ValueError(f"no base64 has more signs to escape than {' '.join(ESCAPES.values())}")
        return binascii.a2b_base64(content)
    except ValueError as error:
        raise InputError(f"is a data: URL with damaged base64: {error}.", "image") from error
