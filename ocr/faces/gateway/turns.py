"""Whose turn it is, and at which Cog server: a bounded queue, fair between clients, and a doorman for each server.

A doorman asks its server how it is and hands the next in the queue to it, one at a time: while a prediction is on its
way in, nobody else is let to that door. So no server is asked for more than it has room for, however many slots it has.
"""

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Sequence

from ocr.faces.gateway.refusals import full, not_ready
from ocr.faces.gateway.servers import READY, STARTING, CogServer

LOOK_S = 1.0  # between two looks at a server that nobody waits for
KNOCK_S = 0.1  # between two looks at a full or fallen one that somebody waits for
LOADING = "The models are being loaded. Try again in a moment."
NONE_UP = "No Cog server is running at present. Try again later."


class Ticket:
    """A place in the queue of one client."""

    def __init__(self, client: str) -> None:
        self.client = client
        self.called: asyncio.Future[CogServer] = asyncio.get_running_loop().create_future()

    @property
    def server(self) -> CogServer | None:
        """Where it has its turn; None while it waits, and where it was turned away."""
        is_called = self.called.done() and not self.called.cancelled() and not self.called.exception()
        return self.called.result() if is_called else None


class Turns:
    """The queue before some Cog servers. Its doormen work while `at_work` does."""

    def __init__(self, servers: Sequence[CogServer], *, most: int, patience_s: float) -> None:
        self.servers = servers
        self.patience_s = patience_s
        self._most = most
        self._waiting: OrderedDict[str, deque[Ticket]] = OrderedDict()  # by client; the first client is next
        self._at_door: dict[CogServer, Ticket] = {}  # called, and not yet accepted
        self._change = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return sum(map(len, self._waiting.values()))

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Within the block the servers are looked after."""
        await asyncio.gather(*(server.look() for server in self.servers))
        doormen = [asyncio.create_task(self._doorman(server)) for server in self.servers]
        try:
            yield
        finally:
            for doorman in doormen:
                doorman.cancel()
            await asyncio.gather(*doormen, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def turn(self, client: str, *, again: bool = False) -> AsyncIterator[tuple[Ticket, CogServer]]:
        """A server to send one prediction to, from when it is this client's turn until the block ends.

        Clients take turns, each its oldest request first; `again` is for one that had its turn and was not taken.
        Raises Refusal where too many wait, the patience ends, or no server is up.
        """
        if self.waiting >= self._most and not again:
            raise full(f"The queue is full: {self.waiting} requests are waiting. Try again later.")
        ticket = Ticket(client)
        self._line_up(ticket, again)
        try:
            try:
                async with asyncio.timeout(self.patience_s):
                    server = await ticket.called
            except TimeoutError:
                raise full(f"The request waited in the queue for {self.patience_s:g} s. Try again later.") from None
            yield ticket, server
        finally:
            self._leave(ticket)

    def accepted(self, ticket: Ticket) -> None:
        """Its prediction is in: the next may come to the door."""
        if ticket.server and self._at_door.get(ticket.server) is ticket:
            del self._at_door[ticket.server]
            self._changed()

    def _line_up(self, ticket: Ticket, again: bool) -> None:
        line = self._waiting.setdefault(ticket.client, deque())
        if again:
            line.appendleft(ticket)
            self._waiting.move_to_end(ticket.client, last=False)
        else:
            line.append(ticket)
        self._turn_away_if_none_is_up()
        self._changed()

    def _leave(self, ticket: Ticket) -> None:
        line = self._waiting.get(ticket.client, deque())
        if ticket in line:
            line.remove(ticket)
            if not line:
                del self._waiting[ticket.client]
        if ticket.server:
            ticket.server.in_hand -= 1
            self.accepted(ticket)
            self._changed()

    def _next(self) -> Ticket | None:
        """The oldest request of the client whose turn it is; that client then goes to the end."""
        while self._waiting:
            client, line = next(iter(self._waiting.items()))
            ticket = line.popleft()
            if line:
                self._waiting.move_to_end(client)
            else:
                del self._waiting[client]
            if not ticket.called.done():
                return ticket
        return None

    async def _doorman(self, server: CogServer) -> None:
        while True:
            if not self._waiting or server in self._at_door or not self._is_least_busy(server):
                await self._pause(LOOK_S)
            if server in self._at_door:
                continue
            before = server.state
            if await server.look() != before:
                self._changed()
            if self._waiting and server.state == READY and self._is_least_busy(server):
                self._call(server)
            elif self._waiting:
                self._turn_away_if_none_is_up()
                await self._pause(KNOCK_S)

    def _is_least_busy(self, server: CogServer) -> bool:
        """Whether no other server that could take somebody at once has less to do."""
        others = (other for other in self.servers if other.state == READY and other not in self._at_door)
        return all(server.in_hand <= other.in_hand for other in others)

    def _call(self, server: CogServer) -> None:
        if ticket := self._next():
            server.in_hand += 1
            self._at_door[server] = ticket
            ticket.called.set_result(server)

    def _turn_away_if_none_is_up(self) -> None:
        if any(server.is_up for server in self.servers):
            return
        message = LOADING if any(server.state == STARTING for server in self.servers) else NONE_UP
        while ticket := self._next():
            ticket.called.set_exception(not_ready(message))

    def _changed(self) -> None:
        """Wake every doorman that pauses."""
        self._change.set()
        self._change = asyncio.Event()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._change.wait()
