"""The values a run is given: held against the campaign's inputs, normalised, read back."""

from collections.abc import Callable, Mapping
from datetime import date, datetime

from notifier.domain.campaign import Campaign, Input, InputType
from notifier.domain.errors import InputError
from notifier.domain.notation.bank import in_domains
from notifier.domain.notation.node import did_you_mean
from notifier.domain.template import Bank

MAX_TEXT = 20_000


def validate_inputs(campaign: Campaign, given: Mapping[str, object], bank: Bank) -> dict[str, object]:
    """JSON-able values of all inputs, defaults filled in; optional ones without a value are left out.

    Dates come back as ISO text, a localized text as a mapping with every locale of the bank.
    `InputError` names the first wrong field, the later of two dates in the wrong order.
    """
    for name in given:
        if name not in campaign.inputs:
            raise InputError(name, "is not an input of this campaign", did_you_mean(name, campaign.inputs))
    found: dict[str, object] = {}
    for name, wanted in campaign.inputs.items():
        value = given.get(name)
        value = wanted.default if _is_blank(value) else value
        if not _is_blank(value):
            found[name] = check_value(wanted, value, bank)
        elif wanted.required:
            raise InputError(name, "is required", "Fill it in")
    for name, value in found.items():
        _check_not_before(campaign.inputs[name], value, found)
    return found


def _check_not_before(wanted: Input, value: object, found: Mapping[str, object]) -> None:
    earliest = found.get(wanted.not_before)  # both are ISO text
    if earliest is not None and str(value) < str(earliest):
        said = str(earliest).replace("T", " ")
        raise InputError(wanted.name, f"lies before {said}", f"Choose {said} or later")


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def check_value(wanted: Input, value: object, bank: Bank) -> object:
    """The normalised value of one input, or `InputError`."""
    if wanted.localized:
        return _check_localized(wanted, value, bank)
    if wanted.type is InputType.URL:
        return _check_url(wanted, value, bank)
    return _CHECKS[wanted.type](wanted, value)


def _check_localized(wanted: Input, value: object, bank: Bank) -> dict[str, object]:
    locales = ", ".join(bank.locales)
    if not isinstance(value, Mapping):
        raise InputError(wanted.name, "needs a text per language", f"Give a mapping with {locales}")
    for locale in value:
        if locale not in bank.locales:
            raise InputError(f"{wanted.name}.{locale}", "is not a language of the bank", f"Possible are: {locales}")
    found: dict[str, object] = {}
    for locale in bank.locales:
        if _is_blank(value.get(locale)):
            raise InputError(f"{wanted.name}.{locale}", "is missing", f"Give the text in {locale}")
        found[locale] = _check_text(wanted, value[locale], field=f"{wanted.name}.{locale}")
    return found


def _check_text(wanted: Input, value: object, field: str = "") -> str:
    name = field or wanted.name
    if not isinstance(value, str):
        raise InputError(name, "must be a text", "Put it in quotes")
    if len(value) > wanted.max_length:
        raise InputError(name, f"is {len(value)} characters long", f"At most {wanted.max_length} are allowed")
    if any(ord(char) < 32 and char not in "\n\t" for char in value):
        raise InputError(name, "contains a control character", "Remove it")
    return value


def _check_number(wanted: Input, value: object) -> object:
    if isinstance(value, str):
        value = _number_of(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= 1e15:
        raise InputError(wanted.name, "must be a number", "Write digits only, with a point for decimals")
    return value


def _number_of(text: str) -> int | float | None:
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return None


def _check_date(wanted: Input, value: object) -> str:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    try:
        if isinstance(value, str) and len(value) == len("2026-03-12"):
            return date.fromisoformat(value).isoformat()
    except ValueError:
        pass
    raise InputError(wanted.name, "must be a date", "Write it as 2026-03-12")


def _check_datetime(wanted: Input, value: object) -> str:
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) and len(value) > len("2026-03-12") else value
    except ValueError:
        read = None
    if not isinstance(read, datetime) or read.tzinfo is not None:
        raise InputError(wanted.name, "must be a date with a local time", "Write it as 2026-03-12T19:00")
    return read.isoformat(timespec="seconds" if read.second else "minutes")


def _check_url(wanted: Input, value: object, bank: Bank) -> str:
    text = _check_text(wanted, value)
    if any(char.isspace() for char in text) or not text.startswith("https://"):
        raise InputError(wanted.name, "must be an address", "Begin it with https://")
    if not in_domains(text, bank.link_domains):
        domains = ", ".join(bank.link_domains)
        raise InputError(wanted.name, "leads to a domain the bank has not allowed", f"Allowed are: {domains}")
    return text


def _check_choice(wanted: Input, value: object) -> str:
    if not isinstance(value, str) or value not in wanted.choices:
        raise InputError(wanted.name, f"cannot be `{str(value)[:60]}`", did_you_mean(str(value), wanted.choices))
    return value


def _check_run(wanted: Input, value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(wanted.name, "must be the id of a run", "Write the number the run is listed under")
    return value


_CHECKS: dict[InputType, Callable[[Input, object], object]] = {
    InputType.TEXT: _check_text,
    InputType.NUMBER: _check_number,
    InputType.DATE: _check_date,
    InputType.DATETIME: _check_datetime,
    InputType.CHOICE: _check_choice,
    InputType.RUN: _check_run,
}


def example_inputs(campaign: Campaign) -> dict[str, object]:
    """The example (else the default) of each input that has one; a run has none, its id is not known before."""
    values = {
        name: wanted.example if wanted.example is not None else wanted.default
        for name, wanted in campaign.inputs.items()
    }
    return {name: value for name, value in values.items() if value is not None}


def default_inputs(campaign: Campaign) -> tuple[dict[str, object], bool]:
    """The inputs a run starts with when nobody has filled it, and whether that is all it needs."""
    values = {name: wanted.default for name, wanted in campaign.inputs.items() if wanted.default is not None}
    return values, all(name in values for name, wanted in campaign.inputs.items() if wanted.required)


def read_inputs(campaign: Campaign, stored: Mapping[str, object]) -> dict[str, object]:
    """Stored values for rendering: dates as `date` and `datetime`."""
    return {name: _read_value(campaign.inputs.get(name), value) for name, value in stored.items()}


def _read_value(wanted: Input | None, value: object) -> object:
    if wanted is not None and isinstance(value, str):
        if wanted.type is InputType.DATE:
            return date.fromisoformat(value)
        if wanted.type is InputType.DATETIME:
            return datetime.fromisoformat(value)
    return value
