"""Faults: Redis vanishes, workers are killed; nothing is lost, and nothing goes twice but what is counted in doubt."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path

from notifier.delivery.settle import RECONCILE_FOR
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.queue import open_redis
from tests.builders import (
    add_contact,
    assert_tallies_agree,
    campaign,
    define,
    execute,
    fetch,
    kept,
    launch,
    pass_time,
    set_now,
)
from tests.worker.processes import own_redis, until, worker

DONE = "SELECT count(*)::int FROM notifier.messages WHERE state = 'accepted'"


async def _scene(database: Database, settings: Settings, folder: Path, count: int) -> None:
    await set_now(database)
    await define(database, folder, campaign(), campaign("second"), campaign("third"))
    for number in range(count):
        await add_contact(database, settings, f"c{number:04}")


async def test_sending_goes_on_while_redis_is_gone_and_when_it_is_back(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path / "definitions", 10)
    async with own_redis(tmp_path / "redis") as redis:
        with_own = settings.model_copy(update={"redis_url": redis.url})
        async with worker(with_own) as process:
            await launch(database)
            await until(database, DONE, 10)
            await redis.kill()
            await launch(database, "second")
            await until(database, DONE, 20)
            await redis.start()
            await launch(database, "third")
            await until(database, DONE, 30)
            assert process.returncode is None
    await assert_tallies_agree(database)


async def test_a_flushed_redis_delays_and_loses_nothing(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _scene(database, settings, tmp_path, 200)
    redis = open_redis(settings.redis_url)
    async with worker(settings):
        await launch(database)
        for _ in range(10):
            await redis.flushall()
            await asyncio.sleep(0.2)
        await until(database, DONE, 200)
    await redis.aclose()
    assert Counter(recipient for recipient, _ in await kept(database)).most_common(1)[0][1] == 1


async def test_killed_workers_lose_nothing_and_double_only_what_was_in_doubt(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    count = 1500
    await set_now(database)
    await define(database, tmp_path, campaign())
    await execute(
        database,
        """
        WITH people AS (
            INSERT INTO notifier.contacts (team_id, external_id, kind)
            SELECT 1, 'c' || n, 'customer' FROM generate_series(1, $1::int) AS n RETURNING id, external_id)
        INSERT INTO notifier.addresses (contact_id, channel, address, address_key)
        SELECT id, 'email', external_id || '@example.com', sha256(external_id::bytea) FROM people
        """,
        count,
    )
    await launch(database)
    for _ in range(5):  # each leaves its jobs in the queue
        before = len(await kept(database))
        async with worker(settings) as process:
            await until(database, f"SELECT count(*) >= {before + 100} FROM notifier.sandbox_items", True)
            process.kill()
            await process.wait()
        await execute(database, "UPDATE notifier.claims SET alive_until = now() - interval '1 s'")
    async with worker(settings):
        await until(database, "SELECT count(*)::int FROM notifier.messages WHERE state = 'queued'", 0, within_s=60)
        await pass_time(database, RECONCILE_FOR + timedelta(seconds=1))
        await until(database, DONE, count, within_s=60)
    doubted = {
        message
        for (message,) in await fetch(
            database, "SELECT DISTINCT message_id FROM notifier.events WHERE kind = 'uncertain'"
        )
    }
    taken = Counter(public_id for _, public_id in await kept(database))
    assert len(taken) == count
    assert sum(1 for times in taken.values() if times > 1) <= len(doubted)
    doubles = await fetch(
        database,
        """
        SELECT m.id FROM notifier.messages m WHERE m.provider_ref IN (
            SELECT 'sandbox-' || public_id FROM notifier.sandbox_items GROUP BY public_id HAVING count(*) > 1)
        """,
    )
    assert {message for (message,) in doubles} <= doubted
    await assert_tallies_agree(database)
