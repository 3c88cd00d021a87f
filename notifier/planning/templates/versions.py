"""Versions of a template: what they say, how two of them differ, where they are in use."""

import difflib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from notifier.domain.campaign import Campaign
from notifier.domain.errors import DefinitionErrors
from notifier.domain.spec import Kind, canonical_json, template_from_spec
from notifier.domain.template import Template
from notifier.planning.definitions.folder import LAYOUTS, TEMPLATE_FILE
from notifier.planning.difference import spec_texts
from notifier.planning.templates.draft import write_folder_yaml

_AROUND = 3
_MOST_LINES = 6_000
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a difference; `kind` is `same`, `added`, `removed` or `gap` (lines left out). 0 = no such line."""

    kind: str
    old_line: int = 0
    new_line: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDifference:
    """How one file of a template differs; `act` is `added`, `removed` or `changed`."""

    name: str
    act: str
    rows: tuple[Row, ...]

    @property
    def added(self) -> int:
        """How many lines are new."""
        return sum(row.kind == "added" for row in self.rows)

    @property
    def removed(self) -> int:
        """How many lines are gone."""
        return sum(row.kind == "removed" for row in self.rows)


def compare_specs(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[FileDifference, ...]:
    """The files of two versions that differ, by name; its template.yaml first."""
    before, after = (_texts(spec) if spec else {} for spec in (old, new))
    return tuple(
        FileDifference(
            name=name,
            act="changed" if name in before and name in after else "added" if name in after else "removed",
            rows=tuple(_rows(before.get(name, "").splitlines(), after.get(name, "").splitlines())),
        )
        for name in sorted(before.keys() | after.keys(), key=lambda name: (name != TEMPLATE_FILE, name))
        if before.get(name) != after.get(name)
    )


def _texts(spec: Mapping[str, Any]) -> dict[str, str]:
    """The folder's files; keys in one order, wherever the spec comes from."""
    try:
        template = template_from_spec(json.loads(canonical_json(spec)))
    except DefinitionErrors:
        told = spec_texts(Kind.TEMPLATE.value, spec)
        return {name or TEMPLATE_FILE: text for name, text in told.items()}
    return {**template.files, TEMPLATE_FILE: write_folder_yaml(template)}


def as_unified(differences: Sequence[FileDifference]) -> str:
    """The same as one text, its lines marked `+`, `-` or blank."""
    signs = {"same": " ", "added": "+", "removed": "-"}
    lines: list[str] = []
    for one in differences:
        lines.append(f"=== {one.name} ({one.act})")
        lines += ["…" if row.kind == "gap" else signs[row.kind] + row.text for row in one.rows]
    return "\n".join(lines)


def _rows(old: list[str], new: list[str]) -> Iterator[Row]:
    if len(old) + len(new) > _MOST_LINES:  # difflib would take its time over it
        old, new = old[:_MOST_LINES], new[:_MOST_LINES]
        yield from (Row(kind="removed", old_line=number, text=text) for number, text in enumerate(old, start=1))
        yield from (Row(kind="added", new_line=number, text=text) for number, text in enumerate(new, start=1))
        return
    ended = 0
    for group in difflib.SequenceMatcher(None, old, new).get_grouped_opcodes(_AROUND):
        if group[0][1] > ended or group[0][3] > 0 < ended:
            yield Row(kind="gap")
        for tag, old_from, old_until, new_from, new_until in group:
            if tag == "equal":
                for offset in range(old_until - old_from):
                    number = old_from + offset
                    yield Row(kind="same", old_line=number + 1, new_line=new_from + offset + 1, text=old[number])
                continue
            for number in range(old_from, old_until):
                yield Row(kind="removed", old_line=number + 1, text=old[number])
            for number in range(new_from, new_until):
                yield Row(kind="added", new_line=number + 1, text=new[number])
        ended = group[-1][2]
    if ended < len(old):
        yield Row(kind="gap")


def campaigns_using(campaigns: Sequence[Campaign]) -> dict[str, list[Campaign]]:
    """By template, the campaigns with a step that sends it."""
    found: dict[str, list[Campaign]] = {}
    for campaign in campaigns:
        for key in dict.fromkeys(step.template for step in campaign.steps):
            found.setdefault(key, []).append(campaign)
    return found


def export_template(template: Template) -> bytes:
    """A zip with the template's folder as `notifier check` reads it; the shared layouts stay where they are.

    The same version gives the same bytes.
    """
    out = io.BytesIO()
    own = {name: text for name, text in template.files.items() if not name.startswith(f"{LAYOUTS}/")}
    texts = {TEMPLATE_FILE: write_folder_yaml(template), **own}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as folder:
        for name, text in sorted(texts.items()):
            folder.writestr(zipfile.ZipInfo(f"{template.key}/{name}", _LONG_AGO), text)
    return out.getvalue()
