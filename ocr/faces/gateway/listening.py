"""uvicorn as the gateway runs it: nothing of its own in the log, and no connection held open by half a request."""

import asyncio
import socket
import sys
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

KEEP_S = 75  # that an idle connection is kept for its next request: longer than clients keep theirs, as proxies advise
HEAD_S = 15.0  # for the head of a request, from its connection's begin or the end of the request before
CONNECTIONS = 1000  # at once; more are answered with 503
SHUTDOWN_S = 5  # for what is being read when the gateway is told to end


class PromptProtocol(H11Protocol):
    """HTTP/1.1 that closes a connection on which the head of a request does not come to its end."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head = self.loop.call_later(HEAD_S, self.timeout_keep_alive_handler)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._end_wait()
        elif self._head is None:
            self._head = self.loop.call_later(HEAD_S, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_wait()
        super().connection_lost(exc)

    def _end_wait(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


class _Server(uvicorn.Server):
    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(f"Ready: {url_of(self.config.host, self.config.port)}", file=sys.stderr, flush=True)


def listen(app: ASGIApp, host: str, port: int) -> None:
    """Answer requests until the process is told to end; uvicorn then raises the signal once more.

    Raises OSError where the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=CONNECTIONS)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=PromptProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    _Server(config).run(sockets=[listener])


def url_of(host: str, port: int) -> str:
    """Where a server that listens on this address is found."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
