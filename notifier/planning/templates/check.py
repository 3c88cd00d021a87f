"""A draft held against everything `notifier check` would hold it against."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from notifier.domain.errors import DefinitionError, DefinitionErrors, NotFound
from notifier.domain.notation.source import Source
from notifier.domain.spec import BANK_KEY, Kind, from_spec, to_yaml_shape
from notifier.domain.template import Bank, Template
from notifier.planning.definitions.check import TemplateCheck, check_words
from notifier.planning.definitions.folder import Entry, Reading
from notifier.planning.definitions.references import check_references
from notifier.rendering.bounded import check_in_subprocess
from notifier.store.definitions import Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """All that is wrong with a draft among the definitions in use, and all that is worth a look."""

    errors: tuple[DefinitionError, ...]
    remarks: tuple[DefinitionError, ...]


def check_entry(
    entry: Entry[Template], stored: Sequence[Definition], *, check_template: TemplateCheck = check_in_subprocess
) -> Checked:
    """Blocks for about half a second. `stored`: the newest versions of everything, the template's own among them.

    Of a campaign only what this version breaks counts against the template, not what was wrong before.
    """
    before, after = _read_stored(stored), _read_stored(stored)
    after.templates[entry.key] = entry
    for reading in (before, after):
        check_references(reading)
    known = set(_campaign_problems(before))
    broken = [error for text, error in _campaign_problems(after).items() if text not in known]
    words = check_words_of(entry, _bank(after), check_template)
    return Checked(errors=_ordered([*words.errors, *broken]), remarks=words.remarks)


def check_words_of(entry: Entry[Template], bank: Bank, check_template: TemplateCheck) -> Checked:
    """The template by itself: its locales and files, and its words, rendered with the examples."""
    reading = Reading(root=Path(), bank=_bank_entry(bank), templates={entry.key: entry})
    check_references(reading)
    remarks = check_words(reading, check_template)
    return Checked(errors=_ordered([*entry.source.errors, *reading.errors]), remarks=_ordered(remarks))


def _ordered(errors: Sequence[DefinitionError]) -> tuple[DefinitionError, ...]:
    """Each once, by file and line."""
    return DefinitionErrors({str(error): error for error in errors}.values()).errors


def _read_stored(stored: Sequence[Definition]) -> Reading:
    """The definitions in use as if they were read from a folder; what can no longer be read counts as broken."""
    reading = Reading(root=Path())
    into = {
        Kind.ACCOUNT: reading.accounts,
        Kind.SURVEY: reading.surveys,
        Kind.TEMPLATE: reading.templates,
        Kind.CAMPAIGN: reading.campaigns,
    }
    for one in stored:
        kind = Kind(one.kind) if one.kind in set(Kind) else None
        if kind is None:
            continue
        try:
            value = from_spec(kind, one.spec)
        except DefinitionErrors:
            reading.broken.add((kind, one.key))
            continue
        source = Source(file=one.file or f"{kind} {one.key}", data=to_yaml_shape(value))
        entry = Entry(
            kind=kind, key=one.key, file=one.file, value=value, spec=dict(one.spec), hash=one.hash, source=source
        )
        if kind is Kind.BANK:
            reading.bank = entry  # type: ignore[assignment]  # the kind says which
        elif kind in into:
            into[kind][one.key] = entry  # type: ignore[index]
    return reading


def _bank_entry(bank: Bank) -> Entry[Bank]:
    source = Source(file="campaigns/bank.yaml")
    return Entry(kind=Kind.BANK, key=BANK_KEY, file=source.file, value=bank, spec={}, hash=b"", source=source)


def _bank(reading: Reading) -> Bank:
    if reading.bank is None:
        raise NotFound("there is no bank yet: run `notifier apply` first")
    return reading.bank.value


def _campaign_problems(reading: Reading) -> dict[str, DefinitionError]:
    return {str(error): error for entry in reading.campaigns.values() for error in entry.source.errors}
