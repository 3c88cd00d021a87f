"""JSON Schema 2020-12 of every kind of definition, for editors; as strict as the readers where a schema can be."""

from collections.abc import Sequence
from enum import StrEnum

from notifier.domain.audience import Operator
from notifier.domain.campaign import Condition, InputType
from notifier.domain.channel import Channel
from notifier.domain.contact import ContactKind
from notifier.domain.notation import bank, campaign, segment, survey, template
from notifier.domain.notation.node import KEY, LOCALE, NAME
from notifier.domain.notation.rules import HISTORY
from notifier.domain.purpose import Purpose
from notifier.domain.spec import Kind
from notifier.domain.survey import QuestionType

Schema = dict[str, object]

_TEXT: Schema = {"type": "string", "minLength": 1}
_FLAG: Schema = {"type": "boolean"}
_NUMBER: Schema = {"type": "number"}
_KEY: Schema = {"type": "string", "pattern": f"^{KEY.pattern}$"}
_NAME: Schema = {"type": "string", "pattern": f"^{NAME.pattern}$"}
_LOCALIZED: Schema = {
    "anyOf": [
        _TEXT,
        {"type": "object", "propertyNames": {"pattern": f"^{LOCALE.pattern}$"}, "additionalProperties": _TEXT},
    ]
}
_DURATION: Schema = {"type": "string", "pattern": "^-?[0-9]{1,5}[wdhms]$"}
_PERCENT: Schema = {"anyOf": [{"type": "string", "pattern": "^[0-9.]+ ?%$"}, {"type": "number", "maximum": 100}]}
_TIME: Schema = {"type": "string", "pattern": "^([01]?[0-9]|2[0-3]):[0-5][0-9]$"}
_LOCAL: Schema = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?$"}
_SCALAR: Schema = {"type": ["string", "number", "boolean"]}
_PAUSE: Schema = {
    "type": "object",
    "properties": {"bounces": _PERCENT, "complaints": _PERCENT, "after": {"type": "integer", "minimum": 1}},
    "additionalProperties": False,
}
_RULE: Schema = {"$ref": "#/$defs/rule"}


def json_schema(kind: Kind | str) -> Schema:
    """The schema of a definition file of this kind."""
    kind = Kind(kind)
    body = _BODIES[kind]
    head: Schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:notifier:{kind}",
        "title": f"Notifier {kind}",
    }
    return {**head, **body, **({"$defs": {"rule": _rule()}} if kind in {Kind.CAMPAIGN, Kind.SEGMENT} else {})}


def _object(required: Sequence[str], properties: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": False}


def _one_of(kind: type[StrEnum]) -> Schema:
    return {"enum": [str(member) for member in kind]}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def _map(names: Schema, values: Schema) -> Schema:
    return {"type": "object", "propertyNames": names, "additionalProperties": values}


def _rule() -> Schema:
    reference = _object(["input"], {"input": _NAME})
    operand: Schema = {"anyOf": [_SCALAR, reference]}
    operands: Schema = {str(operator): operand for operator in Operator}
    operands |= {"in": {"anyOf": [_list(_SCALAR), reference]}, "present": _FLAG}
    history = _object(
        [],
        {
            "campaign": _KEY,
            "run": {"anyOf": [{"type": "integer", "minimum": 1}, reference]},
            "survey": _KEY,
            "step": _KEY,
            "within": _DURATION,
        },
    )
    answered = {"survey": _KEY, "question": _KEY, "is": _SCALAR, "within": _DURATION, "same_run": _FLAG}
    rules = [
        _object([], {}),
        *(_object([word], {word: _list(_RULE)}) for word in ("all", "any")),
        _object(["not"], {"not": _RULE}),
        _object(["kind"], {"kind": _one_of(ContactKind)}),
        _object(["attribute"], {"attribute": _TEXT, **operands}),
        _object(["consent"], {"consent": _one_of(Channel), "topic": _KEY}),
        _object(["list"], {"list": _KEY}),
        *(_object([word], {word: history}) for word in HISTORY),
        _object(["answered"], {"answered": _object(["survey"], dict(answered))}),
        _object(["input", "is"], {"input": _NAME, "is": _SCALAR}),
    ]
    return {"anyOf": list(rules)}


def _bank() -> Schema:
    texts: Schema = dict.fromkeys(bank.BANK_TEXTS, _LOCALIZED)
    plain: Schema = dict.fromkeys(("hotline", "website", "sender_email", "reply_to", "zone", "region", "logo"), _TEXT)
    return _object(
        bank.BANK_REQUIRED,
        {
            **texts,
            **plain,
            "link_domains": _list({"type": "string", "pattern": f"^{bank.DOMAIN.pattern}$"}),
            "default_locale": {"type": "string", "pattern": f"^{LOCALE.pattern}$"},
            "locales": _list({"type": "string", "pattern": f"^{LOCALE.pattern}$"}),
            "accent": {"type": "string", "pattern": f"^{bank.ACCENT.pattern}$"},
            "emergency_overrides_opt_out": _FLAG,
            "undo": _DURATION,
            "pause": _PAUSE,
        },
    )


def _account() -> Schema:
    rate = {"type": "number", "minimum": bank.SLOWEST, "maximum": bank.FASTEST}
    domains = _list({"type": "string", "pattern": f"^{bank.DOMAIN.pattern}$"})
    group = _object(["domains", "per_second"], {"domains": domains, "per_second": rate})
    secret = _object(["env"], {"env": {"type": "string", "pattern": f"^{bank.VARIABLE.pattern}$"}})
    return _object(
        bank.ACCOUNT_REQUIRED,
        {
            "account": _KEY,
            "title": _LOCALIZED,
            "channel": _one_of(Channel),
            "provider": _KEY,
            "sender": _TEXT,
            "order": {"type": "integer", "minimum": 0},
            "cost_per_part": {"type": "number", "minimum": 0, "maximum": bank.HIGHEST_COST},
            "currency": {"type": "string", "pattern": f"^{bank.CURRENCY.pattern}$"},
            "per_second": rate,
            "sender_per_second": rate,
            "groups": _map(_NAME, group),
            "settings": _map(_NAME, {}),
            "secrets": _map(_NAME, secret),
        },
    )


def _survey() -> Schema:
    question = _object(
        survey.QUESTION_REQUIRED,
        {
            "type": _one_of(QuestionType),
            "text": _LOCALIZED,
            "required": _FLAG,
            "months": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 12}},
            "scale": {"type": "integer", "minimum": 2, "maximum": 11},
            "low": _LOCALIZED,
            "high": _LOCALIZED,
            "choices": _map(_KEY, _LOCALIZED),
            "max": {"type": "integer", "minimum": 1},
        },
    )
    score = _object(["question"], {"question": _KEY, "method": {"enum": list(survey.METHODS)}, "target": _NUMBER})
    texts: Schema = dict.fromkeys(("title", "intro", "thanks"), _LOCALIZED)
    return _object(survey.REQUIRED, {"survey": _KEY, **texts, "questions": _map(_KEY, question), "score": score})


def _template() -> Schema:
    variable = _object(["example"], {"example": {}, "optional": _FLAG})
    return _object(
        template.REQUIRED,
        {
            "template": _KEY,
            "title": _LOCALIZED,
            "purpose": _one_of(Purpose),
            "variables": _map({"pattern": f"^({template.PATH.pattern})$"}, variable),
            "subject": _LOCALIZED,
            "fallback": _map({"pattern": f"^{LOCALE.pattern}$"}, _TEXT),
            "keep": {"enum": list(template.KEEP)},
        },
    )


def _campaign() -> Schema:
    purpose: Schema = {"anyOf": [_one_of(Purpose), _object(["of"], {"of": _NAME})]}
    schedule = _object([], {"start": _LOCAL, "at": _LOCAL, "zone": _TEXT, "repeat": _TEXT})
    return _object(
        campaign.REQUIRED,
        {
            "campaign": _KEY,
            "title": _LOCALIZED,
            "description": _LOCALIZED,
            "purpose": purpose,
            "topic": _KEY,
            "inputs": _map(_NAME, _input()),
            "audience": _RULE,
            "schedule": schedule,
            "expires": _DURATION,
            "undo": _DURATION,
            "pause": _PAUSE,
            "steps": {**_map(_KEY, _step()), "minProperties": 1},
        },
    )


def _segment() -> Schema:
    return _object(segment.REQUIRED, {"segment": _KEY, "title": _LOCALIZED, "audience": _RULE})


def _input() -> Schema:
    return _object(
        campaign.INPUT_REQUIRED,
        {
            "type": _one_of(InputType),
            "label": _LOCALIZED,
            "required": _FLAG,
            "localized": _FLAG,
            "max": {"type": "integer", "minimum": 1},
            "not_before": _NAME,
            "choices": {"anyOf": [_list(_TEXT), _map(_KEY, _LOCALIZED)]},
            "default": {},
            "example": {},
            "suggestions": _list({}),
        },
    )


def _step() -> Schema:
    channels = _list({"enum": [channel.value for channel in Channel if channel is not Channel.SOCIAL]})
    return _object(
        [],
        {
            "title": _LOCALIZED,
            "channels": channels,
            "by": channels,
            "social": _list(_KEY),
            "template": _KEY,
            "survey": _KEY,
            "topic": _KEY,
            "purpose": _one_of(Purpose),
            "after": _DURATION,
            "when": _object(["input"], {"input": _NAME, "offset": _DURATION, "at": _TIME}),
            "if": _one_of(Condition),
            "audience": _RULE,
            "sample": _PERCENT,
            "closes": _DURATION,
            "with": _map(_NAME, {}),
        },
    )


_BODIES: dict[Kind, Schema] = {
    Kind.BANK: _bank(),
    Kind.ACCOUNT: _account(),
    Kind.SURVEY: _survey(),
    Kind.TEMPLATE: _template(),
    Kind.CAMPAIGN: _campaign(),
    Kind.SEGMENT: _segment(),
}
