"""Tallies: folding changes no count, also while others write."""

import asyncio

from notifier.store.database import Database
from notifier.store.tallies import Tally, fold_tallies, read_tallies
from tests.builders import execute, fetch

RUN = 202601000001
ADD = "INSERT INTO notifier.tallies (run_id, step, channel, state, delta) VALUES ($1, 's', 'email', $2, $3)"


async def _read(database: Database) -> list[Tally]:
    async with database.transaction() as tx:
        return await read_tallies(tx, RUN)


async def _fold(database: Database) -> int:
    async with database.transaction() as tx:
        return await fold_tallies(tx)


async def test_folding_leaves_one_row_a_state_and_the_same_counts(database: Database) -> None:
    for _ in range(5):
        await execute(database, ADD, RUN, "queued", 2)
        await execute(database, ADD, RUN, "sending", 1)
        await execute(database, ADD, RUN, "sending", -1)
    before = await _read(database)
    assert await _fold(database) == 1
    assert await _read(database) == before == [Tally(step="s", channel="email", state="queued", reason="", count=10)]
    assert await fetch(database, "SELECT count(*) FROM notifier.tallies") == [(1,)]


async def test_two_folders_and_writers_at_once_lose_nothing(database: Database) -> None:
    async def write() -> None:
        for _ in range(20):
            await execute(database, ADD, RUN, "queued", 1)

    async def fold() -> None:
        for _ in range(10):
            await _fold(database)

    await asyncio.gather(write(), write(), fold(), fold())
    await _fold(database)
    assert [tally.count for tally in await _read(database)] == [40]


async def test_a_passage_is_counted_once_however_often_the_fold_runs(database: Database) -> None:
    await execute(database, ADD, RUN, "queued", 5)
    await _fold(database)
    await execute(database, ADD, RUN, "queued", -2)
    await execute(database, ADD, RUN, "sending", 2)
    for _ in range(3):
        await _fold(database)
    found = await fetch(database, "SELECT state, entered, departed FROM notifier.passages ORDER BY state")
    assert found == [("queued", 5, 2), ("sending", 2, 0)]
    assert await _fold(database) == 0
