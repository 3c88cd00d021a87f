"""Definitions as plain JSON for storage, and back: exact inverses."""

import hashlib
import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TypeVar

from notifier.domain.account import Account
from notifier.domain.campaign import Campaign
from notifier.domain.errors import DefinitionErrors
from notifier.domain.notation.bank import read_account, read_bank, write_account, write_bank
from notifier.domain.notation.campaign import read_campaign, write_campaign
from notifier.domain.notation.node import Value
from notifier.domain.notation.segment import read_segment, write_segment
from notifier.domain.notation.source import Source
from notifier.domain.notation.survey import read_survey, write_survey
from notifier.domain.notation.template import read_template, write_template
from notifier.domain.segment import Segment
from notifier.domain.survey import Survey
from notifier.domain.template import Bank, Template

Spec = dict[str, object]
Definition = Bank | Account | Survey | Template | Campaign | Segment
_T = TypeVar("_T")


class Kind(StrEnum):
    """What a definition defines."""

    BANK = "bank"
    ACCOUNT = "account"
    SURVEY = "survey"
    TEMPLATE = "template"
    CAMPAIGN = "campaign"
    SEGMENT = "segment"


BANK_KEY = "bank"  # there is one


def to_yaml_shape(definition: Definition) -> Spec:
    """The definition as it would stand in its YAML file; order of keys counts. Files of a template stay outside."""
    match definition:
        case Bank():
            return write_bank(definition)
        case Account():
            return write_account(definition)
        case Survey():
            return write_survey(definition)
        case Template():
            return write_template(definition)
        case Campaign():
            return write_campaign(definition)
        case Segment():
            return write_segment(definition)


def to_spec(definition: Definition) -> Spec:
    """Plain JSON without ordered mappings: where order counts it holds lists of [key, value], for jsonb sorts keys."""
    shape = to_yaml_shape(definition)
    match definition:
        case Template():
            return {"template": shape, "files": dict(definition.files)}
        case Campaign():
            inputs = {
                name: _convert(_mapping(body), ("choices",), _label_pairs) for name, body in _inputs(shape).items()
            }
            return _convert({**shape, "inputs": inputs} if inputs else shape, ("inputs", "steps"), _to_pairs)
        case Survey():
            questions = _mapping(shape["questions"])
            inner = {key: _convert(_mapping(body), ("choices",), _to_pairs) for key, body in questions.items()}
            return _convert({**shape, "questions": inner}, ("questions",), _to_pairs)
    return shape


def from_spec(kind: Kind | str, spec: Mapping[str, object]) -> Definition:
    """The definition whose `to_spec` this is; `DefinitionErrors` if it is none."""
    match Kind(kind):
        case Kind.BANK:
            return bank_from_spec(spec)
        case Kind.ACCOUNT:
            return account_from_spec(spec)
        case Kind.SURVEY:
            return survey_from_spec(spec)
        case Kind.TEMPLATE:
            return template_from_spec(spec)
        case Kind.CAMPAIGN:
            return campaign_from_spec(spec)
        case Kind.SEGMENT:
            return segment_from_spec(spec)


def bank_from_spec(spec: Mapping[str, object]) -> Bank:
    """See `from_spec`."""
    return _read(Kind.BANK, spec, read_bank)


def account_from_spec(spec: Mapping[str, object]) -> Account:
    """See `from_spec`."""
    return _read(Kind.ACCOUNT, spec, read_account)


def survey_from_spec(spec: Mapping[str, object]) -> Survey:
    """See `from_spec`."""
    shape = _convert(spec, ("questions",), _from_pairs)
    questions = _mapping(shape.get("questions", {}))
    inner = {key: _convert(_mapping(body), ("choices",), _from_pairs) for key, body in questions.items()}
    return _read(Kind.SURVEY, {**shape, "questions": inner}, read_survey)


def template_from_spec(spec: Mapping[str, object]) -> Template:
    """See `from_spec`."""
    files = {name: str(text) for name, text in _mapping(spec.get("files", {})).items()}
    return _read(Kind.TEMPLATE, _mapping(spec.get("template", {})), lambda root: read_template(root, files))


def campaign_from_spec(spec: Mapping[str, object]) -> Campaign:
    """See `from_spec`."""
    shape = _convert(spec, ("inputs", "steps"), _from_pairs)
    inputs = {name: _convert(_mapping(body), ("choices",), _from_label_pairs) for name, body in _inputs(shape).items()}
    return _read(Kind.CAMPAIGN, {**shape, "inputs": inputs} if inputs else shape, read_campaign)


def segment_from_spec(spec: Mapping[str, object]) -> Segment:
    """See `from_spec`."""
    return _read(Kind.SEGMENT, spec, read_segment)


def spec_hash(spec: Mapping[str, object]) -> bytes:
    """SHA-256 of the canonical JSON, 32 bytes; equal for equal definitions."""
    return hashlib.sha256(canonical_json(spec)).digest()


def canonical_json(spec: Mapping[str, object]) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces."""
    text = json.dumps(spec, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def _read(kind: Kind, data: Mapping[str, object], read: Callable[[Value], _T]) -> _T:
    source = Source(file=f"stored {kind}", data=dict(data))
    found = read(Value(source, (), source.data))
    if source.errors:
        raise DefinitionErrors(source.errors)
    return found


def _convert(spec: Mapping[str, object], names: tuple[str, ...], convert: Callable[[object], object]) -> Spec:
    return {name: convert(value) if name in names else value for name, value in spec.items()}


def _to_pairs(value: object) -> object:
    return [[key, inner] for key, inner in _mapping(value).items()]


def _from_pairs(value: object) -> object:
    return {str(key): inner for key, inner in value} if isinstance(value, list) else value


def _label_pairs(value: object) -> object:
    return {"labels": _to_pairs(value)} if isinstance(value, dict) else value


def _from_label_pairs(value: object) -> object:
    return _from_pairs(value["labels"]) if isinstance(value, dict) else value


def _inputs(shape: Mapping[str, object]) -> dict[str, object]:
    return _mapping(shape.get("inputs", {}))


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
