"""One message to one contact, asked for by another system."""

from collections.abc import Mapping, Sequence
from typing import Any

from notifier.domain.errors import InputError
from notifier.domain.message import MessageId
from notifier.store.database import Tx
from notifier.store.runs import Run


async def add_single(
    tx: Tx, run: Run, *, step: str, contact_id: int, channels: Sequence[str], inputs: Mapping[str, Any]
) -> MessageId:
    """Queue one message by the first channel the contact has; each request is an occurrence of its own."""
    recipient_id = await tx.fetchval(
        """
        INSERT INTO notifier.recipients (run_id, team_id, contact_id) VALUES ($1, $2, $3)
        ON CONFLICT (run_id, contact_id) DO UPDATE SET outcome = 'included' RETURNING id
        """,
        run.id,
        run.team_id,
        contact_id,
    )
    message_id = await tx.fetchval(
        """
        WITH way AS (
            SELECT w.channel FROM unnest($5::text[]) WITH ORDINALITY AS w(channel, rank)
            JOIN notifier.addresses a ON a.contact_id = $4 AND a.channel = w.channel ORDER BY w.rank LIMIT 1),
        added AS (
            INSERT INTO notifier.messages (run_id, recipient_id, contact_id, due_at, expires_at, team_id, lane, step,
                channel, state, occurrence, inputs)
            SELECT $1, $2, $4, notifier.now(), notifier.now() + s.expires, $6, s.lane, s.step, way.channel, 'queued',
                coalesce((SELECT max(o.occurrence) FROM notifier.messages o
                    WHERE o.run_id = $1 AND o.recipient_id = $2 AND o.step = s.step), 0) + 1, $7
            FROM notifier.run_steps s, way WHERE s.run_id = $1 AND s.step = $3 RETURNING id, channel),
        counted AS (
            INSERT INTO notifier.tallies (run_id, step, channel, state, delta)
            SELECT $1, $3, channel, 'queued', 1 FROM added)
        SELECT id FROM added
        """,
        run.id,
        recipient_id,
        step,
        contact_id,
        list(channels),
        run.team_id,
        inputs,
    )
    if message_id is None:
        raise InputError("to", f"the contact has no address for {', '.join(channels)}")
    return MessageId(message_id)
