"""Contacts written many at a time: added, updated or left alone, with addresses, consents and list."""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

from asyncpg import UniqueViolationError

from notifier.store.database import Tx


class ConsentRow(NamedTuple):
    """One act; `at` None: now, and only where nothing stands yet or where it ends what stands.

    A file that says "yes" without a date says nothing about when: it never undoes an opt-out.
    """

    channel: str
    topic: str
    act: str
    source: str
    proof: str
    at: datetime | None


class ContactRow(NamedTuple):
    """One contact as it shall stand; "" clears. A plain tuple: an import makes 30,000 of them a second."""

    external_id: str
    kind: str
    name: str
    locale: str
    zone: str
    attributes: str  # JSON object
    email: str
    phone: str
    email_key: bytes
    phone_key: bytes
    consents: tuple[ConsentRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the rows speak about; everything else of a stored contact stays as it is."""

    fields: frozenset[str]  # of kind, name, locale, zone, email, phone
    attributes: tuple[str, ...] | None = None  # None: these are all attributes of the contact


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCounts:
    """What became of a batch; the sum is its rows."""

    added: int
    updated: int
    unchanged: int


# field, channel, place of the address and of its key in a row
_ADDRESS_COLUMNS = (("email", "email", 6, 8), ("phone", "sms", 7, 9))
_COPIED_TEXT = "id team_id external_id kind name locale zone attributes created_at updated_at"
_COPIED = tuple(_COPIED_TEXT.split())
_COPIED_ADDRESSES = ("contact_id", "channel", "address", "address_key")
_TEXTS = ("external_id", "kind", "name", "locale", "zone", "attributes", "email", "phone")
_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

# The team is locked against deletion; as a foreign key it would be looked up once per contact.
_LOOK_UP = """
WITH team AS MATERIALIZED (SELECT id FROM notifier.teams WHERE id = $1 FOR KEY SHARE),
known AS MATERIALIZED (
    SELECT external_id FROM notifier.contacts WHERE team_id = $1 AND external_id = ANY($2::text[]))
SELECT notifier.now() AS at,
    (SELECT coalesce(array_agg(external_id), '{}') FROM known) AS known,
    (SELECT coalesce(array_agg(nextval('notifier.contacts_id_seq')), '{}')
        FROM generate_series(1, cardinality($2) - (SELECT count(*) FROM known))) AS ids
FROM team
"""

# `notifier.now()` reads a row: asked once, as a default it would cost half the time of an insert.
_CONTACTS = """
WITH clock AS MATERIALIZED (SELECT notifier.now() AS at),
written AS (
    INSERT INTO notifier.contacts AS c (team_id, external_id, kind, name, locale, zone, attributes,
        created_at, updated_at)
    SELECT $1, external_id, kind, name, locale, zone, attributes::jsonb, clock.at, clock.at
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
        AS u (external_id, kind, name, locale, zone, attributes), clock
    ON CONFLICT ON CONSTRAINT contacts_external DO UPDATE SET
        kind = CASE WHEN 'kind' = ANY($8::text[]) THEN excluded.kind ELSE c.kind END,
        name = CASE WHEN 'name' = ANY($8) THEN excluded.name ELSE c.name END,
        locale = CASE WHEN 'locale' = ANY($8) THEN excluded.locale ELSE c.locale END,
        zone = CASE WHEN 'zone' = ANY($8) THEN excluded.zone ELSE c.zone END,
        attributes = coalesce(c.attributes - $9::text[], '{}') || excluded.attributes,
        updated_at = excluded.updated_at
    WHERE 'kind' = ANY($8) AND c.kind <> excluded.kind
        OR 'name' = ANY($8) AND c.name <> excluded.name
        OR 'locale' = ANY($8) AND c.locale <> excluded.locale
        OR 'zone' = ANY($8) AND c.zone <> excluded.zone
        OR c.attributes <> coalesce(c.attributes - $9::text[], '{}') || excluded.attributes
    RETURNING id, xmax = 0 AS added)
SELECT coalesce(array_agg(id) FILTER (WHERE added), '{}') AS added,
    coalesce(array_agg(id) FILTER (WHERE NOT added), '{}') AS updated
FROM written
"""

_ADDRESSES = """
WITH incoming AS MATERIALIZED (
    SELECT c.id, u.address, u.address_key
    FROM unnest($2::text[], $4::text[], $5::bytea[]) AS u (external_id, address, address_key)
    JOIN notifier.contacts c ON c.team_id = $1 AND c.external_id = u.external_id),
gone AS (
    DELETE FROM notifier.addresses a USING incoming i
    WHERE a.contact_id = i.id AND a.channel = $3 AND i.address = '' RETURNING a.contact_id),
written AS (
    INSERT INTO notifier.addresses AS a (contact_id, channel, address, address_key)
    SELECT id, $3, address, address_key FROM incoming WHERE address <> ''
    ON CONFLICT ON CONSTRAINT addresses_pk
        DO UPDATE SET address = excluded.address, address_key = excluded.address_key
        WHERE (a.address, a.address_key) IS DISTINCT FROM (excluded.address, excluded.address_key)
    RETURNING a.contact_id)
SELECT coalesce(array_agg(contact_id), '{}') FROM (TABLE gone UNION ALL TABLE written) AS changed
"""

_CONSENTS = """
WITH clock AS MATERIALIZED (SELECT notifier.now() AS at),
written AS (
    INSERT INTO notifier.consents (contact_id, channel, topic, act, source, proof, at, recorded_at)
    SELECT c.id, u.channel, u.topic, u.act, u.source, u.proof, coalesce(u.at, clock.at), clock.at
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[])
        AS u (external_id, channel, topic, act, source, proof, at)
    JOIN notifier.contacts c ON c.team_id = $1 AND c.external_id = u.external_id
    CROSS JOIN clock
    LEFT JOIN notifier.consent_states s ON s.contact_id = c.id AND s.channel = u.channel AND s.topic = u.topic
    WHERE s.act IS NULL OR (u.act, coalesce(u.at, s.at)) IS DISTINCT FROM (s.act, s.at)
        AND (u.at IS NOT NULL OR u.act = 'opt-out')
    ON CONFLICT DO NOTHING RETURNING contact_id)
SELECT coalesce(array_agg(contact_id), '{}') FROM written
"""

_MEMBERS = """
INSERT INTO notifier.list_members (list_id, contact_id)
SELECT $3, c.id FROM notifier.contacts c WHERE c.team_id = $1 AND c.external_id = ANY($2::text[])
ON CONFLICT DO NOTHING
"""


async def write_contacts(
    tx: Tx, team_id: int, rows: Iterable[ContactRow], columns: Columns, *, list_id: int | None = None
) -> BatchCounts:
    """Add or update; each external id at most once in `rows`. Locks in order of the external id."""
    ordered = sorted(rows, key=itemgetter(0))
    if not ordered:
        return BatchCounts(added=0, updated=0, unchanged=0)
    added, known = await _add_new(tx, team_id, ordered, columns)
    changed: set[int] = set()
    if known:
        more, changed = await _update(tx, team_id, known, columns)
        added |= more
    changed.update(await _write_consents(tx, team_id, ordered))
    if list_id is not None:
        await tx.execute(_MEMBERS, team_id, [row.external_id for row in ordered], list_id)
    updated = len(changed - added)
    return BatchCounts(added=len(added), updated=updated, unchanged=len(ordered) - len(added) - updated)


async def _add_new(
    tx: Tx, team_id: int, rows: Sequence[ContactRow], columns: Columns
) -> tuple[set[int], Sequence[ContactRow]]:
    """Ids of those that were added, and the rows of those that are there already.

    Copying takes a third of the time of an upsert, but cannot pass over a contact that another
    transaction adds meanwhile: then it all starts again, and that contact is there already.
    """
    while True:
        found = await tx.fetchrow(_LOOK_UP, team_id, [row.external_id for row in rows])
        if found is None:
            raise LookupError(f"there is no team {team_id}")
        known = set(found["known"])
        fresh = [row for row in rows if row.external_id not in known] if known else rows
        try:
            async with tx.transaction():
                await _copy(tx, _Fresh(team_id=team_id, at=found["at"], ids=found["ids"], rows=fresh), columns)
        except UniqueViolationError as error:
            if error.constraint_name != "contacts_external":
                raise
        else:
            return set(found["ids"]), [row for row in rows if row.external_id in known] if known else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fresh:
    """Contacts to add, each with its id."""

    team_id: int
    at: datetime
    ids: Sequence[int]
    rows: Sequence[ContactRow]

    def copy_contacts(self) -> bytes:
        """Lines of `_COPIED`."""
        begin, end = f"\t{self.team_id}\t", f"\t{self.at.isoformat()}\t{self.at.isoformat()}\n"

        def lines(rows: Sequence[ContactRow]) -> list[str]:
            pairs = zip(self.ids, rows, strict=True)
            return [f"{i}{begin}{r[0]}\t{r[1]}\t{r[2]}\t{r[3]}\t{r[4]}\t{r[5]}{end}" for i, r in pairs]

        return _copy_text(lines, self.rows, tabs=len(_COPIED) - 1, backslashes=0)

    def copy_addresses(self, fields: frozenset[str]) -> bytes:
        """Lines of `_COPIED_ADDRESSES`, those of one contact together."""
        wanted = [(channel, address, key) for field, channel, address, key in _ADDRESS_COLUMNS if field in fields]

        def lines(rows: Sequence[Any]) -> list[str]:
            return [
                f"{i}\t{channel}\t{r[address]}\t\\\\x{r[key].hex()}\n"
                for i, r in zip(self.ids, rows, strict=True)
                for channel, address, key in wanted
                if r[address]
            ]

        return _copy_text(lines, self.rows, tabs=len(_COPIED_ADDRESSES) - 1, backslashes=2)


async def _copy(tx: Tx, fresh: _Fresh, columns: Columns) -> None:
    for table, names, text in (
        ("contacts", _COPIED, fresh.copy_contacts()),
        ("addresses", _COPIED_ADDRESSES, fresh.copy_addresses(columns.fields)),
    ):
        if text:
            await tx.copy_to_table(table, schema_name="notifier", columns=names, source=io.BytesIO(text))


def _copy_text(
    lines: Callable[[Sequence[ContactRow]], list[str]], rows: Sequence[ContactRow], *, tabs: int, backslashes: int
) -> bytes:
    """PostgreSQL's text format; more marks than the lines have of themselves must be escaped, which is rare."""
    found = lines(rows)
    text, n = "".join(found).encode(), len(found)
    if [text.count(mark) for mark in (b"\t", b"\\", b"\n", b"\r")] == [n * tabs, n * backslashes, n, 0]:
        return text
    return "".join(lines([_escape(row) for row in rows])).encode()


def _escape(row: ContactRow) -> ContactRow:
    return row._replace(**{field: getattr(row, field).translate(_ESCAPED) for field in _TEXTS})


async def _update(tx: Tx, team_id: int, rows: Sequence[ContactRow], columns: Columns) -> tuple[set[int], set[int]]:
    """Ids of those added after all, because they were deleted meanwhile, and of those changed."""
    by_column: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
    ids, base = by_column[0], by_column[:6]
    gone = None if columns.attributes is None else list(columns.attributes)
    written = await tx.fetchrow(_CONTACTS, team_id, *base, sorted(columns.fields), gone)
    changed = set(written["updated"])
    for field, channel, address, key in _ADDRESS_COLUMNS:
        if field in columns.fields:
            arguments = team_id, ids, channel, by_column[address], by_column[key]
            changed.update(await tx.fetchval(_ADDRESSES, *arguments))
    return set(written["added"]), changed


async def _write_consents(tx: Tx, team_id: int, rows: Sequence[ContactRow]) -> list[int]:
    acts = [(row.external_id, *consent) for row in rows for consent in row.consents]
    if not acts:
        return []
    changed: list[int] = await tx.fetchval(_CONSENTS, team_id, *(list(column) for column in zip(*acts, strict=True)))
    return changed


async def ensure_list(tx: Tx, team_id: int, key: str) -> int:
    """The id of the list with this key; made where there is none."""
    list_id: int = await tx.fetchval(
        """
        INSERT INTO notifier.lists (team_id, key) VALUES ($1, $2)
        ON CONFLICT ON CONSTRAINT lists_key DO UPDATE SET key = excluded.key RETURNING id
        """,
        team_id,
        key,
    )
    return list_id
