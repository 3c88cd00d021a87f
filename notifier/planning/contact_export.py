"""Contacts out as CSV: streamed page by page, safe to open in a spreadsheet, readable by the import."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from notifier.domain.channel import Channel
from notifier.domain.contact import AttributeValue, ConsentAct, ConsentRecord, Contact, ContactKind
from notifier.planning.contact_import.columns import consent_title, detail_title
from notifier.planning.spreadsheet import safe_cell
from notifier.store.contacts import list_attribute_names, list_consent_subjects, list_contacts, list_standing
from notifier.store.database import Database

_PAGE = 1000
_FIELDS = ("external_id", "kind", "name", "email", "phone", "locale", "zone")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """What a row holds after the fields."""

    subjects: Sequence[tuple[Channel, str]]
    attributes: Sequence[str]

    def titles(self) -> list[str]:
        """Three columns for each act: what, when, where."""
        acts = [
            title
            for subject in self.subjects
            for title in (consent_title(*subject), detail_title("date", *subject), detail_title("source", *subject))
        ]
        return [*_FIELDS, *acts, *(f"attributes.{name}" for name in self.attributes)]

    def cells(self, contact: Contact, standing: Sequence[ConsentRecord]) -> list[str]:
        """In the order of the titles."""
        stands = {(record.channel, record.topic): record for record in standing}
        acts = [cell for subject in self.subjects for cell in _act_cells(stands.get(subject))]
        fields = [_text(getattr(contact, name)) for name in _FIELDS]
        return [*fields, *acts, *(_text(contact.attributes.get(name)) for name in self.attributes)]


async def export_contacts(database: Database, team_id: int, *, kind: ContactKind | None = None) -> AsyncIterator[bytes]:
    """Chunks of a UTF-8 file with its mark: the header, then one row per contact, ordered by id.

    Attributes are columns `attributes.NAME`; where a contact stands with its consent is `consent_CHANNEL` and
    `consent_CHANNEL_TOPIC`, each with its date and source. A cell that a spreadsheet would run gets an apostrophe;
    numbers, also `+12125550123`, stay as they are, and the import takes the apostrophe off again.
    """
    async with database.transaction() as tx:
        subjects = [subject for subject in await list_consent_subjects(tx, team_id) if consent_title(*subject)]
        columns = _Columns(subjects=subjects, attributes=await list_attribute_names(tx, team_id))
    yield "\ufeff".encode() + _lines([columns.titles()])
    after_id = 0
    while True:
        async with database.transaction() as tx:
            page = await list_contacts(tx, team_id, after_id=after_id, limit=_PAGE, kind=kind)
            standing = await list_standing(tx, [stored.id for stored in page])
        if not page:
            return
        after_id = page[-1].id
        yield _lines([columns.cells(stored.contact, standing.get(stored.id, ())) for stored in page])


def _act_cells(record: ConsentRecord | None) -> tuple[str, str, str]:
    if record is None:
        return "", "", ""
    act = "yes" if record.act is ConsentAct.OPT_IN else "no"
    return act, record.at.isoformat(), " ".join(record.source.split())


def _text(value: AttributeValue) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _lines(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([safe_cell(cell) for cell in row] for row in rows)
    return text.getvalue().encode()
