"""The difference between a folder and what is stored, as lines a person can read."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from notifier.domain.errors import DefinitionErrors
from notifier.domain.spec import Kind, canonical_json, from_spec, to_yaml_shape
from notifier.domain.template import Template
from notifier.planning.apply import Change, apply_definitions
from notifier.planning.definitions.folder import Definitions
from notifier.planning.definitions.yaml_file import write_yaml
from notifier.store import definitions as stored
from notifier.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One definition where folder and store differ; `lines` as `diff -u` shows them, where both have it."""

    change: Change
    lines: tuple[str, ...]


async def find_differences(
    database: Database, found: Definitions, *, team_id: int = 1, take_back: bool = False
) -> list[Difference]:
    """What `apply_definitions` would do; nothing is written."""
    changes = await apply_definitions(database, found, team_id=team_id, dry=True, take_back=take_back)
    if not changes:
        return []
    async with database.transaction() as tx:
        latest = {(old.kind, old.key): old.spec for old in await stored.list_latest(tx, team_id)}
    wanted = {(entry.kind.value, entry.key): entry.spec for entry in found.entries()}
    return [
        Difference(change=change, lines=_compare(change, latest, wanted) if change.act in _IN_BOTH else ())
        for change in changes
    ]


_IN_BOTH = {"changed", "taken-back", "kept"}
_Specs = Mapping[tuple[str, str], Mapping[str, Any]]


def _compare(change: Change, latest: _Specs, wanted: _Specs) -> tuple[str, ...]:
    at = (change.kind, change.key)
    old, new = spec_texts(change.kind, latest[at]), spec_texts(change.kind, wanted[at])
    lines: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        label = f"{change.file} {name}".strip()
        pair = (old.get(name, "").splitlines(), new.get(name, "").splitlines())
        lines += difflib.unified_diff(*pair, fromfile=f"stored {label}", tofile=label, n=1, lineterm="")
    return tuple(lines)


def spec_texts(kind: str, spec: Mapping[str, Any]) -> dict[str, str]:
    """The definition's texts by name: "" is its YAML, the others are a template's files.

    Keys stand in one order, wherever the spec comes from: the database has one of its own.
    """
    spec = json.loads(canonical_json(spec))
    try:
        definition = from_spec(Kind(kind), spec)
    except DefinitionErrors:
        return {"": write_yaml(spec)}  # kept by an older version in a form that is no longer read
    files = dict(definition.files) if isinstance(definition, Template) else {}
    return {"": write_yaml(to_yaml_shape(definition)), **files}
