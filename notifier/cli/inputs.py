"""Inputs and times as they are typed."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from notifier.domain.errors import DefinitionErrors, InputError
from notifier.planning.definitions.yaml_file import read_yaml
from notifier.planning.schedule import to_utc


def read_inputs(given: Sequence[str], file: Path | None) -> dict[str, object]:
    """A file's values, then those typed, which win; `NAME.LOCALE=TEXT` builds a mapping of languages."""
    values = _read_file(file) if file else {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise InputError("--input", f"`{text}` is no NAME=VALUE", "Write it as `--input branch=静安支行`")
        base, dot, locale = name.partition(".")
        if dot:
            texts = values.get(base)
            values[base] = {**(texts if isinstance(texts, dict) else {}), locale: value}
        else:
            values[name] = value
    return values


def _read_file(file: Path) -> dict[str, object]:
    source = read_yaml(file, str(file))
    if source.errors:
        raise DefinitionErrors(source.errors)
    if not isinstance(source.data, dict):
        raise InputError(str(file), "is no mapping of inputs", "Write one `name: value` per line")
    return {str(name): value for name, value in source.data.items()}


def read_moment(text: str, zone: str) -> datetime:
    """An instant in UTC; a time without an offset is the bank's."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError("--at", f"`{text}` is no time", "Write it as 2026-03-12T09:00") from None
    if len(text) <= len("2026-03-12"):
        raise InputError("--at", f"`{text}` has no time of day", "Write it as 2026-03-12T09:00")
    return moment.astimezone(UTC) if moment.tzinfo else to_utc(moment, zone)
