"""The claim: what may go now goes once, and what may not is refused, expired or deferred with its reason."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notifier.domain.channel import Channel
from notifier.domain.message import MessageId
from notifier.planning.control import stop_run
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.messages.claim import LaneRun, extend_lease, list_lane_runs, may_still_go
from tests.builders import (
    NOON,
    add_contact,
    assert_tallies_agree,
    campaign,
    claim,
    define,
    execute,
    fetch,
    launch,
    launch_and_plan,
    opt_out,
    pass_time,
    set_now,
    states,
    suppress,
)

MARKETING = campaign(purpose="marketing", more="topic: education\n")
EMERGENCY = campaign(purpose="emergency")


async def _scene(database: Database, folder: Path, text: str = campaign()) -> None:
    await set_now(database)
    await define(database, folder, text)


async def _one(database: Database) -> tuple[str, str]:
    ((_, state, reason),) = await states(database)
    return state, reason


async def test_a_contact_without_address_is_refused_at_planning(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1", email="")
    await launch_and_plan(database)
    assert await _one(database) == ("refused", "no-address")
    await assert_tallies_agree(database)


async def test_an_address_gone_since_planning_refuses(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    run = await launch_and_plan(database)
    await execute(database, "DELETE FROM notifier.addresses")
    await claim(database, run.id)
    assert await _one(database) == ("refused", "no-address")
    await assert_tallies_agree(database)


@pytest.mark.parametrize("reason", ["hard-bounce", "complaint", "opt-out", "invalid", "manual", "erasure"])
async def test_a_suppressed_address_is_refused_with_its_reason(
    database: Database, settings: Settings, tmp_path: Path, reason: str
) -> None:
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    run = await launch_and_plan(database)
    await suppress(database, settings, "c1@example.com", reason)
    batch = await claim(database, run.id)
    assert (batch.messages, batch.settled) == ((), 1)
    assert await _one(database) == ("refused", f"suppressed: {reason}")
    assert await fetch(database, "SELECT kind, reason FROM notifier.events") == [("refused", f"suppressed: {reason}")]
    await assert_tallies_agree(database)


async def test_an_opt_out_committed_before_the_claim_wins(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path)
    contact = await add_contact(database, settings, "c1", opt_in=("email",))
    run = await launch_and_plan(database)
    await opt_out(database, contact)
    assert not (await claim(database, run.id)).messages
    assert await _one(database) == ("refused", "opted-out")


async def test_an_opt_out_of_another_channel_does_not_count(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1", opt_out=("sms",))
    run = await launch_and_plan(database)
    assert len((await claim(database, run.id)).messages) == 1


async def test_an_opt_out_of_the_topic_refuses_and_of_another_topic_does_not(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path, campaign(more="topic: notices\n"))
    await add_contact(database, settings, "c1", opt_out=("email/notices",))
    await add_contact(database, settings, "c2", opt_out=("email/education",))
    run = await launch_and_plan(database)
    await claim(database, run.id)
    assert await states(database) == [("c1", "refused", "opted-out"), ("c2", "sending", "")]


@pytest.mark.parametrize(
    ("opt_in", "opt_out_of", "state", "reason"),
    [
        ((), (), "refused", "no-consent"),
        (("email",), (), "sending", ""),
        (("email/education",), (), "sending", ""),
        (("email/other",), (), "refused", "no-consent"),
        (("sms/education",), (), "refused", "no-consent"),
        (("email/education",), ("email",), "refused", "opted-out"),
        (("email",), ("email/education",), "refused", "opted-out"),
    ],
)
async def test_marketing_needs_an_opt_in_and_no_opt_out(
    database: Database,
    settings: Settings,
    tmp_path: Path,
    opt_in: tuple[str, ...],
    opt_out_of: tuple[str, ...],
    state: str,
    reason: str,
) -> None:
    await _scene(database, tmp_path, MARKETING)
    await add_contact(database, settings, "c1", opt_in=opt_in, opt_out=opt_out_of)
    run = await launch_and_plan(database)
    await claim(database, run.id, 4)
    assert await _one(database) == (state, reason)
    await assert_tallies_agree(database)


async def test_of_two_contacts_with_one_address_the_first_gets_it(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1", email="family@example.com")
    await add_contact(database, settings, "c2", email="family@example.com")
    run = await launch_and_plan(database)
    await claim(database, run.id)
    assert await states(database) == [("c1", "sending", ""), ("c2", "refused", "duplicate-address")]


async def test_the_second_of_an_address_is_refused_in_a_later_claim_too(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1", email="family@example.com")
    await add_contact(database, settings, "c2", email="family@example.com")
    run = await launch_and_plan(database)
    first = await claim(database, run.id, limit=1)
    await claim(database, run.id, limit=1, after=first.cursor)
    assert await states(database) == [("c1", "sending", ""), ("c2", "refused", "duplicate-address")]


async def test_a_refused_contact_does_not_use_up_a_shared_address(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path, MARKETING)
    await add_contact(database, settings, "c1", email="family@example.com")
    await add_contact(database, settings, "c2", email="family@example.com", opt_in=("email",))
    run = await launch_and_plan(database)
    await claim(database, run.id, 4)
    assert await states(database) == [("c1", "refused", "no-consent"), ("c2", "sending", "")]


async def test_an_emergency_that_overrides_opt_outs_still_goes_once_to_an_address(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path, EMERGENCY)
    await add_contact(database, settings, "c1", email="family@example.com", opt_out=("email",))
    await add_contact(database, settings, "c2", email="family@example.com")
    run = await launch_and_plan(database)
    await claim(database, run.id, 1, override=True)
    assert await states(database) == [("c1", "sending", ""), ("c2", "refused", "duplicate-address")]


@pytest.mark.parametrize(("override", "state"), [(False, "refused"), (True, "sending")])
async def test_only_the_setting_lets_an_emergency_override_an_opt_out(
    database: Database, settings: Settings, tmp_path: Path, override: bool, state: str
) -> None:
    await _scene(database, tmp_path, EMERGENCY)
    await add_contact(database, settings, "c1", opt_out=("email",))
    run = await launch_and_plan(database)
    await suppress(database, settings, "c1@example.com", "opt-out")
    await claim(database, run.id, 1, override=override)
    assert (await _one(database))[0] == state


async def test_an_emergency_never_overrides_an_address_that_bounced(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path, EMERGENCY)
    await add_contact(database, settings, "c1")
    run = await launch_and_plan(database)
    await suppress(database, settings, "c1@example.com", "hard-bounce")
    await claim(database, run.id, 1, override=True)
    assert await _one(database) == ("refused", "suppressed: hard-bounce")


async def test_two_claimers_at_once_send_an_address_once_and_nothing_twice(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path)
    for number in range(30):
        for copy in "ab":
            await add_contact(database, settings, f"c{number:02}{copy}", email=f"family{number}@example.com")
    run = await launch_and_plan(database)

    async def work(name: str) -> list[MessageId]:
        taken, after = [], None
        while (batch := await claim(database, run.id, limit=7, after=after, worker=name)).cursor is not None:
            taken += [message.id for message in batch.messages]
            after = batch.cursor
        return taken

    ids = [message for taken in await asyncio.gather(*(work(f"w{n}") for n in range(4))) for message in taken]
    while (batch := await claim(database, run.id)).cursor is not None:
        ids += [message.id for message in batch.messages]
    assert len(ids) == len(set(ids)) == 30
    found = Counter((state, reason) for _, state, reason in await states(database))
    assert found == {("sending", ""): 30, ("refused", "duplicate-address"): 30}
    keys = await fetch(
        database, "SELECT address_key, count(*) FROM notifier.messages WHERE state = 'sending' GROUP BY 1"
    )
    assert {count for _, count in keys} == {1}
    await assert_tallies_agree(database)


async def test_what_another_claimer_holds_is_passed_over_without_waiting(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path)
    for number in range(4):
        await add_contact(database, settings, f"c{number}")
    run = await launch_and_plan(database)
    async with database.transaction() as tx:
        await tx.fetch("SELECT 1 FROM notifier.messages WHERE run_id = $1 ORDER BY id LIMIT 2 FOR UPDATE", run.id)
        batch = await asyncio.wait_for(claim(database, run.id), 5)
    assert len(batch.messages) == 2


async def test_the_cursor_goes_on_after_the_last_claimed(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path)
    for number in range(5):
        await add_contact(database, settings, f"c{number}")
    run = await launch_and_plan(database)
    first = await claim(database, run.id, limit=3)
    second = await claim(database, run.id, limit=3, after=first.cursor)
    third = await claim(database, run.id, limit=3, after=second.cursor)
    assert (len(first.messages), len(second.messages), third.cursor) == (3, 2, None)
    assert max(message.id for message in first.messages) < min(message.id for message in second.messages)


async def test_a_claim_takes_only_its_lane_and_only_what_is_due(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    run = await launch_and_plan(database)
    async with database.transaction() as tx:
        assert (await list_lane_runs(tx, 3), await list_lane_runs(tx, 4)) == (
            [LaneRun(id=run.id, has_suspects=False)],
            [],
        )
    assert (await claim(database, run.id, 4)).cursor is None
    await execute(database, "UPDATE notifier.messages SET due_at = notifier.now() + interval '1 minute'")
    assert (await claim(database, run.id)).cursor is None


async def test_what_is_too_late_expires_and_is_never_sent(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    run = await launch_and_plan(database)
    await pass_time(database, timedelta(hours=24, minutes=1))
    assert not (await claim(database, run.id)).messages
    assert await _one(database) == ("expired", "")
    assert await fetch(database, "SELECT kind FROM notifier.events") == [("expired",)]
    await assert_tallies_agree(database)


@pytest.mark.parametrize(
    ("zone", "open_at"),
    [
        ("America/New_York", datetime(2030, 6, 12, 12, 0, tzinfo=UTC)),  # 00:00 there: at 08:00
        ("Asia/Kathmandu", None),  # 09:45 there
        ("Pacific/Chatham", None),  # 16:45 there
        ("Pacific/Kiritimati", None),  # 18:00 there
        ("", None),  # the bank's
        ("No/Such_Zone", None),  # the bank's
    ],
)
async def test_service_waits_for_the_morning_of_the_contact(
    database: Database, settings: Settings, tmp_path: Path, zone: str, open_at: datetime | None
) -> None:
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1", zone=zone)
    run = await launch_and_plan(database)
    batch = await claim(database, run.id)
    ((state, due_at),) = await fetch(database, "SELECT state, due_at FROM notifier.messages")
    if open_at is None:
        assert state == "sending"
    else:
        assert (state, due_at, batch.settled) == ("queued", open_at, 1)
        assert await fetch(database, "SELECT kind, reason FROM notifier.events") == [("deferred", "quiet-hours")]
    await assert_tallies_agree(database)


async def test_each_of_a_batch_waits_for_the_morning_of_its_own_zone(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path)
    zones = ("America/New_York", "Asia/Kathmandu", "", "America/New_York", "America/Los_Angeles", "No/Such_Zone")
    for number, zone in enumerate(zones):
        await add_contact(database, settings, f"c{number}", zone=zone)
    run = await launch_and_plan(database)
    assert len((await claim(database, run.id)).messages) == 3
    rows = await fetch(
        database,
        """
        SELECT c.external_id, m.due_at FROM notifier.messages m JOIN notifier.contacts c ON c.id = m.contact_id
        WHERE m.state = 'queued' ORDER BY 1
        """,
    )
    assert rows == [
        ("c0", datetime(2030, 6, 12, 12, 0, tzinfo=UTC)),
        ("c3", datetime(2030, 6, 12, 12, 0, tzinfo=UTC)),
        ("c4", datetime(2030, 6, 12, 15, 0, tzinfo=UTC)),
    ]
    await assert_tallies_agree(database)


async def test_quiet_hours_follow_the_change_of_clocks(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database, datetime(2030, 3, 10, 6, 30, tzinfo=UTC))  # 01:30 in New York, half an hour before the gap
    await define(database, tmp_path, campaign())
    await add_contact(database, settings, "c1", zone="America/New_York")
    run = await launch_and_plan(database)
    await claim(database, run.id)
    assert await fetch(database, "SELECT due_at FROM notifier.messages") == [(datetime(2030, 3, 10, 12, tzinfo=UTC),)]


async def test_a_message_whose_window_opens_too_late_expires(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path, campaign(more="expires: 4h\n"))
    await add_contact(database, settings, "c1", zone="America/New_York")
    run = await launch_and_plan(database)
    await claim(database, run.id)
    assert await _one(database) == ("expired", "")


async def test_an_emergency_knows_no_quiet_hours(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _scene(database, tmp_path, EMERGENCY)
    await add_contact(database, settings, "c1", zone="America/New_York")
    run = await launch_and_plan(database)
    assert len((await claim(database, run.id, 1)).messages) == 1


async def test_nothing_of_a_stopped_run_is_claimed(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    run = await launch_and_plan(database)
    async with database.transaction() as tx:
        await stop_run(tx, run.id, "test")
    assert (await claim(database, run.id)).cursor is None
    assert await _one(database) == ("queued", "")


async def test_a_stop_waits_for_a_claim_that_is_being_made(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    run = await launch_and_plan(database)

    async def stop() -> None:
        async with database.transaction() as tx:
            await stop_run(tx, run.id, "test")

    async with database.transaction() as tx:
        await tx.execute("SELECT pg_advisory_xact_lock_shared($1)", run.id)  # as a claim holds it
        stopping = asyncio.create_task(stop())
        await asyncio.sleep(0.2)
        assert not stopping.done()
    await stopping
    assert (await claim(database, run.id)).cursor is None


async def test_the_claim_fixes_the_values_of_the_contact(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1", name="王芳", attributes={"city": "Shanghai", "age": 41})
    run = await launch_and_plan(database)
    (message,) = (await claim(database, run.id)).messages
    await add_contact(database, settings, "c1", name="李娜", attributes={"city": "Suzhou"})
    fixed = {"name": "王芳", "locale": "zh-CN", "attributes": {"city": "Shanghai", "age": 41}}
    assert message.variables == fixed
    assert await fetch(database, "SELECT variables FROM notifier.messages") == [(fixed,)]


async def test_a_lease_lasts_as_long_as_it_is_extended(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    run = await launch_and_plan(database)
    batch = await claim(database, run.id)
    await execute(database, "UPDATE notifier.claims SET alive_until = now() - interval '1 s'")
    async with database.transaction() as tx:
        assert await extend_lease(tx, batch.claim_id)
        assert not await extend_lease(tx, batch.claim_id + 1)
    assert await fetch(database, "SELECT alive_until > now(), ids FROM notifier.claims") == [
        (True, [batch.messages[0].id])
    ]


@pytest.mark.parametrize(
    "happened",
    ["nothing", "opt-out", "late commit", "block", "stop", "expiry", "lost lease", "night", "moved", "gone"],
)
async def test_what_waited_for_its_turn_is_looked_at_again(
    database: Database, settings: Settings, tmp_path: Path, happened: str
) -> None:
    await _scene(database, tmp_path)
    contact = await add_contact(database, settings, "c1")
    run = await launch_and_plan(database)
    batch = await claim(database, run.id)
    match happened:
        case "opt-out":
            await opt_out(database, contact, Channel.EMAIL)
        case "late commit":  # begun before the claim, committed after it
            await opt_out(database, contact, Channel.EMAIL)
            await execute(database, "UPDATE notifier.consents SET recorded_at = recorded_at - interval '1 hour'")
        case "night":
            await pass_time(database, timedelta(hours=10))
        case "moved":
            await add_contact(database, settings, "c1", email="elsewhere@example.com")
        case "gone":
            await execute(database, "DELETE FROM notifier.addresses")
        case "block":
            await suppress(database, settings, "c1@example.com", "complaint")
        case "stop":
            async with database.transaction() as tx:
                await stop_run(tx, run.id, "test")
        case "expiry":
            await pass_time(database, timedelta(days=2))
        case "lost lease":
            await execute(database, "UPDATE notifier.messages SET claim_id = NULL, state = 'uncertain'")
    async with database.transaction() as tx:
        may = await may_still_go(
            tx, run.id, batch.claim_id, batch.messages[0].id, zone="Asia/Shanghai", override_opt_out=False
        )
    assert may == (happened == "nothing")


@pytest.mark.parametrize("override", [True, False])
async def test_what_waited_for_its_turn_is_overridden_as_at_the_claim(
    database: Database, settings: Settings, tmp_path: Path, override: bool
) -> None:
    await _scene(database, tmp_path, EMERGENCY)
    contact = await add_contact(database, settings, "c1")
    run = await launch_and_plan(database)
    batch = await claim(database, run.id, 1)
    await opt_out(database, contact)
    async with database.transaction() as tx:
        may = await may_still_go(
            tx, run.id, batch.claim_id, batch.messages[0].id, zone="Asia/Shanghai", override_opt_out=override
        )
    assert may == override


async def test_a_run_that_starts_later_is_not_claimed_before(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    run = await launch(database, at=NOON + timedelta(hours=1))
    async with database.transaction() as tx:
        assert await list_lane_runs(tx, 3) == []
    assert (await claim(database, run.id)).cursor is None
