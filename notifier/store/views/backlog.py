"""How far a lane is behind."""

from datetime import timedelta

from notifier.store.database import Tx


async def find_longest_wait(tx: Tx, lane: int) -> timedelta:
    """Since when the oldest message of running runs is due; one look into an index for each run, nothing is counted."""
    found: timedelta | None = await tx.fetchval(
        """
        SELECT notifier.now() - min(oldest.due_at) FROM notifier.runs r CROSS JOIN LATERAL (
            SELECT m.due_at FROM notifier.messages m WHERE m.run_id = r.id AND m.lane = $1 AND m.state = 'queued'
            ORDER BY m.due_at LIMIT 1) AS oldest
        WHERE r.state = 'running' AND oldest.due_at <= notifier.now()
        """,
        lane,
    )
    return found or timedelta()
