"""What every request passes before its route: who asks, from which page, with how large a body; and what it leaves in
the log. The client that goes away takes its work with it.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import logging
import re
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ocr.faces.gateway.documents import too_large
from ocr.faces.gateway.refusals import Refusal, full
from ocr.faces.gateway.settings import GatewaySettings

log = logging.getLogger("ocr.gateway")

OPEN_PATHS = re.compile(r"/|/health|/page/[\w.-]+")  # without a key: the web page and its parts have no secrets
SIGNED_PATH = re.compile(r"/v1/files/[\w-]+/content")  # with a signature, which its route checks
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
HELD_MB = 1024  # MiB of bodies that are coming in or wait to be parsed, of all requests together
BROKEN = "The gateway failed to handle this request. Its log has the details, under the id in X-Request-Id."
GONE = 499  # the log's status for a client that left before its answer; nobody is sent it
HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class GoneError(Exception):
    """The client left, or takes nothing more."""


class Door:
    """The outermost part of the application."""

    def __init__(self, app: ASGIApp, settings: GatewaySettings, seen: Callable[[str, int, float], None]) -> None:
        self._app = app
        self._settings = settings
        self._seen = seen  # told of each answer: its route, its status, its seconds
        self._held = 0  # bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        answer = _Answer(send, self._settings.stall_s, f"req_{secrets.token_hex(8)}")
        opened = contextlib.ExitStack()  # what is open as long as the request lasts
        scope.setdefault("state", {}).update(figures={}, opened=opened)
        try:
            with opened:
                scope["state"]["client"] = self._client(scope)
                body = await self._body(scope, receive)
                await _until_gone(self._app(scope, body, answer.send), receive, answer)
        except Refusal as refusal:
            await answer.refuse(scope, receive, refusal)
        except GoneError:
            answer.status = GONE
        except Exception as error:
            _write_down(answer.id, error)
            await answer.refuse(scope, receive, Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, BROKEN, code="internal"))
        finally:
            seconds = time.monotonic() - began
            route = getattr(scope.get("route"), "path", "unknown")
            self._seen(route, answer.status, seconds)
            _write(scope, answer, route, seconds)

    def _client(self, scope: Scope) -> str:
        """Who asks: the name of its key, or its address where no keys are wanted. Raises Refusal."""
        headers = Headers(scope=scope)
        self._check_page(headers)
        address = (scope.get("client") or ("unknown",))[0]
        if not self._settings.keys or _needs_no_key(scope):
            return f"address-{address}"
        given = key_in(headers)
        if not any([hmac.compare_digest(key.encode(), given.encode()) for key in self._settings.keys]):  # noqa: C419  all
            message = "The API key is missing or wrong: send Authorization: Bearer KEY."
            raise Refusal(HTTPStatus.UNAUTHORIZED, message, code="invalid_api_key")
        return f"key-{hashlib.sha256(given.encode()).hexdigest()[:8]}"

    def _check_page(self, headers: Headers) -> None:
        """Refuse what a web page elsewhere has a browser ask, in its own name or in a name made to lead here."""
        host = headers.get("host", "")
        names = (*LOOPBACK_NAMES, *self._settings.hosts)
        if "*" not in names and (urlsplit(f"//{host}").hostname or "") not in names:
            message = (
                f"The host {host[:100]!r} is not allowed; the operator of this gateway can allow it with --host-name."
            )
            raise Refusal(HTTPStatus.MISDIRECTED_REQUEST, message, code="unknown_host")
        origin = headers.get("origin")
        if origin and origin not in self._settings.origins and urlsplit(origin).netloc != host:
            raise Refusal(
                HTTPStatus.FORBIDDEN, "Pages of other sites may not send requests here.", code="unknown_origin"
            )

    async def _body(self, scope: Scope, receive: Receive) -> Receive:
        """The request's body, taken in within its limits, for the route to receive at once."""
        limit = self._settings.max_body_mb * 2**20
        if int(Headers(scope=scope).get("content-length", "0")[:15]) > limit:
            raise too_large(self._settings.max_body_mb)
        body = bytearray()
        try:
            while True:
                message = await _in_time(receive, self._settings.stall_s)
                body += message.get("body", b"")
                self._held += len(message.get("body", b""))
                if len(body) > limit:
                    raise too_large(self._settings.max_body_mb)
                if self._held > HELD_MB * 2**20:
                    raise full("Too many large requests are coming in at once. Try again later.")
                if not message.get("more_body"):
                    break
        finally:
            self._held -= len(body)
        return _handing_over(body)


def _needs_no_key(scope: Scope) -> bool:
    is_signed = b"signature=" in scope.get("query_string", b"") and SIGNED_PATH.fullmatch(scope["path"])
    return bool(is_signed or OPEN_PATHS.fullmatch(scope["path"]))


async def _in_time(receive: Receive, seconds: float) -> Message:
    try:
        async with asyncio.timeout(seconds):
            message = await receive()
    except TimeoutError:
        raise Refusal(HTTPStatus.REQUEST_TIMEOUT, f"Nothing more came of the body for {seconds:g} s.") from None
    if message["type"] == "http.disconnect":
        raise GoneError
    return message


def _handing_over(body: bytearray) -> Receive:
    """A `receive` that gives the body once, and holds on to nothing."""
    left = [body]

    async def receive() -> Message:
        if left:
            return {"type": "http.request", "body": bytes(left.pop()), "more_body": False}
        await asyncio.get_running_loop().create_future()  # for ever: `_until_gone` hears whether the client leaves
        return {"type": "http.disconnect"}

    return receive


async def _until_gone(work: Awaitable[None], receive: Receive, answer: "_Answer") -> None:
    """Do the work, and stop it as soon as the client leaves before it has its answer, with GoneError."""
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(receive())
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done() and not answer.is_whole:
            raise GoneError
        await doing
    finally:
        for task in (doing, leaving):
            task.cancel()
        await asyncio.gather(doing, leaving, return_exceptions=True)


class _Answer:
    """The answer on its way out: given an id and headers, and given up where its reader takes nothing for too long."""

    def __init__(self, send: Send, stall_s: float, id_: str) -> None:
        self._send = send
        self._stall_s = stall_s
        self.id = id_
        self.status = 500  # until one has been sent
        self._has_begun = False
        self.is_whole = False  # whether all of it is on its way: what is left to do is to tidy up

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._has_begun = True
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.id
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        try:
            async with asyncio.timeout(self._stall_s):
                await self._send(message)
            self.is_whole = message["type"] == "http.response.body" and not message.get("more_body")
        except (TimeoutError, OSError) as error:
            raise GoneError from error

    async def refuse(self, scope: Scope, receive: Receive, refusal: Refusal) -> None:
        """Answer with a refusal, where no answer has begun."""
        if self._has_begun:
            return
        with contextlib.suppress(GoneError):
            await JSONResponse(refusal.json(), refusal.status, refusal.headers)(scope, receive, self.send)


def key_in(headers: Headers) -> str:
    """The API key of a request, wherever a client puts it; empty where there is none."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")


def _write_down(id_: str, error: Exception) -> None:
    """The kind and place of an error of our own; not its message, which may quote a document."""
    places = [f"{place.filename}:{place.lineno}" for place in traceback.extract_tb(error.__traceback__)[-5:]]
    log.error("%s", json.dumps({"id": id_, "error": type(error).__name__, "places": places}))


def _write(scope: Scope, answer: _Answer, route: str, seconds: float) -> None:
    """One line of JSON for the request: what happened, and nothing of what was in it."""
    state: Mapping[str, Any] = scope["state"]
    fields = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "id": answer.id,
        "client": state.get("client"),
        "method": scope["method"],
        "route": route,
        "status": answer.status,
        "seconds": round(seconds, 3),
        **state["figures"],
    }
    log.info("%s", json.dumps(fields))
