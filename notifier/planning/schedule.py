"""When runs and their steps start: recurrence, time zones and the hours that do not exist."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from notifier.domain.campaign import InputAnchor, Schedule, Step
from notifier.domain.notation.recurrence import read_repeat

LARGEST_OFFSET = timedelta(hours=14)  # the zone where a day begins first: UTC+14


def next_occurrence(schedule: Schedule, after: datetime, bank_zone: str) -> datetime | None:
    """The first nominal start later than `after`, in UTC; None: on demand, or no more.

    Recurrence is counted in local time, so 09:00 stays 09:00 over a change of clocks. For zone `contact` the nominal
    start is that local time in the bank's zone; `first_due_at` says when the earliest contact's clock shows it.
    """
    if schedule.start is None:
        return None
    zone = schedule_zone(schedule, bank_zone)
    if not schedule.repeat:
        only = to_utc(schedule.start, zone)
        return only if only > after else None
    # A doubled or skipped hour can put local and UTC order apart by an hour: begin a day early and compare in UTC.
    local_after = after.astimezone(ZoneInfo(zone)).replace(tzinfo=None) - timedelta(days=1)
    for local in read_repeat(schedule.repeat, schedule.start).xafter(local_after, inc=True):
        found = to_utc(local, zone)
        if found > after:
            return found
    return None


def schedule_zone(schedule: Schedule, bank_zone: str) -> str:
    """The IANA zone nominal starts are reckoned in."""
    return bank_zone if schedule.zone in {"bank", "contact"} else schedule.zone


def first_due_at(schedule: Schedule, nominal_at: datetime, bank_zone: str) -> datetime:
    """The earliest instant anybody's message of the run can be due: its recipients must stand by then."""
    if schedule.zone != "contact":
        return nominal_at
    local = to_local(nominal_at, bank_zone)
    return min(nominal_at, local.replace(tzinfo=UTC) - LARGEST_OFFSET)


def step_local_time(
    step: Step,
    *,
    nominal_at: datetime,
    inputs: Mapping[str, object],
    zone: str,
    bank_zone: str,
) -> datetime:
    """When a step starts: aware (UTC) = this instant; naive = this local time in each contact's zone.

    `zone` is the schedule's ("bank", "contact" or IANA). `after` in whole days keeps the time of day, in hours and
    minutes it is time elapsed. A post has no contact: for it `contact` means the bank's zone.
    """
    at_contact = zone == "contact" and not step.is_post
    reckoned = bank_zone if zone in {"bank", "contact"} else zone
    if step.anchor is not None:
        return _anchored(step.anchor, nominal_at, inputs, zone=reckoned, bank_zone=bank_zone, at_contact=at_contact)
    local = to_local(nominal_at, reckoned)
    if at_contact:
        return local + step.after
    if step.after % timedelta(days=1):
        return nominal_at.astimezone(UTC) + step.after
    return to_utc(local + step.after, reckoned) if step.after else nominal_at.astimezone(UTC)


def _anchored(
    anchor: InputAnchor,
    nominal_at: datetime,
    inputs: Mapping[str, object],
    *,
    zone: str,
    bank_zone: str,
    at_contact: bool,
) -> datetime:
    given = _read_moment(inputs[anchor.input])
    if isinstance(given, datetime) and anchor.at is None:
        if anchor.offset % timedelta(days=1):
            return to_utc(given, bank_zone) + anchor.offset
        return to_utc(given + anchor.offset, bank_zone)  # an event of the bank: the same instant for all
    day = given.date() if isinstance(given, datetime) else given
    at = anchor.at or to_local(nominal_at, zone).time()
    local = datetime.combine(day, at) + anchor.offset
    return local if at_contact else to_utc(local, zone)


def _read_moment(given: object) -> date:
    """A date, or a naive datetime in the bank's local time; ISO text is read."""
    if isinstance(given, date):
        return given
    text = str(given)
    return datetime.fromisoformat(text) if "T" in text or " " in text else date.fromisoformat(text)


def to_local(at: datetime, zone: str) -> datetime:
    """The naive local time of an instant."""
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def to_utc(local: datetime, zone: str) -> datetime:
    """The instant of a naive local time: what falls into a gap moves forward by it, of a doubled hour the first counts."""
    return local.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)
