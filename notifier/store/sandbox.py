"""What the sandbox was given, and what its player still has to report."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One message the sandbox took; `content` as given, the e-mail with both bodies."""

    team_id: int
    account: str
    channel: str
    public_id: str
    recipient: str = field(repr=False)
    sender: str
    headline: str = field(repr=False)
    content: Mapping[str, Any] = field(repr=False)
    fate: str
    delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreported:
    """A message whose fate is to be told to the callback address."""

    id: int
    account: str
    public_id: str
    recipient: str = field(repr=False)
    headline: str = field(repr=False)
    body: bytes = field(repr=False)
    fate: str
    report_at: datetime


async def keep_items(tx: Tx, items: Sequence[Kept]) -> None:
    """Keep a batch."""
    await tx.execute(
        """
        INSERT INTO notifier.sandbox_items (team_id, account, channel, public_id, recipient, sender, headline, body,
            fate, at, report_at)
        SELECT team_id, account, channel, public_id, recipient, sender, headline, body, fate,
            (SELECT notifier.now()), (SELECT notifier.now()) + make_interval(secs => delay_s)
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::text[],
            $9::float8[], $10::int[])
            AS i(account, channel, public_id, recipient, sender, headline, body, fate, delay_s, team_id)
        """,
        [i.account for i in items],
        [i.channel for i in items],
        [i.public_id for i in items],
        [i.recipient for i in items],
        [i.sender for i in items],
        [i.headline for i in items],
        [zlib.compress(orjson.dumps(i.content), 1) for i in items],
        [i.fate for i in items],
        [float(i.delay_s) for i in items],
        [i.team_id for i in items],
    )


def read_body(body: bytes) -> dict[str, Any]:
    """The content of a kept message."""
    content: dict[str, Any] = orjson.loads(zlib.decompress(body))
    return content


async def list_unreported(tx: Tx, limit: int) -> list[Unreported]:
    """Fates that are due to be reported, oldest first."""
    rows = await tx.fetch(
        """
        SELECT id, account, public_id, recipient, headline, body, fate, report_at FROM notifier.sandbox_items
        WHERE reported_at IS NULL AND fate <> 'none' AND report_at <= (SELECT notifier.now()) ORDER BY report_at, id LIMIT $1
        """,
        limit,
    )
    return [Unreported(**dict(row)) for row in rows]


async def next_report_at(tx: Tx) -> datetime | None:
    """When the next fate is due to be reported."""
    moment: datetime | None = await tx.fetchval(
        "SELECT min(report_at) FROM notifier.sandbox_items WHERE reported_at IS NULL AND fate <> 'none'"
    )
    return moment


async def mark_reported(tx: Tx, ids: Sequence[int]) -> None:
    """The player told these."""
    await tx.execute(
        "UPDATE notifier.sandbox_items SET reported_at = (SELECT notifier.now()) WHERE id = ANY($1)", list(ids)
    )


async def trim_items(tx: Tx, *, keep: int = 20_000) -> None:
    """Forget the oldest reported items past `keep` per channel; the ledger keeps every message."""
    await tx.execute(
        """
        DELETE FROM notifier.sandbox_items d USING (
            SELECT channel, min(id) AS oldest FROM (
                SELECT channel, id, row_number() OVER (PARTITION BY channel ORDER BY id DESC) AS nth
                FROM notifier.sandbox_items) AS numbered WHERE nth <= $1 GROUP BY channel) AS kept
        WHERE d.channel = kept.channel AND d.id < kept.oldest AND (d.reported_at IS NOT NULL OR d.fate = 'none')
        """,
        keep,
    )
