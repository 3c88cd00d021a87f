"""What there is to do now, asked once a second by every worker: one short query in place of a job for each question."""

from collections.abc import Sequence

from notifier.store.database import Tx
from notifier.store.messages.fragments import HAS_FREE, STOPPED, STOPPED_CHANNELS


async def list_due_jobs(tx: Tx, lanes: Sequence[int]) -> list[str]:
    """The jobs of `queue.JOBS` that have something to do, of these lanes and of the house."""
    rows = await tx.fetch(
        f"""
        SELECT 'drain-' || l.lane AS job FROM unnest($1::smallint[]) AS l (lane)
        WHERE EXISTS (
            SELECT FROM notifier.runs r
            CROSS JOIN LATERAL (SELECT {STOPPED_CHANNELS.format(lane="l.lane")} AS channels OFFSET 0) AS held
            CROSS JOIN LATERAL (
                SELECT FROM notifier.messages m WHERE m.run_id = r.id AND m.lane = l.lane AND m.state = 'queued'
                    AND m.due_at <= (SELECT notifier.now()) AND m.channel <> ALL (held.channels) LIMIT 1) AS due
            WHERE r.state = 'running' AND NOT {STOPPED.format(lane="l.lane")} AND {HAS_FREE})
        UNION ALL
        SELECT 'callbacks' WHERE EXISTS (
            SELECT FROM notifier.callbacks WHERE applied_at IS NULL AND try_at <= now())
        UNION ALL
        SELECT 'notes' WHERE EXISTS (
            SELECT FROM notifier.notes WHERE state IN ('queued', 'sending') AND due_at <= now())
        """,
        lanes,
    )
    return [row["job"] for row in rows]


async def list_urgent_runs(tx: Tx, lanes: Sequence[int], limit: int) -> list[int]:
    """Running runs of these lanes, newest first: what may be asked of a worker at any moment."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT s.run_id FROM notifier.run_steps s JOIN notifier.runs r ON r.id = s.run_id
        WHERE r.state = 'running' AND s.lane = ANY ($1) ORDER BY s.run_id DESC LIMIT $2
        """,
        lanes,
        limit,
    )
    return [row["run_id"] for row in rows]
