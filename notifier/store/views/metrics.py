"""Figures for operators, for all processes together: each query reads an index's edge or a small table."""

from dataclasses import dataclass

from notifier.domain.purpose import LANES
from notifier.store.database import Tx

LIVE_S = 15.0
_COUNTED_AT_MOST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """How often messages of a lane and channel came into a state, and how many are in it."""

    lane: int
    channel: str
    state: str
    entered: int
    inside: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneFacts:
    """Seconds the oldest due message of a lane has waited, and workers that serve the lane."""

    lane: int
    lag_s: float
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits outside the lanes; ages are seconds of the oldest, 0 where nothing waits."""

    leases: int
    leases_run_out: int
    steps: int  # whose time to be planned has come
    steps_age_s: float
    notes: int
    notes_age_s: float
    callbacks_age_s: float
    callbacks_stuck: int  # wait for a person; counted up to a bound
    callbacks_applied: int


async def read_passages(tx: Tx) -> list[Passage]:
    """What was folded and what was not yet."""
    rows = await tx.fetch(
        """
        SELECT lane, channel, state, sum(entered)::bigint AS entered, sum(entered - departed)::bigint AS inside FROM (
            SELECT lane, channel, state, entered, departed FROM notifier.passages
            UNION ALL
            SELECT coalesce(s.lane, 0), t.channel, t.state, greatest(t.delta, 0), greatest(-t.delta, 0)
            FROM notifier.tallies t LEFT JOIN notifier.run_steps s ON s.run_id = t.run_id AND s.step = t.step
            WHERE NOT t.folded) AS all_passages
        GROUP BY lane, channel, state ORDER BY lane, channel, state
        """
    )
    return [Passage(**dict(row)) for row in rows]


async def read_lanes(tx: Tx) -> list[LaneFacts]:
    """Every lane; of runs that a person stopped nothing waits."""
    rows = await tx.fetch(
        """
        SELECT l.lane, greatest(extract(epoch FROM notifier.now() - oldest.at), 0)::float8 AS lag_s,
            (SELECT count(*) FROM notifier.workers w
             WHERE l.lane = ANY (w.lanes) AND w.seen_at > now() - make_interval(secs => $2)) AS workers
        FROM unnest($1::smallint[]) AS l (lane) CROSS JOIN LATERAL (
            SELECT min(due.due_at) AS at FROM notifier.runs r CROSS JOIN LATERAL (
                SELECT m.due_at FROM notifier.messages m
                WHERE m.run_id = r.id AND m.lane = l.lane AND m.state = 'queued' ORDER BY m.due_at LIMIT 1) AS due
            WHERE r.state = 'running') AS oldest
        """,
        LANES,
        LIVE_S,
    )
    return [LaneFacts(lane=row["lane"], lag_s=row["lag_s"] or 0.0, workers=row["workers"]) for row in rows]


async def read_backlog(tx: Tx) -> Backlog:
    """Leases, planning, notes and callbacks."""
    row = await tx.fetchrow(
        """
        SELECT leases.*, steps.*, waiting.*, callbacks.*,
            (SELECT count(*) FROM (
                SELECT FROM notifier.callbacks WHERE applied_at IS NULL AND try_at = 'infinity' LIMIT $1) AS stuck
            ) AS callbacks_stuck,
            coalesce((SELECT value FROM notifier.counters WHERE name = 'callbacks_applied'), 0) AS callbacks_applied
        FROM (SELECT count(*) AS leases, count(*) FILTER (WHERE alive_until < now()) AS leases_run_out
              FROM notifier.claims) AS leases,
            (SELECT count(*) AS steps,
                coalesce(extract(epoch FROM notifier.now() - min(s.plan_at)), 0)::float8 AS steps_age_s
             FROM notifier.run_steps s JOIN notifier.runs r ON r.id = s.run_id
             WHERE s.state <> 'planned' AND s.plan_at <= notifier.now() AND r.state IN ('scheduled', 'running')
                AND r.kind <> 'standing') AS steps,
            (SELECT count(*) AS notes, coalesce(extract(epoch FROM now() - min(n.due_at)), 0)::float8 AS notes_age_s
             FROM notifier.notes n WHERE n.state IN ('queued', 'sending') AND n.due_at <= now()) AS waiting,
            (SELECT coalesce(extract(epoch FROM now() - min(due.try_at)), 0)::float8 AS callbacks_age_s FROM (
                SELECT try_at FROM notifier.callbacks WHERE applied_at IS NULL AND try_at <= now()
                ORDER BY try_at LIMIT 1) AS due) AS callbacks
        """,
        _COUNTED_AT_MOST,
    )
    return Backlog(**dict(row))
