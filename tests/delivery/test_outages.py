"""Outages while messages are on the wire: PostgreSQL goes away or the work is cut off; what is known is kept."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from notifier.delivery import flights, receipts
from notifier.domain.channel import Acceptance, Outgoing
from notifier.settings import Settings
from notifier.store.database import Database, Tx
from tests.builders import assert_tallies_agree, campaign, fetch, launch_and_plan, state_counts
from tests.delivery.scripted import Peer, open_with, scene

ORDINARY = 7  # of the 8 connections of the settings one is kept for what is urgent


class _Flaky(Database):
    """A PostgreSQL that can go away and come back."""

    error: Exception | None = None
    failed = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        if self.error is not None:
            self.failed += 1
            raise self.error
        async with super().transaction() as tx:
            yield tx


class _Slow(Peer):
    """Takes each message when `go` is set; the first one as soon as `first` is."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.go = asyncio.Event(), asyncio.Event()

    async def send(self, outgoing: Outgoing) -> Acceptance:
        self.asked += 1
        await (self.first if self.asked == 1 else self.go).wait()
        self.taken.append(outgoing)
        return Acceptance(provider_ref=f"peer-{len(self.taken)}")


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 - what it looks at tells nobody
            await asyncio.sleep(0.01)


async def test_a_message_that_cannot_be_looked_up_cuts_off_none_on_the_wire(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, settings, tmp_path, campaign(), contacts=20)
    await launch_and_plan(database)
    flaky, peer = _Flaky(database._pool), _Slow()
    async with open_with(settings, flaky, email=peer) as sender:
        work = asyncio.create_task(sender.drain_lane(3))
        await _until(lambda: peer.asked == ORDINARY)
        await asyncio.sleep(0.6)  # what waits so long is judged again before it goes
        flaky.error = ConnectionResetError()
        peer.first.set()
        await _until(lambda: flaky.failed > 0)
        flaky.error = None
        peer.go.set()
        (ended,) = await asyncio.gather(work, return_exceptions=True)
        assert isinstance(ended, ConnectionResetError)  # told to the worker, which looks again in a second
        assert await state_counts(database) == {"accepted": ORDINARY, "queued": 20 - ORDINARY}
        assert await fetch(database, "SELECT DISTINCT attempts FROM notifier.messages WHERE state = 'queued'") == [(0,)]
        await sender.drain_lane(3)
    assert len(peer.taken) == 20
    await assert_tallies_agree(database)


async def test_cut_off_while_it_waits_for_the_last_messages_nothing_flies_on(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, settings, tmp_path, campaign(), contacts=3)
    await launch_and_plan(database)
    peer = _Slow()
    async with open_with(settings, database, email=peer) as sender:
        work = asyncio.create_task(sender.drain_lane(3))
        await _until(lambda: peer.asked == 3)
        await asyncio.sleep(0.5)  # by then it has seen that no more is due
        work.cancel()
        (ended,) = await asyncio.gather(work, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError)
    assert await fetch(database, "SELECT DISTINCT state, reason FROM notifier.messages") == [
        ("uncertain", "cut off while sending")
    ]
    assert await fetch(database, "SELECT count(*) FROM notifier.claims") == [(0,)]


async def test_cut_off_while_it_records_it_records(database: Database, settings: Settings, tmp_path: Path) -> None:
    await scene(database, settings, tmp_path, campaign(), contacts=3)
    await launch_and_plan(database)
    flaky, peer = _Flaky(database._pool), _Slow()
    async with open_with(settings, flaky, email=peer) as sender:
        work = asyncio.create_task(sender.drain_lane(3))
        await _until(lambda: peer.asked == 3)
        flaky.error = ConnectionResetError()
        peer.first.set()
        peer.go.set()
        await _until(lambda: flaky.failed > 0)
        for _ in range(3):
            work.cancel()
            await asyncio.sleep(0.05)
        assert not work.done()
        flaky.error = None
        await asyncio.gather(work, return_exceptions=True)
        assert await state_counts(database) == {"accepted": 3}


@pytest.mark.parametrize("error", [ConnectionResetError(), asyncpg.ReadOnlySQLTransactionError("read-only")])
async def test_what_was_accepted_is_recorded_however_long_nothing_can_be_stored(
    database: Database, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(receipts, "LONGEST_WAIT_S", 0.05)
    await scene(database, settings, tmp_path, campaign(), contacts=3)
    await launch_and_plan(database)
    flaky, peer = _Flaky(database._pool), _Slow()
    async with open_with(settings, flaky, email=peer) as sender:
        work = asyncio.create_task(sender.drain_lane(3))
        await _until(lambda: peer.asked == 3)
        await asyncio.sleep(0.5)  # by then it has seen that no more is due
        flaky.error = error
        peer.first.set()
        peer.go.set()
        await _until(lambda: flaky.failed > 20 or work.done())
        flaky.error = None
        await asyncio.gather(work, return_exceptions=True)
    assert await state_counts(database) == {"accepted": 3}
    await assert_tallies_agree(database)


async def test_cut_off_it_does_not_wait_for_ever_for_a_database_that_stays_away(
    database: Database, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flights, "LAST_S", 0.3)
    await scene(database, settings, tmp_path, campaign(), contacts=3)
    await launch_and_plan(database)
    flaky, peer = _Flaky(database._pool), _Slow()
    async with open_with(settings, flaky, email=peer) as sender:
        work = asyncio.create_task(sender.drain_lane(3))
        await _until(lambda: peer.asked == 3)
        flaky.error = ConnectionResetError()
        peer.first.set()
        peer.go.set()
        await _until(lambda: flaky.failed > 1)
        work.cancel()
        async with asyncio.timeout(30):
            await asyncio.gather(work, return_exceptions=True)
    assert await state_counts(database) == {"sending": 3}  # in doubt when the lease runs out
