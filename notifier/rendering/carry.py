"""A template, a bank and the problems found, as JSON between two of our own processes."""

import dataclasses
import json
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from notifier.domain.errors import Place
from notifier.domain.purpose import Purpose
from notifier.domain.template import Bank, Template, Variable
from notifier.domain.text import Localized
from notifier.rendering.problems import Problem, Severity

_READERS = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "decimal": Decimal,
}


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
        "bank": _fields(bank),
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


def problems_to_json(problems: list[Problem]) -> str:
    """The answer of the checking process."""
    return json.dumps([dataclasses.asdict(problem) for problem in problems])


def problems_from_json(text: bytes) -> list[Problem]:
    """The reverse of `problems_to_json`."""
    return [
        Problem(place=Place(**raw.pop("place")), severity=Severity(raw.pop("severity")), **raw)
        for raw in json.loads(text)
    ]


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
