"""Stop, resume, cancel, end: what a person decides about a run, and what follows by itself."""

from datetime import timedelta
from pathlib import Path

import pytest

from notifier.delivery.settle import settle_doubts
from notifier.domain.errors import Conflict, Forbidden
from notifier.domain.person import RESUMING, Person, Role
from notifier.planning.control import cancel_run, resume_run, stop_run
from notifier.planning.finish import end_finished_runs
from notifier.planning.plan import plan_due
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.messages.doubts import CANCELLED_AT_ONCE
from notifier.store.runs import set_run_state
from tests.builders import (
    NOON,
    add_contact,
    assert_tallies_agree,
    campaign,
    claim,
    define,
    drain,
    execute,
    fetch,
    launch,
    launch_and_plan,
    pass_time,
    person,
    set_now,
    state_counts,
)


async def _state(database: Database) -> str:
    ((state,),) = await fetch(database, "SELECT state FROM notifier.runs")
    return str(state)


async def _scene(database: Database, settings: Settings, folder: Path) -> None:
    await set_now(database)
    await define(database, folder, campaign())
    for number in range(3):
        await add_contact(database, settings, f"c{number}")


async def test_a_stopped_run_goes_on_when_resumed(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _scene(database, settings, tmp_path)
    run = await launch_and_plan(database)
    async with database.transaction() as tx:
        await stop_run(tx, run.id, "test")
    await drain(settings, database)
    assert await state_counts(database) == {"queued": 3}
    async with database.transaction() as tx:
        await resume_run(tx, run.id, Person(name="test"))
    await drain(settings, database)
    assert await state_counts(database) == {"accepted": 3}
    acts = await fetch(database, "SELECT act FROM notifier.audit WHERE act NOT LIKE 'definition.%' ORDER BY id")
    assert [act for (act,) in acts] == ["run.drafted", "run.submitted", "run.released", "run.stop", "run.resume"]


async def test_a_run_stopped_before_it_began_is_not_planned_until_resumed(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path)
    run = await launch(database, at=NOON + timedelta(hours=1))
    async with database.transaction() as tx:
        await stop_run(tx, run.id, "test")
    await pass_time(database, timedelta(hours=2))
    assert (await plan_due(database)).messages == 0
    async with database.transaction() as tx:
        await resume_run(tx, run.id, Person(name="test"))
    assert await _state(database) == "scheduled"
    assert (await plan_due(database)).messages == 3


async def test_a_cancelled_run_sends_nothing_more_and_never_returns(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path)
    run = await launch_and_plan(database)
    await claim(database, run.id, limit=1)
    async with database.transaction() as tx:
        assert await cancel_run(tx, run.id, "test") == 2
    await drain(settings, database)
    assert await state_counts(database) == {"sending": 1, "cancelled": 2}
    await assert_tallies_agree(database)
    async with database.transaction() as tx:
        with pytest.raises(Conflict, match="is cancelled: it cannot resume"):
            await resume_run(tx, run.id, Person(name="test"))


async def test_a_large_run_is_cancelled_at_once_and_its_messages_follow(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    number = CANCELLED_AT_ONCE + 1000
    await execute(
        database,
        """
        INSERT INTO notifier.contacts (team_id, external_id, kind)
        SELECT 1, 'c' || n, 'customer' FROM generate_series(1, $1::int) AS n
        """,
        number,
    )
    await execute(
        database,
        """
        INSERT INTO notifier.addresses (contact_id, channel, address, address_key)
        SELECT id, 'email', external_id || '@example.com', sha256(external_id::bytea) FROM notifier.contacts
        """,
    )
    run = await launch_and_plan(database)
    async with database.transaction() as tx:
        assert await cancel_run(tx, run.id, "test") == number
    assert await state_counts(database) == {"cancelled": CANCELLED_AT_ONCE, "queued": 1000}
    assert (await claim(database, run.id)).cursor is None
    await settle_doubts(database)
    assert await state_counts(database) == {"cancelled": number}
    await assert_tallies_agree(database)


async def test_what_cannot_be_done_to_a_run_is_said(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _scene(database, settings, tmp_path)
    run = await launch_and_plan(database)
    async with database.transaction() as tx:
        with pytest.raises(Conflict, match="it cannot resume"):
            await resume_run(tx, run.id, Person(name="test"))


@pytest.mark.parametrize("role", [None, Role.AUTHOR, Role.APPROVER, Role.OPERATOR, Role.ADMIN])
async def test_what_the_service_stopped_waits_for_a_person_who_may_resume(
    database: Database, settings: Settings, tmp_path: Path, role: Role | None
) -> None:
    await _scene(database, settings, tmp_path)
    run = await launch_and_plan(database)
    async with database.transaction() as tx:
        by = await person(tx, "lin", role) if role else Person(name="api-key:1")
        await set_run_state(tx, run.id, "stopped", "5.00 % of its 100 messages by email came back")
    async with database.transaction() as tx:
        if role in RESUMING:
            await resume_run(tx, run.id, by)
            return
        with pytest.raises(Forbidden):
            await resume_run(tx, run.id, by)


async def test_a_run_ends_only_when_nothing_of_it_is_open(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    steps = "inform: {channels: [email], template: note}\nlater: {channels: [email], template: note, after: 1d}"
    await define(database, tmp_path, campaign(steps=steps))
    await add_contact(database, settings, "c1")
    run = await launch_and_plan(database)
    assert await end_finished_runs(database) == 0  # a message is queued
    await drain(settings, database)
    assert await end_finished_runs(database) == 0  # a step is still to come
    await pass_time(database, timedelta(days=1))
    await plan_due(database)
    await claim(database, run.id)
    assert await end_finished_runs(database) == 0  # one is on the wire
    async with database.transaction() as tx:
        await tx.execute("UPDATE notifier.messages SET state = 'uncertain' WHERE state = 'sending'")
    assert await end_finished_runs(database) == 0  # one is in doubt
    async with database.transaction() as tx:
        await tx.execute("UPDATE notifier.messages SET state = 'accepted' WHERE state = 'uncertain'")
    assert await end_finished_runs(database) == 1
    assert await _state(database) == "ended"


async def test_a_run_for_nobody_ends(database: Database, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    await launch_and_plan(database)
    assert await end_finished_runs(database) == 1
