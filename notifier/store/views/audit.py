"""What the audit knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """Something somebody did."""

    id: int
    at: datetime
    actor: str
    act: str
    subject: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which lines are wanted; what is empty does not matter."""

    actor: str = ""
    act: str = ""  # one act, `run.stopped`, or all of a kind, `run`
    subject: str = ""
    since: datetime | None = None
    until: datetime | None = None  # before this moment


async def list_audit(
    tx: Tx, team_id: int, wanted: AuditFilter, *, before: int | None = None, limit: int = 50
) -> list[AuditLine]:
    """The newest first, from before this id on."""
    rows = await tx.fetch(
        """
        SELECT id, at, actor, act, subject, detail FROM notifier.audit
        WHERE team_id = $1 AND ($2 = '' OR actor = $2) AND ($3 = '' OR act = $3 OR starts_with(act, $3 || '.'))
            AND ($4 = '' OR subject = $4)
            AND ($5::timestamptz IS NULL OR at >= $5) AND ($6::timestamptz IS NULL OR at < $6)
            AND ($7::bigint IS NULL OR id < $7)
        ORDER BY id DESC LIMIT $8
        """,
        team_id,
        wanted.actor,
        wanted.act,
        wanted.subject,
        wanted.since,
        wanted.until,
        before,
        limit,
    )
    return [AuditLine(**dict(row)) for row in rows]


async def has_act(tx: Tx, team_id: int, act: str) -> bool:
    """Whether anybody ever did this."""
    found: bool = await tx.fetchval(
        "SELECT EXISTS (SELECT FROM notifier.audit WHERE team_id = $1 AND act = $2)", team_id, act
    )
    return found
