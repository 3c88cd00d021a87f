"""The console's languages: gettext catalogues read at start, and dates and numbers as each language writes them."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo

from babel import dates, numbers
from babel.support import Format

from notifier.web.console.catalogues import LOCALES, load_catalogue
from notifier.web.console.problems import say_problem

DEFAULT_LOCALE = "zh-CN"


def pick_locale(*, chosen: str, accepted: str) -> str:
    """What was chosen, else the first language of an Accept-Language header that there is."""
    if chosen in LOCALES:
        return chosen
    for part in accepted.split(","):
        language = part.split(";")[0].strip().lower()
        for locale in LOCALES:
            if language and language.split("-")[0] == locale.split("-")[0].lower():
                return locale
    return DEFAULT_LOCALE


@dataclass(frozen=True, slots=True)
class Words:
    """One language in one time zone."""

    locale: str
    zone: tzinfo
    _format: Format = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_format", Format(LOCALES[self.locale]))

    def __call__(self, message: str, **values: object) -> str:
        """The message in this language with its `%(name)s` filled in."""
        text = load_catalogue(self.locale).get(message, message)
        return text % values if values else text

    def problem(self, problem: object) -> str:
        """An error, or the text of one, in this language."""
        return say_problem(self.locale, problem)

    def moment(self, at: datetime | None) -> str:
        """A day with its time, in the bank's zone."""
        return "–" if at is None else self.wall(self._local(at))

    def wall(self, at: datetime) -> str:
        """A day with its time as a clock on the wall shows it, whatever the zone."""
        pattern = "y年M月d日 HH:mm" if self.locale == "zh-CN" else "d MMM y, HH:mm"
        return dates.format_datetime(at, pattern, locale=LOCALES[self.locale])

    def clock(self, at: datetime) -> str:
        """A time with its seconds."""
        return dates.format_time(self._local(at), "HH:mm:ss", locale=LOCALES[self.locale])

    def day(self, at: date) -> str:
        """A day with its weekday."""
        local = self._local(at) if isinstance(at, datetime) else at
        pattern = "M月d日 EEEE" if self.locale == "zh-CN" else "EEEE, d MMMM"
        return dates.format_date(local, pattern, locale=LOCALES[self.locale])

    def month(self, day: date) -> str:
        """A month with its year."""
        return dates.format_date(day, "y年M月" if self.locale == "zh-CN" else "MMMM y", locale=LOCALES[self.locale])

    def month_name(self, day: date) -> str:
        """A month as a chart has room for it."""
        return dates.format_date(day, "M月" if self.locale == "zh-CN" else "MMM", locale=LOCALES[self.locale])

    def number(self, value: float) -> str:
        """A number with its thousands."""
        return numbers.format_decimal(value, locale=LOCALES[self.locale])

    def percent(self, value: float | None, digits: int = 1) -> str:
        """A percentage given as 0..100."""
        if value is None:
            return "–"
        pattern = "#,##0." + "0" * digits + "%" if digits else "#,##0%"
        return numbers.format_percent(value / 100, pattern, locale=LOCALES[self.locale])

    def span(self, span: timedelta) -> str:
        """A length of time in its largest whole unit."""
        seconds = int(abs(span.total_seconds()))
        for unit, length in (("week", 604_800), ("day", 86_400), ("hour", 3_600), ("minute", 60)):
            if seconds >= length and seconds % length == 0:
                return self._unit(seconds // length, unit)
        return self._unit(seconds, "second")

    def _unit(self, count: int, unit: str) -> str:
        if self.locale == "zh-CN":
            names = {"week": "周", "day": "天", "hour": "小时", "minute": "分钟", "second": "秒"}
            return f"{count} {names[unit]}"
        return f"{count} {unit}{'' if count == 1 else 's'}"

    def listed(self, items: list[str], *, last: str = "and") -> str:
        """Items in a row: "a, b and c"."""
        if self.locale == "zh-CN":
            return ("或" if last == "or" else "、").join(items)
        return f"{', '.join(items[:-1])} {last} {items[-1]}" if len(items) > 1 else "".join(items)

    def _local(self, at: datetime) -> datetime:
        return at.astimezone(self.zone)
