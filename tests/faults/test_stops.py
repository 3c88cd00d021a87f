"""A stop at any instant: within a second nothing more is handed over, and the account is exact."""

import asyncio
import random
import time
from pathlib import Path

import pytest

from notifier.domain.person import Person, Role
from notifier.domain.stop import Extent, Scope
from notifier.planning.control import stop_run
from notifier.planning.plan import plan_due
from notifier.planning.stops import lift_stop, stop_above
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.stops import list_held
from tests.builders import assert_tallies_agree, drain, launch, person
from tests.faults.scene import MARKETING, SERVICE, assert_ledger_agrees, set_scene
from tests.peers.recorder import recorder

PEOPLE = 300
LANES = {3: SERVICE, 4: MARKETING}
EXTENTS = {
    "everything": Extent(scope=Scope.EVERYTHING),
    "email": Extent(scope=Scope.CHANNEL, which="email"),
    "campaigns": Extent(scope=Scope.CAMPAIGN, which=SERVICE),
    "runs": None,
}


@pytest.mark.parametrize("name", EXTENTS)
async def test_within_a_second_of_a_stop_nothing_is_handed_over(
    database: Database, settings: Settings, tmp_path: Path, name: str
) -> None:
    instant, by = random.uniform(0.1, 1.5), Person(name="test")
    async with recorder(tmp_path / "book") as book:
        await set_scene(database, settings, tmp_path, people=PEOPLE, port=book.ports["email"])
        runs = [await launch(database, key) for key in LANES.values()]
        await plan_due(database)
        await book.tell(dot_delay_s=0.1)  # so that a batch takes longer than a second
        drains = [asyncio.create_task(drain(settings, database, lane)) for lane in (*LANES, *LANES)]
        await book.took(1)
        await asyncio.sleep(instant)
        stops = []
        async with database.transaction() as tx:
            for run in runs:
                if EXTENTS[name] is None:
                    await stop_run(tx, run.id, by.name)
            for extent in (one for one in (EXTENTS[name],) if one):
                stops.append(await stop_above(tx, 1, extent, reason="wrong list", by=by))
                if extent.scope is Scope.CAMPAIGN:
                    other = Extent(scope=Scope.CAMPAIGN, which=MARKETING)
                    stops.append(await stop_above(tx, 1, other, reason="wrong list", by=by))
        stopped_at = time.time()
        await asyncio.wait_for(asyncio.gather(*drains), 60)
        await drain(settings, database)
        taken = book.taken()
        assert max(one.at for one in taken) - stopped_at <= 1.0, f"stopped after {instant:.3f} s"
        async with database.transaction() as tx:
            held = await list_held(tx, 1, Extent(scope=Scope.EVERYTHING))
        counts = [run.counts for run in held]
        assert [sum(one.values()) for one in counts] == [PEOPLE, PEOPLE]
        assert all(set(one) == {"accepted", "queued"} for one in counts), counts
        assert sum(one["accepted"] for one in counts) == len(taken)
        await assert_tallies_agree(database)
        if name == "everything":
            await book.tell(dot_delay_s=0)
            async with database.transaction() as tx:
                await lift_stop(tx, 1, stops[0].id, await person(tx, "op", Role.OPERATOR))
            async with asyncio.timeout(60):
                while len(book.taken()) < 2 * PEOPLE:  # what was given back waits a moment
                    await asyncio.gather(*(drain(settings, database, lane) for lane in LANES))
            await assert_ledger_agrees(book, database, settings)
