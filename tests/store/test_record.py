"""Record: outcomes are written once, only by whoever holds the claim, and the tallies always agree."""

import asyncio
import random
from datetime import timedelta
from pathlib import Path

import pytest

from notifier.delivery.settle import RECONCILE_FOR, settle_doubts
from notifier.domain.message import MessageId, State
from notifier.domain.person import Person
from notifier.planning.control import cancel_run, resume_run, stop_run
from notifier.planning.finish import end_finished_runs
from notifier.settings import Settings
from notifier.store.callbacks import StateChange, change_states, lock_messages
from notifier.store.database import Database
from notifier.store.messages.claim import Batch
from notifier.store.messages.doubts import sweep_dead_claims
from notifier.store.messages.give_back import spare_tries
from notifier.store.messages.record import Receipt, record_receipts
from notifier.store.tallies import fold_tallies, read_tallies
from tests.builders import (
    add_contact,
    assert_tallies_agree,
    campaign,
    claim,
    define,
    execute,
    fetch,
    launch_and_plan,
    pass_time,
    set_now,
    state_counts,
    states,
)


async def _claimed(database: Database, settings: Settings, folder: Path, count: int = 1) -> Batch:
    await set_now(database)
    await define(database, folder, campaign())
    for number in range(count):
        await add_contact(database, settings, f"c{number}")
    run = await launch_and_plan(database)
    return await claim(database, run.id)


async def _record(database: Database, batch: Batch, *receipts: Receipt) -> int:
    async with database.transaction() as tx:
        return await record_receipts(tx, batch.run_id, batch.claim_id, receipts)


def _accepted(message: MessageId) -> Receipt:
    return Receipt(id=message, state=State.ACCEPTED, provider_ref=f"ref-{message}", account="email", locale="en")


async def test_an_acceptance_is_recorded_with_its_facts_and_frees_the_lease(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    batch = await _claimed(database, settings, tmp_path)
    receipt = Receipt(
        id=batch.messages[0].id,
        state=State.ACCEPTED,
        reason="250 ok",
        provider_ref="Q1",
        post_url="https://social.example/1",
        account="email",
        locale="zh-CN",
        parts=2,
        content_hash=b"h" * 32,
        renderer="1",
        content={"text": "你好"},
    )
    assert await _record(database, batch, receipt) == 1
    rows = await fetch(
        database,
        """
        SELECT state, provider_ref, post_url, account, locale, parts, content_hash, renderer, content,
            accepted_at IS NOT NULL, claim_id FROM notifier.messages
        """,
    )
    assert rows == [
        (
            "accepted",
            "Q1",
            "https://social.example/1",
            "email",
            "zh-CN",
            2,
            b"h" * 32,
            "1",
            {"text": "你好"},
            True,
            None,
        )
    ]
    assert await fetch(database, "SELECT count(*) FROM notifier.claims") == [(0,)]
    await assert_tallies_agree(database)


async def test_a_batch_of_mixed_outcomes_is_recorded_together(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    batch = await _claimed(database, settings, tmp_path, 4)
    one, two, three, four = (message.id for message in batch.messages)
    told = (
        _accepted(one),
        Receipt(id=two, state=State.FAILED, reason="no such user", suppress=True),
        Receipt(id=three, state=State.UNCERTAIN, reason="lost"),
        Receipt(id=four, state=State.QUEUED, reason="later", again_s=60),
    )
    assert await _record(database, batch, *told) == 4
    assert await states(database) == [
        ("c0", "accepted", ""),
        ("c1", "failed", "no such user"),
        ("c2", "uncertain", "lost"),
        ("c3", "queued", ""),
    ]
    assert await fetch(database, "SELECT count(*) FROM notifier.suppressions") == [(1,)]
    await assert_tallies_agree(database)


async def test_a_bad_address_outranks_an_opt_out_block(database: Database, settings: Settings, tmp_path: Path) -> None:
    batch = await _claimed(database, settings, tmp_path, 1)
    async with database.transaction() as tx:
        await tx.execute(
            """
            INSERT INTO notifier.suppressions (team_id, address_key, channel, reason)
            SELECT team_id, address_key, channel, 'opt-out' FROM notifier.messages
            """
        )
    await _record(database, batch, Receipt(id=batch.messages[0].id, state=State.FAILED, reason="gone", suppress=True))
    assert await fetch(database, "SELECT reason FROM notifier.suppressions") == [("invalid",)]


async def test_an_event_told_twice_is_one(database: Database, settings: Settings, tmp_path: Path) -> None:
    batch = await _claimed(database, settings, tmp_path)
    receipt = _accepted(batch.messages[0].id)
    await _record(database, batch, receipt)
    assert await _record(database, batch, receipt) == 0
    assert await fetch(database, "SELECT event_key FROM notifier.events") == [("accepted:1",)]
    await assert_tallies_agree(database)


async def test_a_claim_that_was_taken_away_records_nothing(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    batch = await _claimed(database, settings, tmp_path)
    await execute(database, "UPDATE notifier.claims SET alive_until = now() - interval '1 s'")
    async with database.transaction() as tx:
        assert await sweep_dead_claims(tx) == 1
    assert await _record(database, batch, _accepted(batch.messages[0].id)) == 0
    assert await states(database) == [("c0", "uncertain", "the worker died")]
    await assert_tallies_agree(database)


async def test_a_living_lease_is_not_swept(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _claimed(database, settings, tmp_path)
    async with database.transaction() as tx:
        assert await sweep_dead_claims(tx) == 0
    assert await state_counts(database) == {"sending": 1}


async def test_the_sweep_and_a_late_record_do_not_block_each_other(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    for _ in range(5):
        batch = await _claimed(database, settings, tmp_path, 5)
        await execute(database, "UPDATE notifier.claims SET alive_until = now() - interval '1 s'")

        async def sweep() -> int:
            async with database.transaction() as tx:
                return await sweep_dead_claims(tx)

        receipts = [_accepted(message.id) for message in batch.messages]
        recorded, swept = await asyncio.gather(_record(database, batch, *receipts), sweep())
        assert (recorded, swept) in ((5, 0), (0, 5))
        await assert_tallies_agree(database)


async def test_a_report_that_overtook_the_answer_stays(database: Database, settings: Settings, tmp_path: Path) -> None:
    batch = await _claimed(database, settings, tmp_path)
    message = batch.messages[0].id
    await _report(database, batch, message, State.DELIVERED)
    await _record(database, batch, _accepted(message))
    assert await fetch(database, "SELECT state, provider_ref FROM notifier.messages") == [
        ("delivered", f"ref-{message}")
    ]
    await assert_tallies_agree(database)


async def test_an_address_freed_by_try_again_stays_known_where_a_report_came_first(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    batch = await _claimed(database, settings, tmp_path)
    message = batch.messages[0].id
    await _report(database, batch, message, State.BOUNCED)
    await _record(database, batch, Receipt(id=message, state=State.QUEUED, again_s=5))
    assert await fetch(database, "SELECT state, address_key IS NOT NULL FROM notifier.messages") == [("bounced", True)]


async def test_what_comes_back_after_a_run_was_cancelled_is_cancelled(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    batch = await _claimed(database, settings, tmp_path, 2)
    one, two = (message.id for message in batch.messages)
    async with database.transaction() as tx:
        await cancel_run(tx, batch.run_id, "test")
    again, lost = Receipt(id=one, state=State.QUEUED, again_s=5), Receipt(id=two, state=State.UNCERTAIN)
    await _record(database, batch, again, lost)
    await pass_time(database, RECONCILE_FOR + timedelta(seconds=1))
    await settle_doubts(database)
    await pass_time(database, timedelta(days=10))
    await settle_doubts(database)
    assert await state_counts(database) == {"cancelled": 1, "uncertain": 1}  # the latter may have arrived
    await assert_tallies_agree(database)


async def _report(database: Database, batch: Batch, message: int, state: State) -> None:
    await _report_all(database, [(batch.run_id, message)], state)


async def _report_all(database: Database, places: list[tuple[int, int]], state: State) -> None:
    async with database.transaction() as tx:
        locked = await lock_messages(tx, places)
        await change_states(tx, [StateChange(message=one, to_state=state, reason="", took_at=None) for one in locked])


OPERATIONS = (
    "claim",
    "accept",
    "fail",
    "again",
    "lose",
    "die",
    "settle",
    "wait",
    "stop",
    "resume",
    "cancel",
    "fold",
    "end",
    "deliver",
)


@pytest.mark.parametrize("seed", range(6))
async def test_the_tallies_agree_whatever_happens(
    database: Database, settings: Settings, tmp_path: Path, seed: int
) -> None:
    drawn = random.Random(seed)
    operations = [(drawn.choice(OPERATIONS), drawn.randint(1, 3)) for _ in range(40)]
    first = await _claimed(database, settings, tmp_path, 6)
    open_batches = [first]
    for operation, number in operations:
        await _operate(database, operation, number, open_batches)
        await assert_tallies_agree(database)
    async with database.transaction() as tx:
        counted = sum(tally.count for tally in await read_tallies(tx, first.run_id))
    assert counted == 6


_TOLD = {"accept": State.ACCEPTED, "fail": State.FAILED, "again": State.QUEUED, "lose": State.UNCERTAIN}


async def _operate(database: Database, operation: str, number: int, open_batches: list[Batch]) -> None:
    ((run_id,),) = await fetch(database, "SELECT id FROM notifier.runs")
    match operation:
        case "claim":
            open_batches.append(await claim(database, run_id, limit=number))
        case "accept" | "fail" | "again" | "lose" if open_batches:
            batch = open_batches.pop()
            told = [
                Receipt(id=message.id, state=_TOLD[operation], reason="because", again_s=1, suppress=number == 3)
                for message in batch.messages
            ]
            await _record(database, batch, *told)
        case "die":
            await execute(database, "UPDATE notifier.claims SET alive_until = now() - interval '1 s'")
        case "settle":
            await settle_doubts(database)
        case "wait":
            await pass_time(database, timedelta(minutes=6 * number))
        case "deliver":
            await _deliver_some(database, number)
        case "fold":
            async with database.transaction() as tx:
                await fold_tallies(tx)
        case "end":
            await end_finished_runs(database)
        case _:
            await _control(database, operation, run_id)


async def _deliver_some(database: Database, number: int) -> None:
    rows = await fetch(
        database,
        "SELECT run_id, id FROM notifier.messages WHERE state IN ('accepted', 'uncertain', 'failed') ORDER BY id LIMIT $1",
        number,
    )
    if rows:
        await _report_all(database, [(run_id, message) for run_id, message in rows], State.DELIVERED)


async def test_each_refusal_that_counts_as_no_try_is_told_and_so_is_the_expiry(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    batch = await _claimed(database, settings, tmp_path)
    (message,) = batch.messages
    for number in range(3):
        async with database.transaction() as tx:
            told = Receipt(
                id=message.id, state=State.QUEUED, reason=f"refusal {number}", again_s=60 if number < 2 else 1e8
            )
            await record_receipts(tx, batch.run_id, batch.claim_id, [told])
            await spare_tries(tx, batch.run_id, [message.id])
        await pass_time(database, timedelta(minutes=5))
        batch = await claim(database, batch.run_id)
    events = await fetch(database, "SELECT kind, reason FROM notifier.events ORDER BY at")
    assert events == [("deferred", "refusal 0"), ("deferred", "refusal 1"), ("expired", "refusal 2")]
    assert await state_counts(database) == {"expired": 1}


async def _control(database: Database, act: str, run_id: int) -> None:
    ((state,),) = await fetch(database, "SELECT state FROM notifier.runs WHERE id = $1", run_id)
    async with database.transaction() as tx:
        if act == "stop" and state == "running":
            await stop_run(tx, run_id, "test")
        elif act == "resume" and state == "stopped":
            await resume_run(tx, run_id, Person(name="test"))
        elif act == "cancel" and state in {"running", "stopped"}:
            await cancel_run(tx, run_id, "test")
