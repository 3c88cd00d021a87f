"""What a template may do to a value: the filters and tests it is allowed."""

from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from functools import lru_cache, partial
from typing import cast
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal, get_territory_currencies
from jinja2 import Undefined
from jinja2.filters import FILTERS
from jinja2.tests import TESTS

from notifier.domain.errors import RenderError
from notifier.domain.template import Bank

LOOP_LIMIT = 50
"""Items a loop may run over; bounds the work of a template together with its checked size."""
TEXT_LIMIT = 20_000
"""Characters of one value."""

SAFE_FILTERS = frozenset(
    [
        "abs",
        "capitalize",
        "count",
        "d",
        "default",
        "first",
        "float",
        "int",
        "last",
        "length",
        "lower",
        "round",
        "title",
        "trim",
        "truncate",
        "upper",
        "urlencode",
    ]
)
OWN_FILTERS = frozenset(["date", "datetime", "e", "escape", "join", "money", "number", "time"])
ALLOWED_FILTERS = SAFE_FILTERS | OWN_FILTERS
ALLOWED_TESTS = frozenset(
    [
        "defined",
        "undefined",
        "none",
        "string",
        "number",
        "even",
        "odd",
        "divisibleby",
        "eq",
        "equalto",
        "ne",
        "gt",
        "ge",
        "lt",
        "le",
        "in",
    ]
)

Number = int | float | Decimal
Filter = Callable[..., object]


def allowed_filters(locale: str, bank: Bank) -> dict[str, Filter]:
    """The filters by name, speaking `locale` and the bank's zone and currency."""
    language = babel_locale(locale)
    currencies = get_territory_currencies(bank.region) if bank.region else []
    own: dict[str, Filter] = {
        "date": partial(_date, locale=language, zone=bank.zone),
        "datetime": partial(_datetime, locale=language, zone=bank.zone),
        "time": partial(_time, locale=language, zone=bank.zone),
        "number": partial(_number, locale=language),
        "money": partial(_money, locale=language, home=currencies[0] if currencies else "CNY"),
        "join": _join,
        "e": _as_is,
        "escape": _as_is,
        "each": each,
    }
    return {name: cast("Filter", FILTERS[name]) for name in SAFE_FILTERS} | own


def allowed_tests() -> dict[str, Filter]:
    """The tests by name; the operators of comparison come from Jinja itself."""
    return {name: cast("Filter", TESTS[name]) for name in ALLOWED_TESTS}


def each(value: object) -> list[object] | tuple[object, ...]:
    """What a loop runs over: a list of at most `LOOP_LIMIT` items, nothing else."""
    if isinstance(value, Undefined):
        str(value)
    if not isinstance(value, list | tuple):
        raise RenderError("a loop needs a list")
    if len(value) > LOOP_LIMIT:
        raise RenderError(f"a loop runs over at most {LOOP_LIMIT} items, this list has {len(value)}")
    if any(isinstance(item, str) and len(item) > TEXT_LIMIT for item in value):
        raise RenderError(f"a text is longer than {TEXT_LIMIT:,} characters")
    return value


@lru_cache(maxsize=64)
def babel_locale(tag: str) -> Locale:
    """Formatting rules of a BCP 47 tag; English where the tag is unknown."""
    try:
        return Locale.parse(tag, sep="-")
    except (ValueError, UnknownLocaleError):
        return Locale("en")


def _join(values: object, separator: str = "") -> str:
    return str(separator).join(str(value) for value in each(values))


def _as_is(value: object) -> object:
    return value  # HTML files escape what they print; a second escape would show


def _date(value: object, *, locale: Locale, zone: str) -> str:
    moment = _moment(value, zone)
    return _format_date(moment.date() if isinstance(moment, datetime) else _as_date(moment), locale)


def _time(value: object, *, locale: Locale, zone: str) -> str:
    moment = _moment(value, zone)
    if isinstance(moment, datetime):
        moment = moment.time()
    if not isinstance(moment, time):
        raise RenderError("the filter time needs a time of day")
    return _format_time(moment.replace(tzinfo=None), locale)


def _datetime(value: object, *, locale: Locale, zone: str) -> str:
    moment = _moment(value, zone)
    if not isinstance(moment, datetime):
        return _format_date(_as_date(moment), locale)
    blank = " " if locale.language in {"zh", "ja", "ko"} else ", "
    return _format_date(moment.date(), locale) + blank + _format_time(moment.time(), locale)


def _moment(value: object, zone: str) -> date | time:
    if isinstance(value, Undefined):
        str(value)
    if isinstance(value, str):
        value = _from_iso(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    if isinstance(value, date | time):
        return value
    raise RenderError("a date or time is needed, written as 2026-03-12 or 2026-03-12T09:00")


def _from_iso(text: str) -> date | time | None:
    readers: Iterable[Callable[[str], date | time]] = (date.fromisoformat, time.fromisoformat, datetime.fromisoformat)
    for read in readers:
        try:
            return read(text)
        except ValueError:
            continue
    return None


def _as_date(moment: date | time) -> date:
    if isinstance(moment, date):
        return moment
    raise RenderError("the filter date needs a date")


def _number(value: object, digits: int | None = None, *, locale: Locale) -> str:
    return _format_number(_as_number(value), digits, locale)


def _money(value: object, currency: str = "", *, locale: Locale, home: str) -> str:
    return _format_money(_as_number(value), str(currency) or home, locale)


def _as_number(value: object) -> Number:
    if isinstance(value, Undefined):
        str(value)
    if isinstance(value, str):
        try:
            value = Decimal(value)
        except InvalidOperation:
            value = None
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool) and -(10**15) < value < 10**15:
        return value
    raise RenderError("a number is needed, below 10^15")


def warm_up_dates(locales: Iterable[str]) -> None:
    """Have the data of these languages read now: Babel takes up to 0.1 s at the first use of each."""
    for locale in locales:
        _format_date(date.min, Locale.parse(locale, sep="-"))


# The same few dates and sums stand in every message of a run; Babel takes about 20 µs for each.
@lru_cache(maxsize=1024)
def _format_date(value: date, locale: Locale) -> str:
    return str(format_date(value, "long", locale=locale))


@lru_cache(maxsize=1024)
def _format_time(value: time, locale: Locale) -> str:
    return str(format_time(value, "short", locale=locale))


@lru_cache(maxsize=4096, typed=True)
def _format_number(value: Number, digits: int | None, locale: Locale) -> str:
    pattern = None if digits is None else "#,##0." + "0" * min(max(digits, 0), 8)
    return str(format_decimal(value, format=pattern.rstrip(".") if pattern else None, locale=locale))


@lru_cache(maxsize=4096, typed=True)
def _format_money(value: Number, currency: str, locale: Locale) -> str:
    return str(format_currency(value, currency, locale=locale))
