"""Contacts: one at a time, page by page, by address, and their consent."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from notifier.domain.channel import Channel
from notifier.domain.contact import ConsentAct, ConsentRecord, Contact, ContactId, ContactKind
from notifier.domain.errors import InputError
from notifier.domain.links import address_key
from notifier.store import clock
from notifier.store.contact_batches import BatchCounts, Columns, ConsentRow, ContactRow, write_contacts
from notifier.store.database import Tx

_IMPORT = "import"
FIELDS = frozenset({"kind", "name", "locale", "zone", "email", "phone"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredContact:
    """A contact with its id; consents are left out, see `list_consents`."""

    id: ContactId
    contact: Contact
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOut:
    """A contact told a person to stop; an empty topic means the whole channel."""

    channel: Channel
    topic: str
    source: str
    proof: str


_SELECT = """
SELECT c.id, c.external_id, c.kind, c.name, c.locale, c.zone, c.attributes, c.created_at, c.updated_at,
    coalesce(e.address, '') AS email, coalesce(p.address, '') AS phone
FROM notifier.contacts c
LEFT JOIN notifier.addresses e ON e.contact_id = c.id AND e.channel = 'email'
LEFT JOIN notifier.addresses p ON p.contact_id = c.id AND p.channel = 'sms'
"""


def _read_contact(row: Mapping[str, Any]) -> StoredContact:
    contact = Contact(
        external_id=row["external_id"],
        kind=ContactKind(row["kind"]),
        name=row["name"],
        locale=row["locale"],
        zone=row["zone"],
        email=row["email"],
        phone=row["phone"],
        attributes=row["attributes"],
    )
    return StoredContact(
        id=ContactId(row["id"]), contact=contact, created_at=row["created_at"], updated_at=row["updated_at"]
    )


async def get_contact(tx: Tx, team_id: int, external_id: str) -> StoredContact | None:
    """The contact with this external id, None where there is none."""
    row = await tx.fetchrow(_SELECT + "WHERE c.team_id = $1 AND c.external_id = $2", team_id, external_id)
    return _read_contact(row) if row else None


async def get_contact_by_id(tx: Tx, team_id: int, contact_id: int) -> StoredContact | None:
    """The contact with this id of ours, None where the team has none."""
    row = await tx.fetchrow(_SELECT + "WHERE c.team_id = $1 AND c.id = $2", team_id, contact_id)
    return _read_contact(row) if row else None


async def get_contacts(tx: Tx, team_id: int, contact_ids: Sequence[int]) -> list[StoredContact]:
    """Those of these contacts that the team has, ordered by id."""
    where = "WHERE c.team_id = $1 AND c.id = ANY ($2::bigint[]) ORDER BY c.id"
    return [_read_contact(row) for row in await tx.fetch(_SELECT + where, team_id, list(contact_ids))]


async def lock_contact(tx: Tx, team_id: int, contact_id: int) -> StoredContact | None:
    """The same, locked until the transaction ends."""
    await tx.execute("SELECT FROM notifier.contacts WHERE team_id = $1 AND id = $2 FOR UPDATE", team_id, contact_id)
    return await get_contact_by_id(tx, team_id, contact_id)


async def list_contacts(
    tx: Tx, team_id: int, *, after_id: int = 0, limit: int = 100, kind: ContactKind | None = None
) -> list[StoredContact]:
    """Up to `limit` contacts with an id above `after_id`, ordered by id."""
    where = "WHERE c.team_id = $1 AND c.id > $2 AND ($4::text IS NULL OR c.kind = $4) ORDER BY c.id LIMIT $3"
    return [_read_contact(row) for row in await tx.fetch(_SELECT + where, team_id, after_id, limit, kind)]


async def count_contacts(tx: Tx, team_id: int) -> dict[ContactKind, int]:
    """How many contacts of each kind; kinds without any are left out."""
    rows = await tx.fetch("SELECT kind, count(*) AS n FROM notifier.contacts WHERE team_id = $1 GROUP BY kind", team_id)
    return {ContactKind(row["kind"]): row["n"] for row in rows}


async def list_attribute_names(tx: Tx, team_id: int) -> list[str]:
    """Every attribute that any contact of the team has, in order of the bytes of its name."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT k.name COLLATE "C" AS name
        FROM notifier.contacts c, jsonb_object_keys(c.attributes) AS k (name) WHERE c.team_id = $1 ORDER BY 1
        """,
        team_id,
    )
    return [row["name"] for row in rows]


async def upsert_contact(tx: Tx, team_id: int, contact: Contact, key: bytes) -> BatchCounts:
    """Make the stored contact exactly this one; consents are added to the ledger, none is taken away.

    `key` is the key of addresses (`derive_key(secret, "addresses")`), addresses are normalised.
    `InputError` where a consent lies in the future: it would win over every opt-out until then.
    """
    await _refuse_future(tx, contact.consents)
    counts = await write_contacts(tx, team_id, [row_of(contact, key)], Columns(fields=FIELDS))
    if contact.consents:
        where = "SELECT id FROM notifier.contacts WHERE team_id = $1 AND external_id = $2"
        await _lift_opt_out(tx, await tx.fetchval(where, team_id, contact.external_id), contact.consents)
    return counts


async def _refuse_future(tx: Tx, records: Sequence[ConsentRecord]) -> None:
    latest = max(records, key=lambda record: record.at, default=None)
    if latest is not None and latest.at > await clock.now(tx):
        field = f"consents.{records.index(latest)}.at"
        raise InputError(field, "lies in the future", "Nobody can have consented yet: give the moment it was done")


def row_of(contact: Contact, key: bytes) -> ContactRow:
    """What `write_contacts` takes."""
    return ContactRow(
        contact.external_id,
        contact.kind,
        contact.name,
        contact.locale,
        contact.zone,
        orjson.dumps({name: value for name, value in contact.attributes.items() if value is not None}).decode(),
        contact.email,
        contact.phone,
        address_key(key, "email", contact.email),
        address_key(key, "sms", contact.phone),
        tuple(ConsentRow(r.channel, r.topic, r.act, r.source, r.proof, r.at) for r in contact.consents),
    )


async def record_consent(tx: Tx, contact_id: int, records: Sequence[ConsentRecord]) -> int:
    """Add acts to the ledger; the same act told twice is one. Returns how many were new.

    An opt-in to a whole channel that is newer than the block by an opt-out lifts the block, unless an
    import tells it.
    """
    acts = [(r.channel, r.topic, r.act, r.source, r.proof, r.at) for r in records]
    if not acts:
        return 0
    status: str = await tx.execute(
        """
        INSERT INTO notifier.consents (contact_id, channel, topic, act, source, proof, at)
        SELECT $1, u.* FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[]) AS u
        ON CONFLICT DO NOTHING
        """,
        contact_id,
        *(list(column) for column in zip(*acts, strict=True)),
    )
    await _lift_opt_out(tx, contact_id, records)
    return int(status.rpartition(" ")[2])


async def opt_out(tx: Tx, team_id: int, contact_id: int, act: OptOut) -> bool:
    """Write the opt-out into the ledger; False where it is the contact's latest act there anyway.

    Out of a whole channel blocks the address as well, as an opt-out by a link does.
    """
    if not act.topic:
        await tx.execute(
            """
            INSERT INTO notifier.suppressions (team_id, address_key, channel, reason, source)
            SELECT $1, address_key, channel, 'opt-out', $4 FROM notifier.addresses
            WHERE contact_id = $2 AND channel = $3 ON CONFLICT DO NOTHING
            """,
            team_id,
            contact_id,
            act.channel,
            act.source,
        )
    added = await tx.fetchval(
        """
        INSERT INTO notifier.consents (contact_id, channel, topic, act, source, proof, at)
        SELECT $1, $2, $3, 'opt-out', $4, $5, (SELECT notifier.now()) WHERE NOT EXISTS (
            SELECT FROM notifier.consent_states
            WHERE contact_id = $1 AND channel = $2 AND topic = $3 AND act = 'opt-out')
        ON CONFLICT DO NOTHING RETURNING id
        """,
        contact_id,
        act.channel,
        act.topic,
        act.source,
        act.proof,
    )
    return added is not None


async def lift_suppression(
    tx: Tx, team_id: int, contact_id: int, channel: Channel, liftable: Sequence[str]
) -> str | None:
    """Unblock the contact's address where the reason is one of these; returns the reason, None where nothing blocks.

    A bad address hides an earlier opt-out: where anybody behind it stands opted out, that block stays.
    """
    reason: str | None = await tx.fetchval(
        """
        SELECT s.reason FROM notifier.suppressions s
        JOIN notifier.addresses a ON a.address_key = s.address_key AND a.contact_id = $2 AND a.channel = $3
        WHERE s.team_id = $1 FOR UPDATE OF s
        """,
        team_id,
        contact_id,
        channel,
    )
    if reason in liftable:
        await tx.execute(_BACK_TO_OPT_OUT, team_id, contact_id, channel)
        await tx.execute(_LIFT, team_id, contact_id, channel, list(liftable))
    return reason


_BACK_TO_OPT_OUT = """
UPDATE notifier.suppressions s SET reason = 'opt-out', source = 'consent' FROM notifier.addresses a
WHERE s.team_id = $1 AND a.contact_id = $2 AND a.channel = $3 AND s.address_key = a.address_key
    AND EXISTS (SELECT FROM notifier.addresses o
        JOIN notifier.consent_states t ON t.contact_id = o.contact_id AND t.channel = o.channel AND t.topic = ''
        WHERE o.address_key = a.address_key AND t.act = 'opt-out')
"""
_LIFT = """
DELETE FROM notifier.suppressions s USING notifier.addresses a
WHERE s.team_id = $1 AND a.contact_id = $2 AND a.channel = $3 AND s.address_key = a.address_key
    AND s.reason = ANY ($4::text[])
"""


async def _lift_opt_out(tx: Tx, contact_id: int, records: Iterable[ConsentRecord]) -> None:
    """Unblock the addresses this contact opted in again; not while anybody else behind one stands opted out."""
    acts = [(r.channel, r.at) for r in records if r.act is ConsentAct.OPT_IN and not r.topic and r.source != _IMPORT]
    if not acts:
        return
    await tx.execute(
        """
        DELETE FROM notifier.suppressions u USING notifier.contacts c, notifier.addresses a,
            unnest($2::text[], $3::timestamptz[]) AS told (channel, at)
        WHERE c.id = $1 AND a.contact_id = c.id AND a.channel = told.channel AND u.team_id = c.team_id
            AND u.address_key = a.address_key AND u.reason = 'opt-out' AND told.at > u.at
            AND NOT EXISTS (SELECT 1 FROM notifier.addresses o
                JOIN notifier.consent_states s ON s.contact_id = o.contact_id AND s.channel = o.channel AND s.topic = ''
                WHERE o.address_key = a.address_key AND s.act = 'opt-out')
        """,
        contact_id,
        *(list(column) for column in zip(*acts, strict=True)),
    )


async def list_consent_subjects(tx: Tx, team_id: int) -> list[tuple[Channel, str]]:
    """Every channel and topic on which a contact of the team stands somewhere, in their order."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT s.channel COLLATE "C" AS channel, s.topic COLLATE "C" AS topic
        FROM notifier.consent_states s JOIN notifier.contacts c ON c.id = s.contact_id
        WHERE c.team_id = $1 ORDER BY 1, 2
        """,
        team_id,
    )
    return [(Channel(row["channel"]), row["topic"]) for row in rows]


async def list_standing(tx: Tx, contact_ids: Sequence[int]) -> dict[int, list[ConsentRecord]]:
    """The latest act of each contact by channel and topic; contacts without any are left out."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT ON (contact_id, channel, topic) contact_id, channel, topic, act, at, o.source, o.proof
        FROM notifier.consent_states s
        JOIN notifier.consents o USING (contact_id, channel, topic, act, at)
        WHERE contact_id = ANY($1::bigint[]) ORDER BY contact_id, channel, topic, o.id
        """,
        list(contact_ids),
    )
    found: dict[int, list[ConsentRecord]] = {}
    for row in rows:
        found.setdefault(row["contact_id"], []).append(_read_consent(row))
    return found


async def list_consents(tx: Tx, contact_id: int) -> list[ConsentRecord]:
    """The whole ledger of a contact, newest act first."""
    rows = await tx.fetch(
        """
        SELECT channel, topic, act, source, proof, at FROM notifier.consents
        WHERE contact_id = $1 ORDER BY at DESC, id DESC
        """,
        contact_id,
    )
    return [_read_consent(row) for row in rows]


def _read_consent(row: Mapping[str, Any]) -> ConsentRecord:
    return ConsentRecord(
        channel=Channel(row["channel"]),
        topic=row["topic"],
        act=ConsentAct(row["act"]),
        source=row["source"],
        proof=row["proof"],
        at=row["at"],
    )
