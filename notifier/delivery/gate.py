"""The gate of an account: as many messages at once as it has connections, and always one for what is urgent."""

import asyncio

_URGENT_LANES = frozenset({1, 2})


class Gate:
    """Shared by all lanes of a process; behind it nothing waits for a connection unseen."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._all = asyncio.Semaphore(slots)
        self._ordinary = asyncio.Semaphore(max(1, slots - 1))

    def passing(self, lane: int) -> "_Passing":
        """Hold one connection. Ordinary lanes leave one free; of an account with a single one, they hold it in turns."""
        return _Passing((self._all,) if lane in _URGENT_LANES else (self._ordinary, self._all))

    def share(self, lane: int) -> int:
        """How many messages of a lane pass at once."""
        return self._slots if lane in _URGENT_LANES else max(1, self._slots - 1)


class _Passing:
    """A context of its own: made from a generator it costs as much as rendering an SMS."""

    __slots__ = ("_doors",)

    def __init__(self, doors: tuple[asyncio.Semaphore, ...]) -> None:
        self._doors = doors

    async def __aenter__(self) -> None:
        first, *others = self._doors
        await first.acquire()
        try:
            for door in others:
                await door.acquire()
        except BaseException:
            first.release()
            raise

    async def __aexit__(self, *_: object) -> None:
        for door in self._doors:
            door.release()
