"""Several workers at once: no message twice, no run and no lane left behind, whatever their clocks say."""

import asyncio
import os
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from notifier.domain.person import Person
from notifier.planning.single import send_one
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.queue import open_bell
from tests.builders import fetch, launch, launch_and_plan, release_singles
from tests.faults.mother import Mother
from tests.faults.scene import EMERGENCY, MARKETING, SERVICE, assert_ledger_agrees, public_ids, set_scene, settle_all
from tests.peers.recorder import recorder
from tests.worker.processes import until, worker

_FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
BACKLOG = int(os.environ.get("FAULTS_BACKLOG", "20000"))
_BOUND_S = float(os.environ.get("FAULTS_EMERGENCY_S", "5"))  # the promise is 1 s; this machine does other things too


@pytest.mark.parametrize("number", [2, 4])
async def test_workers_side_by_side_double_nothing_and_starve_no_run(
    database: Database, settings: Settings, mother: Mother, tmp_path: Path, number: int
) -> None:
    async with recorder(tmp_path / "book") as book, AsyncExitStack() as stack:
        await set_scene(database, settings, tmp_path, people=1000, port=book.ports["email"])
        runs = [(await launch_and_plan(database, key)).id for key in (SERVICE, SERVICE, SERVICE, MARKETING)]
        await book.tell(dot_delay_s=0.025 * number)
        for _ in range(number):
            await stack.enter_async_context(mother.worker(settings))
        await until(database, f"SELECT count(DISTINCT worker) >= {number} FROM notifier.claims", True, within_s=60)
        await until(database, _COME_FORWARD, len(runs), within_s=60)
        waiting = await fetch(database, "SELECT DISTINCT run_id FROM notifier.messages WHERE state = 'queued'")
        await book.tell(dot_delay_s=0)
        await settle_all(database)
        found = await assert_ledger_agrees(book, database, settings)
    assert len(waiting) > 1, "the last run that came forward did not wait for the ends of the others"
    assert (found["accepted"], found["doubled"], found["doubted"]) == (4000, 0, 0)


_COME_FORWARD = "SELECT count(DISTINCT run_id)::int FROM notifier.messages WHERE state = 'accepted'"


async def test_clocks_of_workers_do_not_matter(database: Database, settings: Settings, tmp_path: Path) -> None:
    """One an hour ahead, one an hour behind: nothing twice, nothing late, nothing swept that is alive."""
    if _FAKETIME is None:
        assert "CI" not in os.environ, "libfaketime belongs to what the tests need"
        pytest.skip("libfaketime is not installed")
    skewed = {"LD_PRELOAD": str(_FAKETIME), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    async with recorder(tmp_path / "book") as book:
        await set_scene(database, settings, tmp_path, people=300, port=book.ports["email"])
        await book.tell(dot_delay_s=0.01)
        async with (
            worker(settings, extra=skewed | {"FAKETIME": "+3600"}) as ahead,
            worker(settings, extra=skewed | {"FAKETIME": "-3600"}) as behind,
        ):
            await launch(database, SERVICE)
            await launch(database, MARKETING)
            await until(database, "SELECT count(DISTINCT worker)::int FROM notifier.claims", 2, within_s=90)
            await settle_all(database)
            assert (ahead.returncode, behind.returncode) == (None, None)
        found = await assert_ledger_agrees(book, database, settings)
        spans = await fetch(
            database, "SELECT max(abs(extract(epoch FROM accepted_at - planned_at)))::int FROM notifier.messages"
        )
    assert (found["accepted"], found["doubted"]) == (600, 0)
    assert spans[0][0] < 600, "the ledger's times are the database's"


async def test_an_emergency_leaves_at_once_while_marketing_drains(
    database: Database, settings: Settings, mother: Mother, tmp_path: Path
) -> None:
    async with recorder(tmp_path / "book") as book, AsyncExitStack() as stack:
        await set_scene(database, settings, tmp_path, people=BACKLOG, port=book.ports["email"])
        await release_singles(database, EMERGENCY)
        await launch_and_plan(database, MARKETING)
        await book.tell(dot_delay_s=0.01)
        for lanes in ((1, 2), (3, 4)):
            await stack.enter_async_context(mother.worker(settings, lanes))
        await book.took(300)
        asked = await _ask_for(database, settings, 100)
        for _ in range(1200):
            arrived = {one.public_id: one.at for one in book.taken()}
            if asked.keys() <= arrived.keys():
                break
            await asyncio.sleep(0.1)
        left = await fetch(database, "SELECT count(*)::int FROM notifier.messages WHERE state = 'queued'")
    waits = sorted(arrived[public_id] - at for public_id, at in asked.items())
    sys.stderr.write(f"emergency under {BACKLOG} marketing messages: median {waits[50]:.3f} s, p99 {waits[98]:.3f} s\n")
    assert left[0][0] > BACKLOG / 10, "the backlog was there all the time"
    assert waits[98] < _BOUND_S


async def _ask_for(database: Database, settings: Settings, number: int) -> dict[str, float]:
    """So many emergency messages, one after another as the API takes them; public id → when it was committed."""
    asked = {}
    async with open_bell(settings.redis_url) as bell:
        for nth in range(1, number + 1):
            async with database.transaction() as tx:
                one = await send_one(
                    tx, team_id=1, campaign_key=EMERGENCY, external_id=f"c{nth}", inputs={}, by=Person(name="api")
                )
            asked[public_ids(settings, [(one.run_id, one.message_id)]).pop()] = time.time()
            await bell.ring("tick")
            await asyncio.sleep(0.03)
    return asked
