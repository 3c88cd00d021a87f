"""Live pages: parts of a page sent whenever they changed, and how many such streams each user holds open."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from fastapi import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from notifier.web.access.sessions import Visitor, is_live
from notifier.web.console.show import Page, open_page

LOOK_EVERY_S = 1.0
_HEARTBEAT_EVERY = 15
_LONGEST_LOOKS = 3600


@dataclass(slots=True)
class Streams:
    """Counts the streams of this process; one user's open tabs must not take every connection."""

    most: int = 12
    _open: Counter[int] = field(default_factory=Counter)

    def is_full(self, user_id: int) -> bool:
        """Whether the user has as many as anybody may."""
        return self._open[user_id] >= self.most

    @contextmanager
    def hold(self, user_id: int) -> Iterator[None]:
        """Counts one more until it is left."""
        self._open[user_id] += 1
        try:
            yield
        finally:
            self._open[user_id] -= 1
            if not self._open[user_id]:
                del self._open[user_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a live page shows at a moment; `ended`: the last word of the stream, "" while it goes on."""

    parts: Mapping[str, str]
    ended: str = ""


Looking = Callable[[Page], Awaitable[Look]]


def stream_parts(request: Request, visitor: Visitor, look: Looking, *, every_s: float = LOOK_EVERY_S) -> Response:
    """Server-sent events: the parts that changed, and `ended` at the end; it ends with the session too."""
    streams: Streams = request.app.state.streams
    if streams.is_full(visitor.user.id):
        return PlainTextResponse("too many live pages are open", 429, headers={"retry-after": "60"})
    return StreamingResponse(
        _hold(streams, visitor, _tell_changes(request, visitor, look, every_s)),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _hold(streams: Streams, visitor: Visitor, events: AsyncIterator[str]) -> AsyncIterator[str]:
    with streams.hold(visitor.user.id):
        async for event in events:
            yield event


async def _tell_changes(request: Request, visitor: Visitor, look: Looking, every_s: float) -> AsyncIterator[str]:
    told: dict[str, str] = {}
    for count in range(_LONGEST_LOOKS):
        if await request.is_disconnected():
            return
        async with open_page(request, visitor) as page:
            if not await is_live(page.tx, visitor):
                return
            seen = await look(page)
        changed = {name: part for name, part in seen.parts.items() if told.get(name) != part}
        told |= changed
        for name, part in changed.items():
            yield _event(name, part)
        if seen.ended:
            yield _event("ended", seen.ended)
            return
        if not changed and count % _HEARTBEAT_EVERY == 0:
            yield ": still here\n\n"
        await asyncio.sleep(every_s)


def _event(name: str, data: str) -> str:
    lines = "".join(f"data: {line}\n" for line in data.splitlines())
    return f"event: {name}\n{lines}\n"
