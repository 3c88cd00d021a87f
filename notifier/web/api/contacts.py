"""Contacts over the API: find, get, put."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from notifier.domain.channel import Channel
from notifier.domain.contact import ConsentRecord, Contact, ContactKind
from notifier.domain.errors import NotFound
from notifier.domain.keys import Keys
from notifier.planning import contact_acts as acts
from notifier.planning.contact_import.values import read_email, read_locale, read_phone, read_zone
from notifier.planning.contact_search import LONGEST, search_contacts
from notifier.store import contacts as store
from notifier.store.contacts import StoredContact
from notifier.store.database import Database
from notifier.store.views.contacts import Wanted
from notifier.web.api.keyed import Reader, Writer, person
from notifier.web.api.paging import Cursor, Limit, Listed, read_cursor, write_cursor
from notifier.web.api.shapes import ConsentShape, ContactIn, ContactOut
from notifier.web.catalogue import Catalogue
from notifier.web.values import Text

router = APIRouter(prefix="/contacts", tags=["contacts"])
ExternalId = Annotated[
    str, Path(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$", description="your id of the contact")
]


_SEARCH = "an id, an e-mail address or a number exactly; where there is none, a part of a name"


@router.get("", summary="List contacts, or search for some")
async def list_contacts(  # noqa: PLR0913, PLR0917 - one for each filter
    request: Request,
    key: Reader,
    search: Annotated[Text, Query(max_length=LONGEST, description=_SEARCH)] = "",
    kind: ContactKind | None = None,
    locale: Annotated[Text, Query(max_length=35)] = "",
    list_key: Annotated[Text, Query(max_length=100, description="only who is on this list")] = "",
    has: Annotated[Literal["", "email", "sms"], Query(description="only who has an address there")] = "",
    suppressed: Annotated[bool, Query(description="only who has a blocked address")] = False,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> Listed[ContactOut]:
    """In the order they were added."""
    database: Database = request.app.state.database
    catalogue: Catalogue = request.app.state.catalogue
    keys: Keys = request.app.state.keys
    wanted = Wanted(kind=kind, locale=locale, list_key=list_key, channel=has, is_suppressed=suppressed)
    after = read_cursor(cursor) or 0
    async with database.transaction() as tx:
        bank = await catalogue.bank(tx, key.team_id)
        lines = await search_contacts(
            tx, key.team_id, search, wanted, region=bank.region, key=keys.addresses, after=after, limit=limit + 1
        )
        found = await store.get_contacts(tx, key.team_id, [line.id for line in lines[:limit]])
    more = write_cursor(lines[limit - 1].id) if len(lines) > limit else None
    return Listed(items=[tell_contact(one) for one in found], next_cursor=more)


@router.get("/{external_id}", summary="Get a contact with its consents")
async def get_contact(request: Request, key: Reader, external_id: ExternalId) -> ContactOut:
    """404 where there is none with this id."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        found = await store.get_contact(tx, key.team_id, external_id)
        if found is None:
            raise NotFound(f"there is no contact {external_id!r}")
        ledger = await store.list_consents(tx, found.id)
    return tell_contact(found).model_copy(update={"consents": [tell_consent(record) for record in ledger]})


@router.put("/{external_id}", summary="Add a contact, or make it exactly this")
async def put_contact(
    request: Request, response: Response, key: Writer, external_id: ExternalId, body: ContactIn
) -> ContactOut:
    """201 where it is new, else 200; 403 where a user's key would make staff of a customer.

    The same request twice changes nothing more."""
    database: Database = request.app.state.database
    catalogue: Catalogue = request.app.state.catalogue
    keys: Keys = request.app.state.keys
    async with database.transaction() as tx:
        bank = await catalogue.bank(tx, key.team_id)
        contact = _read(external_id, body, bank.region)
        is_new = await acts.put_contact(tx, key.team_id, contact, key=keys.addresses, by=person(key))
        found = await store.get_contact(tx, key.team_id, external_id)
    assert found is not None
    response.status_code = 201 if is_new else 200
    return tell_contact(found)


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


def tell_contact(stored: StoredContact) -> ContactOut:
    """Without its consents."""
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


def tell_consent(record: ConsentRecord) -> ConsentShape:
    """One act."""
    return ConsentShape(
        channel=record.channel.value,
        topic=record.topic,
        act=record.act,
        source=record.source,
        at=record.at,
        proof=record.proof,
    )
