"""What a person has to decide: messages in doubt and messages set aside, by run, step and channel."""

from dataclasses import dataclass
from datetime import datetime

from notifier.store.database import Tx
from notifier.store.messages.fragments import RESENT, SET_ASIDE

_LATELY = "(r.nominal_at > notifier.now() - interval '60 days' OR r.state = 'running')"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtLine:
    """Messages of which nobody knows whether they were sent."""

    run_id: int
    campaign_key: str
    drill: bool
    step: str
    channel: str
    count: int
    fresh: int  # of them so many may still go
    looked_up: int  # of so many the provider was asked and does not have them
    since: datetime | None
    asks: bool  # they wait for a person; False: their purpose settles them


@dataclass(frozen=True, slots=True, kw_only=True)
class AsideLine:
    """Messages that ended their workers or could not be rendered, of one reason."""

    run_id: int
    campaign_key: str
    drill: bool
    step: str
    channel: str
    reason: str
    count: int
    fresh: int  # of them so many may still go
    crashes: int  # workers the worst of them has ended
    in_doubt: int  # of so many an earlier hand-over may have arrived
    at: datetime | None  # the last one


async def list_doubts(tx: Tx, team_id: int, *, limit: int = 200) -> list[DoubtLine]:
    """Of running runs and those of the last sixty days; what waits for a person comes first, then the newest."""
    rows = await tx.fetch(
        f"""
        SELECT m.run_id, r.campaign_key, r.drill, m.step, m.channel, count(*) AS count,
            count(*) FILTER (WHERE m.expires_at > notifier.now()) AS fresh,
            count(*) FILTER (WHERE l.answer = 'not-found') AS looked_up,
            min(m.changed_at) AS since, NOT ({RESENT}) OR r.state = 'cancelled' AS asks
        FROM notifier.runs r JOIN notifier.messages m ON m.run_id = r.id AND m.state = 'uncertain'
        JOIN notifier.run_steps s ON s.run_id = m.run_id AND s.step = m.step
        LEFT JOIN notifier.look_ups l ON l.run_id = m.run_id AND l.message_id = m.id AND l.attempts = m.attempts
        WHERE r.team_id = $1 AND {_LATELY}
        GROUP BY m.run_id, r.campaign_key, r.drill, m.step, m.channel, asks
        ORDER BY asks DESC, m.run_id DESC, m.step, m.channel LIMIT $2
        """,
        team_id,
        limit,
    )
    return [DoubtLine(**dict(row)) for row in rows]


async def list_set_aside(tx: Tx, team_id: int, *, limit: int = 200) -> list[AsideLine]:
    """Of running runs and those of the last sixty days, the newest first."""
    rows = await tx.fetch(
        f"""
        SELECT m.run_id, r.campaign_key, r.drill, m.step, m.channel, m.reason, count(*) AS count,
            count(*) FILTER (WHERE m.expires_at > notifier.now() AND r.state <> 'cancelled') AS fresh,
            max(m.crashes) AS crashes, max(m.changed_at) AS at,
            count(*) FILTER (WHERE EXISTS (SELECT 1 FROM notifier.events e
                WHERE e.run_id = m.run_id AND e.message_id = m.id AND e.kind = 'uncertain')) AS in_doubt
        FROM notifier.runs r JOIN notifier.messages m ON m.run_id = r.id AND {SET_ASIDE}
        WHERE r.team_id = $1 AND {_LATELY}
        GROUP BY m.run_id, r.campaign_key, r.drill, m.step, m.channel, m.reason
        ORDER BY m.run_id DESC, m.step, m.channel, m.reason LIMIT $2
        """,
        team_id,
        limit,
    )
    return [AsideLine(**dict(row)) for row in rows]
