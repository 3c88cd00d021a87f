"""A small HTTP server that records requests and answers as told, also with nonsense or not at all."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qsl


@dataclass(frozen=True, slots=True)
class Seen:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Told:
    """One answer to give."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    how: str = (
        "whole"  # "whole" | "drop" (close without a word) | "stall" | "drip" (a byte now and then) | "raw" (body only)
    )


@dataclass
class HttpPeer:
    """`answers` are given first, in order; then what `serve` says."""

    serve: Callable[[Seen], Told] = lambda seen: Told()
    answers: deque[Told] = field(default_factory=deque)
    requests: list[Seen] = field(default_factory=list)
    port: int = 0
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def http_peer(peer: HttpPeer) -> AsyncIterator[HttpPeer]:
    """The peer, listening on `address`."""
    open_now: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_now[task] = writer
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await _exchange(peer, reader, writer):
                pass
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        del open_now[task]

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        peer.stopped.set()
        server.close()
        for writer in open_now.values():
            writer.transport.abort()
        await asyncio.gather(*open_now)


async def _exchange(peer: HttpPeer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    seen = Seen(method, path, headers, await reader.readexactly(int(headers.get("content-length", 0))))
    peer.requests.append(seen)
    told = peer.answers.popleft() if peer.answers else peer.serve(seen)
    return await _answer(peer, told, writer)


async def _answer(peer: HttpPeer, told: Told, writer: asyncio.StreamWriter) -> bool:
    if told.how == "stall":
        await peer.stopped.wait()
    if told.how in ("stall", "drop"):
        return False
    if told.how == "raw":
        writer.write(told.body)
        await writer.drain()
        return False
    headers = {"content-type": "application/json", "content-length": str(len(told.body)), **told.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {told.status} Told\r\n{lines}\r\n".encode())
    for start in range(len(told.body)) if told.how == "drip" else ():
        writer.write(told.body[start : start + 1])
        await writer.drain()
        with suppress(TimeoutError):
            await asyncio.wait_for(peer.stopped.wait(), 0.2)
            return False
    writer.write(told.body if told.how == "whole" else b"")
    await writer.drain()
    return True
