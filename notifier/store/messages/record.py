"""Record: what became of a claimed batch, in one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from notifier.domain.message import MessageId, RunId, State
from notifier.store import clock
from notifier.store.callbacks import opt_out_contacts
from notifier.store.database import Tx


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


# Row by row by the primary key, in the order of ids; in one step, or the server reads the receipts again for each row.
_RECORD = """
WITH told AS MATERIALIZED (
    SELECT * FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::text[], $11::int[], $12::bytea[], $13::text[], $14::jsonb[], $15::float8[], $16::bool[])
    AS r(id, state, reason, code, provider_ref, post_url, account, locale, parts, content_hash, renderer, content,
        again_s, suppress)),
held AS MATERIALIZED (
    SELECT r.*, h.before, h.before_reason, h.team_id, h.held_key FROM told r CROSS JOIN LATERAL (
        SELECT m.state AS before, m.reason AS before_reason, m.team_id, m.address_key AS held_key
        FROM notifier.messages m WHERE m.run_id = $1 AND m.id = r.id AND m.claim_id = $2 FOR UPDATE) AS h),
moved AS (
    UPDATE notifier.messages m SET
        state = CASE WHEN r.before <> 'sending' THEN m.state
            WHEN r.state = 'queued' AND (SELECT notifier.now()) + make_interval(secs => r.again_s) >= m.expires_at THEN 'expired'
            ELSE r.state END,
        reason = CASE WHEN r.before = 'sending' AND r.state IN ('failed', 'uncertain') THEN r.reason ELSE m.reason END,
        due_at = CASE WHEN r.before = 'sending' AND r.state = 'queued'
            THEN (SELECT notifier.now()) + make_interval(secs => r.again_s) ELSE m.due_at END,
        address_key = CASE WHEN r.before = 'sending' AND r.state = 'queued' THEN NULL ELSE m.address_key END,
        provider_ref = CASE WHEN r.provider_ref <> '' THEN r.provider_ref ELSE m.provider_ref END,
        post_url = CASE WHEN r.post_url <> '' THEN r.post_url ELSE m.post_url END,
        account = CASE WHEN r.account <> '' THEN r.account ELSE m.account END,
        locale = CASE WHEN r.locale <> '' THEN r.locale ELSE m.locale END,
        parts = coalesce(r.parts, m.parts), content_hash = coalesce(r.content_hash, m.content_hash),
        renderer = coalesce(nullif(r.renderer, ''), m.renderer), content = coalesce(r.content, m.content),
        accepted_at = CASE WHEN r.state = 'accepted' THEN coalesce(m.accepted_at, (SELECT notifier.now())) ELSE m.accepted_at END,
        claim_id = CASE WHEN r.state = 'uncertain' THEN m.claim_id END,
        changed_at = (SELECT notifier.now())
    FROM held r WHERE m.run_id = $1 AND m.id = r.id
    RETURNING m.id, m.step, m.channel, m.state, m.reason, m.attempts, r.before, r.before_reason, r.team_id,
        r.held_key AS address_key, r.state AS told_state, r.reason AS told_reason, r.code, r.suppress),
noted AS (
    INSERT INTO notifier.events (at, run_id, message_id, event_key, kind, code, reason)
    SELECT (SELECT notifier.now()), $1, id,  -- by the lease, for a try that does not count comes back to its number
        CASE WHEN told_state <> 'queued' THEN told_state || ':' || attempts WHEN state = 'expired' THEN 'expired'
            ELSE 'queued:' || attempts || ':' || $2::bigint END,
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
    receipts = sorted(receipts, key=lambda receipt: receipt.id)
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
