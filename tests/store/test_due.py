"""What is due: asked in one query, by lane and for the house."""

from datetime import timedelta
from pathlib import Path

from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.due import list_due_jobs, list_urgent_runs
from notifier.store.queue import JOBS
from notifier.store.views.metrics import read_lanes
from tests.builders import add_contact, campaign, define, execute, launch_and_plan, pass_time, set_now


async def _due(database: Database, *lanes: int) -> list[str]:
    async with database.transaction() as tx:
        return await list_due_jobs(tx, lanes)


async def test_a_lane_is_due_when_a_message_of_a_running_run_is(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    await add_contact(database, settings, "c1")
    assert await _due(database, 1, 2, 3, 4) == []
    run = await launch_and_plan(database)
    assert await _due(database, 1, 2, 3, 4) == ["drain-3"]
    assert await _due(database, 1, 2) == []
    await execute(database, "UPDATE notifier.messages SET due_at = notifier.now() + interval '1 hour'")
    assert await _due(database, 3) == []
    await pass_time(database, timedelta(hours=2))
    assert await _due(database, 3) == ["drain-3"]
    await execute(database, "UPDATE notifier.runs SET state = 'stopped' WHERE id = $1", run.id)
    assert await _due(database, 3) == []


async def test_a_lane_of_which_a_stop_holds_all_is_not_due(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    for number in range(2):
        await add_contact(database, settings, f"c{number}")
    await launch_and_plan(database)
    await pass_time(database, timedelta(minutes=1))
    await execute(
        database,
        """
        INSERT INTO notifier.stops (team_id, scope, which, reason, stopped_by) VALUES (1, 'channel', 'email', 'test', 'test')
        """,
    )
    assert (await _due(database, 3), await _lag_s(database)) == ([], 0)
    one = "(SELECT min(id) FROM notifier.messages)"
    await execute(database, f"UPDATE notifier.messages SET channel = 'sms' WHERE id = {one}")
    await execute(
        database,
        """
        INSERT INTO notifier.tallies (run_id, step, channel, state, delta)
        SELECT run_id, step, unnest(ARRAY['email', 'sms']), 'queued', unnest(ARRAY[-1, 1]) FROM notifier.messages LIMIT 2
        """,
    )
    assert await _due(database, 3) == ["drain-3"]
    assert await _lag_s(database) >= 60


async def _lag_s(database: Database) -> float:
    async with database.transaction() as tx:
        return max(lane.lag_s for lane in await read_lanes(tx))


async def test_callbacks_and_notes_are_due_when_one_waits(database: Database) -> None:
    await execute(
        database,
        "INSERT INTO notifier.callbacks (dedupe_key, provider, account, url, content_type, body) "
        "VALUES ('1', 'p', 'a', '', '', '')",
    )
    assert await _due(database, 1) == ["callbacks"]
    assert set(await _due(database, 1)) <= set(JOBS)
    await execute(database, "UPDATE notifier.callbacks SET applied_at = now()")
    assert await _due(database, 1) == []


async def test_urgent_runs_are_those_of_the_lanes_that_run(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(), campaign("alarm", purpose="emergency"))
    await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    alarm = await launch_and_plan(database, "alarm")
    async with database.transaction() as tx:
        assert await list_urgent_runs(tx, [1, 2], 10) == [alarm.id]
        assert await list_urgent_runs(tx, [], 10) == []
