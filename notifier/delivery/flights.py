"""Flights: the batches of one run on the wire, two at most: the next is claimed and rendered while one waits for answers."""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self

AT_ONCE = 2
LAST_S = 10.0
"""What must not be left half done has so long from when it is cancelled."""


class Flights:
    """Left with `async with`, every flight has landed, whatever happened to another; then it raises the first error.

    Cancelled, there or before, it cuts them.
    """

    def __init__(self) -> None:
        self._flying: dict[asyncio.Task[None], int] = {}
        self._error: BaseException | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            await self.cut()
            return
        try:
            await self.land()
        except asyncio.CancelledError:
            await self.cut()
            raise

    @property
    def messages(self) -> int:
        """How many are on the wire."""
        return sum(self._flying.values())

    @property
    def has_failed(self) -> bool:
        """Whether one of them raised: nothing more should start."""
        return self._error is not None

    def start(self, work: Coroutine[Any, Any, None], *, messages: int) -> asyncio.Task[None]:
        """Send one off."""
        flight = asyncio.create_task(work)
        self._flying[flight] = messages
        return flight

    async def make_way(self, *, fewer_than: int = AT_ONCE) -> None:
        """Wait until fewer than so many fly."""
        while len(self._flying) >= fewer_than:
            landed, _ = await asyncio.wait(self._flying, return_when=asyncio.FIRST_COMPLETED)
            for flight in landed:
                del self._flying[flight]
                self._error = self._error or (None if flight.cancelled() else flight.exception())

    async def land(self) -> None:
        """Wait for all of them."""
        await self.make_way(fewer_than=1)
        if self._error is not None:
            raise self._error

    async def cut(self) -> None:
        """Cancel them; each records what it knows."""
        for flight in self._flying:
            flight.cancel()
        while self._flying:  # none flies on by itself, however often this is cancelled
            with suppress(asyncio.CancelledError):
                await self.make_way(fewer_than=1)
        self._error = None


async def see_through(work: Coroutine[Any, Any, None]) -> None:
    """Do this to its end also where it is cancelled meanwhile; then it has `LAST_S` left."""
    task, ends, cancelled = asyncio.create_task(work), None, None
    while not task.done() and (ends is None or time.monotonic() < ends):
        try:
            await asyncio.wait({task}, timeout=None if ends is None else ends - time.monotonic())
        except asyncio.CancelledError as error:
            cancelled, ends = error, ends or time.monotonic() + LAST_S
    if task.done():
        task.result()
    else:
        task.cancel()
    if cancelled is not None:
        raise cancelled
