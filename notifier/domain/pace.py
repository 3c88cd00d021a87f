"""Pace: when the messages of a step will have left, and how many wait for the hours in which their purpose may speak."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Messages to people who live by one clock, all due at once; the due time may be past."""

    zone: str  # IANA
    messages: int
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """What a purpose allows: local hours (none = always) and how long a message may wait."""

    open_from: time | None
    open_to: time | None
    expires: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """How many messages wait until their quiet hours end."""

    until: datetime
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What is to be expected. `done_at` None: nothing to send, or nobody knows how fast it goes."""

    done_at: datetime | None
    waits: tuple[Wait, ...]  # by moment; whoever waits twice stands in both
    expired: int  # whose time runs out before they can go


def reckon_pace(crowds: Iterable[Crowd], hours: Hours, *, now: datetime, per_second: float | None) -> Pace:
    """The pace from now on if nothing else is being sent: each crowd gets its share of `per_second`.

    Without a known speed only those wait who are due outside the hours, and nobody's time runs out on the way.
    """
    meant = [crowd for crowd in crowds if crowd.messages]
    total = sum(crowd.messages for crowd in meant)
    ends = [_follow(crowd, hours, now, per_second and per_second * crowd.messages / total) for crowd in meant]
    waits: dict[datetime, int] = {}
    for end in ends:
        for wait in end.waits:
            waits[wait.until] = waits.get(wait.until, 0) + wait.messages
    known = [end.done_at for end in ends if end.done_at is not None]
    return Pace(
        done_at=max(known, default=None),
        waits=tuple(Wait(until=until, messages=count) for until, count in sorted(waits.items())),
        expired=sum(end.expired for end in ends),
    )


def _follow(crowd: Crowd, hours: Hours, now: datetime, per_second: float | None) -> Pace:
    zone, left, waits = ZoneInfo(crowd.zone), crowd.messages, list[Wait]()
    deadline = crowd.due_at + hours.expires
    starts = max(crowd.due_at, now)
    at = next_open(starts, zone, hours)
    if starts < at < deadline:
        waits.append(Wait(until=at, messages=left))
    while at < deadline:
        if per_second is None:
            return Pace(done_at=None, waits=tuple(waits), expired=0)
        closes = _closes(at, zone, hours)
        until = min(closes, deadline) if closes else deadline
        passing = int((until - at).total_seconds() * per_second)
        if left <= passing:
            done_at = at + timedelta(seconds=left / per_second)
            return Pace(done_at=done_at, waits=tuple(waits), expired=0)
        left -= passing
        at = next_open(until, zone, hours) if until < deadline else deadline
        if at < deadline:
            waits.append(Wait(until=at, messages=left))
    return Pace(done_at=deadline if left < crowd.messages else None, waits=tuple(waits), expired=left)


def next_open(at: datetime, zone: ZoneInfo, hours: Hours) -> datetime:
    """The first moment at or after `at` at which the hours are open, as the claim reckons it (`notifier.next_open`)."""
    if hours.open_from is None or hours.open_to is None:
        return at
    local = at.astimezone(zone)
    if hours.open_from <= local.time() < hours.open_to:
        return at
    day = local.date() if local.time() < hours.open_from else local.date() + timedelta(days=1)
    return _instant(datetime.combine(day, hours.open_from), zone)


def _closes(at: datetime, zone: ZoneInfo, hours: Hours) -> datetime | None:
    if hours.open_to is None:
        return None
    return _instant(datetime.combine(at.astimezone(zone).date(), hours.open_to), zone)


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)
