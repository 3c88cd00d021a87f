"""Workers killed: nothing is lost, and what goes twice is among what the ledger calls in doubt."""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from notifier.delivery.flights import AT_ONCE
from notifier.delivery.settle import settle_doubts
from notifier.domain.message import RunId
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.messages.claim import BATCH
from tests.builders import claim, fetch, launch, launch_and_plan
from tests.faults.mother import Born, Mother
from tests.faults.scene import (
    EMERGENCY,
    MARKETING,
    SERVICE,
    TRANSACTIONAL,
    assert_ledger_agrees,
    count_states,
    end_leases,
    set_scene,
    settle_all,
    watched_moves,
)
from tests.peers.recorder import Recorder, recorder
from tests.worker.processes import until

KILLS = int(os.environ.get("FAULTS_KILLS", "6"))
MESSAGES = int(os.environ.get("FAULTS_MESSAGES", "3000"))
_HELD = "SELECT 1 FROM notifier.claims WHERE split_part(worker, ':', 2) = $1"


async def test_killed_workers_lose_nothing_and_double_only_what_was_in_doubt(
    database: Database, settings: Settings, mother: Mother, tmp_path: Path
) -> None:
    async with recorder(tmp_path / "book") as book, watched_moves(database):
        await set_scene(database, settings, tmp_path, people=MESSAGES // 2, port=book.ports["email"])
        await launch(database, SERVICE)
        await launch(database, MARKETING)
        await book.tell(dot_delay_s=0.002)
        held = 0
        for done in range(0, KILLS, 2):
            held += await _kill_two(database, settings, mother, book, MESSAGES * (done + 1) // (2 * KILLS + 4))
        await book.tell(dot_delay_s=0)
        async with mother.worker(settings), mother.worker(settings):
            await settle_all(database)
        found = await assert_ledger_agrees(book, database, settings)
        states = await count_states(database)
    assert held == KILLS, "each was killed with messages on the wire"
    assert found["doubted"] > 0
    assert states[SERVICE, "accepted"] == MESSAGES // 2
    assert states[MARKETING, "accepted"] + states[MARKETING, "uncertain"] == MESSAGES // 2
    sys.stderr.write(f"{KILLS} kills in {MESSAGES} messages: {dict(found)}\n")


async def _kill_two(database: Database, settings: Settings, mother: Mother, book: Recorder, taken: int) -> int:
    """Start two workers, kill them when so many messages were taken; returns how many of them held a claim."""
    async with AsyncExitStack() as stack:
        pair = [await stack.enter_async_context(mother.worker(settings)) for _ in range(2)]
        await book.took(taken)
        await book.tell(dot_delay_s=0.05)  # while the blow is aimed the work must not come to its end
        for process in pair:
            await _kill_holding(database, process)
        await book.tell(dot_delay_s=0.002)
    return await end_leases(database, [process.pid for process in pair])


async def _kill_holding(database: Database, process: Born) -> None:
    """Kill it while it holds a claim: frozen first, for by a glance alone the claim may end before the blow falls."""
    for _ in range(3000):
        process.send_signal(signal.SIGSTOP)
        if await fetch(database, _HELD, str(process.pid)):
            process.kill()
            await process.wait()
            return
        process.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.02)
    raise AssertionError(f"it never held a claim: {await count_states(database)}")


@pytest.mark.parametrize(("purpose", "copies"), [(EMERGENCY, 2), (SERVICE, 2), (MARKETING, 1), (TRANSACTIONAL, 1)])
async def test_a_kill_between_acceptance_and_record_is_a_doubt_settled_by_its_purpose(
    database: Database, settings: Settings, mother: Mother, tmp_path: Path, purpose: str, copies: int
) -> None:
    async with recorder(tmp_path / "book") as book:
        await set_scene(database, settings, tmp_path, people=8, port=book.ports["email"])
        await launch(database, purpose)
        await book.tell(hold_after=2)
        async with mother.worker(settings) as process:
            await book.took(2)
            process.kill()
            await process.wait()
        written = await fetch(database, "SELECT count(*)::int FROM notifier.messages WHERE state = 'sending'")
        taken = book.copies()
        assert written[0][0] >= len(taken) >= 2, "what may be sent stands in the ledger before it is"
        assert await end_leases(database, [process.pid]) == 1
        await book.tell(hold_after=-1)
        async with mother.worker(settings):
            await settle_all(database)
        found = await assert_ledger_agrees(book, database, settings)
    assert found["doubted"] >= len(taken)
    assert {book.copies()[one] for one in taken} == {copies}
    assert found["doubled"] == (len(taken) if copies == 2 else 0)


async def test_a_worker_that_slept_past_its_lease_sends_nothing_more_of_it(
    database: Database, settings: Settings, mother: Mother, tmp_path: Path
) -> None:
    async with recorder(tmp_path / "book") as book:
        await set_scene(database, settings, tmp_path, people=200, port=book.ports["email"])
        await launch(database, SERVICE)
        await book.tell(dot_delay_s=0.05)
        async with mother.worker(settings) as sleeper:
            await book.took(10)
            sleeper.send_signal(signal.SIGSTOP)
            while not await end_leases(database, [sleeper.pid]):  # it fell asleep between two batches
                sleeper.send_signal(signal.SIGCONT)
                await asyncio.sleep(0.05)
                sleeper.send_signal(signal.SIGSTOP)
            async with mother.worker(settings):
                await until(database, "SELECT count(*)::int FROM notifier.messages WHERE state = 'sending'", 0)
                await asyncio.sleep(1.2)
                sleeper.send_signal(signal.SIGCONT)
                await settle_all(database)
                assert sleeper.returncode is None
        found = await assert_ledger_agrees(book, database, settings)
    assert found["accepted"] == 200
    assert 0 < found["doubted"] <= AT_ONCE * BATCH
    assert found["doubled"] <= found["doubted"]


async def test_a_worker_asleep_within_a_transaction_holds_up_no_settling_of_others(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_scene(database, settings, tmp_path, people=2, port=1)
    run = await launch_and_plan(database, SERVICE)
    asleep, dead = [await claim(database, RunId(run.id), limit=1) for _ in range(2)]
    await end_leases(database)
    async with database.transaction() as held:
        await held.execute("SELECT 1 FROM notifier.claims WHERE id = $1 FOR UPDATE", asleep.claim_id)
        async with asyncio.timeout(30):
            settled = await settle_doubts(database)
    assert settled.in_doubt == 1
    assert await fetch(database, "SELECT id FROM notifier.messages WHERE state = 'uncertain'") == [
        (dead.messages[0].id,)
    ]


async def test_the_server_ends_a_transaction_whose_worker_fell_asleep(database: Database) -> None:
    """Its locks would hold up a stop, which waits for the claims that are being made."""
    ((patience,),) = await fetch(
        database, "SELECT setting::int FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'"
    )
    assert 0 < patience <= 60_000
