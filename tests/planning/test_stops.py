"""Stops above a run: from the commit on nothing of it is claimed; a person resumes it."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from notifier.domain.errors import Conflict, Forbidden, InputError, NotFound
from notifier.domain.message import RunId
from notifier.domain.person import Person, Role
from notifier.domain.stop import Extent, Scope, Stop
from notifier.planning.stops import lift_stop, stop_above
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.messages.claim import list_lane_runs, may_still_go
from notifier.store.messages.fragments import GATE
from notifier.store.stops import list_held
from tests.builders import (
    add_contact,
    campaign,
    claim,
    define,
    drain,
    execute,
    fetch,
    kept,
    launch_and_plan,
    pass_time,
    person,
    set_now,
    states,
)

EVERYTHING = Extent(scope=Scope.EVERYTHING)
BUT_EMERGENCIES = Extent(scope=Scope.EVERYTHING, spares_emergencies=True)
SMS = Extent(scope=Scope.CHANNEL, which="sms")
NEWS = Extent(scope=Scope.CAMPAIGN, which="news")
BOTH = "inform: {channels: [email, sms], template: note}"
OPERATOR = Person(name="op")


async def stop(database: Database, extent: Extent) -> Stop:
    async with database.transaction() as tx:
        return await stop_above(tx, 1, extent, reason="wrong list", by=OPERATOR)


async def lift(database: Database, stop_id: int, role: Role = Role.OPERATOR) -> Stop:
    async with database.transaction() as tx:
        return await lift_stop(tx, 1, stop_id, await person(tx, role.value, role))


async def scene(database: Database, settings: Settings, folder: Path) -> dict[str, RunId]:
    """A service campaign and an emergency, each to one contact by e-mail and SMS; the runs by campaign."""
    await set_now(database)
    await define(database, folder, campaign(steps=BOTH), campaign("alert", purpose="emergency", steps=BOTH))
    await add_contact(database, settings, "c1", phone="+12125550101")
    return {key: (await launch_and_plan(database, key)).id for key in ("news", "alert")}


@pytest.mark.parametrize(
    ("extent", "gone"),
    [
        (EVERYTHING, {}),
        (BUT_EMERGENCIES, {"alert": ["email", "sms"]}),
        (SMS, {"alert": ["email"], "news": ["email"]}),
        (
            Extent(scope=Scope.CHANNEL, which="sms", spares_emergencies=True),
            {"alert": ["email", "sms"], "news": ["email"]},
        ),
        (NEWS, {"alert": ["email", "sms"]}),
    ],
    ids=["everything", "all but emergencies", "sms", "sms but emergencies", "campaign"],
)
async def test_a_stop_holds_exactly_its_extent_until_it_is_resumed(
    database: Database, settings: Settings, tmp_path: Path, extent: Extent, gone: dict[str, list[str]]
) -> None:
    await scene(database, settings, tmp_path)
    made = await stop(database, extent)
    for lane in (1, 3):
        await drain(settings, database, lane)

    async def sent() -> dict[str, list[str]]:
        rows = await fetch(
            database,
            """
            SELECT r.campaign_key, array_agg(m.channel ORDER BY m.channel COLLATE "C") FROM notifier.messages m
            JOIN notifier.runs r ON r.id = m.run_id WHERE m.state = 'accepted' GROUP BY 1
            """,
        )
        return dict(rows)

    assert await sent() == gone
    async with database.transaction() as tx:
        assert {lane: await list_lane_runs(tx, lane) for lane in (1, 3)} == {1: [], 3: []}
    await lift(database, made.id)
    for lane in (1, 3):
        await drain(settings, database, lane)
    assert await sent() == {"alert": ["email", "sms"], "news": ["email", "sms"]}


async def test_the_messages_a_stop_holds_are_told_by_run(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    runs = await scene(database, settings, tmp_path)
    await drain(settings, database, 1)
    async with database.transaction() as tx:
        held = {
            extent: {run.id: dict(run.counts) for run in await list_held(tx, 1, extent)}
            for extent in (EVERYTHING, BUT_EMERGENCIES, SMS, NEWS)
        }
    assert held == {
        EVERYTHING: {runs["news"]: {"queued": 2}, runs["alert"]: {"accepted": 2}},
        BUT_EMERGENCIES: {runs["news"]: {"queued": 2}},
        SMS: {runs["news"]: {"queued": 1}, runs["alert"]: {"accepted": 1}},
        NEWS: {runs["news"]: {"queued": 2}},
    }


@pytest.mark.parametrize("extent", [EVERYTHING, NEWS, Extent(scope=Scope.CHANNEL, which="email")])
async def test_what_waited_for_its_turn_does_not_leave_after_a_stop(
    database: Database, settings: Settings, tmp_path: Path, extent: Extent
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    await add_contact(database, settings, "c1")
    run = await launch_and_plan(database)
    batch = await claim(database, run.id)

    async def may_go() -> bool:
        async with database.transaction() as tx:
            message = batch.messages[0].id
            return await may_still_go(tx, run.id, batch.claim_id, message, zone="Asia/Shanghai", override_opt_out=False)

    assert await may_go()
    made = await stop(database, extent)
    assert not await may_go()
    await lift(database, made.id)
    assert await may_go()


async def test_a_stop_waits_for_claims_that_are_being_made(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    runs = await scene(database, settings, tmp_path)
    async with database.transaction() as tx:
        await tx.execute(f"SELECT pg_advisory_xact_lock_shared({GATE})")  # as a claim holds it
        stopping = asyncio.create_task(stop(database, EVERYTHING))
        await asyncio.sleep(0.2)
        assert not stopping.done()
    await stopping
    assert (await claim(database, runs["news"])).cursor is None


async def test_what_expired_while_it_was_stopped_stays_unsent(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    made = await stop(database, EVERYTHING)
    await execute(database, "UPDATE notifier.messages SET expires_at = notifier.now() + interval '1 h'")
    await pass_time(database, timedelta(hours=2))
    await lift(database, made.id)
    await drain(settings, database)
    assert (await states(database), await kept(database)) == ([("c1", "expired", "")], [])


async def test_every_stop_and_its_end_leave_an_audit_row(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, settings, tmp_path)
    made = await stop(database, SMS)
    assert await stop(database, SMS) == made  # pressed twice
    ended = await lift(database, made.id)
    assert (ended.lifted_by, ended.lifted_at is not None) == ("operator", True)
    acts = await fetch(
        database,
        """
        SELECT act, actor, detail ->> 'which', detail ->> 'reason', (detail ->> 'held')::int FROM notifier.audit
        WHERE subject = 'stop:' || $1::bigint ORDER BY id
        """,
        made.id,
    )
    assert acts == [("stop.made", "op", "sms", "wrong list", 2), ("stop.lifted", "operator", "sms", "wrong list", 2)]
    with pytest.raises(Conflict, match="resumed already"):
        await lift(database, made.id)


@pytest.mark.parametrize("role", [Role.AUTHOR, Role.VIEWER, Role.AUDITOR])
async def test_who_only_writes_or_looks_does_not_resume(
    database: Database, settings: Settings, tmp_path: Path, role: Role
) -> None:
    await scene(database, settings, tmp_path)
    made = await stop(database, EVERYTHING)
    with pytest.raises(Forbidden):
        await lift(database, made.id, role)
    async with database.transaction() as tx:
        with pytest.raises(Forbidden):  # nobody in person: a key, the schedule
            await lift_stop(tx, 1, made.id, OPERATOR)


async def test_a_stop_needs_a_role_a_reason_and_something_to_hold(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, settings, tmp_path)
    async with database.transaction() as tx:
        with pytest.raises(Forbidden):
            await stop_above(tx, 1, SMS, reason="x", by=await person(tx, "viewer", Role.VIEWER))
        with pytest.raises(InputError, match="reason"):
            await stop_above(tx, 1, SMS, reason=" ", by=OPERATOR)
        with pytest.raises(InputError, match="which"):
            await stop_above(tx, 1, Extent(scope=Scope.CHANNEL, which="fax"), reason="x", by=OPERATOR)
        with pytest.raises(NotFound):
            await stop_above(tx, 1, Extent(scope=Scope.CAMPAIGN, which="none"), reason="x", by=OPERATOR)
        assert (await stop_above(tx, 1, SMS, reason="x", by=await person(tx, "author", Role.AUTHOR))).id
