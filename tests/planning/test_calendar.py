"""The calendar: runs at their times, and what recurring campaigns will do."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notifier.domain.errors import InputError
from notifier.planning.calendar import MOST_DAYS, read_calendar
from notifier.planning.recur import make_recurring_runs
from notifier.store.database import Database
from tests.builders import NOON, campaign, define, execute, launch, set_now

WEEKLY = campaign("weekly", more='schedule: {start: 2030-06-03T09:00, zone: contact, repeat: "FREQ=WEEKLY;BYDAY=MO"}\n')
UNTIL = NOON + timedelta(days=14)


async def _told(database: Database, since: datetime, until: datetime) -> list[tuple[str, str, str, bool]]:
    async with database.transaction() as tx:
        entries = await read_calendar(tx, 1, since, until)
    return [(one.campaign_key, one.state, f"{one.at:%m-%dT%H:%M}", one.each_zone) for one in entries]


async def test_a_recurring_campaign_is_expected_from_now_on(database: Database, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, WEEKLY)
    assert await _told(database, NOON - timedelta(days=14), UNTIL) == [
        ("weekly", "expected", "06-17T01:00", True),
        ("weekly", "expected", "06-24T01:00", True),
    ]


async def test_a_time_that_has_its_run_is_not_expected_once_more(database: Database, tmp_path: Path) -> None:
    await set_now(database, datetime(2030, 6, 16, 2, 0, tzinfo=UTC))
    await define(database, tmp_path, WEEKLY)
    await make_recurring_runs(database)
    told = await _told(database, NOON, UNTIL)
    assert [(state, at) for _, state, at, _ in told] == [("submitted", "06-17T01:00"), ("expected", "06-24T01:00")]
    await execute(database, "UPDATE notifier.runs SET nominal_at = nominal_at + interval '1 day'")
    told = await _told(database, NOON, UNTIL)
    assert [(state, at) for _, state, at, _ in told] == [("submitted", "06-18T01:00"), ("expected", "06-24T01:00")]


async def test_a_run_at_once_is_the_same_instant_for_all(database: Database, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, WEEKLY)
    await launch(database, "weekly")
    first, *_ = await _told(database, NOON - timedelta(days=1), UNTIL)
    assert (first[1], first[3]) == ("scheduled", False)


async def test_a_calendar_has_an_order_and_an_end(database: Database) -> None:
    async with database.transaction() as tx:
        for until in (NOON, NOON - timedelta(days=1), NOON + timedelta(days=MOST_DAYS + 1)):
            with pytest.raises(InputError):
                await read_calendar(tx, 1, NOON, until)
        assert await read_calendar(tx, 1, NOON, NOON + timedelta(days=MOST_DAYS)) == []


async def test_later_steps_of_a_released_run_stand_on_their_days(database: Database, tmp_path: Path) -> None:
    await set_now(database)
    later = "inform: {channels: [email], template: note}\nask: {survey: opinion, by: [email], after: 2d, closes: 7d}"
    await define(database, tmp_path, campaign("poll", steps=later))
    await launch(database, "poll")
    async with database.transaction() as tx:
        entries = await read_calendar(tx, 1, NOON - timedelta(days=1), UNTIL)
        days = await read_calendar(tx, 1, NOON + timedelta(days=1), UNTIL)  # the run itself began before
    assert [(one.step, one.at - entries[0].at) for one in entries] == [("", timedelta()), ("ask", timedelta(days=2))]
    assert [one.step for one in days] == ["ask"]
