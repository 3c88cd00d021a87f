"""What pages show, read from real rows."""

from datetime import UTC, datetime, timedelta

import pytest

from notifier.domain.errors import NotFound
from notifier.settings import Settings
from notifier.store import clock
from notifier.store.database import Database
from notifier.store.sandbox import Kept, keep_items
from notifier.store.views import messages, overview, runs, sandbox
from tests.web.rooms import add_contacts, apply_pack, launch_alert


async def _run(database: Database, settings: Settings) -> int:
    await apply_pack(database)
    await add_contacts(database, settings)
    return await launch_alert(database)


async def test_run_is_counted_from_tallies(database: Database, settings: Settings) -> None:
    run_id = await _run(database, settings)
    async with database.transaction() as tx:
        line = await runs.get_run_line(tx, 1, run_id)
        assert (line.state, dict(line.counts), line.planned, line.recipients) == ("running", {"queued": 8}, 8, 3)
        await tx.execute("INSERT INTO notifier.tallies VALUES ($1, 'warn', 'sms', 'queued', '', -3)", run_id)
        await tx.execute("INSERT INTO notifier.tallies VALUES ($1, 'warn', 'sms', 'delivered', '', 3)", run_id)
        assert dict((await runs.get_run_line(tx, 1, run_id)).counts) == {"queued": 5, "delivered": 3}


async def test_another_teams_run_is_not_found(database: Database, settings: Settings) -> None:
    run_id = await _run(database, settings)
    async with database.transaction() as tx:
        with pytest.raises(NotFound):
            await runs.get_run_line(tx, 2, run_id)
        message_id = await tx.fetchval("SELECT min(id) FROM notifier.messages")
        with pytest.raises(NotFound):
            await messages.get_message(tx, 2, run_id, message_id)
        assert await messages.list_messages(tx, 2, run_id) == []


async def test_runs_are_listed_newest_first_and_by_state(database: Database, settings: Settings) -> None:
    first, second = await _run(database, settings), await _run(database, settings)
    async with database.transaction() as tx:
        assert [run.id for run in await runs.list_runs(tx, 1)] == [second, first]
        assert [run.id for run in await runs.list_runs(tx, 1, before=second)] == [first]
        assert [run.id for run in await runs.list_runs(tx, 1, limit=1)] == [second]
        assert await runs.list_runs(tx, 1, states=["ended"]) == []
        assert await runs.list_runs(tx, 1, campaign_key="lecture") == []
        assert len(await runs.list_active_runs(tx, 1)) == 2


async def test_steps_come_in_their_order_with_their_versions(database: Database, settings: Settings) -> None:
    run_id = await _run(database, settings)
    async with database.transaction() as tx:
        steps = await runs.list_steps(tx, run_id)
    assert [(step.step, step.template_key, step.template_version) for step in steps] == [
        ("warn", "branch-closure-alert", 1),
        ("post", "branch-closure-alert", 1),
    ]


async def test_step_to_come_is_upcoming_until_it_is_planned(database: Database, settings: Settings) -> None:
    run_id = await _run(database, settings)
    async with database.transaction() as tx:
        assert await overview.list_upcoming(tx, 1, "Asia/Shanghai") == []
        await tx.execute("UPDATE notifier.run_steps SET state = 'waiting' WHERE step = 'post'")
        assert [(item.run_id, item.step) for item in await overview.list_upcoming(tx, 1, "Asia/Shanghai")] == [
            (run_id, "post")
        ]


async def test_today_counts_runs_of_today_only(database: Database, settings: Settings) -> None:
    await _run(database, settings)
    async with database.transaction() as tx:
        now = await clock.now(tx)
        counted = await overview.count_since(tx, 1, now - timedelta(hours=1))
        assert counted == {"email": {"queued": 3}, "sms": {"queued": 3}, "social": {"queued": 2}}
        await tx.execute("UPDATE notifier.runs SET state = 'ended', ended_at = nominal_at")
        assert await overview.count_since(tx, 1, now + timedelta(hours=1)) == {}


async def test_messages_are_filtered_by_state_and_step(database: Database, settings: Settings) -> None:
    run_id = await _run(database, settings)
    async with database.transaction() as tx:
        assert len(await messages.list_messages(tx, 1, run_id, step="post")) == 2
        assert await messages.list_messages(tx, 1, run_id, state="failed") == []
        page = await messages.list_messages(tx, 1, run_id, limit=5)
        rest = await messages.list_messages(tx, 1, run_id, after=page[-1].id)
        assert len({line.id for line in [*page, *rest]}) == 8


async def test_sandbox_lists_receivers_with_the_newest_first(database: Database) -> None:
    async with database.transaction() as tx:
        for number, recipient in enumerate(["+12125550100", "+12125550101", "+12125550100"]):
            kept = Kept(
                team_id=1,
                account="sms",
                channel="sms",
                public_id=f"m.{number}",
                recipient=recipient,
                sender="bank",
                headline="",
                content={"text": f"text {number}"},
                fate="none",
                delay_s=0,
            )
            await keep_items(tx, [kept])
        receivers = await sandbox.list_receivers(tx, 1, "sms")
        assert {(one.recipient, one.count) for one in receivers} == {("+12125550100", 2), ("+12125550101", 1)}
        assert [one.recipient for one in await sandbox.list_receivers(tx, 1, "sms", like="+12125550101")] == [
            "+12125550101"
        ]
        items = await sandbox.list_items(tx, 1, "sms", recipient="+12125550100")
        assert [item.content["text"] for item in items] == ["text 2", "text 0"]
        assert await sandbox.list_items(tx, 1, "email") == []
        assert (await sandbox.get_item(tx, 1, items[0].id)).public_id == "m.2"
        assert (await sandbox.list_items(tx, 1, "sms", before=items[0].id))[0].content["text"] == "text 1"
        assert datetime.now(UTC) - items[0].at < timedelta(minutes=5)
