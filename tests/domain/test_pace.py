"""When a step is done, reckoned by the clocks of those it is sent to."""

from datetime import UTC, datetime, time, timedelta

import pytest

from notifier.domain.pace import Crowd, Hours, Pace, Wait, reckon_pace
from notifier.domain.purpose import RULES, Purpose

NOON = datetime(2026, 3, 12, 4, 0, tzinfo=UTC)  # in Shanghai
DAY = Hours(open_from=time(8), open_to=time(21), expires=timedelta(hours=24))
ALWAYS = Hours(open_from=None, open_to=None, expires=timedelta(hours=4))


def _crowd(messages: int, due_at: datetime = NOON, zone: str = "Asia/Shanghai") -> Crowd:
    return Crowd(zone=zone, messages=messages, due_at=due_at)


def _hour(day: int, hour: int) -> datetime:
    """Shanghai time of March 2026."""
    return datetime(2026, 3, day, hour, tzinfo=UTC) - timedelta(hours=8)


def test_messages_over_speed_is_when_it_is_done() -> None:
    found = reckon_pace([_crowd(36_000)], DAY, now=NOON, per_second=10)
    assert found == Pace(done_at=NOON + timedelta(hours=1), waits=(), expired=0)


def test_what_is_not_done_by_the_evening_waits_for_the_morning() -> None:
    found = reckon_pace([_crowd(100_000, _hour(12, 20))], DAY, now=NOON, per_second=10)
    left = 100_000 - 36_000
    assert found.waits == (Wait(until=_hour(13, 8), messages=left),)
    assert found.done_at == _hour(13, 8) + timedelta(seconds=left / 10)
    assert found.expired == 0


def test_what_is_due_at_night_waits_whole() -> None:
    found = reckon_pace([_crowd(100, _hour(12, 23))], DAY, now=NOON, per_second=100)
    assert found == Pace(
        done_at=_hour(13, 8) + timedelta(seconds=1), waits=(Wait(until=_hour(13, 8), messages=100),), expired=0
    )
    early = reckon_pace([_crowd(100, _hour(12, 6))], DAY, now=_hour(12, 5), per_second=100)
    assert early.waits == (Wait(until=_hour(12, 8), messages=100),)


def test_an_expiry_before_the_end_is_counted() -> None:
    found = reckon_pace([_crowd(100_000)], ALWAYS, now=NOON, per_second=5)
    assert found == Pace(done_at=NOON + timedelta(hours=4), waits=(), expired=100_000 - 4 * 3600 * 5)


def test_who_cannot_be_reached_before_the_expiry_is_not_said_to_wait() -> None:
    short = Hours(open_from=time(8), open_to=time(21), expires=timedelta(hours=2))
    found = reckon_pace([_crowd(100, _hour(12, 23))], short, now=NOON, per_second=100)
    assert found == Pace(done_at=None, waits=(), expired=100)


def test_each_clock_has_its_own_night() -> None:
    found = reckon_pace([_crowd(3_000), _crowd(1_000, zone="America/New_York")], DAY, now=NOON, per_second=100)
    assert found.waits == (Wait(until=datetime(2026, 3, 12, 12, tzinfo=UTC), messages=1_000),)
    assert found.done_at == datetime(2026, 3, 12, 12, tzinfo=UTC) + timedelta(seconds=40)


def test_without_a_speed_only_the_night_is_known() -> None:
    assert reckon_pace([_crowd(10**6)], DAY, now=NOON, per_second=None) == Pace(done_at=None, waits=(), expired=0)
    found = reckon_pace([_crowd(5, _hour(12, 22))], DAY, now=NOON, per_second=None)
    assert found == Pace(done_at=None, waits=(Wait(until=_hour(13, 8), messages=5),), expired=0)


def test_nobody_takes_no_time() -> None:
    assert reckon_pace([_crowd(0)], DAY, now=NOON, per_second=1) == Pace(done_at=None, waits=(), expired=0)
    assert reckon_pace([], DAY, now=NOON, per_second=1) == Pace(done_at=None, waits=(), expired=0)


@pytest.mark.parametrize("purpose", Purpose)
def test_every_purpose_comes_to_an_end(purpose: Purpose) -> None:
    rules = RULES[purpose]
    hours = Hours(open_from=rules.open_from, open_to=rules.open_to, expires=rules.expires)
    found = reckon_pace([_crowd(10**7)], hours, now=NOON, per_second=0.001)
    assert found.expired > 9_999_000


def test_a_skipped_hour_is_no_trouble() -> None:
    night = datetime(2026, 3, 8, 6, 30, tzinfo=UTC)  # half past one in New York, half an hour before the change
    found = reckon_pace([_crowd(10, night, "America/New_York")], DAY, now=night, per_second=1)
    assert found.waits == (Wait(until=datetime(2026, 3, 8, 12, tzinfo=UTC), messages=10),)


def test_what_is_late_already_has_less_time() -> None:
    found = reckon_pace([_crowd(36_000, NOON - timedelta(hours=3))], ALWAYS, now=NOON, per_second=5)
    assert found == Pace(done_at=NOON + timedelta(hours=1), waits=(), expired=18_000)
    late = reckon_pace([_crowd(10, NOON - timedelta(hours=5))], ALWAYS, now=NOON, per_second=5)
    assert late == Pace(done_at=None, waits=(), expired=10)
