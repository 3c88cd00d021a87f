"""Recurrence: the next run exists before its time, waits for its inputs, and never repeats last week's text."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notifier.domain.errors import Conflict, InputError
from notifier.domain.person import Person
from notifier.planning.draft import Draft, draft_run, edit_run, fill_inputs
from notifier.planning.plan import plan_due
from notifier.planning.recur import make_recurring_runs
from notifier.planning.release import reschedule_run, submit_run
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.runs import cancel_waiting
from tests.builders import (
    add_contact,
    campaign,
    define,
    drain,
    execute,
    fetch,
    pass_time,
    release_by_another,
    set_now,
    state_counts,
)

WEEKLY = 'schedule: {start: 2030-01-07T09:00, repeat: "FREQ=WEEKLY;BYDAY=MO"}\n'
ASKING = """\
campaign: weekly
title: {zh-CN: 周报, en: Weekly}
purpose: service
inputs:
  word: {type: text, label: {zh-CN: 词, en: Word}}
schedule: {start: 2030-01-07T09:00, repeat: "FREQ=WEEKLY;BYDAY=MO"}
steps:
  inform: {channels: [email], template: note}
"""
MONDAY = datetime(2030, 6, 10, 1, 0, tzinfo=UTC)  # 09:00 in Shanghai


async def _runs(database: Database) -> list[tuple[str, datetime]]:
    return await fetch(database, "SELECT state, nominal_at FROM notifier.runs ORDER BY nominal_at")


async def _fill(database: Database, number: int, **inputs: object) -> None:
    async with database.transaction() as tx:
        await fill_inputs(tx, number, inputs, Person(name="test"))


async def test_the_next_run_is_made_five_days_ahead_and_once(database: Database, tmp_path: Path) -> None:
    await define(database, tmp_path, campaign(more=WEEKLY))
    await set_now(database, MONDAY - timedelta(days=6))
    assert await make_recurring_runs(database) == 0
    await set_now(database, MONDAY - timedelta(days=5))
    made = await asyncio.gather(*(make_recurring_runs(database) for _ in range(3)))
    assert sum(made) == 1
    assert await make_recurring_runs(database) == 0
    assert await _runs(database) == [("submitted", MONDAY)]


async def test_each_recurring_run_is_released_on_its_own_and_not_sent_without(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await define(database, tmp_path, campaign(more=WEEKLY))
    await add_contact(database, settings, "c1")
    await set_now(database, MONDAY - timedelta(days=1))
    await make_recurring_runs(database)
    ((number,),) = await fetch(database, "SELECT id FROM notifier.runs")
    await release_by_another(database, number)
    await set_now(database, MONDAY + timedelta(minutes=1))
    assert (await plan_due(database)).messages == 1
    await set_now(database, MONDAY + timedelta(days=6))
    await make_recurring_runs(database)
    await set_now(database, MONDAY + timedelta(days=7, hours=1))
    assert (await plan_due(database)).messages == 0
    await set_now(database, MONDAY + timedelta(days=9))
    await make_recurring_runs(database)
    problems = await fetch(database, "SELECT state, problem FROM notifier.runs ORDER BY nominal_at OFFSET 1 LIMIT 1")
    assert problems == [("cancelled", "it was not released in time")]


async def test_a_moved_run_is_not_made_a_second_time_for_its_old_time(database: Database, tmp_path: Path) -> None:
    await define(database, tmp_path, campaign(more=WEEKLY))
    await set_now(database, MONDAY - timedelta(days=1))
    await make_recurring_runs(database)
    ((number,),) = await fetch(database, "SELECT id FROM notifier.runs")
    async with database.transaction() as tx:
        await reschedule_run(tx, number, MONDAY - timedelta(hours=5), Person(name="test"))
    assert await make_recurring_runs(database) == 0
    assert await _runs(database) == [("submitted", MONDAY - timedelta(hours=5))]


async def test_a_run_without_its_inputs_waits_and_sends_nothing(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await define(database, tmp_path, ASKING)
    await add_contact(database, settings, "c1")
    await set_now(database, MONDAY - timedelta(days=1))
    await make_recurring_runs(database)
    await pass_time(database, timedelta(days=1, hours=1))
    assert (await plan_due(database)).messages == 0
    assert await _runs(database) == [("waiting", MONDAY)]


async def test_a_filled_run_goes_out_at_its_time(database: Database, settings: Settings, tmp_path: Path) -> None:
    await define(database, tmp_path, ASKING)
    await add_contact(database, settings, "c1")
    await set_now(database, MONDAY - timedelta(days=1))
    await make_recurring_runs(database)
    ((number,),) = await fetch(database, "SELECT id FROM notifier.runs")
    with pytest.raises(InputError, match="word: is required"):
        await _fill(database, number)
    await _fill(database, number, word="新")
    with pytest.raises(Conflict, match="does not wait"):
        await _fill(database, number, word="旧")
    await release_by_another(database, number)
    await pass_time(database, timedelta(days=1, minutes=1))
    assert (await plan_due(database)).messages == 1
    await drain(settings, database)
    assert await state_counts(database) == {"accepted": 1}


async def test_a_run_filled_after_an_apply_is_of_the_new_version(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await define(database, tmp_path, ASKING)
    await add_contact(database, settings, "c1")
    await set_now(database, MONDAY - timedelta(days=1))
    await make_recurring_runs(database)
    await define(database, tmp_path, ASKING.replace("inform:", "tell:"))
    ((number,),) = await fetch(database, "SELECT id FROM notifier.runs")
    await _fill(database, number, word="新")
    await release_by_another(database, number)
    await pass_time(database, timedelta(days=1, minutes=1))
    await plan_due(database)
    await drain(settings, database)
    assert await fetch(database, "SELECT step, state FROM notifier.messages") == [("tell", "accepted")]


async def _launched(database: Database, *, at: datetime | None = None, submit: bool = True) -> int:
    by = Person(name="lin")
    async with database.transaction() as tx:
        run = await draft_run(tx, team_id=1, draft=Draft(campaign_key="news", at=at), by=by)
        return (await submit_run(tx, run.id, by) if submit else run).id


async def _given_up(database: Database) -> dict[int, str]:
    await make_recurring_runs(database)
    return dict(await fetch(database, "SELECT id, problem FROM notifier.runs WHERE state = 'cancelled'"))


async def test_a_launched_run_nobody_released_in_time_is_cancelled(database: Database, tmp_path: Path) -> None:
    await set_now(database, MONDAY)
    await define(database, tmp_path, campaign(more="expires: 2h\n"))
    at = MONDAY + timedelta(hours=1)
    submitted = await _launched(database, at=at)
    drafted = await _launched(database, at=at + timedelta(minutes=1), submit=False)
    released = await _launched(database, at=at + timedelta(minutes=2))
    await release_by_another(database, released)
    later = await _launched(database, at=at + timedelta(days=1))
    await set_now(database, at + timedelta(hours=1, minutes=58))
    assert await _given_up(database) == {}
    await set_now(database, at + timedelta(hours=2, minutes=3))
    told = {submitted: "it was not released in time", drafted: "it was not submitted in time"}
    assert await _given_up(database) == told
    assert len(await _audited(database, "run.cancel")) == 2
    await reschedule(database, later, at + timedelta(days=9))
    await set_now(database, at + timedelta(days=1, hours=3))
    assert await _given_up(database) == told


async def reschedule(database: Database, number: int, at: datetime) -> None:
    async with database.transaction() as tx:
        await reschedule_run(tx, number, at, Person(name="lin"))


async def test_a_run_without_a_time_is_cancelled_when_nobody_went_on_with_it(
    database: Database, tmp_path: Path
) -> None:
    await set_now(database, MONDAY)
    await define(database, tmp_path, campaign())
    left, touched = await _launched(database, submit=False), await _launched(database, submit=False)
    await pass_time(database, timedelta(days=29))
    assert await _given_up(database) == {}
    async with database.transaction() as tx:
        await edit_run(tx, touched, Draft(campaign_key="news", inputs={"word": "改"}), Person(name="lin"))
    await pass_time(database, timedelta(days=1, minutes=1))
    assert await _given_up(database) == {left: "nobody went on with it"}
    await pass_time(database, timedelta(days=29))
    assert set(await _given_up(database)) == {left, touched}


async def _audited(database: Database, act: str) -> list[tuple[str, str]]:
    return await fetch(database, "SELECT actor, subject FROM notifier.audit WHERE act = $1", act)


async def test_a_day_before_its_time_a_waiting_run_is_reminded_of_once(database: Database, tmp_path: Path) -> None:
    await define(database, tmp_path, ASKING)
    await set_now(database, MONDAY - timedelta(days=1, hours=1))
    await make_recurring_runs(database)
    await make_recurring_runs(database)
    assert await _audited(database, "run.inputs_missing") == []
    await pass_time(database, timedelta(hours=2))
    for _ in range(2):
        await make_recurring_runs(database)
    ((number,),) = await fetch(database, "SELECT id FROM notifier.runs")
    assert await _audited(database, "run.inputs_missing") == [("schedule", f"run:{number}")]


async def test_a_waiting_run_whose_time_is_over_takes_no_inputs_and_is_cancelled(
    database: Database, tmp_path: Path
) -> None:
    await define(database, tmp_path, ASKING + "expires: 3h\n")
    await set_now(database, MONDAY - timedelta(days=1))
    await make_recurring_runs(database)
    ((number,),) = await fetch(database, "SELECT id FROM notifier.runs")
    await set_now(database, MONDAY + timedelta(hours=2, minutes=59))
    await make_recurring_runs(database)
    assert await _runs(database) == [("waiting", MONDAY)]
    await set_now(database, MONDAY + timedelta(hours=3))
    with pytest.raises(Conflict, match="is over: launch weekly anew"):
        await _fill(database, number, word="晚")
    await make_recurring_runs(database)
    assert await fetch(database, "SELECT state, problem FROM notifier.runs") == [
        ("cancelled", "its inputs were not filled in time")
    ]
    assert await _audited(database, "run.cancel") == [("schedule", f"run:{number}")]


async def test_a_run_filled_in_the_last_moment_is_not_cancelled(database: Database, tmp_path: Path) -> None:
    await define(database, tmp_path, ASKING)
    await set_now(database, MONDAY - timedelta(days=1))
    await make_recurring_runs(database)
    ((number,),) = await fetch(database, "SELECT id FROM notifier.runs")
    await _fill(database, number, word="新")
    await release_by_another(database, number)
    async with database.transaction() as tx:
        assert not await cancel_waiting(tx, number, "too late")
    assert await _runs(database) == [("scheduled", MONDAY)]


async def test_the_next_occurrence_cancels_the_one_that_still_waits(database: Database, tmp_path: Path) -> None:
    await define(database, tmp_path, ASKING)
    await set_now(database, MONDAY - timedelta(days=1))
    await make_recurring_runs(database)
    await set_now(database, MONDAY + timedelta(days=6))
    assert await make_recurring_runs(database) == 1
    assert await _runs(database) == [("cancelled", MONDAY), ("waiting", MONDAY + timedelta(days=7))]
    assert await fetch(database, "SELECT problem FROM notifier.runs WHERE state = 'cancelled'") == [
        ("its inputs were not filled in time",)
    ]


async def test_one_campaign_that_cannot_run_does_not_hold_up_the_others(database: Database, tmp_path: Path) -> None:
    await define(database, tmp_path, campaign("good", more=WEEKLY), ASKING)
    other = {"templates/other/template.yaml": "template: other\ntitle: x\n"}
    await define(
        database, tmp_path, campaign("bad", more=WEEKLY, steps="a: {social: [wall], template: other}"), **other
    )
    await execute(database, "UPDATE notifier.definitions SET retired_at = now() WHERE key = 'other'")
    await set_now(database, MONDAY - timedelta(days=1))
    assert await make_recurring_runs(database) == 2
    keys = await fetch(database, "SELECT campaign_key FROM notifier.runs ORDER BY 1")
    assert [key for (key,) in keys] == ["good", "weekly"]


async def test_before_the_first_apply_there_is_nothing_to_do(database: Database) -> None:
    assert await make_recurring_runs(database) == 0
