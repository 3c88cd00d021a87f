"""One message to one contact, asked for by another system."""

from collections.abc import Mapping, Sequence
from typing import Any

from notifier.domain.errors import InputError
from notifier.domain.message import MessageId
from notifier.store.database import Tx
from notifier.store.messages.fragments import FIRST_WAY
from notifier.store.runs import Run


async def add_single(
    tx: Tx, run: Run, *, step: str, contact_id: int, channels: Sequence[str], inputs: Mapping[str, Any]
) -> MessageId:
    """Queue one message by the first channel that can reach the contact now; each request is an occurrence of its own."""
    recipient_id = await tx.fetchval(
        """
        INSERT INTO notifier.recipients (run_id, id, team_id, contact_id) VALUES ($1, $3, $2, $3)
        ON CONFLICT (run_id, id) DO UPDATE SET outcome = 'included' RETURNING id
        """,
        run.id,
        run.team_id,
        contact_id,
    )
    message_id = await tx.fetchval(
        """
        WITH step AS (SELECT * FROM notifier.run_steps WHERE run_id = $1 AND step = $3),
        added AS (
            INSERT INTO notifier.messages (run_id, recipient_id, contact_id, due_at, expires_at, team_id, lane, step,
                channel, state, occurrence, inputs)
            SELECT $1, $2, c.id, notifier.now(), notifier.now() + step.expires, $6, step.lane, step.step, way.channel,
                'queued', coalesce((SELECT max(o.occurrence) FROM notifier.messages o
                    WHERE o.run_id = $1 AND o.recipient_id = $2 AND o.step = step.step), 0) + 1, $7
            FROM step, (SELECT $4::bigint AS id) AS c
            """
        + FIRST_WAY.format(channels="$5", team="$6")
        + """
            WHERE a.address IS NOT NULL RETURNING id, contact_id, channel, due_at),
        invited AS (
            INSERT INTO notifier.invitations (team_id, run_id, step, message_id, contact_id, survey_id, survey_key,
                month, closes_at)
            SELECT $6, $1, $3, added.id, added.contact_id, survey.id, survey.key,
                extract(month FROM r.nominal_at AT TIME ZONE 'UTC'),  -- the month the standing run was made for
                added.due_at + coalesce(step.closes, interval '14 days')
            FROM added, step JOIN notifier.definitions survey ON survey.id = step.survey_id, notifier.runs r
            WHERE r.id = $1),
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
