"""Accounts as the doors for callbacks need them, also those taken out of use not long ago; and those in trouble."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweringAccount:
    """The newest version of an account whose provider may still report."""

    id: int
    key: str


async def list_answering(tx: Tx, team_id: int, *, after_retiring: timedelta) -> list[AnsweringAccount]:
    """Accounts in use, and those retired at most this long ago, by key."""
    rows = await tx.fetch(
        """
        SELECT id, key FROM (
            SELECT DISTINCT ON (key) id, key, retired_at FROM notifier.definitions
            WHERE team_id = $1 AND kind = 'account' ORDER BY key, version DESC) AS latest
        WHERE retired_at IS NULL OR retired_at > notifier.now() - $2::interval ORDER BY key
        """,
        team_id,
        after_retiring,
    )
    return [AnsweringAccount(**dict(row)) for row in rows]


async def get_team(tx: Tx, definition_id: int) -> int:
    """Whose account it is."""
    team_id: int = await tx.fetchval("SELECT team_id FROM notifier.definitions WHERE id = $1", definition_id)
    return team_id


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountTrouble:
    """An account for which messages wait, with its provider's or our own newest words."""

    account: str
    channel: str
    reason: str
    code: str
    waiting: int  # messages seen put off for this reason of late, at most as many as were looked at
    at: datetime
    run_id: int


_LOOKED_AT = 200


async def list_troubles(tx: Tx, team_id: int) -> list[AccountTrouble]:
    """Accounts and channels whose messages of running runs were put off within the hour, not for quiet hours.

    Looks at the messages of each running run that are due next, never at all of them.
    """
    rows = await tx.fetch(
        """
        WITH put_off AS (
            SELECT m.account, m.channel, e.reason, e.code, e.at, m.run_id
            FROM notifier.runs r
            CROSS JOIN generate_series(1, 4) AS lanes(lane)
            CROSS JOIN LATERAL (
                (SELECT f.id, f.run_id, f.account, f.channel, f.changed_at FROM notifier.messages f
                    WHERE f.run_id = r.id AND f.lane = lanes.lane AND f.state = 'queued' ORDER BY f.due_at, f.id LIMIT $2)
                UNION  -- what was put off is due last
                (SELECT l.id, l.run_id, l.account, l.channel, l.changed_at FROM notifier.messages l
                    WHERE l.run_id = r.id AND l.lane = lanes.lane AND l.state = 'queued' ORDER BY l.due_at DESC, l.id DESC LIMIT $2)) AS m
            CROSS JOIN LATERAL (
                SELECT v.reason, v.code, v.at FROM notifier.events v
                WHERE v.run_id = m.run_id AND v.message_id = m.id AND v.kind = 'deferred' AND v.reason <> 'quiet-hours'
                ORDER BY v.at DESC LIMIT 1) AS e
            WHERE r.team_id = $1 AND r.state = 'running' AND m.changed_at > notifier.now() - interval '1 hour' AND e.code <> 'given-back')
        SELECT DISTINCT ON (account, channel) account, channel, reason, code,
            count(*) OVER (PARTITION BY account, channel) AS waiting, at, run_id
        FROM put_off ORDER BY account, channel, at DESC
        """,
        team_id,
        _LOOKED_AT,
    )
    return [AccountTrouble(**dict(row)) for row in rows]
