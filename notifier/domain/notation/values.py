"""Small notations of definition files, read and written: durations, percentages, times."""

import re
from datetime import datetime, time, timedelta

EVERY_LOCALE = "und"  # BCP 47 "undetermined": one text for every locale

_UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}


def parse_duration(given: object) -> timedelta | None:
    """`-14d` and its like; None for anything else."""
    found = re.fullmatch(r"(-?[0-9]{1,5})([wdhms])", given) if isinstance(given, str) else None
    return int(found[1]) * _UNITS[found[2]] if found else None


def write_duration(given: timedelta) -> str:
    """The shortest notation that means the same; whole seconds only."""
    for unit, length in _UNITS.items():
        if given % length == timedelta():
            return f"{given // length}{unit}"
    raise ValueError(f"{given} is not in whole seconds")


def parse_percent(given: object) -> float | None:
    """`5%`, `2.5%`, or the bare number; None outside of (0, 100]."""
    if isinstance(given, str):
        found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,15})?) ?%", given)
        value = float(found[1]) if found else 0.0
    elif isinstance(given, (int, float)) and not isinstance(given, bool):
        value = float(given)
    else:
        return None
    return value if 0 < value <= 100 else None


def write_percent(given: float) -> float | str:
    """`5%`; the bare number where the notation would not give it back."""
    text = f"{given:g}%"
    return text if parse_percent(text) == given else given


def parse_time(given: object) -> time | None:
    """`10:00`; None for anything else."""
    if isinstance(given, str) and re.fullmatch(r"([01]?[0-9]|2[0-3]):[0-5][0-9]", given):
        hour, minute = given.split(":")
        return time(int(hour), int(minute))
    return None


def write_time(given: time) -> str:
    """`10:00`."""
    return given.strftime("%H:%M")


def write_local(given: datetime) -> str:
    """`2026-02-02T09:00`, seconds only where there are some."""
    return given.isoformat(timespec="seconds" if given.second else "minutes")
