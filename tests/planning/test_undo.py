"""Undo: for some seconds after a release nothing leaves and one button takes it back; and one release is one run."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from notifier.domain.errors import Conflict, Forbidden
from notifier.domain.person import Person, Role
from notifier.planning.control import resume_run, stop_run
from notifier.planning.draft import Draft
from notifier.planning.launch import launch_campaign
from notifier.planning.plan import plan_due
from notifier.planning.release import release_facts, release_run, undo_release
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.progress import find_open_work, next_moment
from notifier.store.releases import find_release
from notifier.store.runs import Run, get_run
from tests.builders import (
    BANK,
    NOON,
    add_contact,
    campaign,
    define,
    drain,
    fetch,
    kept,
    launch,
    pass_time,
    person,
    release_by_another,
    set_now,
    state_counts,
)

UNDO = campaign(more="undo: 30s\n")
STAFF = Person(name="test")


async def scene(database: Database, settings: Settings, folder: Path, *campaigns: str, bank: str = BANK) -> None:
    await set_now(database)
    await define(database, folder, *campaigns, **{"campaigns/bank.yaml": bank})
    await add_contact(database, settings, "c1")


async def undo(database: Database, run: Run, by: Person = STAFF) -> Run:
    async with database.transaction() as tx:
        return await undo_release(tx, run.id, by)


@pytest.mark.parametrize("at", [None, NOON + timedelta(seconds=10), NOON + timedelta(hours=1)])
async def test_nothing_is_planned_before_the_time_to_undo_is_over(
    database: Database, settings: Settings, tmp_path: Path, at: object
) -> None:
    await scene(database, settings, tmp_path, UNDO)
    run = await launch(database, at=at)  # type: ignore[arg-type]
    await pass_time(database, timedelta(seconds=20))
    assert (await plan_due(database)).messages == 0
    async with database.transaction() as tx:
        assert (await find_open_work(tx)).is_idle
        moment = await next_moment(tx, timedelta(hours=1))
        assert moment is not None
        assert moment >= NOON + timedelta(seconds=30)
    await pass_time(database, timedelta(hours=2))
    assert (await plan_due(database)).messages == 1
    with pytest.raises(Conflict, match="stop the run instead"):
        await undo(database, run)


async def test_an_undone_release_is_void_and_the_run_waits_for_another(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, settings, tmp_path, UNDO)
    run = await launch(database)
    assert (await undo(database, run)).state == "submitted"
    with pytest.raises(Conflict):  # pressed twice
        await undo(database, run)
    await pass_time(database, timedelta(minutes=1))
    assert (await plan_due(database)).messages == 0
    async with database.transaction() as tx:
        assert await find_release(tx, run.id) is None
    acts = await fetch(
        database, "SELECT act, actor FROM notifier.audit WHERE act LIKE 'run.%' ORDER BY id DESC LIMIT 1"
    )
    assert acts == [("run.undone", "test")]
    await release_by_another(database, run.id)
    await pass_time(database, timedelta(minutes=1))
    await plan_due(database)
    await drain(settings, database)
    assert len(await kept(database)) == 1


@pytest.mark.parametrize(
    ("of_campaign", "purpose", "seconds"),
    [("", "service", 45), ("undo: 0s\n", "service", 0), ("", "emergency", 0), ("undo: 10s\n", "emergency", 10)],
)
async def test_a_campaign_says_it_before_the_bank_and_an_emergency_waits_for_none(
    database: Database, settings: Settings, tmp_path: Path, of_campaign: str, purpose: str, seconds: int
) -> None:
    await scene(database, settings, tmp_path, campaign(purpose=purpose, more=of_campaign), bank=BANK + "undo: 45s\n")
    run = await launch(database)
    assert await fetch(
        database, "SELECT held_until - r.at FROM notifier.runs JOIN notifier.releases r ON r.run_id = runs.id"
    ) == [(timedelta(seconds=seconds),)]
    assert run.nominal_at == run.held_until


async def test_who_only_looks_undoes_nothing(database: Database, settings: Settings, tmp_path: Path) -> None:
    await scene(database, settings, tmp_path, UNDO)
    run = await launch(database)
    async with database.transaction() as tx:
        viewer = await person(tx, "viewer", Role.VIEWER)
    with pytest.raises(Forbidden):
        await undo(database, run, viewer)


async def test_a_stop_within_the_time_to_undo_does_not_shorten_it(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, settings, tmp_path, UNDO)
    run = await launch(database)
    async with database.transaction() as tx:
        await stop_run(tx, run.id, "test")
    async with database.transaction() as tx:
        await resume_run(tx, run.id, Person(name="test"))
    assert (await plan_due(database)).messages == 0
    assert (await undo(database, run)).state == "submitted"


@pytest.mark.parametrize("window", ["", "undo: 30s\n"])
async def test_a_release_pressed_by_many_at_once_is_one_release_and_one_run(
    database: Database, settings: Settings, tmp_path: Path, window: str
) -> None:
    await scene(database, settings, tmp_path, campaign(more=window))
    async with database.transaction() as tx:
        run = await launch_campaign(tx, team_id=1, draft=Draft(campaign_key="news", inputs={}), by=STAFF)
        digest = (await release_facts(tx, run)).hash
        people = [await person(tx, login) for login in ("page", "api", "phone", "cli")]

    async def press(by: Person) -> bool:
        try:
            async with database.transaction() as tx:
                await release_run(tx, run.id, by, hash=digest)
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(press(by) for by in people * 3))) == 1
    await pass_time(database, timedelta(minutes=1))
    await asyncio.gather(*(plan_due(database) for _ in range(3)))
    await asyncio.gather(*(drain(settings, database) for _ in range(3)))
    assert await fetch(database, "SELECT count(*)::int FROM notifier.releases") == [(1,)]
    assert await fetch(database, "SELECT count(*)::int FROM notifier.runs") == [(1,)]
    assert (await state_counts(database), len(await kept(database))) == ({"accepted": 1}, 1)
    async with database.transaction() as tx:
        assert (await get_run(tx, run.id)).state == "running"
