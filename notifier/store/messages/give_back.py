"""Give back: what was claimed and may not go now returns to the queue as it came; no try is counted, nothing is noted."""

from collections.abc import Collection, Mapping

from notifier.domain.message import MessageId, RunId
from notifier.store.database import Tx


async def give_back(tx: Tx, run_id: RunId, claim_id: int, waits_s: Mapping[MessageId, float]) -> None:
    """Messages of a claim that did not leave the house, each due again after so many seconds."""
    # The sweep and the record take the lease first too: in this order none waits for the other.
    await tx.execute("SELECT 1 FROM notifier.claims WHERE id = $1 FOR UPDATE", claim_id)
    await tx.execute(
        """
        WITH back AS (
            UPDATE notifier.messages m SET state = 'queued', claim_id = NULL, address_key = NULL,
                attempts = m.attempts - 1, due_at = (SELECT notifier.now()) + make_interval(secs => w.wait_s),
                changed_at = (SELECT notifier.now())
            FROM unnest($3::bigint[], $4::float8[]) AS w(id, wait_s)
            WHERE m.run_id = $1 AND m.id = w.id AND m.claim_id = $2 AND m.state = 'sending'
            RETURNING m.id, m.step, m.channel),
        gone AS (SELECT array(SELECT id FROM back) AS ids),
        kept AS (
            UPDATE notifier.claims c SET ids = array(SELECT unnest(c.ids) EXCEPT SELECT unnest(g.ids))
            FROM gone g WHERE c.id = $2 AND NOT c.ids <@ g.ids),
        freed AS (DELETE FROM notifier.claims c USING gone g WHERE c.id = $2 AND c.ids <@ g.ids)
        INSERT INTO notifier.tallies (run_id, step, channel, state, delta)
        SELECT $1, step, channel, 'queued', count(*) FROM back GROUP BY 1, 2, 3
        UNION ALL SELECT $1, step, channel, 'sending', -count(*) FROM back GROUP BY 1, 2, 3
        """,
        run_id,
        claim_id,
        list(waits_s),
        list(waits_s.values()),
    )


async def spare_tries(tx: Tx, run_id: RunId, ids: Collection[MessageId]) -> None:
    """What was refused for no fault of the messages counts as no try; in the transaction that records it."""
    await tx.execute(
        """
        UPDATE notifier.messages SET attempts = attempts - 1
        WHERE run_id = $1 AND id = ANY($2) AND state = 'queued' AND attempts > 0
        """,
        run_id,
        list(ids),
    )


async def expire_due(tx: Tx, run_id: RunId, lane: int, *, limit: int = 1000) -> int:
    """What ran out of time while nothing could be claimed has expired, by due time; returns how many."""
    count: int = await tx.fetchval(
        """
        WITH late AS (
            SELECT m.id FROM notifier.messages m
            WHERE m.run_id = $1 AND m.lane = $2 AND m.state = 'queued' AND m.due_at <= (SELECT notifier.now())
                AND m.expires_at <= (SELECT notifier.now())
            ORDER BY m.due_at, m.id LIMIT $3 FOR UPDATE SKIP LOCKED),
        moved AS (
            UPDATE notifier.messages m SET state = 'expired', reason = '', changed_at = (SELECT notifier.now())
            FROM late WHERE m.run_id = $1 AND m.id = late.id RETURNING m.id, m.step, m.channel),
        noted AS (
            INSERT INTO notifier.events (at, run_id, message_id, event_key, kind, reason)
            SELECT (SELECT notifier.now()), $1, id, 'expired', 'expired', 'expired' FROM moved ON CONFLICT DO NOTHING),
        counted AS (
            INSERT INTO notifier.tallies (run_id, step, channel, state, delta)
            SELECT $1, step, channel, 'expired', count(*) FROM moved GROUP BY 1, 2, 3
            UNION ALL SELECT $1, step, channel, 'queued', -count(*) FROM moved GROUP BY 1, 2, 3)
        SELECT count(*) FROM moved
        """,
        run_id,
        lane,
        limit,
    )
    return count


async def list_doubted(tx: Tx, run_id: RunId, ids: Collection[MessageId]) -> set[MessageId]:
    """Which of these may have arrived already, by an answer that was lost."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT message_id FROM notifier.events
        WHERE run_id = $1 AND message_id = ANY($2) AND kind = 'uncertain'
        """,
        run_id,
        list(ids),
    )
    return {MessageId(row["message_id"]) for row in rows}


async def has_posts_due(tx: Tx, run_id: RunId, lane: int) -> bool:
    """Whether a post of the run waits for its turn."""
    found: bool = await tx.fetchval(
        """
        SELECT EXISTS (SELECT 1 FROM notifier.recipients p
            JOIN notifier.messages m ON m.run_id = p.run_id AND m.recipient_id = p.id
            WHERE p.run_id = $1 AND p.account IS NOT NULL AND m.lane = $2 AND m.state = 'queued'
                AND m.due_at <= (SELECT notifier.now()))
        """,
        run_id,
        lane,
    )
    return found
