"""Figures for operators, for all processes together: each query reads an index's edge or a small table."""

from dataclasses import dataclass

from notifier.domain.purpose import LANES
from notifier.store.database import Tx
from notifier.store.messages.fragments import HAS_FREE, SET_ASIDE, STOPPED, STOPPED_CHANNELS

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What people have to do with."""

    set_aside: int  # counted up to a bound
    stops: dict[str, int]  # in force above single runs, by scope


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
    """Every lane; what a person stopped does not wait."""
    rows = await tx.fetch(
        f"""
        SELECT l.lane, greatest(extract(epoch FROM notifier.now() - oldest.at), 0)::float8 AS lag_s,
            (SELECT count(*) FROM notifier.workers w
             WHERE l.lane = ANY (w.lanes) AND w.seen_at > now() - make_interval(secs => $2)) AS workers
        FROM unnest($1::smallint[]) AS l (lane) CROSS JOIN LATERAL (
            SELECT min(due.due_at) AS at FROM notifier.runs r
            CROSS JOIN LATERAL (SELECT {STOPPED_CHANNELS.format(lane="l.lane")} AS channels OFFSET 0) AS held
            CROSS JOIN LATERAL (
                SELECT m.due_at FROM notifier.messages m
                WHERE m.run_id = r.id AND m.lane = l.lane AND m.state = 'queued'
                    AND m.channel <> ALL (held.channels) ORDER BY m.due_at LIMIT 1) AS due
            WHERE r.state = 'running' AND NOT {STOPPED.format(lane="l.lane")} AND {HAS_FREE}) AS oldest
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
                coalesce(extract(epoch FROM notifier.now() - min(greatest(s.plan_at, r.held_until))), 0)::float8 AS steps_age_s
             FROM notifier.run_steps s JOIN notifier.runs r ON r.id = s.run_id
             WHERE s.state <> 'planned' AND greatest(s.plan_at, r.held_until) <= notifier.now() AND r.state IN ('scheduled', 'running')
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


async def read_accounts(tx: Tx) -> dict[str, str]:
    """Every account in use: `open`, or why it is given nothing, of several teams the worse."""
    rows = await tx.fetch(
        """
        SELECT d.key AS account, coalesce(max(p.cause), 'open') AS state FROM (
            SELECT DISTINCT team_id, key FROM notifier.definitions WHERE kind = 'account' AND retired_at IS NULL) AS d
        LEFT JOIN notifier.paused_accounts p ON p.team_id = d.team_id AND p.account = d.key GROUP BY d.key ORDER BY d.key
        """
    )
    return {row["account"]: row["state"] for row in rows}


async def read_held(tx: Tx) -> Held:
    """Messages set aside, and stops in force."""
    set_aside = await tx.fetchval(
        f"""
        SELECT count(*) FROM (
            SELECT FROM notifier.runs r JOIN notifier.messages m ON m.run_id = r.id WHERE {SET_ASIDE} LIMIT $1) AS found
        """,
        _COUNTED_AT_MOST,
    )
    stops = await tx.fetch("SELECT scope, count(*) AS count FROM notifier.stops WHERE lifted_at IS NULL GROUP BY scope")
    return Held(set_aside=set_aside, stops={row["scope"]: row["count"] for row in stops})
