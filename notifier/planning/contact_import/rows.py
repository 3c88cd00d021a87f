"""One row of a file becomes one contact, or a list of what is wrong with it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import orjson

from notifier.domain.errors import InputError
from notifier.domain.links import address_key
from notifier.planning.contact_import.columns import Layout
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


class RowReader:
    """Reads the rows of one file; not for two threads at a time."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        layout = setting.layout
        self._readers = [(name, index, self._reader_of(name)) for name, index in layout.fields.items()]
        self._attributes = tuple(layout.attributes.items())
        self._synthesizer = Synthesizer() if setting.options.synthesize else None

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

    def read_batch(self, rows: Iterator[Row], size: int) -> Batch:
        """Up to `size` rows, none at the end. Where the file breaks, all of this batch is dropped."""
        contacts: dict[str, tuple[int, ContactRow]] = {}
        problems: list[RowProblem] = []
        read = rejected = duplicates = 0
        for number, cells in rows:
            read += 1
            found = [_problem(number, "", cells)] if isinstance(cells, InputError) else self._read(number, cells)
            if isinstance(found, list):
                problems += found
                rejected += 1
            else:
                duplicates += found.external_id in contacts
                if found.external_id in contacts:
                    problems.append(_superseded(contacts[found.external_id][0], found.external_id, number))
                contacts[found.external_id] = number, found
            if read == size:
                break
        return Batch(
            contacts=tuple(row for _, row in contacts.values()),
            problems=problems,
            read=read,
            rejected=rejected,
            duplicates=duplicates,
        )

    def _read(self, number: int, cells: list[str]) -> ContactRow | list[RowProblem]:
        draft = Draft(external_id="")
        try:
            for name, index, read in self._readers:
                setattr(draft, name, read(cells[index]))
            draft.attributes = {name: read_attribute(cells[index]) for name, index in self._attributes}
            draft.consents = self._consents(cells, draft)
        except InputError:
            return self._problems(number, cells, draft)
        if self._synthesizer:
            self._synthesizer.fill(draft)
        return self._row(draft)

    def _problems(self, number: int, cells: list[str], draft: Draft) -> list[RowProblem]:
        """Everything that is wrong with a row, not only the first thing: one round of corrections is enough."""
        titles = self._setting.layout.titles
        external_id = cells[self._setting.layout.fields["external_id"]].strip()[:_ID_CHARS]
        readers = self._readers + [(name, index, read_attribute) for name, index in self._attributes]
        problems: list[RowProblem] = []
        for _, index, read in readers:
            try:
                read(cells[index])
            except InputError as error:
                problems.append(_problem(number, external_id, error, titles[index]))
        try:
            self._consents(cells, draft)
        except InputError as error:
            problems.append(_problem(number, external_id, error))
        return problems

    def _reader_of(self, name: str) -> Callable[[str], object]:
        setting = self._setting
        readers: dict[str, Callable[[str], object]] = {
            "external_id": read_external_id,
            "name": read_name,
            "email": lambda text: read_email(text) if text else "",
            "phone": lambda text: read_phone(text, setting.region) if text else "",
            "locale": read_locale,
            "zone": read_zone,
            "kind": read_kind,
            "consent_date": lambda text: read_moment(text, setting.zone, setting.now),
            "consent_source": read_name,
        }
        read = readers[name]
        return lambda cell: read(clean_cell(cell))

    def _consents(self, cells: list[str], draft: Draft) -> tuple[ConsentRow, ...]:
        found: list[ConsentRow] = []
        source = draft.consent_source or self._setting.options.consent_source
        for column in self._setting.layout.consents:
            try:
                act = read_act(clean_cell(cells[column.index]))
            except InputError as error:
                raise InputError(column.title, error.problem, error.remedy) from error
            if act:
                proof, at = self._setting.file, draft.consent_date
                found.append(ConsentRow(column.channel, column.topic, act, source, proof, at))
        return tuple(found)

    def _row(self, draft: Draft) -> ContactRow:
        key = self._setting.key
        attributes = {name: value for name, value in draft.attributes.items() if value is not None}
        return ContactRow(
            draft.external_id,
            draft.kind,
            draft.name,
            draft.locale,
            draft.zone,
            orjson.dumps(attributes).decode(),
            draft.email,
            draft.phone,
            address_key(key, "email", draft.email) if draft.email else b"",
            address_key(key, "sms", draft.phone) if draft.phone else b"",
            draft.consents,
        )


def _problem(number: int, external_id: str, error: InputError, column: str = "") -> RowProblem:
    return RowProblem(number, external_id, column or error.field, error.problem, error.remedy)


def _superseded(number: int, external_id: str, by: int) -> RowProblem:
    remedy = "Only the later row counts; keep one row per contact."
    return RowProblem(number, external_id, "external_id", f"comes again in row {by}", remedy)
