"""Answers other than 200: a status, a sentence for people, and what programs branch on."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from ocr.errors import InputError, OCRError, SetupError
from ocr.faces.failures import INPUTS

RETRY_S = 5  # what Retry-After says where nothing better is known


class Refusal(Exception):  # noqa: N818  an answer, not a failure
    """A request ends with this status and sentence.

    `param` is the field of the request that is wrong, `code` a word for programs; both as OpenAI's errors have them.
    """

    def __init__(
        self, status: HTTPStatus, message: str, *, param: str = "", code: str = "", retry_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code, self.retry_s = status, message, param, code, retry_s

    @property
    def headers(self) -> dict[str, str]:
        """Those of the answer: when to try again, where that helps."""
        return {} if self.retry_s is None else {"Retry-After": str(self.retry_s)}

    def json(self) -> dict[str, Any]:
        """The answer's body: OpenAI's error, and its sentence again as `detail`, where other clients look for it."""
        error = {
            "message": self.message,
            "type": _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error"),
            "param": self.param or None,
            "code": self.code or None,
        }
        return {"error": error, "detail": self.message}


_TYPES: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}


def wrong(message: str, param: str = "") -> Refusal:
    """The caller's request cannot be done as it is."""
    return Refusal(HTTPStatus.BAD_REQUEST, message, param=param)


def of_error(error: OCRError) -> Refusal:
    """What a Cog server or a part of this package says, as an answer."""
    if isinstance(error, InputError):
        return wrong(error.named(INPUTS), INPUTS.get(error.field, error.field))
    if isinstance(error, SetupError):
        return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(error), code="setup", retry_s=RETRY_S)
    return Refusal(HTTPStatus.BAD_GATEWAY, str(error), code="model")


def full(message: str, retry_s: int = RETRY_S) -> Refusal:
    """The house is full; the same request may be sent again."""
    return Refusal(HTTPStatus.TOO_MANY_REQUESTS, message, code="rate_limit_exceeded", retry_s=retry_s)


def not_ready(message: str) -> Refusal:
    """No Cog server can read at present."""
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, message, code="not_ready", retry_s=RETRY_S)


def lost(reason: str) -> Refusal:
    """A Cog server went away with the request in its hands, which is not read a second time."""
    return Refusal(
        HTTPStatus.BAD_GATEWAY,
        f"The Cog server failed while it was reading the document: {reason}.",
        code="server_lost",
    )
