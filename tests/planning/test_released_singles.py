"""Single messages end where a person ended them, whatever was released before; who wrote a text does not release it."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier.domain.errors import Conflict, Forbidden, NotReleased
from notifier.domain.person import Person, Role
from notifier.planning.control import cancel_run, resume_run, stop_run
from notifier.planning.recur import make_recurring_runs
from notifier.planning.release import release_facts, release_run
from notifier.planning.single import SentOne, ask_release, send_one
from notifier.settings import Settings
from notifier.store import definitions as stored
from notifier.store import runs
from notifier.store.database import Database
from tests.builders import NOON, add_contact, campaign, define, drain, fetch, person, release_singles, set_now

CODE = campaign("code", purpose="transactional")
ALARM = campaign("alarm", purpose="emergency")
WEEKLY = campaign("weekly", more='schedule: {start: 2030-06-13T12:00, repeat: "FREQ=WEEKLY"}\n')
SYSTEM = Person(name="api-key:1")
NEXT_MONTH = NOON + timedelta(days=30)


async def _scene(database: Database, settings: Settings, tmp_path: Path, *campaigns: str) -> None:
    await set_now(database)
    await define(database, tmp_path, *campaigns)
    await add_contact(database, settings, "c1")


async def _send(database: Database, key: str = "code") -> SentOne:
    async with database.transaction() as tx:
        return await send_one(tx, team_id=1, campaign_key=key, external_id="c1", inputs={}, by=SYSTEM)


async def _act(database: Database, act: Callable[..., Awaitable[Any]], run_id: int) -> None:
    async with database.transaction() as tx:
        await act(tx, run_id, "chen")


async def _release(database: Database, run_id: int, by: Person, reason: str = "") -> None:
    async with database.transaction() as tx:
        found = await release_facts(tx, await runs.get_run(tx, run_id))
        await release_run(tx, run_id, by, hash=found.hash, break_glass=reason)


async def _write_text(database: Database, by: Person) -> None:
    """A version of the template that this person kept in the console."""
    async with database.transaction() as tx:
        old = await stored.find_latest(tx, 1, "template", "note")
        await stored.add_version(
            tx, 1, kind="template", key="note", digest=b"n" * 32, spec=old.spec, file="", author_id=by.user_id
        )


async def _person(database: Database, login: str, role: Role = Role.APPROVER) -> Person:
    async with database.transaction() as tx:
        return await person(tx, login, role)


async def test_what_was_stopped_stays_stopped_in_the_next_month(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path, CODE)
    await release_singles(database, "code")
    june = await _send(database)
    await _act(database, stop_run, june.run_id)
    await set_now(database, NEXT_MONTH)
    with pytest.raises(Conflict, match=f"run {june.run_id}, to which these messages belong, is stopped"):
        await _send(database)
    async with database.transaction() as tx:
        await resume_run(tx, june.run_id, Person(name="test"))
    await drain(settings, database, lane=2)
    assert (await _send(database)).run_id > june.run_id


async def test_what_was_cancelled_is_not_released_by_an_earlier_month(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path, CODE)
    await release_singles(database, "code")
    await _send(database)
    await drain(settings, database, lane=2)
    await set_now(database, NEXT_MONTH)
    await _act(database, cancel_run, (await _send(database)).run_id)
    with pytest.raises(NotReleased):
        await _send(database)
    await release_singles(database, "code")
    await _send(database)


async def test_an_emergency_released_alone_holds_for_its_month_only(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path, ALARM)
    lin = await _person(database, "lin", Role.AUTHOR)
    async with database.transaction() as tx:
        june = await ask_release(tx, team_id=1, campaign_key="alarm", by=lin)
    await _release(database, june.id, lin, "nobody else is awake")
    assert (await _send(database, "alarm")).run_id == june.id
    await set_now(database, NEXT_MONTH)
    with pytest.raises(NotReleased):
        await _send(database, "alarm")


async def test_who_wrote_the_text_does_not_release_it_for_single_messages(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path, CODE)
    chen, zhou = await _person(database, "chen"), await _person(database, "zhou")
    await _write_text(database, chen)
    async with database.transaction() as tx:
        run = await ask_release(tx, team_id=1, campaign_key="code", by=SYSTEM)
    with pytest.raises(Forbidden, match="another person"):
        await _release(database, run.id, chen)
    await _release(database, run.id, zhou)
    assert (await _send(database)).run_id == run.id


async def test_who_wrote_the_text_does_not_release_the_run_that_the_schedule_made(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path, WEEKLY)
    chen, zhou = await _person(database, "chen"), await _person(database, "zhou")
    await _write_text(database, chen)
    await make_recurring_runs(database)
    ((run_id, authors),) = await fetch(database, "SELECT id, authors FROM notifier.runs")
    assert authors == [chen.user_id]
    with pytest.raises(Forbidden, match="another person"):
        await _release(database, run_id, chen)
    await _release(database, run_id, zhou)
