"""Reads typed values out of a definition; notes what is wrong and goes on."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from difflib import get_close_matches
from enum import StrEnum
from typing import TypeVar

from notifier.domain.notation.source import Source, Trail
from notifier.domain.notation.values import EVERY_LOCALE, parse_duration, parse_percent, parse_time
from notifier.domain.text import Localized

_E = TypeVar("_E", bound=StrEnum)

KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
LOCALE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")


class _Missing:
    """Stands for what is not written; the readers pass over it and give the default."""


MISSING = _Missing()


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a definition. Every reader returns its default where the value is missing or wrong."""

    source: Source
    trail: Trail = ()
    data: object = None

    @property
    def given(self) -> bool:
        """Whether it is written at all."""
        return self.data is not MISSING

    def fail(self, problem: str, remedy: str = "", *, key: bool = False) -> None:
        """Note a problem at this value."""
        self.source.add(self.trail, problem, remedy, key=key)

    @property
    def called(self) -> str:
        """How messages name it."""
        return f"`{self.trail[-1]}`" if self.trail else "the definition"

    def child(self, name: str) -> "Value":
        """A key of a mapping, possibly missing."""
        data = self.data.get(name, MISSING) if isinstance(self.data, dict) else MISSING
        return Value(self.source, (*self.trail, name), data)

    def fields(self, required: Sequence[str], optional: Sequence[str] = ()) -> "Value":
        """Itself, after noting unknown and missing keys."""
        known = [*required, *optional]
        for item in self.items():
            name = str(item.trail[-1])
            if name not in known:
                item.fail(f"`{name}` is not a key here", did_you_mean(name, known), key=True)
        if isinstance(self.data, dict):
            for name in required:
                if name not in self.data:
                    self.fail(f"`{name}` is missing in {self.called}", f"Write `{name}: …`")
        return self

    def items(self, names: re.Pattern[str] | None = None) -> list["Value"]:
        """The values of a mapping, in the order written; keys held against a pattern."""
        if not self.given:
            return []
        if not isinstance(self.data, dict):
            self.fail(f"{self.called} must be a mapping of keys and values", "Write `key: value` lines below it")
            return []
        found = [self.child(name) for name in self.data]
        if names is not None:
            for item in found:
                if not names.fullmatch(str(item.trail[-1])):
                    item.fail(
                        f"{item.called} cannot be a name", "Use small letters, digits and " + _joiner(names), key=True
                    )
        return found

    def __iter__(self) -> Iterator["Value"]:
        """The items of a list; one value alone counts as a list of one."""
        if not self.given:
            return
        if not isinstance(self.data, list):
            self.fail(f"{self.called} must be a list", "Write [a, b], or one `- item` per line")
            return
        for index, item in enumerate(self.data):
            yield Value(self.source, (*self.trail, index), item)

    def text(self, default: str = "", *, pattern: re.Pattern[str] | None = None, like: str = "") -> str:
        """A text; not empty. With a pattern, `like` says what is wanted."""
        if not self.given:
            return default
        if isinstance(self.data, (int, float)) and not isinstance(self.data, bool):
            self.fail(f"{self.called} is read as a number", "Put quotes around it")
        elif not isinstance(self.data, str):
            self.fail(f"{self.called} must be a text", f"Write a text{_for(like)}")
        elif not self.data.strip():
            self.fail(f"{self.called} is empty", f"Write a text{_for(like)}, or remove the key")
        elif pattern is not None and not pattern.fullmatch(self.data):
            self.fail(f"{self.called} cannot be `{self.data[:60]}`", f"Write {like}" if like else "")
        else:
            return self.data
        return default

    def key(self, default: str = "") -> str:
        """The key of a definition, step, account or topic."""
        return self.text(default, pattern=KEY, like="small letters, digits and hyphens, such as `branch-news`")

    def keys(self) -> tuple[str, ...]:
        """A list of keys, none twice."""
        return self._distinct([item.key() for item in self])

    def texts(self) -> tuple[str, ...]:
        """A list of texts, none twice."""
        return self._distinct([item.text() for item in self])

    def _distinct(self, found: list[str]) -> tuple[str, ...]:
        if self.given and isinstance(self.data, list) and not found:
            self.fail(f"{self.called} is an empty list", "Name at least one, or remove the key")
        for index, name in enumerate(found):
            if name and name in found[:index]:
                self.source.add((*self.trail, index), f"`{name}` stands twice in {self.called}", "Remove one")
        return tuple(found)

    def whole(self, default: int, *, low: int, high: int) -> int:
        """A whole number within bounds."""
        if not self.given:
            return default
        if isinstance(self.data, int) and not isinstance(self.data, bool) and low <= self.data <= high:
            return self.data
        self.fail(f"{self.called} must be a whole number", f"Write a number from {low} to {high}")
        return default

    def number(self, default: float, *, low: float, high: float) -> float:
        """A number within bounds."""
        if not self.given:
            return default
        if isinstance(self.data, (int, float)) and not isinstance(self.data, bool) and low <= self.data <= high:
            return float(self.data)
        self.fail(f"{self.called} must be a number", f"Write a number from {low:g} to {high:g}")
        return default

    def flag(self, default: bool) -> bool:
        """True or false."""
        if not self.given:
            return default
        if isinstance(self.data, bool):
            return self.data
        self.fail(f"{self.called} must be true or false", "Write `true` or `false`, without quotes")
        return default

    def choice(self, kind: type[_E], default: _E) -> _E:
        """One of the values of an enumeration."""
        allowed = [str(member) for member in kind]
        if not self.given:
            return default
        if isinstance(self.data, str) and self.data in allowed:
            return kind(self.data)
        self.fail(f"{self.called} cannot be `{self.data}`", did_you_mean(str(self.data), allowed))
        return default

    def choices(self, kind: type[_E]) -> tuple[_E, ...]:
        """A list of values of an enumeration, none twice."""
        first = next(iter(kind))
        found = [item.choice(kind, first) for item in self]
        if all(item.data in set(kind) for item in self):
            self._distinct([str(item) for item in found])
        return tuple(found)

    def localized(self) -> Localized:
        """A text for all locales, or a mapping of locale → text."""
        if not self.given:
            return Localized({})
        if not isinstance(self.data, dict):
            text = self.text()
            return Localized({EVERY_LOCALE: text} if text else {})
        self.source.localized.append(self.trail)
        for item in self.items():
            if not LOCALE.fullmatch(str(item.trail[-1])):
                item.fail(f"{item.called} is not a locale", "Write `zh-CN` or `en`", key=True)
        return Localized({str(item.trail[-1]): item.text() for item in self.items()})

    def duration(self, default: timedelta = timedelta()) -> timedelta:
        """`30s`, `15m`, `4h`, `2d`, `-14d`, `1w`."""
        found = parse_duration(self.data) if self.given else default
        if found is None:
            self.fail(
                f"{self.called} must be a duration", "Write a whole number and s, m, h, d or w: `30s`, `4h`, `2d`"
            )
        return default if found is None else found

    def span(self) -> timedelta | None:
        """A duration above zero; None where not written."""
        if not self.given:
            return None
        found = self.duration(timedelta(days=1))
        if found <= timedelta():
            self.fail(f"{self.called} must be longer than nothing", "Write `4h` or `7d`")
        return found

    def percent(self, default: float = 100.0) -> float:
        """`5%`: above 0, at most 100."""
        found = parse_percent(self.data) if self.given else default
        if found is None:
            self.fail(f"{self.called} must be a percentage", "Write `5%`: above 0, at most 100")
        return default if found is None else found

    def time_of_day(self) -> time | None:
        """`10:00`; None where not written."""
        found = parse_time(self.data) if self.given else None
        if self.given and found is None:
            self.fail(f"{self.called} must be a time of day", 'Write `"10:00"`')
        return found

    def local_datetime(self) -> datetime | None:
        """`2026-02-02T09:00`, without a zone; None where not written."""
        if not self.given:
            return None
        if isinstance(self.data, str) and re.fullmatch(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?", self.data):
            try:
                return datetime.fromisoformat(self.data)
            except ValueError:
                self.fail(f"{self.called} is no date of the calendar", "Write `2026-02-02T09:00`")
                return None
        self.fail(f"{self.called} must be a date with a time, without a zone", "Write `2026-02-02T09:00`")
        return None


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """The nearest allowed word, and all of them where they are few."""
    known = list(allowed)
    near = get_close_matches(given, known, n=1, cutoff=0.6) or get_close_matches(given.lower(), known, n=1)
    shown = ", ".join(known) if len(known) <= 16 else ""
    if near:
        return f"Did you mean `{near[0]}`?" + (f" Possible are: {shown}" if shown else "")
    return f"Possible are: {shown}" if shown else "There are none yet" if not known else ""


def _for(like: str) -> str:
    return f": {like}" if like else ""


def _joiner(names: re.Pattern[str]) -> str:
    return "underscores, beginning with a letter" if names is NAME else "hyphens"
