"""Without Redis a worker goes round by itself: what is urgent does not wait until the rest of a round is done."""

import asyncio
from pathlib import Path

from notifier.domain.purpose import LANES
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.worker import open_work
from tests.builders import add_contact, campaign, define, launch_and_plan, set_now
from tests.worker.processes import until

_SENT = "SELECT count(*)::int FROM notifier.messages WHERE state = 'accepted'"


async def test_an_emergency_leaves_while_the_rest_of_the_round_takes_its_time(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign("one", purpose="emergency"), campaign("two", purpose="emergency"))
    await add_contact(database, settings, "c1")
    await launch_and_plan(database, "one")
    async with open_work(settings) as (work, _):
        async with database.transaction() as tx:
            await tx.execute("LOCK TABLE notifier.workers IN EXCLUSIVE MODE")  # its house-keeping waits for this
            working = asyncio.create_task(work.all_at_once(LANES))
            await until(database, _SENT, 1)
            await launch_and_plan(database, "two")
            await until(database, _SENT, 2)
            assert not working.done()
        await asyncio.wait_for(working, 60)
