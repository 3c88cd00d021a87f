"""Contacts out as CSV: streamed page by page, safe to open in a spreadsheet, readable by the import."""

import csv
import io
from collections.abc import AsyncIterator, Sequence

from notifier.domain.contact import AttributeValue, ContactKind
from notifier.planning.spreadsheet import safe_cell
from notifier.store.contacts import StoredContact, list_attribute_names, list_contacts
from notifier.store.database import Database

_PAGE = 1000
_FIELDS = ("external_id", "kind", "name", "email", "phone", "locale", "zone")


async def export_contacts(database: Database, team_id: int, *, kind: ContactKind | None = None) -> AsyncIterator[bytes]:
    """Chunks of a UTF-8 file with its mark: the header, then one row per contact, ordered by id.

    Attributes are columns `attributes.NAME`. A cell that a spreadsheet would run gets an apostrophe;
    numbers, also `+12125550123`, stay as they are, and the import takes the apostrophe off again.
    """
    async with database.transaction() as tx:
        attributes = await list_attribute_names(tx, team_id)
    header = [*_FIELDS, *(f"attributes.{name}" for name in attributes)]
    yield "\ufeff".encode() + _lines([[safe_cell(title) for title in header]])
    after_id = 0
    while True:
        async with database.transaction() as tx:
            page = await list_contacts(tx, team_id, after_id=after_id, limit=_PAGE, kind=kind)
        if not page:
            return
        after_id = page[-1].id
        yield _lines([_cells(stored, attributes) for stored in page])


def _cells(stored: StoredContact, attributes: Sequence[str]) -> list[str]:
    contact = stored.contact
    fields = [getattr(contact, name) for name in _FIELDS]
    return [safe_cell(_text(value)) for value in (*fields, *(contact.attributes.get(name) for name in attributes))]


def _text(value: AttributeValue) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _lines(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
