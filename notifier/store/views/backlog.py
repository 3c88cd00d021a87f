"""How far a lane is behind."""

from datetime import timedelta

from notifier.store.database import Tx
from notifier.store.messages.fragments import FREE

_LOOKED_AT = 200


async def find_longest_wait(tx: Tx, lane: int) -> timedelta:
    """Since when the oldest message of running runs could have left; of each run a few are looked at, none is counted.

    What a stop holds does not wait. What a limit sent back, with a later due time and no try, waits as long as before.
    """
    found: timedelta | None = await tx.fetchval(
        f"""
        SELECT notifier.now() - min(m.since) FROM notifier.runs r CROSS JOIN LATERAL (
            SELECT q.run_id, q.lane, q.channel, q.due_at, CASE WHEN q.attempts = 0 AND s.open_from IS NULL
                THEN least(q.due_at, q.expires_at - s.expires) ELSE q.due_at END AS since
            FROM (SELECT * FROM notifier.messages WHERE run_id = r.id AND lane = $1 AND state = 'queued'
                ORDER BY due_at, id LIMIT {_LOOKED_AT}) AS q
            JOIN notifier.run_steps s ON s.run_id = q.run_id AND s.step = q.step) AS m
        WHERE r.state = 'running' AND m.since <= (SELECT notifier.now()) AND {FREE}
        """,
        lane,
    )
    return found or timedelta()
