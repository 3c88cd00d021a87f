"""One row of a file becomes one contact, or a list of what is wrong with it."""

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import Any, TypeVar

import orjson

from notifier.domain.contact import AttributeValue
from notifier.domain.errors import InputError
from notifier.domain.links import address_key
from notifier.planning.contact_import.columns import FIELDS, ConsentColumn, Layout
from notifier.planning.contact_import.files import Row
from notifier.planning.contact_import.options import ImportOptions
from notifier.planning.contact_import.rejects import RowProblem
from notifier.planning.contact_import.values import (
    clean_cell,
    read_act,
    read_attribute,
    read_email,
    read_external_id,
    read_kind,
    read_locale,
    read_moment,
    read_name,
    read_phone,
    read_zone,
)
from notifier.planning.synthesize import Draft, Synthesizer
from notifier.store.contact_batches import ConsentRow, ContactRow

_ID_CHARS = 200
_STORED = ("kind", "name", "locale", "zone", "email", "phone")
_REPEATING = frozenset({"kind", "locale", "zone", "consent_date", "consent_source"})
_REMEMBERED, _REMEMBERED_CHARS = 50_000, 32
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What stands around the rows of one file."""

    layout: Layout
    options: ImportOptions
    file: str
    region: str
    zone: str
    now: datetime
    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows as they go into the database together. `read` counts rows with anything in them."""

    contacts: tuple[ContactRow, ...]
    problems: list[RowProblem]
    read: int
    rejected: int
    duplicates: int
    numbers: tuple[int, ...] = ()  # of the rows the contacts come from

    def without(self, external_ids: Set[str], problem: str, remedy: str) -> "Batch":
        """The same with these contacts rejected."""
        numbered = list(zip(self.numbers, self.contacts, strict=True))
        kept = [one for one in numbered if one[1].external_id not in external_ids]
        gone = [
            RowProblem(number, row.external_id, "kind", problem, remedy)
            for number, row in numbered
            if row.external_id in external_ids
        ]
        return replace(
            self,
            contacts=tuple(row for _, row in kept),
            numbers=tuple(number for number, _ in kept),
            problems=sorted([*self.problems, *gone]),
            rejected=self.rejected + len(gone),
        )


class Remembered(dict[str, T]):
    """What the cells of a column became: most columns repeat few values."""

    def __init__(self, read: Callable[[str], T]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, cell: str) -> T:
        value = self._read(cell)
        if len(cell) <= _REMEMBERED_CHARS and len(self) < _REMEMBERED:
            self[cell] = value
        return value


class RowReader:
    """Reads the rows of one file; not for two threads at a time."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self._key = setting, setting.key
        layout = setting.layout
        # Pairs of how to read a cell and where it is. A field without a column reads the empty cell at the end of every row.
        self._columns: tuple[tuple[Callable[[str], Any], int], ...] = tuple(
            (self._reader_of(name), layout.fields.get(name, len(layout.titles))) for name in FIELDS
        )
        self._members = tuple(
            (_remembering(partial(_read_member, name)), index) for name, index in layout.attributes.items()
        )
        self._acts = tuple(
            (_remembering(lambda cell: read_act(clean_cell(cell))), column) for column in layout.consents
        )
        self._moments: Callable[[str], datetime | None] = _remembering(
            lambda cell: read_moment(clean_cell(cell), setting.zone, setting.now)
        )
        self._sources: Callable[[str], str] = _remembering(lambda cell: read_name(clean_cell(cell)))
        self._synthesizer = Synthesizer() if setting.options.synthesize else None

    @property
    def options(self) -> ImportOptions:
        """What was asked for."""
        return self._setting.options

    @property
    def fields(self) -> frozenset[str]:
        """The stored fields the rows speak about."""
        return frozenset(
            _STORED if self._synthesizer else (name for name in self._setting.layout.fields if name in _STORED)
        )

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes the rows speak about."""
        made_up = Synthesizer.ATTRIBUTES if self._synthesizer else ()
        return (*dict.fromkeys((*self._setting.layout.attributes, *made_up)),)

    def read_row(self, number: int, cells: list[str] | InputError) -> ContactRow | list[RowProblem]:
        """One row as it would be written, or everything that is wrong with it."""
        return [_problem(number, "", cells)] if isinstance(cells, InputError) else self._read(number, cells)

    def read_batch(self, rows: Iterator[Row], size: int) -> Batch:
        """Up to `size` rows, none at the end. Where the file breaks, all of this batch is dropped."""
        contacts: dict[str, tuple[int, ContactRow]] = {}
        problems: list[RowProblem] = []
        read = rejected = duplicates = 0
        for number, cells in rows:
            read += 1
            found = self.read_row(number, cells)
            if isinstance(found, list):
                problems += found
                rejected += 1
            else:
                external_id = found[0]
                if external_id in contacts:
                    duplicates += 1
                    problems.append(_superseded(contacts[external_id][0], external_id, number))
                contacts[external_id] = number, found
            if read == size:
                break
        return Batch(
            contacts=tuple(row for _, row in contacts.values()),
            problems=problems,
            read=read,
            rejected=rejected,
            duplicates=duplicates,
            numbers=tuple(number for number, _ in contacts.values()),
        )

    def _read(self, number: int, cells: list[str]) -> ContactRow | list[RowProblem]:
        cells.append("")
        try:
            return self._made_up(cells, self._synthesizer) if self._synthesizer else self._plain(cells)
        except InputError:
            return self._problems(number, cells)

    def _plain(self, cells: list[str]) -> ContactRow:
        external_id, name, email, phone, locale, zone, kind, at, source = [
            read(cells[index]) for read, index in self._columns
        ]
        members = [read(cells[index]) for read, index in self._members]
        return ContactRow(
            external_id,
            kind,
            name,
            locale,
            zone,
            "{" + ",".join(filter(None, members)) + "}",
            email,
            phone,
            address_key(self._key, "email", email) if email else b"",
            address_key(self._key, "sms", phone) if phone else b"",
            self._consents(cells, source, at) if self._acts else (),
        )

    def _made_up(self, cells: list[str], synthesizer: Synthesizer) -> ContactRow:
        values = {name: read(cells[index]) for name, (read, index) in zip(FIELDS, self._columns, strict=True)}
        columns = self._setting.layout.attributes.items()
        draft = Draft(**values, attributes={name: read_attribute(cells[index]) for name, index in columns})
        draft.consents = self._consents(cells, draft.consent_source, draft.consent_date)
        synthesizer.fill(draft)
        members = [_member(name, value) for name, value in draft.attributes.items()]
        return ContactRow(
            draft.external_id,
            draft.kind,
            draft.name,
            draft.locale,
            draft.zone,
            "{" + ",".join(filter(None, members)) + "}",
            draft.email,
            draft.phone,
            address_key(self._key, "email", draft.email) if draft.email else b"",
            address_key(self._key, "sms", draft.phone) if draft.phone else b"",
            draft.consents,
        )

    def _problems(self, number: int, cells: list[str]) -> list[RowProblem]:
        """Everything that is wrong with a row, not only the first thing: one round of corrections is enough."""
        titles = self._setting.layout.titles
        external_id = cells[self._setting.layout.fields["external_id"]].strip()[:_ID_CHARS]
        problems: list[RowProblem] = []
        for read, index in (*sorted(self._columns, key=itemgetter(1)), *self._members):
            try:
                read(cells[index])
            except InputError as error:
                problems.append(_problem(number, external_id, error, titles[index]))
        try:
            self._consents(cells, "", None)
        except InputError as error:
            problems.append(_problem(number, external_id, error))
        return problems

    def _reader_of(self, name: str) -> Callable[[str], object]:
        setting, options = self._setting, self._setting.options
        readers: dict[str, Callable[[str], object]] = {
            "external_id": read_external_id,
            "name": read_name,
            "email": lambda text: read_email(text) if text else "",
            "phone": lambda text: read_phone(text, setting.region) if text else "",
            "locale": lambda text: read_locale(text or options.locale),
            "zone": lambda text: read_zone(text or options.zone),
            "kind": lambda text: read_kind(text or options.kind),
            "consent_date": lambda text: read_moment(text, setting.zone, setting.now),
            "consent_source": read_name,
        }
        read = readers[name]
        if name in _REPEATING:
            return _remembering(lambda cell: read(clean_cell(cell)))
        return lambda cell: read(clean_cell(cell))

    def _consents(self, cells: list[str], source: str, at: datetime | None) -> tuple[ConsentRow, ...]:
        found: list[ConsentRow] = []
        for read, column in self._acts:
            act = self._cell(read, cells, column.index)
            own_at, own_source = self._details(cells, column)
            if act:
                told = own_source or source or self._setting.options.consent_source
                found.append(ConsentRow(column.channel, column.topic, act, told, self._setting.file, own_at or at))
        return tuple(found)

    def _details(self, cells: list[str], column: ConsentColumn) -> tuple[datetime | None, str]:
        """What stands in the columns of this act alone."""
        at = self._cell(self._moments, cells, column.date_index) if column.date_index is not None else None
        source = self._cell(self._sources, cells, column.source_index) if column.source_index is not None else ""
        return at, source

    def _cell(self, read: Callable[[str], T], cells: list[str], index: int) -> T:
        try:
            return read(cells[index])
        except InputError as error:
            raise InputError(self._setting.layout.titles[index], error.problem, error.remedy) from error


def _remembering(read: Callable[[str], T]) -> Callable[[str], T]:
    return Remembered(read).__getitem__


def _read_member(name: str, cell: str) -> str:
    return _member(name, read_attribute(cell))


def _member(name: str, value: AttributeValue) -> str:
    """One member of a JSON object, "" where there is no value."""
    return "" if value is None else f"{orjson.dumps(name).decode()}:{orjson.dumps(value).decode()}"


def _problem(number: int, external_id: str, error: InputError, column: str = "") -> RowProblem:
    return RowProblem(number, external_id, column or error.field, error.problem, error.remedy)


def _superseded(number: int, external_id: str, by: int) -> RowProblem:
    remedy = "Only the later row counts; keep one row per contact."
    return RowProblem(number, external_id, "external_id", f"comes again in row {by}", remedy)
