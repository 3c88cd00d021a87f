"""When runs and steps start."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.campaign import InputAnchor, Schedule, Step
from notifier.domain.channel import Channel
from notifier.domain.notation.recurrence import check_repeat
from notifier.planning.schedule import first_due_at, next_occurrence, step_local_time, to_local, to_utc

BERLIN, SHANGHAI, NEW_YORK = "Europe/Berlin", "Asia/Shanghai", "America/New_York"
ZONES = st.sampled_from([BERLIN, NEW_YORK, "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia", SHANGHAI])
LOCALS = st.datetimes(min_value=datetime.fromisoformat("2000-01-01"), max_value=datetime.fromisoformat("2037-01-01"))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_weekly_run_stays_at_nine_over_both_changes_of_clocks() -> None:
    weekly = Schedule(start=local("2026-03-02T09:00"), zone=BERLIN, repeat="FREQ=WEEKLY;BYDAY=MO")
    at = utc("2026-01-01T00:00")
    for _ in range(45):
        found = next_occurrence(weekly, at, SHANGHAI)
        assert found is not None
        shown = to_local(found, BERLIN)
        assert (shown.weekday(), shown.time()) == (0, time(9))
        at = found
    assert at.year == 2027


def test_what_falls_into_the_skipped_hour_moves_forward() -> None:
    assert to_utc(local("2026-03-29T02:30"), BERLIN) == utc("2026-03-29T01:30")
    assert to_local(utc("2026-03-29T01:30"), BERLIN) == local("2026-03-29T03:30")


def test_of_a_doubled_hour_the_first_counts() -> None:
    assert to_utc(local("2026-10-25T02:30"), BERLIN) == utc("2026-10-25T00:30")


@given(LOCALS, ZONES)
def test_local_time_comes_back_or_was_skipped(at: datetime, zone: str) -> None:
    back = to_local(to_utc(at, zone), zone)
    assert back == at or timedelta() < back - at <= timedelta(days=1)


@given(LOCALS, ZONES)
def test_no_earlier_instant_shows_the_same_local_time(at: datetime, zone: str) -> None:
    found = to_utc(at, zone)
    if to_local(found, zone) == at:
        for earlier in (timedelta(minutes=30), timedelta(hours=1)):
            assert to_local(found - earlier, zone) != at


@given(
    st.datetimes(min_value=datetime.fromisoformat("2026-01-01"), max_value=datetime.fromisoformat("2028-01-01")), ZONES
)
def test_the_next_occurrence_is_later_and_none_lies_between(after: datetime, zone: str) -> None:
    daily = Schedule(start=local("2025-12-30T02:30"), zone=zone, repeat="FREQ=DAILY")
    at = after.replace(tzinfo=UTC)
    found = next_occurrence(daily, at, SHANGHAI)
    assert found is not None
    assert timedelta() < found - at <= timedelta(hours=49 if zone == "Pacific/Apia" else 25)


def test_on_demand_has_no_occurrence() -> None:
    assert next_occurrence(Schedule(), utc("2026-01-01T00:00"), SHANGHAI) is None


def test_once_happens_once() -> None:
    once = Schedule(start=local("2026-02-02T09:00"))
    assert next_occurrence(once, utc("2026-01-01T00:00"), SHANGHAI) == utc("2026-02-02T01:00")
    assert next_occurrence(once, utc("2026-02-02T01:00"), SHANGHAI) is None


def test_a_counted_rule_ends() -> None:
    twice = Schedule(start=local("2026-02-02T09:00"), repeat="FREQ=DAILY;COUNT=2")
    assert next_occurrence(twice, utc("2026-02-02T01:00"), SHANGHAI) == utc("2026-02-03T01:00")
    assert next_occurrence(twice, utc("2026-02-03T01:00"), SHANGHAI) is None


def test_recipients_in_the_first_zone_stand_in_time() -> None:
    schedule = Schedule(start=local("2026-02-02T09:00"), zone="contact")
    nominal = utc("2026-02-02T01:00")
    assert next_occurrence(schedule, utc("2026-01-01T00:00"), SHANGHAI) == nominal
    kiritimati = local("2026-02-02T09:00").replace(tzinfo=ZoneInfo("Pacific/Kiritimati"))
    assert first_due_at(schedule, nominal, SHANGHAI) == kiritimati
    assert first_due_at(Schedule(), nominal, SHANGHAI) == nominal


@pytest.mark.parametrize(
    "repeat",
    [
        "FREQ=WEEKLY;BYDAY=MO",
        "FREQ=MONTHLY;BYMONTHDAY=15",
        "FREQ=MONTHLY;BYDAY=-1FR",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO",
        "FREQ=DAILY;UNTIL=20301231T235959",
        "FREQ=MONTHLY;INTERVAL=3;BYDAY=2TU",
    ],
)
def test_rules_that_can_be_followed(repeat: str) -> None:
    assert check_repeat(repeat) == ""


@pytest.mark.parametrize(
    ("repeat", "problem"),
    [
        ("FREQ=HOURLY", "FREQ must be"),
        ("weekly", "`weekly` is not a part"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL must be"),
        ("FREQ=DAILY;BYHOUR=3", "`BYHOUR` is not a part"),
        ("FREQ=DAILY;FREQ=DAILY", "stands twice"),
        ("FREQ=WEEKLY;BYDAY=XX", "cannot be read"),
        ("FREQ=MONTHLY;BYMONTHDAY=99", "never happens"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "never happens"),
        ("FREQ=DAILY;UNTIL=20200101T000000Z", "UNTIL must be local"),
        ("FREQ=DAILY;UNTIL=19990101", "never happens"),
        ("FREQ=DAILY;UNTIL=20990101;COUNT=2", "exclude"),
        ("", "is not a part"),
    ],
)
def test_rules_that_cannot_be_followed_say_why(repeat: str, problem: str) -> None:
    assert problem in check_repeat(repeat)


def step(after: timedelta = timedelta(), anchor: InputAnchor | None = None, *, post: bool = False) -> Step:
    if post:
        return Step(name="x", template="t", accounts=("wall",), after=after, anchor=anchor)
    return Step(name="x", template="t", channels=(Channel.SMS,), after=after, anchor=anchor)


def start(wanted: Step, zone: str, nominal: str, bank: str = BERLIN, **inputs: object) -> datetime:
    return step_local_time(wanted, nominal_at=utc(nominal), inputs=inputs, zone=zone, bank_zone=bank)


def test_days_keep_the_time_of_day_hours_are_elapsed() -> None:
    saturday = "2026-03-28T08:00"  # 09:00 in Berlin, clocks change in the night
    assert start(step(timedelta(days=1)), "bank", saturday) == utc("2026-03-29T07:00")
    assert start(step(timedelta(hours=4)), "bank", saturday) == utc("2026-03-28T12:00")
    assert start(step(), "bank", saturday) == utc(saturday)


def test_in_the_contacts_zone_a_step_is_local_time_and_a_post_an_instant() -> None:
    assert start(step(timedelta(days=7)), "contact", "2026-03-02T08:00") == local("2026-03-09T09:00")
    assert start(step(post=True), "contact", "2026-03-02T08:00") == utc("2026-03-02T08:00")


def test_a_step_counts_from_a_date_input() -> None:
    anchor = InputAnchor(input="date", offset=timedelta(days=-14), at=time(10))
    for given_date in (date(2026, 4, 10), "2026-04-10"):
        assert start(step(anchor=anchor), "bank", "2026-03-01T08:00", date=given_date) == utc("2026-03-27T09:00")
    assert start(step(anchor=anchor), "contact", "2026-03-01T08:00", date="2026-04-10") == local("2026-03-27T10:00")


def test_without_a_time_the_date_takes_the_runs() -> None:
    anchor = InputAnchor(input="date")
    assert start(step(anchor=anchor), "bank", "2026-03-01T08:00", date="2026-04-10") == utc("2026-04-10T07:00")


def test_an_event_of_the_bank_is_one_instant_for_all() -> None:
    hour_before = InputAnchor(input="begins", offset=timedelta(hours=-1))
    day_before = InputAnchor(input="begins", offset=timedelta(days=-1))
    for zone in ("contact", "bank", NEW_YORK):
        found = start(step(anchor=hour_before), zone, "2026-03-01T08:00", begins="2026-03-29T19:00")
        assert found == utc("2026-03-29T16:00")
        assert start(step(anchor=day_before), zone, "2026-03-01T08:00", begins="2026-03-29T19:00") == utc(
            "2026-03-28T18:00"
        )
