"""A pool of kept SMTP connections: at most so many, the next message at hand on each, and a place for what is urgent."""

import asyncio
from collections import deque

from notifier.providers.smtp.connection import Connection, HandOver
from notifier.providers.smtp.server import CONNECT_RETRY_S, Server, connect_error
from notifier.providers.smtp.transport import Envelope, Reply

_GOODBYE_S = 6  # a little more than a connection's own


class Pool:
    """The transport over one server. Messages go in the order they came, urgent ones before all others."""

    def __init__(self, server: Server) -> None:
        self._server = server
        # Of several connections ordinary messages leave one free, open or not.
        self._kept_free = min(1, server.connections - 1)
        self._urgent: deque[HandOver] = deque()
        self._ordinary: deque[HandOver] = deque()
        self._connections: list[Connection] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._refused_until_s = 0.0
        self._closing = False

    async def deliver(self, envelope: Envelope) -> Reply:
        message = HandOver(envelope, asyncio.get_running_loop().create_future())
        self._line_of(message).append(message)
        self._dispatch()
        try:
            return await message.reply
        except asyncio.CancelledError:
            self._withdraw(message)
            raise

    async def aclose(self) -> None:
        self._closing = True
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        closing = [connection.closed for connection in self._connections]
        for connection in self._connections:
            connection.quit()
        if closing:
            await asyncio.wait(closing, timeout=_GOODBYE_S)
        self._fail_all(asyncio.CancelledError())
        self._closing = False

    # What connections ask.

    def next_behind(self, in_front: HandOver | None) -> HandOver | None:
        """Behind an urgent message only an urgent one: an ordinary one would take the place that is kept free."""
        return self._next(ordinary_too=in_front is None or not in_front.envelope.urgent)

    def take_back(self, message: HandOver) -> None:
        if not message.reply.done():
            message.connection = None
            self._line_of(message).appendleft(message)

    def freed(self, connection: Connection) -> None:
        if connection.is_spent:
            connection.quit()
        elif self._urgent or self._ordinary:
            self._dispatch()

    def ended(self, connection: Connection) -> None:
        self._connections.remove(connection)
        self._dispatch()

    def _line_of(self, message: HandOver) -> deque[HandOver]:
        return self._urgent if message.envelope.urgent else self._ordinary

    def _next(self, *, ordinary_too: bool) -> HandOver | None:
        if self._urgent:
            return self._urgent.popleft()
        return self._ordinary.popleft() if ordinary_too and self._ordinary else None

    def _dispatch(self) -> None:
        """Give what waits to idle connections, then to busy ones that have room, then open more."""
        idle = [connection for connection in self._connections if connection.is_idle]
        free = self._unopened + len(idle)
        for connection in idle:
            while connection.is_idle and (message := self._next(ordinary_too=free > self._kept_free)):
                connection.take(message)
            free -= not connection.is_idle
        if not self._urgent:  # these wait for a new connection, or the first answer on any, not for a certain one
            for connection in self._connections:
                while self._ordinary and connection.has_room:
                    connection.take(self._ordinary.popleft())
        while self._may_open():
            task = asyncio.get_running_loop().create_task(self._connect())
            self._opening.add(task)
            task.add_done_callback(self._opened)

    @property
    def _unopened(self) -> int:
        return self._server.connections - len(self._connections) - len(self._opening)

    def _may_open(self) -> bool:
        """One for each message that waits. Once refused, it tries one at a time, or stays with those it has for a while."""
        wanted = len(self._urgent) + len(self._ordinary) > len(self._opening)
        if not wanted or self._closing or self._unopened <= (0 if self._urgent else self._kept_free):
            return False
        has_some = bool(self._connections or self._opening)
        return not has_some or asyncio.get_running_loop().time() >= self._refused_until_s

    async def _connect(self) -> None:
        transport, offers = await self._server.connect()
        self._connections.append(Connection(transport, offers, server=self._server, crew=self))

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        self._refused_until_s = 0 if error is None else asyncio.get_running_loop().time() + CONNECT_RETRY_S
        if error is not None and not self._connections and not self._opening:
            self._fail_all(error)
        self._dispatch()

    def _fail_all(self, error: BaseException) -> None:
        """None of those that wait can go."""
        for line in (self._urgent, self._ordinary):
            while line:
                line.popleft().fail(connect_error(error))

    def _withdraw(self, message: HandOver) -> None:
        """Its sender was cancelled: out of the line, or cut off."""
        if message.connection is not None:
            message.connection.withdraw(message)
        elif message in (line := self._line_of(message)):
            line.remove(message)
        if not message.reply.cancelled():
            message.reply.exception()  # came too late; nobody else will look at it
