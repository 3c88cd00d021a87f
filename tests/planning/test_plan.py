"""Plan: the audience frozen once, messages written in chunks, each step for whom and when it says."""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notifier.planning.catalogue import get_campaign
from notifier.planning.control import cancel_run, stop_run
from notifier.planning.plan import plan_due, plan_part
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.messages.plan import hand_out
from tests.builders import (
    BANK,
    NOON,
    OVERRIDE,
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
    set_now,
    suppress,
)

TWO = "inform: {channels: [email], template: note}\n"


async def _people(database: Database, settings: Settings, count: int) -> None:
    for number in range(count):
        await add_contact(database, settings, f"c{number:03}")


async def _channels(database: Database, step: str) -> list[tuple[str, str]]:
    return await fetch(
        database,
        """
        SELECT c.external_id, m.channel FROM notifier.messages m JOIN notifier.contacts c ON c.id = m.contact_id
        WHERE m.step = $1 ORDER BY 1, 2
        """,
        step,
    )


async def test_an_interrupted_plan_goes_on_where_it_stopped(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    await _people(database, settings, 7)
    run = await launch(database)
    assert await plan_part(database, run.id, "inform", chunk=3) == 3
    assert await fetch(database, "SELECT state FROM notifier.run_steps") == [("planning",)]
    await add_contact(database, settings, "late")  # the audience is frozen once
    planned = await plan_due(database, chunk=3)
    assert planned.messages == 4
    assert await fetch(database, "SELECT count(DISTINCT recipient_id), count(*) FROM notifier.messages") == [(7, 7)]
    assert await fetch(database, "SELECT state FROM notifier.run_steps") == [("planned",)]
    assert (await plan_due(database)).steps == 0
    await assert_tallies_agree(database)


async def test_two_planners_at_once_plan_each_message_once(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    await _people(database, settings, 20)
    await launch(database)
    await asyncio.gather(*(plan_due(database, chunk=3) for _ in range(3)))
    await plan_due(database)
    assert await fetch(database, "SELECT count(DISTINCT recipient_id), count(*) FROM notifier.messages") == [(20, 20)]
    await assert_tallies_agree(database)


_PLANNER = """
import asyncio, sys
from notifier.planning.plan import plan_due
from notifier.store.database import open_database

async def plan():
    async with open_database(sys.argv[1]) as database:
        await plan_due(database, chunk=20)

asyncio.run(plan())
"""


async def test_planners_killed_midway_leave_each_message_planned_once(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    await execute(
        database,
        """
        INSERT INTO notifier.contacts (team_id, external_id, kind)
        SELECT 1, 'c' || n, 'customer' FROM generate_series(1, 3000) AS n
        """,
    )
    await launch(database)
    for kill in range(3):
        planner = await asyncio.create_subprocess_exec(sys.executable, "-c", _PLANNER, str(settings.database_url))
        async with asyncio.timeout(60):
            while planner.returncode is None and await _count(database) <= 400 * kill:
                pass
        if planner.returncode is None:
            os.kill(planner.pid, signal.SIGKILL)
        await planner.wait()
    assert await _count(database) > 0
    async with asyncio.timeout(60):  # what the killed ones held is free when the server has noticed
        while await fetch(database, "SELECT 1 FROM notifier.run_steps WHERE state <> 'planned'"):
            await plan_due(database, chunk=500)
    assert await fetch(database, "SELECT count(DISTINCT recipient_id), count(*) FROM notifier.messages") == [
        (3000, 3000)
    ]
    assert await fetch(database, "SELECT count(*) FROM notifier.step_parts") == [(0,)]
    await assert_tallies_agree(database)


async def _count(database: Database) -> int:
    ((count,),) = await fetch(database, "SELECT count(*) FROM notifier.messages")
    return int(count)


async def test_a_part_that_a_dead_planner_was_given_is_planned_by_the_next(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    await _people(database, settings, 5)
    run = await launch(database)
    await plan_part(database, run.id, "inform", chunk=2)
    async with database.transaction() as tx:
        assert await hand_out(tx, run.id, "inform", chunk=2)  # and there it died
    assert (await plan_due(database, chunk=2)).messages == 3
    assert await fetch(database, "SELECT count(DISTINCT recipient_id), count(*) FROM notifier.messages") == [(5, 5)]
    assert await fetch(database, "SELECT state FROM notifier.run_steps") == [("planned",)]


async def test_a_stop_does_not_wait_for_a_chunk_being_written_and_a_cancellation_reaches_it(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    await _people(database, settings, 4)
    run = await launch(database)
    await plan_part(database, run.id, "inform", chunk=2)
    async with database.transaction() as blocker:
        await blocker.execute("LOCK TABLE notifier.tallies IN SHARE MODE")  # where the planner's statement has to wait
        planning = asyncio.create_task(plan_due(database))
        async with asyncio.timeout(60):
            while not await fetch(database, _WAITING):
                pass
        async with database.transaction() as tx, asyncio.timeout(30):
            await stop_run(tx, run.id, "test")
        assert not planning.done()
    assert (await planning).messages == 2
    async with database.transaction() as tx:
        await cancel_run(tx, run.id, "test")
    assert await fetch(database, "SELECT state, count(*) FROM notifier.messages GROUP BY 1") == [("cancelled", 4)]
    await assert_tallies_agree(database)


_WAITING = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'notifier.tallies'::regclass"


async def test_an_emergency_is_planned_before_the_rest_of_a_large_campaign(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(purpose="marketing"), campaign("alarm", purpose="emergency"))
    await _people(database, settings, 6)
    first = await launch(database)
    await plan_part(database, first.id, "inform", chunk=2)
    alarm = await launch(database, "alarm")
    await plan_due(database, chunk=2, planners=1)
    rows = await fetch(database, "SELECT run_id FROM notifier.messages ORDER BY id")
    order = [run_id for (run_id,) in rows]
    assert order == [first.id] * 2 + [alarm.id] * 6 + [first.id] * 4


async def test_a_step_that_cannot_be_planned_stops_its_run_and_no_other(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(), campaign("other"))
    await _people(database, settings, 1)
    bad, good = await launch(database), await launch(database, "other")
    await execute(database, "UPDATE notifier.run_steps SET step = 'gone' WHERE run_id = $1", bad.id)
    await plan_due(database)
    rows = await fetch(database, "SELECT id, state, problem FROM notifier.runs ORDER BY id")
    assert rows[0][:2] == (bad.id, "stopped")
    assert "no step 'gone'" in rows[0][2]
    assert rows[1] == (good.id, "running", "")


async def test_channels_means_every_one_and_by_the_first_that_can_reach(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    steps = "every: {channels: [email, sms], template: note}\nfirst: {by: [email, sms], template: note}"
    await set_now(database)
    await define(database, tmp_path, campaign(steps=steps))
    phone = "+1212555010"
    await add_contact(database, settings, "both", phone=f"{phone}1")
    await add_contact(database, settings, "mail")
    await add_contact(database, settings, "none", email="")
    await add_contact(database, settings, "out", phone=f"{phone}2", opt_out=("email",))
    await add_contact(database, settings, "sms", email="", phone=f"{phone}3")
    await add_contact(database, settings, "bounced", phone=f"{phone}4")
    await suppress(database, settings, "bounced@example.com", "hard-bounce")
    await launch_and_plan(database)
    names = ("both", "bounced", "mail", "none", "out", "sms")
    assert await _channels(database, "every") == [(name, channel) for name in names for channel in ("email", "sms")]
    assert await _channels(database, "first") == [
        ("both", "email"),
        ("bounced", "sms"),
        ("mail", "email"),
        ("none", "email"),
        ("out", "sms"),
        ("sms", "sms"),
    ]


async def test_by_follows_the_consent_marketing_needs(database: Database, settings: Settings, tmp_path: Path) -> None:
    text = campaign(purpose="marketing", more="topic: education\n", steps="offer: {by: [email, sms], template: note}")
    await set_now(database)
    await define(database, tmp_path, text)
    await add_contact(database, settings, "c1", phone="+12125550101", opt_in=("sms/education",))
    await launch_and_plan(database)
    assert await _channels(database, "offer") == [("c1", "sms")]


async def test_posts_have_accounts_as_recipients(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(steps="post: {social: [wall, paper], template: note}"))
    await launch_and_plan(database)
    rows = await fetch(
        database,
        """
        SELECT k.account, k.contact_id, m.channel FROM notifier.messages m
        JOIN notifier.recipients k ON k.run_id = m.run_id AND k.id = m.recipient_id ORDER BY 1
        """,
    )
    assert rows == [("paper", None, "social"), ("wall", None, "social")]
    await assert_tallies_agree(database)


async def test_a_sample_is_near_its_share_and_the_same_each_time(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(steps="part: {channels: [email], template: note, sample: 20%}"))
    await execute(
        database,
        """
        INSERT INTO notifier.contacts (team_id, external_id, kind)
        SELECT 1, 'c' || n, 'customer' FROM generate_series(1, 5000) AS n
        """,
    )
    await launch_and_plan(database)
    chosen = "SELECT array_agg(contact_id ORDER BY contact_id) FROM notifier.messages"
    ((first,),) = await fetch(database, chosen)
    assert 900 < len(first) < 1100
    await execute(database, "DELETE FROM notifier.messages")
    await execute(database, "UPDATE notifier.run_steps SET state = 'waiting', cursor = 0")
    await plan_due(database, chunk=700)
    assert await fetch(database, chosen) == [(first,)]


async def test_another_run_samples_others(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(steps="part: {channels: [email], template: note, sample: 50%}"))
    await _people(database, settings, 40)
    one, two = await launch_and_plan(database), await launch_and_plan(database)
    chosen = "SELECT array_agg(contact_id ORDER BY contact_id) FROM notifier.messages WHERE run_id = $1"
    assert await fetch(database, chosen, one.id) != await fetch(database, chosen, two.id)


async def test_only_who_was_not_reached_gets_the_second_try(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    steps = (
        "inform: {channels: [email], template: note, audience: {attribute: meant, is: true}}\n"
        "reach: {channels: [sms], template: note, after: 4h, if: not-delivered}"
    )
    await set_now(database)
    await define(database, tmp_path, campaign(steps=steps))
    await add_contact(database, settings, "bad", email="", phone="+12125550101", attributes={"meant": True})
    await add_contact(database, settings, "good", phone="+12125550102", attributes={"meant": True})
    await add_contact(database, settings, "not-meant", phone="+12125550103")
    await launch_and_plan(database)
    await drain(settings, database)
    await pass_time(database, timedelta(hours=4))
    await plan_due(database)
    assert await _channels(database, "reach") == [("bad", "sms")]


@pytest.mark.parametrize(("doubted", "reached"), [(False, [("c1", "sms")]), (True, [])])
async def test_what_expired_in_doubt_is_not_known_to_be_undelivered(
    database: Database, settings: Settings, tmp_path: Path, doubted: bool, reached: list[tuple[str, str]]
) -> None:
    steps = (
        "inform: {channels: [email], template: note}\n"
        "reach: {channels: [sms], template: note, after: 4h, if: not-delivered}"
    )
    await set_now(database)
    await define(database, tmp_path, campaign(steps=steps))
    await add_contact(database, settings, "c1", phone="+12125550101")
    run = await launch_and_plan(database)
    await execute(database, "UPDATE notifier.messages SET state = 'expired', attempts = 2")
    if doubted:
        await execute(
            database,
            """
            INSERT INTO notifier.events (run_id, message_id, event_key, kind)
            SELECT run_id, id, 'uncertain:1', 'uncertain' FROM notifier.messages WHERE run_id = $1
            """,
            run.id,
        )
    await pass_time(database, timedelta(hours=4))
    await plan_due(database)
    assert await _channels(database, "reach") == reached


async def test_only_who_did_not_answer_is_reminded(database: Database, settings: Settings, tmp_path: Path) -> None:
    steps = (
        "ask: {survey: opinion, by: [email], closes: 7d}\n"
        "remind: {channels: [email], template: note, after: 2d, if: not-answered}"
    )
    await set_now(database)
    await define(database, tmp_path, campaign(steps=steps))
    await _people(database, settings, 3)
    await launch_and_plan(database)
    rows = await fetch(
        database,
        "SELECT closes_at - due_at, i.month FROM notifier.invitations i JOIN notifier.messages m ON m.id = message_id",
    )
    assert rows == [(timedelta(days=7), 6)] * 3
    await execute(
        database,
        """
        UPDATE notifier.invitations SET answered_at = notifier.now() WHERE contact_id =
            (SELECT id FROM notifier.contacts WHERE external_id = 'c001')
        """,
    )
    await pass_time(database, timedelta(days=2))
    await plan_due(database)
    assert [name for name, _ in await _channels(database, "remind")] == ["c000", "c002"]


async def test_each_contact_gets_it_at_the_same_wall_time(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    more = "schedule: {start: 2030-01-07T09:00, zone: contact}\n"
    await set_now(database, datetime(2030, 3, 9, 0, 0, tzinfo=UTC))
    await define(database, tmp_path, campaign(more=more))
    zones = {
        "bank": "",
        "delhi": "Asia/Kolkata",
        "nepal": "Asia/Kathmandu",
        "newyork": "America/New_York",
        "samoa": "Pacific/Apia",
        "unknown": "No/Such_Zone",
    }
    for name, zone in zones.items():
        await add_contact(database, settings, name, zone=zone)
    await launch(database, at=datetime(2030, 3, 11, 1, 0, tzinfo=UTC))  # 09:00 in Shanghai
    assert (await plan_due(database)).messages == 0
    await set_now(database, datetime(2030, 3, 10, 19, 0, tzinfo=UTC))  # 09:00 at UTC+14
    await plan_due(database)
    rows = await fetch(
        database,
        """
        SELECT c.external_id, m.due_at FROM notifier.messages m JOIN notifier.contacts c ON c.id = m.contact_id ORDER BY 1
        """,
    )
    assert dict(rows) == {
        "bank": datetime(2030, 3, 11, 1, 0, tzinfo=UTC),
        "delhi": datetime(2030, 3, 11, 3, 30, tzinfo=UTC),
        "nepal": datetime(2030, 3, 11, 3, 15, tzinfo=UTC),
        "newyork": datetime(2030, 3, 11, 13, 0, tzinfo=UTC),  # summer time began the day before
        "samoa": datetime(2030, 3, 10, 20, 0, tzinfo=UTC),
        "unknown": datetime(2030, 3, 11, 1, 0, tzinfo=UTC),
    }


async def test_the_audience_is_limited_to_the_list_a_run_was_launched_for(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    member = await add_contact(database, settings, "in")
    await add_contact(database, settings, "out")
    await execute(database, "INSERT INTO notifier.lists (team_id, key) VALUES (1, 'visitors')")
    await execute(
        database, "INSERT INTO notifier.list_members SELECT id, $1 FROM notifier.lists WHERE key = 'visitors'", member
    )
    await launch(database, audience_list="visitors")
    await plan_due(database)
    assert await _channels(database, "inform") == [("in", "email")]


async def test_a_later_step_is_planned_when_due_and_keeps_the_run_alive(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    steps = "inform: {channels: [email], template: note}\nlater: {channels: [email], template: note, after: 2d}"
    await define(database, tmp_path, campaign(steps=steps))
    await _people(database, settings, 1)
    run = await launch_and_plan(database)
    assert await _channels(database, "later") == []
    await pass_time(database, timedelta(days=2))
    await plan_due(database)
    assert await fetch(
        database,
        "SELECT due_at - $1::timestamptz < '1 min' FROM notifier.messages WHERE step = 'later'",
        NOON + timedelta(days=2),
    ) == [(True,)]
    assert len((await claim(database, run.id)).messages) == 1


@pytest.mark.parametrize(("bank", "traces"), [(OVERRIDE, [("test", 2)]), (BANK, [])])
async def test_an_emergency_that_overrides_opt_outs_is_audited_once_with_their_number(
    database: Database, settings: Settings, tmp_path: Path, bank: str, traces: list[tuple[str, int]]
) -> None:
    await set_now(database)
    steps = "inform: {channels: [email], template: note}\nagain: {channels: [email], template: note}"
    alarm = campaign("alarm", purpose="emergency", steps=steps)
    await define(database, tmp_path, alarm, campaign(), **{"campaigns/bank.yaml": bank})
    await add_contact(database, settings, "in", opt_in=("email",))
    await add_contact(database, settings, "out", opt_out=("email",))
    await add_contact(database, settings, "topic", opt_out=("email/education",))
    await add_contact(database, settings, "blocked")
    await suppress(database, settings, "blocked@example.com", "opt-out")
    await add_contact(database, settings, "bounced", opt_out=("email",))
    await suppress(database, settings, "bounced@example.com", "hard-bounce")
    run = await launch_and_plan(database, "alarm")
    await launch_and_plan(database)
    sql = "SELECT actor, (detail->>'recipients')::int FROM notifier.audit WHERE act = $1 AND subject = $2"
    assert await fetch(database, sql, "run.opt_outs_overridden", f"run:{run.id}") == traces
    assert len(await fetch(database, "SELECT FROM notifier.audit WHERE act = 'run.opt_outs_overridden'")) == len(traces)


async def test_a_run_speaks_for_the_bank_it_was_launched_with(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    run = await launch(database)
    await define(database, tmp_path, campaign(), **{"campaigns/bank.yaml": OVERRIDE})
    async with database.transaction() as tx:
        assert not (await get_campaign(tx, run)).bank.emergency_overrides_opt_out
