"""What a file would become, before anything is written: its columns and its first rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from notifier.domain.errors import InputError
from notifier.domain.template import Bank
from notifier.planning.contact_import.columns import (
    FIELDS,
    SKIPPED,
    consent_title,
    detail_title,
    read_layout,
    target_of,
)
from notifier.planning.contact_import.options import ImportOptions
from notifier.planning.contact_import.rejects import RowProblem
from notifier.planning.contact_import.rows import RowReader, Setting
from notifier.planning.contact_import.sample import Sample
from notifier.store.contact_batches import ConsentRow, ContactRow

_SAMPLES = 3
_SAMPLE_CHARS = 60
_NO_KEY = b"preview"  # nothing of it is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnPreview:
    """A column, what it would become, and what else it could."""

    index: int
    title: str
    samples: tuple[str, ...] = field(repr=False)
    target: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPreview:
    """A row as it would be read, or what is wrong with it."""

    number: int
    contact: ContactRow | None = field(repr=False)
    consents: tuple[ConsentRow, ...] = ()
    problems: Sequence[RowProblem] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The page before an import. `problem`: with this mapping nothing can be read."""

    columns: Sequence[ColumnPreview]
    rows: Sequence[RowPreview]
    problem: InputError | None
    sample: Sample

    @property
    def wrong_rows(self) -> int:
        """How many of the rows shown would be rejected."""
        return sum(row.contact is None for row in self.rows)


def preview_import(sample: Sample, options: ImportOptions, *, bank: Bank, file: str, now: datetime) -> Preview:
    """The sample read with these options; never raises for what a mapping gets wrong."""
    columns = [_column(sample, index, options.mapping) for index in range(len(sample.titles))]
    try:
        layout = read_layout(sample.titles, options.mapping)
    except InputError as error:
        return Preview(columns=columns, rows=(), problem=error, sample=sample)
    reader = RowReader(
        Setting(layout=layout, options=options, file=file, region=bank.region, zone=bank.zone, now=now, key=_NO_KEY)
    )
    rows = [_row(reader, number, cells) for number, cells in sample.rows]
    return Preview(columns=columns, rows=rows, problem=None, sample=sample)


def _column(sample: Sample, index: int, mapping: Mapping[str, str]) -> ColumnPreview:
    title = sample.titles[index]
    cells = (cells[index] for _, cells in sample.rows if isinstance(cells, list))
    samples = dict.fromkeys(cell.strip()[:_SAMPLE_CHARS] for cell in cells if cell.strip())
    target = target_of(title, mapping)
    return ColumnPreview(
        index=index, title=title, samples=tuple(samples)[:_SAMPLES], target=target, choices=_choices(title, target)
    )


def _choices(title: str, target: str) -> tuple[str, ...]:
    """Everything a column may be mapped to by a click; a name of one's own for an attribute is for files and API."""
    consents = [consent_title(channel, "") for channel in ("email", "sms")]
    details = [detail_title(detail, channel, "") for channel in ("email", "sms") for detail in ("date", "source")]
    own = [target_of(title, {}), f"attributes.{title.removeprefix('attributes.')}", target]
    return tuple(dict.fromkeys([*FIELDS, *consents, *details, *own, SKIPPED]))


def _row(reader: RowReader, number: int, cells: list[str] | InputError) -> RowPreview:
    found = reader.read_row(number, cells if isinstance(cells, InputError) else [*cells])
    if isinstance(found, ContactRow):
        return RowPreview(number=number, contact=found, consents=found.consents)
    return RowPreview(number=number, contact=None, problems=found)
