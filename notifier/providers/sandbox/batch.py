"""Gathers what many sends keep at the same moment into one call of the store."""

import asyncio
from collections.abc import Callable, Sequence

from notifier.domain.errors import OutcomeUnknown
from notifier.providers.base import Keep, SandboxItem

_MAX_BATCH = 1000


class Batch:
    """`put` returns when the item is kept, or raises `OutcomeUnknown`; items put in the same turn of the loop travel together."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._waiting: list[tuple[SandboxItem, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def put(self, item: SandboxItem) -> None:
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, kept))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        await kept

    async def aclose(self) -> None:
        """Wait for what is being kept."""
        if self._writer is not None:
            await self._writer

    async def _write(self) -> None:
        try:
            while self._waiting:
                now, self._waiting = self._waiting[:_MAX_BATCH], self._waiting[_MAX_BATCH:]
                await self._keep_together([item for item, _ in now], [kept for _, kept in now])
        finally:
            self._writer = None

    async def _keep_together(self, items: Sequence[SandboxItem], waiters: Sequence[asyncio.Future[None]]) -> None:
        try:
            await self._keep(items)
        except Exception as error:  # noqa: BLE001 - whatever the store raises, each sender must hear that it is in doubt
            for waiter in waiters:
                lost = OutcomeUnknown("the sandbox could not keep it", code="sandbox-store")
                lost.__cause__ = error
                if not waiter.done():
                    waiter.set_exception(lost)
        except BaseException:
            _settle(waiters, lambda waiter: waiter.cancel())
            raise
        else:
            _settle(waiters, lambda waiter: waiter.set_result(None))


def _settle(waiters: Sequence[asyncio.Future[None]], how: Callable[[asyncio.Future[None]], object]) -> None:
    for waiter in waiters:
        if not waiter.done():
            how(waiter)
