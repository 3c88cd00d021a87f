"""A TCP proxy that makes trouble on demand: a longer way, resets, silence, refusals, cuts, lost replies."""

import asyncio
import socket
import struct
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

FINAL_DOT = b"\r\n.\r\n"
_HELD_BYTES = 4 * 2**20  # on its way in one direction; above, the sender waits
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class FaultProxy:
    """Passes bytes on between `port` and an upstream; every switch works while it runs and on open connections too.

    Counts what it did in `done`: connected, refused, reset, cut, lost.
    """

    def __init__(self, upstream_port: int, *, upstream_host: str = "127.0.0.1", round_trip_s: float = 0.0) -> None:
        self.upstream = (upstream_host, upstream_port)
        self.round_trip_s = round_trip_s
        self.is_stalled = False
        self.cut_after: int | None = None  # bytes a client may send on one connection before it is reset
        self.done: Counter[str] = Counter()
        self.links: set[Link] = set()
        self._losses = 0
        self._loss_mark, self._loss_cuts = FINAL_DOT, True
        self._socket = _bind(0)
        self.port: int = self._socket.getsockname()[1]
        self._server: asyncio.Server | None = None

    async def accept(self) -> None:
        """Take connections (again)."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: Link(self), sock=self._socket)

    def refuse(self) -> None:
        """Refuse new connections as a closed port does; the port stays ours."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._socket = _bind(self.port)
            self.done["refused"] += 1

    def reset(self) -> None:
        """Reset every open connection."""
        for link in list(self.links):
            link.cut("reset")

    def stall(self) -> None:
        """Pass nothing on, either way, until `flow`; connections stay open."""
        self.is_stalled = True

    def flow(self) -> None:
        """End a stall: what was held back goes on its way."""
        self.is_stalled = False
        for link in list(self.links):
            link.pump()

    def lose_replies(self, count: int, *, after: bytes = FINAL_DOT, cut: bool = True) -> None:
        """Lose the upstream's next `count` replies to `after` (b"" = to anything): it took it, the client never hears.

        Then the connection is reset, or (`cut=False`) stays open in silence.
        """
        self._losses, self._loss_mark, self._loss_cuts = count, after, cut

    @property
    def losses_left(self) -> int:
        return self._losses

    def may_lose(self) -> tuple[bytes, bool] | None:
        """What is to be lost next, if anything."""
        return (self._loss_mark, self._loss_cuts) if self._losses else None

    def take_loss(self) -> None:
        self._losses -= 1

    async def aclose(self) -> None:
        for link in list(self.links):
            link.cut("closed")
        if self._server is not None:
            self._server.close()
        self._socket.close()
        await asyncio.sleep(0)  # the transports' own closing


class Link(asyncio.Protocol):
    """One client's connection and the one opened for it upstream."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        self._sent = 0
        self._tail = b""
        self._loses: tuple[bool] | None = None  # the next reply is lost: is the connection cut then?
        self._is_mute = False
        self._opening: asyncio.Task[None] | None = None
        self.up, self.down = Lane(self), Lane(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._proxy.links.add(self)
        self._proxy.done["connected"] += 1
        self.up.source = self.down.target = cast(asyncio.Transport, transport)  # uvloop's is none by its type
        self._opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        try:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: _Upstream(self), *self._proxy.upstream)
        except OSError:
            self.cut("upstream gone")

    def data_received(self, data: bytes) -> None:
        allowed = self._proxy.cut_after
        if allowed is not None and self._sent + len(data) > allowed:
            self.up.put(data[: max(0, allowed - self._sent)], 0)
            self.cut("cut")
            return
        self._sent += len(data)
        self.up.put(self._watched(data), self._proxy.round_trip_s / 2)

    def _watched(self, data: bytes) -> bytes:
        """The data, but nothing behind the mark whose reply shall be lost."""
        losing = self._proxy.may_lose()
        if losing is None or self._loses is not None:
            return b"" if self._loses is not None else self._remember(data)
        mark, cuts = losing
        seen = self._tail + data
        at = seen.find(mark)
        if at < 0:
            return self._remember(data)
        self._proxy.take_loss()
        self._loses = (cuts,)
        return seen[len(self._tail) : at + len(mark)] if mark else data

    def _remember(self, data: bytes) -> bytes:
        self._tail = (self._tail + data)[-(len(FINAL_DOT) - 1) :]
        return data

    def replied(self, data: bytes) -> None:
        """The upstream says something."""
        if self._loses is None:
            self.down.put(data, self._proxy.round_trip_s / 2)
        elif not self._is_mute:
            self._is_mute = True
            self._proxy.done["lost"] += 1
            if self._loses[0]:
                self.cut("reset")

    def pump(self) -> None:
        self.up.pump()
        self.down.pump()

    @property
    def is_stalled(self) -> bool:
        return self._proxy.is_stalled

    def cut(self, how: str) -> None:
        """Reset both sides; what the upstream was already owed reaches it."""
        if self not in self._proxy.links:
            return
        self._proxy.links.discard(self)
        self._proxy.done[how] += 1
        self.up.finish()
        if self.down.target is not None:
            self.down.target.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
            self.down.target.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.up.end()
        self._forget()

    def upstream_lost(self) -> None:
        self.down.end()
        self._forget()

    def _forget(self) -> None:
        if self.up.has_ended and self.down.has_ended:
            self._proxy.links.discard(self)

    def pause_writing(self) -> None:
        self.down.hold(True)

    def resume_writing(self) -> None:
        self.down.hold(False)


class _Upstream(asyncio.Protocol):
    def __init__(self, link: Link) -> None:
        self._link = link

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._link.down.source = self._link.up.target = cast(asyncio.Transport, transport)
        self._link.up.pump()

    def data_received(self, data: bytes) -> None:
        self._link.replied(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.upstream_lost()

    def pause_writing(self) -> None:
        self._link.up.hold(True)

    def resume_writing(self) -> None:
        self._link.up.hold(False)


class Lane:
    """One direction as a pipe: everything comes out as long after it went in as the way is, in order, none waits for another."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._held: deque[tuple[float, bytes]] = deque()
        self._held_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_full = self._is_last = False
        self.has_ended = False
        self.source: asyncio.Transport | None = None
        self.target: asyncio.Transport | None = None

    def put(self, data: bytes, delay_s: float) -> None:
        if not data:
            return
        self._held.append((asyncio.get_running_loop().time() + delay_s, data))
        self._held_bytes += len(data)
        self.pump()
        self._steer()

    def pump(self) -> None:
        """Pass on what has come to its end; come back for the rest."""
        if self.target is None or (self._link.is_stalled and not self._is_last):
            return
        now = asyncio.get_running_loop().time()
        while self._held and self._held[0][0] <= now:
            self._write()
        if self._held and self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(self._held[0][0], self._on_time)
        if self.has_ended and not self._held:
            self.target.close()
        self._steer()

    def finish(self) -> None:
        """Pass on everything without delay, as soon as there is a target, and close it."""
        self._held = deque((0.0, data) for _, data in self._held)
        self._is_last = self.has_ended = True
        self.pump()

    def end(self) -> None:
        """The source is gone: when all has been passed on the target is closed."""
        self.has_ended = True
        self.pump()

    def hold(self, is_full: bool) -> None:
        self._is_full = is_full
        self._steer()

    def _write(self) -> None:
        assert self.target is not None
        _, data = self._held.popleft()
        self._held_bytes -= len(data)
        self.target.write(data)

    def _on_time(self) -> None:
        self._timer = None
        self.pump()

    def _steer(self) -> None:
        if self.source is None or self.source.is_closing():
            return
        if self._is_full or self._held_bytes > _HELD_BYTES:
            self.source.pause_reading()
        else:
            self.source.resume_reading()


def _bind(port: int) -> socket.socket:
    """Bound, not listening: connections are refused until somebody does."""
    taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.setblocking(False)
    taken.bind(("127.0.0.1", port))
    return taken


@asynccontextmanager
async def fault_proxy(
    upstream_port: int, *, upstream_host: str = "127.0.0.1", round_trip_s: float = 0.0
) -> AsyncIterator[FaultProxy]:
    """A proxy before a server of this machine, listening on `port` of 127.0.0.1, with a way as long as this."""
    proxy = FaultProxy(upstream_port, upstream_host=upstream_host, round_trip_s=round_trip_s)
    await proxy.accept()
    try:
        yield proxy
    finally:
        await proxy.aclose()
