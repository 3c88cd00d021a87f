"""Recurrence rules (RFC 5545 RRULE), counted in local time."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from dateutil.rrule import rrule, rruleset, rrulestr

_FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_PARTS = {
    "FREQ",
    "INTERVAL",
    "COUNT",
    "UNTIL",
    "BYDAY",
    "BYMONTHDAY",
    "BYMONTH",
    "BYSETPOS",
    "BYYEARDAY",
    "BYWEEKNO",
    "WKST",
}
_PROBE = datetime(2000, 1, 1)  # noqa: DTZ001 - naive local time
_LONGEST_WAIT = timedelta(days=366 * 41)  # 29 February on a given weekday, over a century without one


def check_repeat(repeat: str, start: datetime | None = None) -> str:
    """What is wrong with an RRULE (RFC 5545 §3.3.10), "" if it can be followed from `start`.

    Parts below a day are refused: the time of day is the schedule's `start`. INTERVAL=0 is refused here
    because dateutil would search for the next occurrence forever.
    """
    pairs = [part.partition("=") for part in repeat.split(";")]
    parts = {name: value for name, _, value in pairs}
    unknown = [name for name in parts if name not in _PARTS]
    if unknown:
        return f"`{unknown[0]}` is not a part of it"
    if len(parts) != len(pairs):
        return "a part stands twice"
    if parts.get("FREQ") not in _FREQUENCIES:
        return f"FREQ must be {', '.join(_FREQUENCIES)}"
    return _check_bounds(parts) or _try_out(repeat, start or _PROBE)


def _check_bounds(parts: Mapping[str, str]) -> str:
    for name in ("INTERVAL", "COUNT"):
        if name in parts and not re.fullmatch(r"[1-9][0-9]{0,3}", parts[name]):
            return f"{name} must be a number from 1 to 9999"
    if "UNTIL" in parts and not re.fullmatch(r"[0-9]{8}(T[0-9]{6})?", parts["UNTIL"]):
        return "UNTIL must be local time, such as 20261231T235959"
    return "COUNT and UNTIL exclude each other" if {"COUNT", "UNTIL"} <= set(parts) else ""


def _try_out(repeat: str, start: datetime) -> str:
    try:
        rule = read_repeat(repeat, start)
        if "UNTIL=" not in repeat:
            # dateutil would look for 30 February until the year 9999
            rule = rule.replace(count=None, until=start + _LONGEST_WAIT)
        happens = next(iter(rule), None) is not None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError):
        return "a part cannot be read"  # dateutil's own texts speak of its internals
    return "" if happens else "it never happens"


def read_repeat(repeat: str, start: datetime) -> rrule:
    """The rule counted from a naive local start; `check_repeat` has accepted it."""
    found = rrulestr(repeat, dtstart=start)
    if isinstance(found, rruleset):
        raise TypeError("one rule is wanted")
    return found
