"""Contacts over the API: list, get, put."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from notifier.domain.channel import Channel
from notifier.domain.contact import ConsentRecord, Contact, ContactKind
from notifier.domain.errors import NotFound
from notifier.domain.keys import Keys
from notifier.planning.contact_import.values import read_email, read_locale, read_phone, read_zone
from notifier.store import contacts as store
from notifier.store.access import add_audit
from notifier.store.contacts import StoredContact
from notifier.store.database import Database
from notifier.web.api.keyed import Reader, Writer, actor
from notifier.web.api.paging import Cursor, Limit, Listed, read_cursor, write_cursor
from notifier.web.api.shapes import ConsentShape, ContactIn, ContactOut
from notifier.web.catalogue import Catalogue

router = APIRouter(prefix="/contacts", tags=["contacts"])
ExternalId = Annotated[
    str, Path(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$", description="your id of the contact")
]


@router.get("", summary="List contacts")
async def list_contacts(
    request: Request, key: Reader, kind: ContactKind | None = None, cursor: Cursor = "", limit: Limit = 50
) -> Listed[ContactOut]:
    """In the order they were added."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        after = read_cursor(cursor) or 0
        found = await store.list_contacts(tx, key.team_id, after_id=after, limit=limit + 1, kind=kind)
    more = write_cursor(found[limit - 1].id) if len(found) > limit else None
    return Listed(items=[_tell(one) for one in found[:limit]], next_cursor=more)


@router.get("/{external_id}", summary="Get a contact with its consents")
async def get_contact(request: Request, key: Reader, external_id: ExternalId) -> ContactOut:
    """404 where there is none with this id."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        found = await store.get_contact(tx, key.team_id, external_id)
        if found is None:
            raise NotFound(f"there is no contact {external_id!r}")
        ledger = await store.list_consents(tx, found.id)
    return _tell(found).model_copy(update={"consents": [_tell_consent(record) for record in ledger]})


@router.put("/{external_id}", summary="Add a contact, or make it exactly this")
async def put_contact(
    request: Request, response: Response, key: Writer, external_id: ExternalId, body: ContactIn
) -> ContactOut:
    """201 where it is new, else 200. The same request twice changes nothing more."""
    database: Database = request.app.state.database
    catalogue: Catalogue = request.app.state.catalogue
    keys: Keys = request.app.state.keys
    async with database.transaction() as tx:
        bank = await catalogue.bank(tx, key.team_id)
        contact = _read(external_id, body, bank.region)
        before = await store.get_contact(tx, key.team_id, external_id)
        await store.upsert_contact(tx, key.team_id, contact, keys.addresses)
        act = "contact.changed" if before else "contact.added"
        await add_audit(tx, key.team_id, actor=actor(key), act=act, subject=f"contact:{external_id}", detail={})
        found = await store.get_contact(tx, key.team_id, external_id)
    assert found is not None
    response.status_code = 200 if before else 201
    return _tell(found)


def _read(external_id: str, body: ContactIn, region: str) -> Contact:
    return Contact(
        external_id=external_id,
        kind=body.kind,
        name=body.name,
        locale=read_locale(body.locale),
        zone=read_zone(body.zone),
        email=read_email(body.email.strip()) if body.email.strip() else "",
        phone=read_phone(body.phone.strip(), region) if body.phone.strip() else "",
        attributes=body.attributes,
        consents=tuple(
            ConsentRecord(
                channel=Channel(one.channel),
                topic=one.topic,
                act=one.act,
                source=one.source,
                at=one.at,
                proof=one.proof,
            )
            for one in body.consents
        ),
    )


def _tell(stored: StoredContact) -> ContactOut:
    contact = stored.contact
    return ContactOut(
        external_id=contact.external_id,
        kind=contact.kind,
        name=contact.name,
        locale=contact.locale,
        zone=contact.zone,
        email=contact.email,
        phone=contact.phone,
        attributes=dict(contact.attributes),
        created_at=stored.created_at,
        updated_at=stored.updated_at,
        consents=None,
    )


def _tell_consent(record: ConsentRecord) -> ConsentShape:
    return ConsentShape(
        channel=record.channel.value,
        topic=record.topic,
        act=record.act,
        source=record.source,
        at=record.at,
        proof=record.proof,
    )
