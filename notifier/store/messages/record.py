"""Record: what became of a claimed batch, in one statement; settle what a dead worker left behind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from notifier.domain.message import MessageId, RunId, State
from notifier.store import clock
from notifier.store.callbacks import opt_out_contacts
from notifier.store.database import Tx
from notifier.store.messages.fragments import RESEND_AT, RESENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The outcome of one hand-over. `state` queued means: again after `again_s` seconds."""

    id: MessageId
    state: State
    reason: str = ""
    code: str = ""
    provider_ref: str = ""
    post_url: str = ""
    account: str = ""
    locale: str = ""
    parts: int | None = None
    content_hash: bytes | None = None
    renderer: str = ""
    content: Mapping[str, Any] | None = field(default=None, repr=False)
    again_s: float = 0
    suppress: bool = False  # the provider says the address is bad
    opted_out: bool = False  # the provider says the contact told it to stop


_RECORD = """
WITH told AS (
    SELECT * FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::text[], $11::int[], $12::bytea[], $13::text[], $14::jsonb[], $15::float8[], $16::bool[])
    AS r(id, state, reason, code, provider_ref, post_url, account, locale, parts, content_hash, renderer, content,
        again_s, suppress)),
held AS (
    SELECT m.id, m.state AS before, m.reason AS before_reason, m.expires_at, m.team_id, m.address_key
    FROM notifier.messages m JOIN told r ON r.id = m.id
    WHERE m.run_id = $1 AND m.claim_id = $2 ORDER BY m.id FOR UPDATE OF m),
moved AS (
    UPDATE notifier.messages m SET
        state = CASE WHEN h.before <> 'sending' THEN m.state
            WHEN r.state = 'queued' AND (SELECT notifier.now()) + make_interval(secs => r.again_s) >= m.expires_at THEN 'expired'
            ELSE r.state END,
        reason = CASE WHEN h.before = 'sending' AND r.state IN ('failed', 'uncertain') THEN r.reason ELSE m.reason END,
        due_at = CASE WHEN h.before = 'sending' AND r.state = 'queued'
            THEN (SELECT notifier.now()) + make_interval(secs => r.again_s) ELSE m.due_at END,
        address_key = CASE WHEN h.before = 'sending' AND r.state = 'queued' THEN NULL ELSE m.address_key END,
        provider_ref = CASE WHEN r.provider_ref <> '' THEN r.provider_ref ELSE m.provider_ref END,
        post_url = CASE WHEN r.post_url <> '' THEN r.post_url ELSE m.post_url END,
        account = CASE WHEN r.account <> '' THEN r.account ELSE m.account END,
        locale = CASE WHEN r.locale <> '' THEN r.locale ELSE m.locale END,
        parts = coalesce(r.parts, m.parts), content_hash = coalesce(r.content_hash, m.content_hash),
        renderer = coalesce(nullif(r.renderer, ''), m.renderer), content = coalesce(r.content, m.content),
        accepted_at = CASE WHEN r.state = 'accepted' THEN coalesce(m.accepted_at, (SELECT notifier.now())) ELSE m.accepted_at END,
        claim_id = CASE WHEN r.state = 'uncertain' THEN m.claim_id END,
        changed_at = (SELECT notifier.now())
    FROM told r JOIN held h USING (id) WHERE m.run_id = $1 AND m.id = r.id
    RETURNING m.id, m.step, m.channel, m.state, m.reason, m.attempts, h.before, h.before_reason, h.team_id,
        h.address_key, r.state AS told_state, r.reason AS told_reason, r.code, r.suppress),
noted AS (
    INSERT INTO notifier.events (at, run_id, message_id, event_key, kind, code, reason)
    SELECT (SELECT notifier.now()), $1, id, told_state || ':' || attempts,
        CASE WHEN told_state <> 'queued' THEN told_state WHEN state = 'expired' THEN 'expired' ELSE 'deferred' END,
        code, told_reason
    FROM moved ON CONFLICT DO NOTHING),
counted AS (
    INSERT INTO notifier.tallies (run_id, step, channel, state, reason, delta)
    SELECT $1, step, channel, state, CASE WHEN state IN ('failed', 'refused') THEN reason ELSE '' END, count(*)
        FROM moved WHERE state <> before GROUP BY 2, 3, 4, 5
    UNION ALL
    SELECT $1, step, channel, before, '', -count(*) FROM moved WHERE state <> before GROUP BY step, channel, before),
suppressed AS (
    INSERT INTO notifier.suppressions (team_id, address_key, channel, reason, source)
    SELECT DISTINCT ON (address_key) team_id, address_key, channel, 'invalid', 'provider: ' || code FROM moved
    WHERE suppress AND address_key IS NOT NULL ON CONFLICT (team_id, address_key) DO UPDATE
        SET reason = excluded.reason, source = excluded.source, at = excluded.at
        WHERE suppressions.reason = 'opt-out'),
freed AS (DELETE FROM notifier.claims WHERE id = $2)
SELECT count(*) FROM moved
"""


async def record_receipts(tx: Tx, run_id: RunId, claim_id: int, receipts: Sequence[Receipt]) -> int:
    """Record a whole batch and free its lease; returns how many rows the claim still held (the fence)."""
    # The sweep takes the lease first too: in this order neither waits for the other.
    await tx.execute("SELECT 1 FROM notifier.claims WHERE id = $1 FOR UPDATE", claim_id)
    count: int = await tx.fetchval(
        _RECORD,
        run_id,
        claim_id,
        [r.id for r in receipts],
        [r.state.value for r in receipts],
        [r.reason for r in receipts],
        [r.code for r in receipts],
        [r.provider_ref for r in receipts],
        [r.post_url for r in receipts],
        [r.account for r in receipts],
        [r.locale for r in receipts],
        [r.parts for r in receipts],
        [r.content_hash for r in receipts],
        [r.renderer for r in receipts],
        [r.content for r in receipts],
        [float(r.again_s) for r in receipts],
        [r.suppress for r in receipts],
    )
    if stopped := [receipt for receipt in receipts if receipt.opted_out]:
        now = await clock.now(tx)
        await opt_out_contacts(tx, [(run_id, one.id, now, f"carrier: {one.code}") for one in stopped])
    return count


_MOVE_MANY = """
moved AS (
    UPDATE notifier.messages m SET state = h.next, changed_at = (SELECT notifier.now()),
        reason = CASE h.next WHEN 'uncertain' THEN h.why ELSE '' END,
        address_key = CASE h.next WHEN 'queued' THEN NULL ELSE m.address_key END,
        claim_id = NULL
    FROM held h WHERE m.run_id = h.run_id AND m.id = h.id
    RETURNING m.run_id, m.id, m.step, m.channel, m.state, m.attempts, h.before, h.why),
noted AS (
    INSERT INTO notifier.events (at, run_id, message_id, event_key, kind, reason)
    SELECT (SELECT notifier.now()), run_id, id, state || ':settled:' || attempts, CASE state WHEN 'queued' THEN 'deferred' ELSE state END, why
    FROM moved ON CONFLICT DO NOTHING),
counted AS (
    INSERT INTO notifier.tallies (run_id, step, channel, state, delta)
    SELECT run_id, step, channel, state, count(*) FROM moved GROUP BY 1, 2, 3, 4
    UNION ALL SELECT run_id, step, channel, before, -count(*) FROM moved GROUP BY 1, 2, 3, 4)
SELECT count(*) FROM moved
"""

_SWEEP = (
    """
WITH dead AS (DELETE FROM notifier.claims WHERE alive_until < now() RETURNING id, run_id, ids),
held AS (
    SELECT m.run_id, m.id, m.state AS before, 'uncertain' AS next, 'the worker died' AS why
    FROM dead d CROSS JOIN LATERAL unnest(d.ids) AS one(id)
    JOIN notifier.messages m ON m.run_id = d.run_id AND m.id = one.id
    WHERE m.state = 'sending' AND m.claim_id = d.id ORDER BY m.run_id, m.id FOR UPDATE OF m),
"""
    + _MOVE_MANY
)


async def sweep_dead_claims(tx: Tx) -> int:
    """Messages of workers that stopped renewing their lease become `uncertain`; returns how many."""
    count: int = await tx.fetchval(_SWEEP)
    return count


_SETTLE = (
    f"""
WITH held AS (
    SELECT m.run_id, m.id, m.state AS before,
        CASE WHEN m.expires_at <= (SELECT notifier.now()) THEN 'expired' WHEN r.state = 'cancelled' THEN 'cancelled'
            ELSE 'queued' END AS next,
        CASE WHEN m.expires_at <= (SELECT notifier.now()) THEN 'still in doubt when its time ran out'
            WHEN r.state = 'cancelled' THEN 'stopped by a person' ELSE 'sent again' END AS why
    FROM notifier.runs r JOIN notifier.messages m ON m.run_id = r.id
    JOIN notifier.run_steps s ON s.run_id = m.run_id AND s.step = m.step
    WHERE r.state IN ('running', 'stopped', 'cancelled') AND m.state = 'uncertain' AND {RESENT}
        AND least(m.expires_at, {RESEND_AT.format(patience="$1")}) <= (SELECT notifier.now())
    ORDER BY m.run_id, m.id LIMIT 1000 FOR UPDATE OF m SKIP LOCKED),
"""
    + _MOVE_MANY
)


async def settle_uncertain(tx: Tx, patience: timedelta) -> int:
    """Queue again what its purpose allows to resend, ever more rarely until it expires; the rest waits for a person."""
    count: int = await tx.fetchval(_SETTLE, patience)
    return count


_NOT_POSTED = (
    """
WITH held AS (
    SELECT m.run_id, m.id, m.state AS before, 'expired' AS next, 'nobody published it in time' AS why
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


_LEFT = (
    """
WITH held AS (
    SELECT m.run_id, m.id, m.state AS before, 'cancelled' AS next, 'stopped by a person' AS why
    FROM notifier.runs r CROSS JOIN LATERAL (
        SELECT q.run_id, q.id, q.state FROM notifier.messages q WHERE q.run_id = r.id AND q.state = 'queued'
        ORDER BY q.id LIMIT 1000 FOR UPDATE SKIP LOCKED) AS m
    WHERE r.state = 'cancelled' AND r.ended_at > (SELECT notifier.now()) - interval '2 days'),
"""
    + _MOVE_MANY
)


async def cancel_left_over(tx: Tx) -> int:
    """Cancel what came back to be sent again after its run was cancelled; returns how many."""
    count: int = await tx.fetchval(_LEFT)
    return count


async def cancel_queued(tx: Tx, run_id: int) -> int:
    """Cancel everything of a run that no worker has claimed and no person published; returns how many."""
    count: int = await tx.fetchval(
        """
        WITH held AS (
            SELECT run_id, id, state AS before, 'cancelled' AS next, 'stopped by a person' AS why
            FROM notifier.messages WHERE run_id = $1 AND state IN ('queued', 'to-post') ORDER BY id FOR UPDATE),
        """
        + _MOVE_MANY,
        run_id,
    )
    return count
