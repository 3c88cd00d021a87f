"""Which rows would make staff of people who are customers: a run for staff reaches people without a second look."""

from collections.abc import Sequence

from notifier.store.contact_batches import ContactRow
from notifier.store.database import Tx

# A file without the column `kind` leaves the kind of who is there as it is. An address that stands at a member of
# staff already is theirs, whoever shares it.
_CUSTOMERS = """
WITH given AS MATERIALIZED (
    SELECT u.*, c.id, c.kind AS was, CASE WHEN c.id IS NULL OR $6 THEN u.kind ELSE c.kind END AS shall
    FROM unnest($2::text[], $3::text[], $4::bytea[], $5::bytea[]) AS u (external_id, kind, email_key, phone_key)
    LEFT JOIN notifier.contacts c ON c.team_id = $1 AND c.external_id = u.external_id)
SELECT g.external_id FROM given g
WHERE g.shall <> 'customer' AND (g.was = 'customer' OR EXISTS (
    SELECT FROM notifier.addresses a JOIN notifier.contacts o ON o.id = a.contact_id
    WHERE a.address_key IN (g.email_key, g.phone_key) AND o.team_id = $1 AND o.kind = 'customer'
        AND NOT EXISTS (SELECT FROM notifier.addresses own
            WHERE own.contact_id = g.id AND own.address_key = a.address_key)))
"""


async def find_customers(tx: Tx, team_id: int, rows: Sequence[ContactRow], *, says_kind: bool) -> set[str]:
    """External ids of the rows that would be staff afterwards and are customers now, by id, address or number.

    `says_kind`: the rows set the kind of who is there already.
    """
    asked = [row for row in rows if row.kind != "customer"] if says_kind else rows
    if not asked:
        return set()
    by_column = zip(*((row.external_id, row.kind, row.email_key, row.phone_key) for row in asked), strict=True)
    found = await tx.fetch(_CUSTOMERS, team_id, *(list(column) for column in by_column), says_kind)
    return {row["external_id"] for row in found}
