"""Doubts and leftovers as rows: what a dead worker left behind, what goes again, what nobody will send any more."""

from collections.abc import Sequence
from datetime import timedelta

from notifier.store.database import Tx
from notifier.store.messages.fragments import RESEND_AT, RESENT, SET_ASIDE

SET_ASIDE_AFTER = 3
"""So many workers died holding a message, and it is not given to another one."""

_SET_ASIDE = "set aside: three workers died holding it"
_PLACE = "m.run_id, m.id, m.state AS before, m.reason AS before_reason"
_HELD = f"{_PLACE}, m.crashes"
# Moves what the statement before it `held`: each to its `next` state, with `why`, by a `source` ('' = the house).
_MOVE_MANY = """
moved AS (
    UPDATE notifier.messages m SET state = h.next, changed_at = (SELECT notifier.now()),
        reason = CASE WHEN h.next IN ('uncertain', 'failed') THEN h.why ELSE '' END,
        address_key = CASE h.next WHEN 'queued' THEN NULL ELSE m.address_key END,
        accepted_at = CASE h.next WHEN 'accepted' THEN coalesce(m.accepted_at, (SELECT notifier.now())) ELSE m.accepted_at END,
        crashes = h.crashes, claim_id = NULL
    FROM held h WHERE m.run_id = h.run_id AND m.id = h.id
    RETURNING m.run_id, m.id, m.step, m.channel, m.state, m.reason, m.attempts, h.before, h.before_reason, h.why, h.source),
noted AS (
    INSERT INTO notifier.events (at, run_id, message_id, event_key, kind, code, reason, source)
    SELECT (SELECT notifier.now()), run_id, id, state || ':settled:' || attempts,
        CASE state WHEN 'queued' THEN 'deferred' ELSE state END,
        CASE state WHEN 'queued' THEN 'given-back' ELSE '' END, why, source  -- no account is to blame
    FROM moved ON CONFLICT DO NOTHING),
counted AS (
    INSERT INTO notifier.tallies (run_id, step, channel, state, reason, delta)
    SELECT run_id, step, channel, state, CASE state WHEN 'failed' THEN reason ELSE '' END, count(*)
        FROM moved GROUP BY 1, 2, 3, 4, 5
    UNION ALL
    SELECT run_id, step, channel, before, CASE before WHEN 'failed' THEN before_reason ELSE '' END, -count(*)
        FROM moved GROUP BY 1, 2, 3, 4, 5)
SELECT count(*) FROM moved
"""

_SWEEP = (
    f"""
WITH dead AS (
    DELETE FROM notifier.claims WHERE id IN (  -- not those a worker holds that fell asleep while it recorded
        SELECT id FROM notifier.claims WHERE alive_until < now() FOR UPDATE SKIP LOCKED)
    RETURNING id, run_id, ids, begun),
held AS (
    SELECT {_PLACE}, m.crashes + 1 AS crashes, '' AS source, d.begun, m.attempts,
        CASE WHEN m.crashes + 1 >= {SET_ASIDE_AFTER} THEN 'failed' WHEN d.begun THEN 'uncertain' ELSE 'queued' END AS next,
        CASE WHEN m.crashes + 1 >= {SET_ASIDE_AFTER} THEN '{_SET_ASIDE}' WHEN d.begun THEN 'the worker died'
            ELSE 'the worker died before it was sent' END AS why
    FROM dead d CROSS JOIN LATERAL unnest(d.ids) AS one(id)
    JOIN notifier.messages m ON m.run_id = d.run_id AND m.id = one.id
    WHERE m.state = 'sending' AND m.claim_id = d.id ORDER BY m.run_id, m.id FOR UPDATE OF m),
doubted AS (  -- set aside, and yet it may have left
    INSERT INTO notifier.events (at, run_id, message_id, event_key, kind, reason)
    SELECT (SELECT notifier.now()), run_id, id, 'uncertain:settled:' || attempts, 'uncertain', 'the worker died'
    FROM held WHERE begun AND next = 'failed' ON CONFLICT DO NOTHING),
"""
    + _MOVE_MANY
)


async def sweep_dead_claims(tx: Tx) -> int:
    """Take the messages of workers that stopped renewing their lease; returns how many.

    One that may have left is `uncertain`, one of which nothing was begun goes back, and one that lost its third worker
    is set aside as `failed`.
    """
    count: int = await tx.fetchval(_SWEEP)
    return count


_UNLEASED = (
    f"""
WITH held AS (
    SELECT {_HELD}, '' AS source, 'uncertain' AS next, 'its lease was lost' AS why
    FROM notifier.runs r JOIN notifier.messages m ON m.run_id = r.id AND m.state = 'sending'
    WHERE r.state IN ('running', 'stopped', 'cancelled')
        AND NOT EXISTS (SELECT 1 FROM notifier.claims c WHERE c.id = m.claim_id)
    ORDER BY m.run_id, m.id LIMIT 1000 FOR UPDATE OF m SKIP LOCKED),
"""
    + _MOVE_MANY
)


async def sweep_unleased(tx: Tx) -> int:
    """Messages on the wire that no worker holds, which should not be, are in doubt; returns how many."""
    count: int = await tx.fetchval(_UNLEASED)
    return count


_SETTLE = (
    f"""
WITH held AS (
    SELECT {_HELD}, '' AS source,
        CASE WHEN m.expires_at <= (SELECT notifier.now()) THEN 'expired' ELSE 'queued' END AS next,
        CASE WHEN m.expires_at <= (SELECT notifier.now()) THEN 'still in doubt when its time ran out'
            ELSE 'sent again' END AS why
    FROM notifier.runs r JOIN notifier.messages m ON m.run_id = r.id
    JOIN notifier.run_steps s ON s.run_id = m.run_id AND s.step = m.step
    WHERE r.state IN ('running', 'stopped') AND m.state = 'uncertain' AND {RESENT}
        AND least(m.expires_at, {RESEND_AT.format(patience="$1")}) <= (SELECT notifier.now())
        AND (s.in_doubt = 'resend' OR m.channel <> ALL ($2::text[]) OR m.expires_at <= (SELECT notifier.now()) OR EXISTS (
            SELECT 1 FROM notifier.look_ups l WHERE l.run_id = m.run_id AND l.message_id = m.id AND l.attempts = m.attempts
                AND l.answer <> ''))
    ORDER BY m.run_id, m.id LIMIT 1000 FOR UPDATE OF m SKIP LOCKED),
"""
    + _MOVE_MANY
)


async def settle_uncertain(tx: Tx, patience: timedelta, *, looked_up: Sequence[str] = ()) -> int:
    """Queue again what its purpose allows to resend, ever more rarely until it expires; the rest waits for a person.

    In a cancelled run a doubt stays one: it may have arrived, and nothing of it goes again.

    Of the channels `looked_up`, nothing that is to be reconciled goes again before its provider was asked.
    """
    count: int = await tx.fetchval(_SETTLE, patience, list(looked_up))
    return count


_DECIDE = (
    f"""
WITH held AS (
    SELECT {_HELD}, 'person' AS source, $3::text AS next, $4::text AS why
    FROM notifier.messages m WHERE m.run_id = $1 AND m.state = 'uncertain' AND ($2::bigint IS NULL OR m.id = $2)
        AND ($3 <> 'queued' OR m.expires_at > (SELECT notifier.now()))
    ORDER BY m.id FOR UPDATE OF m),
"""
    + _MOVE_MANY
)


async def decide_doubts(tx: Tx, run_id: int, message_id: int | None, *, to: str, why: str) -> int:
    """What a person says of one message in doubt, or of all of a run; returns of how many.

    What is to go again and has expired is left out.
    """
    count: int = await tx.fetchval(_DECIDE, run_id, message_id, to, why)
    return count


_REPLAY = (
    f"""
WITH held AS (
    SELECT {_PLACE}, least(m.crashes, {SET_ASIDE_AFTER - 1}) AS crashes, 'person' AS source, 'queued' AS next,
        'another chance, given by a person' AS why
    FROM notifier.messages m WHERE m.run_id = $1 AND {SET_ASIDE} AND ($2::bigint IS NULL OR m.id = $2)
        AND ($3 = '' OR m.reason = $3) AND m.expires_at > (SELECT notifier.now())
    ORDER BY m.id FOR UPDATE OF m),
refreshed AS (UPDATE notifier.runs SET state = 'running', ended_at = NULL WHERE id = $1 AND state = 'ended'
    AND EXISTS (SELECT 1 FROM held)),
"""
    + _MOVE_MANY
)


async def replay_set_aside(tx: Tx, run_id: int, message_id: int | None, *, reason: str) -> int:
    """Queue what was set aside and has not expired, one message or all of a reason; returns how many.

    The claim looks at consent, address and stops anew. One more worker that dies sets it aside again. A run that had
    ended goes on. What was never rendered takes the contact's values as they are now.
    """
    await tx.execute(
        f"""
        UPDATE notifier.messages m SET variables = NULL WHERE m.run_id = $1 AND {SET_ASIDE} AND m.content_hash IS NULL
            AND m.contact_id IS NOT NULL AND ($2::bigint IS NULL OR m.id = $2) AND ($3 = '' OR m.reason = $3)
            AND m.crashes = 0 AND m.expires_at > (SELECT notifier.now())
        """,
        run_id,
        message_id,
        reason,
    )
    count: int = await tx.fetchval(_REPLAY, run_id, message_id, reason)
    return count


_NOT_POSTED = (
    f"""
WITH held AS (
    SELECT {_HELD}, '' AS source, 'expired' AS next, 'nobody published it in time' AS why
    FROM notifier.runs r JOIN notifier.messages m ON m.run_id = r.id
    WHERE r.state IN ('running', 'stopped') AND m.state = 'to-post' AND m.expires_at <= (SELECT notifier.now())
    ORDER BY m.run_id, m.id LIMIT 1000 FOR UPDATE OF m SKIP LOCKED),
"""
    + _MOVE_MANY
)


async def expire_unposted(tx: Tx) -> int:
    """Posts by hand that nobody published in time are never published late; returns how many."""
    count: int = await tx.fetchval(_NOT_POSTED)
    return count


CANCELLED_AT_ONCE = 5_000
_CANCEL = (
    f"""
WITH held AS (
    SELECT {_HELD}, '' AS source, 'cancelled' AS next, 'stopped by a person' AS why
    FROM (SELECT id FROM notifier.runs WHERE state = 'cancelled' AND ended_at > (SELECT notifier.now()) - interval '31 days'
        AND ($1::bigint IS NULL OR id = $1)) AS r
    CROSS JOIN LATERAL (
        SELECT q.run_id, q.id, q.state, q.reason, q.crashes FROM notifier.messages q
        WHERE q.run_id = r.id AND q.state = '{{state}}' LIMIT {CANCELLED_AT_ONCE} FOR UPDATE SKIP LOCKED) AS m
    LIMIT {CANCELLED_AT_ONCE}),
"""
    + _MOVE_MANY
)
# One state a statement: each has its own partial index.
_CANCEL_QUEUED, _CANCEL_TO_POST = _CANCEL.format(state="queued"), _CANCEL.format(state="to-post")


async def cancel_left_over(tx: Tx) -> int:
    """Cancel some of what waits in cancelled runs: left over by `cancel_queued`, planned or come back since.

    Returns how many; 0 when there are no more.
    """
    posts: int = await tx.fetchval(_CANCEL_TO_POST, None)
    queued: int = await tx.fetchval(_CANCEL_QUEUED, None)
    return posts + queued


async def cancel_queued(tx: Tx, run_id: int) -> int:
    """Cancel what no worker has claimed and no person published of a run just cancelled; returns how many that are.

    A large run's follow after the commit, by `cancel_left_over`: the state of the run keeps every claim from them.
    """
    waiting: int = await tx.fetchval(
        """
        SELECT coalesce(sum(delta), 0)::bigint FROM notifier.tallies WHERE run_id = $1 AND state IN ('queued', 'to-post')
        """,
        run_id,
    )
    await tx.fetchval(_CANCEL_TO_POST, run_id)
    await tx.fetchval(_CANCEL_QUEUED, run_id)
    return waiting
