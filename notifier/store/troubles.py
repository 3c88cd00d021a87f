"""Troubles: what stands still though workers live. Found by indexes, kept while it lasts, told once."""

from dataclasses import dataclass
from datetime import datetime

from notifier.store.database import Tx
from notifier.store.messages.fragments import STOPPED, STOPPED_CHANNELS

_URGENT_S, _ORDINARY_S = 120, 900  # so long nobody claims the first message of a lane
_CALLBACK_S = 300
_LEASE_S = 3600
_SHOWN_S = 3600  # what was put right at once is shown so long
_COUNTED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """`unleased`: on the wire by nobody; `waiting`: due and not claimed; `callbacks`: not applied; `lease`: held for hours."""

    kind: str
    run_id: int  # 0: of no one run
    count: int
    since: datetime


_HEADS = f"""
WITH heads AS (
    SELECT r.id AS run_id, l.lane, first.id AS message_id
    FROM notifier.runs r CROSS JOIN generate_series(1, 4) AS l (lane)
    CROSS JOIN LATERAL (
        SELECT m.id, m.channel FROM notifier.messages m WHERE m.run_id = r.id AND m.lane = l.lane AND m.state = 'queued'
            AND m.due_at <= (SELECT notifier.now()) ORDER BY m.due_at, m.id LIMIT 1) AS first
    WHERE r.state = 'running' AND NOT {STOPPED.format(lane="l.lane")}
        AND first.channel <> ALL ({STOPPED_CHANNELS.format(lane="l.lane")})
        AND NOT EXISTS (SELECT 1 FROM notifier.paused_accounts p WHERE p.team_id = r.team_id)),  -- told already
gone AS (DELETE FROM notifier.queue_heads q WHERE NOT EXISTS (
    SELECT 1 FROM heads h WHERE h.run_id = q.run_id AND h.lane = q.lane))
INSERT INTO notifier.queue_heads AS q (run_id, lane, message_id) SELECT run_id, lane, message_id FROM heads
ON CONFLICT ON CONSTRAINT queue_heads_pk DO UPDATE SET message_id = excluded.message_id,
    since = CASE WHEN q.message_id = excluded.message_id THEN q.since ELSE now() END
"""

_FOUND = f"""
WITH found AS (
    SELECT r.team_id, 'waiting' AS kind, r.id AS run_id, count(*) AS count
    FROM notifier.queue_heads q JOIN notifier.runs r ON r.id = q.run_id
    WHERE q.since < now() - make_interval(secs => CASE WHEN q.lane <= 2 THEN {_URGENT_S} ELSE {_ORDINARY_S} END)
    GROUP BY r.team_id, r.id
    UNION ALL
    SELECT (SELECT min(id) FROM notifier.teams), 'callbacks', 0, count(*) FROM (
        SELECT 1 FROM notifier.callbacks WHERE applied_at IS NULL
            AND try_at < now() - make_interval(secs => {_CALLBACK_S}) LIMIT {_COUNTED}) AS late HAVING count(*) > 0
    UNION ALL
    SELECT r.team_id, 'lease', r.id, count(*) FROM notifier.claims c JOIN notifier.runs r ON r.id = c.run_id
    WHERE c.taken_at < now() - make_interval(secs => {_LEASE_S}) GROUP BY r.team_id, r.id),
over AS (
    DELETE FROM notifier.troubles t WHERE CASE t.kind WHEN 'unleased'
        THEN t.since < now() - make_interval(secs => {_SHOWN_S})
        ELSE NOT EXISTS (SELECT 1 FROM found f WHERE (f.team_id, f.kind, f.run_id) = (t.team_id, t.kind, t.run_id)) END)
INSERT INTO notifier.troubles AS t (team_id, kind, run_id, count) SELECT team_id, kind, run_id, count FROM found
ON CONFLICT ON CONSTRAINT troubles_pk DO UPDATE SET count = excluded.count
"""


async def look_for_troubles(tx: Tx) -> bool:
    """Keep what stands still and forget what is over. False where another worker is at it."""
    if not await tx.fetchval("SELECT pg_try_advisory_xact_lock(7320600)"):
        return False
    await tx.execute(_HEADS)
    await tx.execute(_FOUND)
    return True


async def note_unleased(tx: Tx, count: int) -> None:
    """So many messages were on the wire by nobody."""
    await tx.execute(
        """
        INSERT INTO notifier.troubles AS t (team_id, kind, count) SELECT min(id), 'unleased', $1 FROM notifier.teams
        ON CONFLICT ON CONSTRAINT troubles_pk DO UPDATE SET count = t.count + excluded.count
        """,
        count,
    )


async def take_untold(tx: Tx) -> list[tuple[int, Trouble]]:
    """(team, trouble) nobody was told of; told from now on."""
    rows = await tx.fetch(
        "UPDATE notifier.troubles SET told_at = now() WHERE told_at IS NULL RETURNING team_id, kind, run_id, count, since"
    )
    return [(row["team_id"], _read(row)) for row in rows]


async def list_troubles(tx: Tx, team_id: int) -> list[Trouble]:
    """Those that last, the oldest first."""
    rows = await tx.fetch(
        "SELECT kind, run_id, count, since FROM notifier.troubles WHERE team_id = $1 ORDER BY since, kind", team_id
    )
    return [_read(row) for row in rows]


def _read(row: Tx) -> Trouble:
    return Trouble(kind=row["kind"], run_id=row["run_id"], count=row["count"], since=row["since"])
