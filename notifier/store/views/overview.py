"""The overview: what comes next, what waits for a person, what went out today."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Upcoming:
    """A step that will start at `at`."""

    run_id: int
    campaign_key: str
    campaign_id: int
    step: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualPost:
    """A post that a person has to publish, or has published."""

    run_id: int
    message_id: int
    account: str
    campaign_key: str
    campaign_id: int
    step: str
    since: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubts:
    """A run with messages of which nobody knows whether they were sent."""

    run_id: int
    campaign_key: str
    count: int


async def list_upcoming(tx: Tx, team_id: int, *, limit: int = 8) -> list[Upcoming]:
    """The next steps of scheduled and running runs, the soonest first."""
    rows = await tx.fetch(
        """
        SELECT r.id AS run_id, r.campaign_key, r.campaign_id, s.step, coalesce(s.due_at, s.plan_at) AS at
        FROM notifier.run_steps s JOIN notifier.runs r ON r.id = s.run_id
        WHERE r.team_id = $1 AND s.state = 'waiting' AND r.state IN ('scheduled', 'running') AND r.kind <> 'standing'
        ORDER BY 5, r.id, s.position LIMIT $2
        """,
        team_id,
        limit,
    )
    return [Upcoming(**dict(row)) for row in rows]


async def list_manual_posts(tx: Tx, team_id: int, accounts: Sequence[str], *, limit: int = 50) -> list[ManualPost]:
    """Posts handed to people and not yet marked as posted, oldest first, of the last sixty days."""
    rows = await tx.fetch(
        """
        SELECT m.run_id, m.id AS message_id, k.account, r.campaign_key, r.campaign_id, m.step,
            coalesce(m.accepted_at, m.planned_at) AS since, m.expires_at
        FROM notifier.runs r
        JOIN notifier.recipients k ON k.run_id = r.id AND k.account = ANY($2::text[])
        JOIN notifier.messages m ON m.run_id = k.run_id AND m.recipient_id = k.id
        WHERE r.team_id = $1 AND r.nominal_at > notifier.now() - interval '60 days'
            AND m.state = 'accepted' AND m.post_url = ''
            AND NOT EXISTS (SELECT 1 FROM notifier.events e
                WHERE e.run_id = m.run_id AND e.message_id = m.id AND e.kind = 'posted')
        ORDER BY 7, m.id LIMIT $3
        """,
        team_id,
        list(accounts),
        limit,
    )
    return [ManualPost(**dict(row)) for row in rows]


async def list_doubts(tx: Tx, team_id: int, *, limit: int = 10) -> list[Doubts]:
    """Runs of the last sixty days with messages in doubt, the newest first; from tallies."""
    rows = await tx.fetch(
        """
        SELECT r.id AS run_id, r.campaign_key, sum(t.delta)::bigint AS count
        FROM notifier.runs r JOIN notifier.tallies t ON t.run_id = r.id AND t.state = 'uncertain'
        WHERE r.team_id = $1 AND (r.nominal_at > notifier.now() - interval '60 days' OR r.state = 'running')
        GROUP BY r.id HAVING sum(t.delta) > 0 ORDER BY r.id DESC LIMIT $2
        """,
        team_id,
        limit,
    )
    return [Doubts(**dict(row)) for row in rows]


async def count_since(tx: Tx, team_id: int, since: datetime) -> Mapping[str, Mapping[str, int]]:
    """Channel → state → messages of runs that started, ran or ended since then; from tallies, never from messages."""
    rows = await tx.fetch(
        """
        SELECT t.channel, t.state, sum(t.delta)::bigint AS count
        FROM notifier.runs r JOIN notifier.tallies t ON t.run_id = r.id
        WHERE r.team_id = $1 AND (r.nominal_at BETWEEN $2 AND notifier.now() OR r.state = 'running' OR r.ended_at >= $2)
        GROUP BY t.channel, t.state HAVING sum(t.delta) <> 0
        """,
        team_id,
        since,
    )
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row["channel"], {})[row["state"]] = row["count"]
    return found
