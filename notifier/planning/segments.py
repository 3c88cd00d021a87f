"""Segments made in the console and over the API: checked, counted, kept as versions."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from notifier.domain.audience import Bindings, Rule
from notifier.domain.campaign import Campaign
from notifier.domain.errors import Conflict, DefinitionErrors, NotFound
from notifier.domain.notation.node import Value
from notifier.domain.notation.segment import read_segment, write_segment
from notifier.domain.notation.source import Source
from notifier.domain.person import Person
from notifier.domain.segment import Segment
from notifier.domain.spec import BANK_KEY, Kind, bank_from_spec, from_spec, segment_from_spec, spec_hash, to_spec
from notifier.domain.survey import Survey
from notifier.domain.template import Bank
from notifier.planning.definitions.audience_references import check_audience
from notifier.planning.definitions.folder import Definitions, Entry
from notifier.planning.definitions.yaml_file import parse_yaml
from notifier.store import definitions as stored
from notifier.store import segments as store
from notifier.store.access import add_audit
from notifier.store.audience import compile_rule
from notifier.store.database import Tx
from notifier.store.definitions import Definition
from notifier.store.segments import Counted

_T = TypeVar("_T", Campaign, Survey)
_SEGMENT = Kind.SEGMENT.value
_FIELD = "audience"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a rule can be about: what really exists among contacts, campaigns and surveys."""

    attributes: Mapping[str, tuple[str, ...]]
    locales: tuple[str, ...]
    lists: tuple[str, ...]
    topics: tuple[str, ...]
    campaigns: tuple[Campaign, ...]
    surveys: tuple[Survey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A segment as it stands: its newest version."""

    segment: Segment
    definition: Definition

    @property
    def file(self) -> str:
        """The file that manages it, "" = this console."""
        return self.definition.file


async def list_segments(tx: Tx, team_id: int) -> list[Kept]:
    """Every segment in use, by key."""
    return [_kept(found) for found in await stored.list_latest(tx, team_id, _SEGMENT)]


async def find_segment(tx: Tx, team_id: int, key: str) -> Kept:
    """The newest version; `NotFound`."""
    return _kept(await stored.find_latest(tx, team_id, _SEGMENT, key))


async def list_choices(tx: Tx, team_id: int) -> Choices:
    """What the rule builder offers; bounded however many contacts there are."""
    found = await _definitions(tx, team_id)
    campaigns = tuple(entry.value for entry in found.campaigns.values())
    topics = {campaign.topic_of(step) for campaign in campaigns for step in campaign.steps}
    return Choices(
        attributes=await store.list_attribute_values(tx, team_id),
        locales=await store.list_locales(tx, team_id),
        lists=await store.list_lists(tx, team_id),
        topics=tuple(sorted(topics - {""})),
        campaigns=campaigns,
        surveys=tuple(entry.value for entry in found.surveys.values()),
    )


async def count_segment(tx: Tx, team_id: int, rule: Rule, *, within_ms: int = store.LONGEST_COUNT_MS) -> Counted:
    """Whom the rule means now, before consent and suppression; `InputError` where it cannot be asked."""
    bank = await _bank(tx, team_id)
    where = compile_rule(
        rule, Bindings(inputs={}), team_id=team_id, default_locale=bank.default_locale, default_zone=bank.zone
    )
    return await store.count_meant(tx, where, within_ms=within_ms)


def read_rule(data: object) -> Rule:
    """A rule as JSON or YAML has it; `DefinitionErrors` with all that is wrong."""
    source = Source(file=_FIELD, data={"segment": "x", "title": "x", _FIELD: data})
    found = read_segment(Value(source, (), source.data))
    if source.errors:
        raise DefinitionErrors(source.errors)
    return found.audience


def read_text(text: str, *, key: str) -> Segment:
    """A segment as its file has it; `DefinitionErrors` with line and column."""
    source = parse_yaml(text, f"{key}.yaml")
    if source.errors:
        raise DefinitionErrors(source.errors)
    found = read_segment(Value(source, (), source.data))
    if found.key and found.key != key:
        source.add(("segment",), f"is `{found.key}`, and this is {key}", "Give both one name")
    if source.errors:
        raise DefinitionErrors(source.errors)
    return found


async def save_segment(tx: Tx, team_id: int, segment: Segment, *, by: Person, base: int | None) -> int:
    """Keep a segment as its newest version; returns the number of it, the old one where nothing differs.

    `base`: the version the author began with, 0 = a new segment, None = whatever there is. `DefinitionErrors` with all
    that is wrong, `Conflict` where a file manages it or somebody was faster.
    """
    await stored.lock_definitions(tx, team_id)
    spec = to_spec(segment)
    await _check(tx, team_id, segment)
    newest = await _newest(tx, team_id, segment.key)
    if newest is not None:
        _require_editable(newest, base)
        if newest.hash == spec_hash(spec):
            return newest.version
    elif base:
        raise NotFound(f"there is no segment {segment.key!r} any more")
    act = "segment.changed" if newest else "segment.added"
    return await _keep(tx, team_id, segment, by=by, act=act, detail={})


async def restore_segment(tx: Tx, team_id: int, key: str, version: int, *, by: Person) -> int:
    """Keep a new version equal to an old one; returns its number."""
    await stored.lock_definitions(tx, team_id)
    newest = await stored.find_latest(tx, team_id, _SEGMENT, key)
    _require_editable(newest, None)
    old = segment_from_spec((await stored.find_version(tx, team_id, _SEGMENT, key, version)).spec)
    await _check(tx, team_id, old)
    return await _keep(tx, team_id, old, by=by, act="segment.restored", detail={"restored": version})


async def retire_segment(tx: Tx, team_id: int, key: str, *, by: Person) -> None:
    """Take a segment out of use; runs that have it keep their version."""
    await stored.lock_definitions(tx, team_id)
    newest = await stored.find_latest(tx, team_id, _SEGMENT, key)
    _require_editable(newest, None)
    await stored.retire(tx, team_id, _SEGMENT, key)
    await add_audit(
        tx, team_id, actor=by.name, act="segment.retired", subject=f"segment:{key}", detail={"version": newest.version}
    )


async def _keep(tx: Tx, team_id: int, segment: Segment, *, by: Person, act: str, detail: Mapping[str, object]) -> int:
    spec = to_spec(segment)
    await stored.add_version(
        tx, team_id, kind=_SEGMENT, key=segment.key, digest=spec_hash(spec), spec=spec, file="", author_id=by.user_id
    )
    version = (await stored.find_latest(tx, team_id, _SEGMENT, segment.key)).version
    facts = {"version": version, "audience": spec[_FIELD], **detail}
    await add_audit(tx, team_id, actor=by.name, act=act, subject=f"segment:{segment.key}", detail=facts)
    return version


async def _newest(tx: Tx, team_id: int, key: str) -> Definition | None:
    try:
        return await stored.find_latest(tx, team_id, _SEGMENT, key)
    except NotFound:
        return None


def _require_editable(newest: Definition, base: int | None) -> None:
    if newest.file:
        raise Conflict(f"{newest.file} manages this segment. Edit the file and apply it, or make a copy")
    if base == 0:
        raise Conflict(f"there is a segment {newest.key!r} already. Choose another key")
    if base is not None and base != newest.version:
        raise Conflict(f"Somebody saved version {newest.version} meanwhile. Open it again, then make your change")


async def _check(tx: Tx, team_id: int, segment: Segment) -> None:
    """What it says by itself, and what it names."""
    shape = write_segment(segment)
    source = Source(file=f"segment {segment.key}", data=shape)
    read_segment(Value(source, (), shape))
    entry = Entry(kind=Kind.SEGMENT, key=segment.key, file="", value=segment, spec=shape, hash=b"", source=source)
    check_audience(entry, segment.audience, (_FIELD,), await _definitions(tx, team_id), set())
    if source.errors:
        raise DefinitionErrors(source.errors)


async def _definitions(tx: Tx, team_id: int) -> Definitions:
    """The campaigns and surveys in use, as a check wants them; what can no longer be read is left out."""
    campaigns: dict[str, Entry[Campaign]] = {}
    surveys: dict[str, Entry[Survey]] = {}
    for one in await stored.list_latest(tx, team_id):
        if one.kind not in {Kind.CAMPAIGN, Kind.SURVEY}:
            continue
        try:
            value = from_spec(one.kind, one.spec)
        except DefinitionErrors:
            continue
        if isinstance(value, Campaign):
            campaigns[one.key] = _entry(Kind.CAMPAIGN, one, value)
        elif isinstance(value, Survey):
            surveys[one.key] = _entry(Kind.SURVEY, one, value)
    bank = await _bank(tx, team_id)
    source = Source(file="campaigns/bank.yaml")
    return Definitions(
        root=Path(),
        bank=Entry(kind=Kind.BANK, key=BANK_KEY, file=source.file, value=bank, spec={}, hash=b"", source=source),
        accounts={},
        surveys=surveys,
        templates={},
        campaigns=campaigns,
    )


async def _bank(tx: Tx, team_id: int) -> Bank:
    return bank_from_spec((await stored.find_latest(tx, team_id, Kind.BANK, BANK_KEY)).spec)


def _entry(kind: Kind, one: Definition, value: _T) -> Entry[_T]:
    source = Source(file=one.file)
    return Entry(kind=kind, key=one.key, file=one.file, value=value, spec=dict(one.spec), hash=one.hash, source=source)


def _kept(found: Definition) -> Kept:
    return Kept(segment=segment_from_spec(found.spec), definition=found)
