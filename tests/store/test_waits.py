"""Until when a run's queue waits, and why; accounts in trouble."""

from datetime import timedelta
from pathlib import Path

from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.views.accounts import list_troubles
from notifier.store.views.runs import Wait, find_wait
from tests.builders import NOON, add_contact, campaign, define, drain, execute, launch_and_plan, set_now


async def _wait(database: Database, run_id: int) -> Wait | None:
    async with database.transaction() as tx:
        return await find_wait(tx, run_id)


async def test_a_queue_that_is_due_waits_for_nothing(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    await add_contact(database, settings, "c1")
    run = await launch_and_plan(database)
    assert await _wait(database, run.id) is None


async def test_quiet_hours_hold_a_queue_until_they_end(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database, NOON + timedelta(hours=10))  # 22:00 in Shanghai
    await define(database, tmp_path, campaign())
    await add_contact(database, settings, "c1")
    await add_contact(database, settings, "c2", zone="Asia/Tokyo")
    run = await launch_and_plan(database)
    await drain(settings, database)
    wait = await _wait(database, run.id)
    assert wait
    assert (f"{wait.until:%d %H:%M}", f"{wait.latest:%d %H:%M}") == ("12 23:00", "13 00:00")
    assert (wait.reason, wait.is_local) == ("quiet-hours", False)
    async with database.transaction() as tx:
        assert await list_troubles(tx, 1) == []


async def test_a_wall_time_of_each_contact_is_told_as_one(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    more = "schedule: {start: 2030-06-12T15:00, zone: contact}\n"
    await define(database, tmp_path, campaign(more=more))
    await add_contact(database, settings, "c1")
    await add_contact(database, settings, "c2", zone="Europe/Berlin")
    run = await launch_and_plan(database)
    await execute(
        database,
        """
        UPDATE notifier.run_steps SET due_at = NULL, due_local = '2030-06-12T15:00';
        """,
    )
    await execute(database, "UPDATE notifier.messages SET due_at = '2030-06-12T07:00Z'")
    wait = await _wait(database, run.id)
    assert wait
    assert (wait.is_local, wait.reason) == (True, "")
    assert wait.wall
    assert f"{wait.wall:%H:%M}" == "15:00"


async def test_an_account_nobody_carries_is_in_trouble(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(), **{"campaigns/accounts/email.yaml": None})
    await add_contact(database, settings, "c1")
    run = await launch_and_plan(database)
    await drain(settings, database)
    async with database.transaction() as tx:
        (trouble,) = await list_troubles(tx, 1)
    assert (trouble.account, trouble.channel, trouble.code, trouble.waiting) == ("", "email", "account", 1)
    assert (trouble.run_id, trouble.reason) == (run.id, "no account carries email")
    wait = await _wait(database, run.id)
    assert wait
    assert wait.reason == "no account carries email"
