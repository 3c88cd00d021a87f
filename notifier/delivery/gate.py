"""The gate of an account: as many messages at once as it has connections, and always one for what is urgent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

_URGENT_LANES = frozenset({1, 2})


class Gate:
    """Shared by all lanes of a process; behind it nothing waits for a connection unseen."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._all = asyncio.Semaphore(slots)
        self._ordinary = asyncio.Semaphore(max(1, slots - 1))

    @asynccontextmanager
    async def passing(self, lane: int) -> AsyncIterator[None]:
        """Hold one connection. Ordinary lanes leave one free; of an account with a single one, they hold it in turns."""
        async with AsyncExitStack() as held:
            if lane not in _URGENT_LANES:
                await held.enter_async_context(self._ordinary)
            await held.enter_async_context(self._all)
            yield

    def share(self, lane: int) -> int:
        """How many messages of a lane pass at once."""
        return self._slots if lane in _URGENT_LANES else max(1, self._slots - 1)
