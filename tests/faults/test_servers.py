"""Servers gone and workers restarted in the middle of a campaign: sending goes on by itself, nothing is lost."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from notifier.settings import Settings
from notifier.store.database import Database, migrate, open_database
from notifier.store.queue import open_redis
from tests.builders import fetch, launch
from tests.faults.mother import Mother
from tests.faults.own_postgres import OwnPostgres, own_postgres
from tests.faults.scene import (
    MARKETING,
    SERVICE,
    assert_ledger_agrees,
    count_states,
    end_leases,
    set_scene,
    settle_all,
)
from tests.peers.recorder import recorder
from tests.worker.processes import own_redis, until

_HOW = {"in order": signal.SIGINT, "immediately": signal.SIGQUIT, "killed": signal.SIGKILL}


@pytest.fixture(scope="module")
async def postgres() -> AsyncIterator[OwnPostgres]:
    async with own_postgres() as server:
        await migrate(server.url)
        yield server


async def test_sending_outlives_a_postgresql_that_stops_and_comes_back(
    postgres: OwnPostgres, settings: Settings, mother: Mother, tmp_path: Path
) -> None:
    """Stopped in order, at once, and killed, each while messages are on the wire."""
    own = settings.model_copy(update={"database_url": postgres.url})
    async with recorder(tmp_path / "book") as book:
        async with open_database(postgres.url) as database:
            await set_scene(database, own, tmp_path, people=600, port=book.ports["email"])
            await launch(database, SERVICE)
            await launch(database, MARKETING)
        await book.tell(dot_delay_s=0.01)
        async with mother.worker(own) as one, mother.worker(own) as two:
            for nth, how in enumerate(_HOW.values(), start=1):
                await book.took(nth * 200)
                await postgres.stop(how)
                before = len(book.taken())
                await asyncio.sleep(0.5)
                await postgres.start()
                await book.took(before + 150)
            await book.tell(dot_delay_s=0)
            async with open_database(postgres.url) as database:
                await until(
                    database, "SELECT count(*)::int FROM notifier.messages WHERE state = 'queued'", 0, within_s=90
                )
                await end_leases(database)
                await settle_all(database)
                found = await assert_ledger_agrees(book, database, own)
                states = await count_states(database)
            assert (one.returncode, two.returncode) == (None, None), "no worker ended"
    assert states[SERVICE, "accepted"] == 600
    assert states[MARKETING, "accepted"] + states[MARKETING, "uncertain"] == 600
    assert found["doubled"] <= found["doubted"]


async def test_sending_goes_on_while_redis_is_gone_and_when_it_is_back(
    database: Database, settings: Settings, mother: Mother, tmp_path: Path
) -> None:
    async with recorder(tmp_path / "book") as book, own_redis(tmp_path / "redis") as redis:
        with_own = settings.model_copy(update={"redis_url": redis.url})
        await set_scene(database, with_own, tmp_path, people=40, port=book.ports["email"])
        async with mother.worker(with_own) as process:
            await launch(database, SERVICE)
            await book.took(40)
            await redis.kill()
            await launch(database, MARKETING)
            await book.took(80)
            await redis.start()
            await launch(database, SERVICE)
            await book.took(120)
            await settle_all(database)
            assert process.returncode is None
        found = await assert_ledger_agrees(book, database, settings)
    assert (found["accepted"], found["doubted"]) == (120, 0)


async def test_a_flushed_redis_delays_and_loses_nothing(
    database: Database, settings: Settings, mother: Mother, tmp_path: Path
) -> None:
    redis = open_redis(settings.redis_url)
    async with recorder(tmp_path / "book") as book:
        await set_scene(database, settings, tmp_path, people=300, port=book.ports["email"])
        await book.tell(dot_delay_s=0.02)
        async with mother.worker(settings):
            await launch(database, SERVICE)
            await book.took(1)
            for _ in range(10):
                await redis.flushall()
                await asyncio.sleep(0.1)
            await settle_all(database)
        found = await assert_ledger_agrees(book, database, settings)
    await redis.aclose()
    assert (found["accepted"], found["doubled"]) == (300, 0)


async def test_six_rolling_restarts_drain_double_nothing_and_use_up_no_tries(
    database: Database, settings: Settings, mother: Mother, tmp_path: Path
) -> None:
    async with recorder(tmp_path / "book") as book:
        await set_scene(database, settings, tmp_path, people=700, port=book.ports["email"])
        await launch(database, SERVICE)
        await launch(database, MARKETING)
        await book.tell(dot_delay_s=0.02)
        old = await mother.bear(settings)
        for nth in range(1, 7):
            new = await mother.bear(settings)
            await book.took(nth * 150)
            # It is told to stop while it has messages on the wire.
            await until(database, f"SELECT count(*) > 0 FROM notifier.claims WHERE worker LIKE '%:{old.pid}'", True)
            old.terminate()
            assert await old.wait() == 0
            assert not await fetch(database, "SELECT 1 FROM notifier.claims WHERE worker LIKE '%:' || $1", str(old.pid))
            old = new
        await book.tell(dot_delay_s=0)
        await settle_all(database)
        old.terminate()
        await old.wait()
        found = await assert_ledger_agrees(book, database, settings)
        tries = await fetch(database, "SELECT max(attempts)::int FROM notifier.messages")
    assert (found["accepted"], found["doubted"], found["doubled"]) == (1400, 0, 0)
    assert tries == [(1,)]
