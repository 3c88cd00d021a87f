"""What the sandbox was given, as a phone, a mailbox and a wall show it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notifier.domain.errors import NotFound
from notifier.store.database import Tx
from notifier.store.sandbox import read_body


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxLine:
    """One message as its receiver sees it in a list."""

    id: int
    account: str
    channel: str
    public_id: str
    recipient: str = field(repr=False)
    sender: str
    headline: str = field(repr=False)
    at: datetime
    content: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Somebody the sandbox has something for, and how much of the newest."""

    recipient: str = field(repr=False)
    count: int
    newest_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A contact behind an address."""

    external_id: str
    name: str = field(repr=False)


_NEWEST_LOOKED_AT = 2_000
_COLUMNS = "id, account, channel, public_id, recipient, sender, headline, at, body"


async def list_items(
    tx: Tx,
    team_id: int,
    channel: str,
    *,
    recipient: str = "",
    account: str = "",
    before: int | None = None,
    limit: int = 30,
) -> list[SandboxLine]:
    """Newest first, continuing before `before`; of a recipient, an account, or all."""
    rows = await tx.fetch(
        f"""
        SELECT {_COLUMNS} FROM notifier.sandbox_items
        WHERE team_id = $5 AND channel = $1 AND ($2 = '' OR recipient = $2) AND ($3::bigint IS NULL OR id < $3)
            AND ($6 = '' OR account = $6)
        ORDER BY id DESC LIMIT $4
        """,
        channel,
        recipient,
        before,
        limit,
        team_id,
        account,
    )
    return [_read(row) for row in rows]


async def get_item(tx: Tx, team_id: int, item_id: int) -> SandboxLine:
    """One message; `NotFound`."""
    row = await tx.fetchrow(
        f"SELECT {_COLUMNS} FROM notifier.sandbox_items WHERE id = $1 AND team_id = $2", item_id, team_id
    )
    if row is None:
        raise NotFound("the sandbox has no such message")
    return _read(row)


async def list_receivers(
    tx: Tx, team_id: int, channel: str, *, like: str = "", account: str = "", limit: int = 40
) -> list[Receiver]:
    """Who got the newest messages of a channel, of an account, or whose address has `like` in it; the newest first."""
    rows = await tx.fetch(
        """
        SELECT recipient, count(*) AS count, max(at) AS newest_at FROM (
            SELECT recipient, at FROM notifier.sandbox_items
            WHERE team_id = $5 AND channel = $1 AND ($2 = '' OR strpos(lower(recipient), lower($2)) > 0)
                AND ($6 = '' OR account = $6)
            ORDER BY id DESC LIMIT $4) AS newest
        GROUP BY recipient ORDER BY 3 DESC, 1 LIMIT $3
        """,
        channel,
        like,
        limit,
        _NEWEST_LOOKED_AT,
        team_id,
        account,
    )
    return [Receiver(**dict(row)) for row in rows]


async def list_accounts(tx: Tx, team_id: int, channel: str) -> list[str]:
    """The accounts through which the newest came, by key."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT account COLLATE "C" AS account FROM (
            SELECT account FROM notifier.sandbox_items WHERE team_id = $1 AND channel = $2
            ORDER BY id DESC LIMIT $3) AS newest
        ORDER BY 1
        """,
        team_id,
        channel,
        _NEWEST_LOOKED_AT,
    )
    return [row["account"] for row in rows]


async def name_addresses(tx: Tx, team_id: int, keys: Sequence[bytes]) -> dict[bytes, Known]:
    """Address key → the first contact who has the address; those of nobody are left out."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT ON (a.address_key) a.address_key, c.external_id, c.name
        FROM notifier.addresses a JOIN notifier.contacts c ON c.id = a.contact_id
        WHERE c.team_id = $1 AND a.address_key = ANY($2) ORDER BY a.address_key, c.id
        """,
        team_id,
        list(keys),
    )
    return {row["address_key"]: Known(external_id=row["external_id"], name=row["name"]) for row in rows}


async def list_note_kinds(tx: Tx, team_id: int, note_ids: Sequence[int]) -> dict[int, str]:
    """Note → test, proof or alarm."""
    rows = await tx.fetch(
        "SELECT id, kind FROM notifier.notes WHERE team_id = $1 AND id = ANY($2)", team_id, list(note_ids)
    )
    return {row["id"]: row["kind"] for row in rows}


def _read(row: Any) -> SandboxLine:
    known = dict(row)
    return SandboxLine(content=read_body(known.pop("body")), **known)
