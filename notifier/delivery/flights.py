"""Flights: the batches of one run on the wire, two at most: the next is claimed and rendered while one waits for answers."""

import asyncio
from collections.abc import Coroutine
from typing import Any

AT_ONCE = 2


class Flights:
    """Lands every flight it started, whatever happens to another; then raises the first error."""

    def __init__(self) -> None:
        self._flying: dict[asyncio.Task[None], int] = {}
        self._error: BaseException | None = None

    @property
    def messages(self) -> int:
        """How many are on the wire."""
        return sum(self._flying.values())

    @property
    def has_failed(self) -> bool:
        """Whether one of them raised: nothing more should start."""
        return self._error is not None

    def start(self, work: Coroutine[Any, Any, None], *, messages: int) -> None:
        """Send one off."""
        self._flying[asyncio.create_task(work)] = messages

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
        await self.make_way(fewer_than=1)
        self._error = None
