"""A template, its values, its texts and its problems, as JSON between two of our own processes."""

import dataclasses
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from notifier.domain.channel import Content, EmailContent, PostContent, SmsContent
from notifier.domain.errors import Place
from notifier.domain.purpose import Purpose
from notifier.domain.template import Bank, Template, Variable
from notifier.domain.text import Localized
from notifier.rendering.context import RenderContext
from notifier.rendering.problems import Problem, Severity

_READERS = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "decimal": Decimal,
}
_SENDING = {"undo", "pause"}  # of the bank: no words


def to_json(template: Template, bank: Bank) -> dict[str, Any]:
    """Everything a check needs."""
    return {
        "template": _fields(template)
        | {
            "files": dict(template.files),
            "fallback": dict(template.fallback),
            "variables": [
                [variable.path, _plain(variable.example), variable.optional] for variable in template.variables.values()
            ],
        },
        "bank": {name: value for name, value in _fields(bank).items() if name not in _SENDING},
    }


def from_json(case: Mapping[str, Any]) -> tuple[Template, Bank]:
    """The reverse of `to_json`."""
    raw = _restored(case["template"])
    variables = [
        Variable(path=path, example=_lively(example), optional=optional) for path, example, optional in raw["variables"]
    ]
    raw["variables"] = {variable.path: variable for variable in variables}
    raw["purpose"] = Purpose(raw["purpose"]) if raw["purpose"] else None
    bank: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in _restored(case["bank"]).items()
    }
    return Template(**raw), Bank(**bank)


def problem_to_json(problem: Problem) -> dict[str, Any]:
    """A problem for the way out of the checking process."""
    return dataclasses.asdict(problem)


def problem_from_json(raw: Mapping[str, Any]) -> Problem:
    """The reverse of `problem_to_json`."""
    place, severity = Place(**raw["place"]), Severity(raw["severity"])
    return Problem(place=place, severity=severity, text=raw["text"], remedy=raw["remedy"])


def context_to_json(context: RenderContext) -> dict[str, Any]:
    """The values of one message."""
    return {field.name: _plain(getattr(context, field.name)) for field in dataclasses.fields(context)}


def context_from_json(raw: Mapping[str, Any]) -> RenderContext:
    """The reverse of `context_to_json`."""
    values: dict[str, Any] = {name: _lively(value) for name, value in raw.items()}
    return RenderContext(**values | {"purpose": Purpose(values["purpose"])})


def content_to_json(content: Content) -> dict[str, Any]:
    """A rendered text with the name of its kind."""
    return {"kind": type(content).__name__, **dataclasses.asdict(content)}


def content_from_json(raw: Mapping[str, Any]) -> Content:
    """The reverse of `content_to_json`."""
    kinds: dict[str, Callable[..., Content]] = {kind.__name__: kind for kind in (EmailContent, SmsContent, PostContent)}
    return kinds[raw["kind"]](**{name: value for name, value in raw.items() if name != "kind"})


def _fields(value: Template | Bank) -> dict[str, Any]:
    names = (field.name for field in dataclasses.fields(value))
    return {name: _localized(getattr(value, name)) for name in names if name not in {"variables", "files", "fallback"}}


def _localized(value: object) -> object:
    return {"texts": dict(value.texts)} if isinstance(value, Localized) else value


def _restored(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: Localized(value["texts"]) if isinstance(value, dict) and value.keys() == {"texts"} else value
        for name, value in raw.items()
    }


def _plain(value: object) -> object:
    match value:
        case Mapping():
            return {"map": {str(key): _plain(item) for key, item in value.items()}}
        case list() | tuple():
            return [_plain(item) for item in value]
        case datetime():
            return {"datetime": value.isoformat()}
        case date():
            return {"date": value.isoformat()}
        case time():
            return {"time": value.isoformat()}
        case Decimal():
            return {"decimal": str(value)}
        case None | str() | int() | float():
            return value
    return str(value)


def _lively(value: Any) -> object:
    if isinstance(value, list):
        return [_lively(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "map":
        return {key: _lively(item) for key, item in inner.items()}
    return _READERS[kind](inner)
