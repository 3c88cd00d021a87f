"""What is written comes back: the starter pack and a folder with every construct, as spec, hash and schema."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from notifier.domain.errors import DefinitionErrors
from notifier.domain.notation import bank, campaign, segment, survey, template
from notifier.domain.notation.node import Value
from notifier.domain.notation.source import Source
from notifier.domain.spec import Kind, canonical_json, from_spec, spec_hash, to_spec, to_yaml_shape
from notifier.planning.definitions.check import check_folder
from notifier.planning.definitions.folder import Definitions, load_definitions
from notifier.planning.definitions.schema import json_schema
from notifier.rendering.check import check_template

PACK = Path(__file__).parents[3]
READERS = {
    Kind.BANK: bank.read_bank,
    Kind.ACCOUNT: bank.read_account,
    Kind.SURVEY: survey.read_survey,
    Kind.CAMPAIGN: campaign.read_campaign,
    Kind.SEGMENT: segment.read_segment,
}


@pytest.fixture(params=["pack", "small"])
def definitions(request: pytest.FixtureRequest, folder: Path) -> Definitions:
    return load_definitions(PACK if request.param == "pack" else folder)


def test_the_starter_pack_is_right() -> None:
    assert list(map(str, check_folder(PACK, check_template=check_template).errors)) == []


def test_a_definition_comes_back_from_sorted_json(definitions: Definitions) -> None:
    for entry in definitions.entries():
        stored = json.loads(canonical_json(entry.spec))  # keys sorted, as jsonb would not keep them either
        found = from_spec(entry.kind, stored)
        assert found == entry.value
        assert to_spec(found) == entry.spec
        assert spec_hash(stored) == entry.hash


def test_the_order_of_steps_and_questions_survives_storage(definitions: Definitions) -> None:
    for entry in definitions.campaigns.values():
        stored = from_spec("campaign", json.loads(canonical_json(entry.spec)))
        assert list(getattr(stored, "inputs")) == list(entry.value.inputs)  # noqa: B009
    for survey_entry in definitions.surveys.values():
        found = from_spec("survey", json.loads(canonical_json(survey_entry.spec)))
        for mine, theirs in zip(getattr(found, "questions"), survey_entry.value.questions, strict=True):  # noqa: B009
            assert list(mine.choices) == list(theirs.choices)


def test_the_yaml_shape_reads_back_as_the_same(definitions: Definitions) -> None:
    for entry in definitions.entries():
        shape, source = to_yaml_shape(entry.value), Source(file="x")
        root = Value(source, (), shape)
        if entry.kind is Kind.TEMPLATE:
            found: object = template.read_template(root, definitions.templates[entry.key].value.files)
        else:
            found = READERS[entry.kind](root)
        assert source.errors == []
        assert found == entry.value


def test_the_order_of_steps_counts_in_the_hash(folder: Path) -> None:
    spec = load_definitions(folder).campaigns["notice"].spec
    steps = spec["steps"]
    assert isinstance(steps, list)
    assert spec_hash({**spec, "steps": steps[::-1]}) != spec_hash(spec)
    assert spec_hash(dict(reversed(spec.items()))) == spec_hash(spec)


def test_a_stored_definition_that_is_none_is_refused() -> None:
    with pytest.raises(DefinitionErrors, match="`steps` is missing"):
        from_spec("campaign", {"campaign": "x", "title": "x", "purpose": "service"})


@pytest.mark.parametrize("kind", list(Kind))
def test_what_the_readers_accept_the_schema_accepts(definitions: Definitions, kind: Kind) -> None:
    schema = json_schema(kind)
    json.dumps(schema)
    for entry in definitions.entries():
        if entry.kind is kind:
            assert problems(entry.source.data, schema, schema) == [], entry.file
            assert problems(to_yaml_shape(entry.value), schema, schema) == [], entry.file


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("campaign", {"campaign": "x", "title": "x", "purpose": "service", "steps": {}}),
        ("campaign", {"campaign": "x", "title": "x", "purpose": "service", "steps": {"a": {"chanels": ["sms"]}}}),
        ("campaign", {"campaign": "x", "title": "x", "purpose": "loud", "steps": {"a": {"channels": ["sms"]}}}),
        ("account", {"account": "x", "title": "x", "channel": "fax", "provider": "smtp"}),
        ("account", {"account": "x", "title": "x", "channel": "sms", "provider": "y", "secrets": {"token": "abc"}}),
        ("survey", {"survey": "x", "title": "x", "intro": "x", "thanks": "x", "questions": {"a": {"type": "x"}}}),
        ("template", {"template": "x", "title": "x", "variables": {"inputs.a": {}}}),
        ("bank", {"name": "x"}),
    ],
)
def test_what_the_schema_refuses_the_readers_refuse(kind: str, data: dict[str, object]) -> None:
    schema = json_schema(kind)
    assert problems(data, schema, schema)
    source = Source(file="x")
    root = Value(source, (), data)
    if kind == "template":
        template.read_template(root, {})
    else:
        READERS[Kind(kind)](root)
    assert source.errors


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


def _is(data: object, name: str) -> bool:
    return isinstance(data, _TYPES[name]) and (name == "boolean" or not isinstance(data, bool))


def problems(data: object, schema: Mapping[str, Any], root: Mapping[str, Any], at: str = "") -> list[str]:
    """What the part of JSON Schema used here says about a value."""
    found: list[str] = []
    if "$ref" in schema:
        return problems(data, root["$defs"][schema["$ref"].rpartition("/")[2]], root, at)
    if "anyOf" in schema and not any(not problems(data, inner, root, at) for inner in schema["anyOf"]):
        found.append(f"{at}: fits none")
    wanted = schema.get("type", [])
    names = [wanted] if isinstance(wanted, str) else wanted
    if names and not any(_is(data, name) for name in names):
        return [f"{at}: is no {names}"]
    if "enum" in schema and data not in schema["enum"]:
        found.append(f"{at}: {data} is not allowed")
    if isinstance(data, str):
        found += [f"{at}: pattern"] if not re.search(schema.get("pattern", ""), data) else []
        found += [f"{at}: short"] if len(data) < schema.get("minLength", 0) else []
    if isinstance(data, (int, float)):
        inside = schema.get("minimum", data) <= data <= schema.get("maximum", data)
        found += [] if inside else [f"{at}: out of bounds"]
    if isinstance(data, list):
        found += [f"{at}: short"] if len(data) < schema.get("minItems", 0) else []
        for index, item in enumerate(data):
            found += problems(item, schema.get("items", {}), root, f"{at}/{index}")
    if isinstance(data, dict):
        found += _object_problems(data, schema, root, at)
    return found


def _object_problems(data: dict[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any], at: str) -> list[str]:
    found = [f"{at}: no {name}" for name in schema.get("required", []) if name not in data]
    found += [f"{at}: empty"] if len(data) < schema.get("minProperties", 0) else []
    for name, value in data.items():
        found += problems(name, schema.get("propertyNames", {}), root, f"{at}/{name}")
        inner = schema.get("properties", {}).get(name, schema.get("additionalProperties", {}))
        found += [f"{at}: {name} unknown"] if inner is False else problems(value, inner, root, f"{at}/{name}")
    return found
