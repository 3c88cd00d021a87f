"""Look-ups: which messages in doubt their providers are to be asked about, and what they answered."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from notifier.domain.message import MessageId, RunId
from notifier.store.database import Tx

MOST_TRIES = 5
_PAUSE = timedelta(minutes=1)  # doubled with each try; meanwhile nobody else asks


@dataclass(frozen=True, slots=True, kw_only=True)
class ToLookUp:
    """A message in doubt whose provider is asked now."""

    run_id: RunId
    id: MessageId
    channel: str
    account: str  # "" where the worker died before it could say
    attempts: int
    tries: int
    to: str = field(repr=False)  # "" where the address is gone or another one now
    handed_at: datetime  # by the server's own clock: providers know nothing of ours
    known_refs: frozenset[str]


_TAKE = """
WITH due AS (
    SELECT m.run_id, m.id, m.contact_id, m.recipient_id, m.address_key, m.team_id, m.channel, m.account, m.attempts,
        coalesce(m.claimed_at, m.changed_at) - (SELECT shift FROM notifier.clock) AS handed_at
    FROM notifier.runs r JOIN notifier.messages m ON m.run_id = r.id
    JOIN notifier.run_steps s ON s.run_id = m.run_id AND s.step = m.step
    LEFT JOIN notifier.look_ups l ON l.run_id = m.run_id AND l.message_id = m.id AND l.attempts = m.attempts
    WHERE r.state IN ('running', 'stopped', 'cancelled') AND m.state = 'uncertain' AND m.channel = ANY($1::text[])
        AND s.in_doubt <> 'resend' AND m.changed_at <= (SELECT notifier.now()) - $2::interval
        AND (l.answer IS NULL OR l.answer = '' AND l.try_at <= now())
    ORDER BY m.changed_at, m.id LIMIT $3 FOR UPDATE OF m SKIP LOCKED),
taken AS (
    INSERT INTO notifier.look_ups AS l (run_id, message_id, attempts, try_at)
    SELECT run_id, id, attempts, now() + 2 * $4::interval FROM due
    ON CONFLICT ON CONSTRAINT look_ups_pk DO UPDATE SET tries = l.tries + 1, try_at = now() + $4::interval * 2 ^ (l.tries + 1)
    RETURNING run_id, message_id, tries)
SELECT d.run_id, d.id, d.channel, coalesce(k.account, d.account) AS account, d.attempts, t.tries, d.handed_at,
    coalesce(CASE d.channel WHEN 'social' THEN coalesce(k.account, d.account) ELSE a.address END, '') AS to,
    ARRAY(SELECT o.provider_ref FROM notifier.runs g
        JOIN notifier.recipients p ON p.run_id = g.id AND (p.account = k.account OR p.contact_id IN (
            SELECT x.contact_id FROM notifier.addresses x WHERE x.address_key = d.address_key))
        JOIN notifier.messages o ON o.run_id = p.run_id AND o.recipient_id = p.id
        WHERE g.team_id = d.team_id AND (g.ended_at IS NULL OR g.ended_at > (SELECT notifier.now()) - interval '7 days')
            AND o.provider_ref <> '' AND o.id <> d.id) AS known_refs
FROM due d JOIN taken t ON t.run_id = d.run_id AND t.message_id = d.id
LEFT JOIN notifier.recipients k ON k.run_id = d.run_id AND k.id = d.recipient_id
LEFT JOIN notifier.addresses a ON a.contact_id = d.contact_id AND a.channel = d.channel AND a.address_key = d.address_key
ORDER BY d.run_id, d.id
"""


async def take_to_look_up(tx: Tx, channels: list[str], *, after: timedelta, limit: int) -> list[ToLookUp]:
    """Messages in doubt for so long, without an answer to their last hand-over; each is ours to ask about for a while."""
    rows = await tx.fetch(_TAKE, channels, after, limit, _PAUSE)
    return [ToLookUp(**{**dict(row), "known_refs": frozenset(row["known_refs"])}) for row in rows]


async def keep_answer(tx: Tx, sought: ToLookUp, answer: str) -> None:
    """What the provider said for good: `found`, `not-found` or `cannot-say`."""
    await tx.execute(
        "UPDATE notifier.look_ups SET answer = $4 WHERE run_id = $1 AND message_id = $2 AND attempts = $3",
        sought.run_id,
        sought.id,
        sought.attempts,
        answer,
    )
