"""Everything that is known about one contact."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notifier.store.database import Tx

RUNS_LOOKED_THROUGH = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppressed:
    """A block on an address of a contact."""

    channel: str
    reason: str
    source: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMessage:
    """A message to a contact, or that a run left them out: then `id` is 0 and the reason says why."""

    run_id: int
    id: int
    campaign_key: str
    step: str
    channel: str
    state: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """An event of a message."""

    run_id: int
    message_id: int
    kind: str
    at: datetime
    reason: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An invitation to a survey, or an answer that came without one; `answers` by question."""

    survey_key: str
    survey_id: int
    run_id: int | None
    message_id: int | None
    invited_at: datetime | None
    opened_at: datetime | None
    answered_at: datetime | None
    simulated: bool
    answers: Mapping[str, int | str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What somebody did to a contact, out of the audit."""

    at: datetime
    actor: str
    act: str
    detail: Mapping[str, Any]


async def list_suppressed(tx: Tx, team_id: int, contact_id: int) -> list[Suppressed]:
    """The blocks on a contact's addresses, by channel."""
    rows = await tx.fetch(
        """
        SELECT a.channel, s.reason, s.source, s.at FROM notifier.addresses a
        JOIN notifier.suppressions s ON s.team_id = $1 AND s.address_key = a.address_key
        WHERE a.contact_id = $2 ORDER BY a.channel
        """,
        team_id,
        contact_id,
    )
    return [Suppressed(**dict(row)) for row in rows]


async def list_sent(
    tx: Tx, team_id: int, contact_id: int, *, before_run: int | None = None, runs: int = 25
) -> tuple[list[SentMessage], int | None]:
    """What went to a contact in the newest `runs` that meant them, and the run to continue below; None at the end.

    At most `RUNS_LOOKED_THROUGH` runs below `before_run` are asked, each by the index of its recipients: an index of
    messages by contact would cost every planned message what few pages need.
    """
    asked = await tx.fetchrow(_ASKED_RUNS, team_id, before_run, RUNS_LOOKED_THROUGH)
    known = [dict(row) for row in await tx.fetch(_KNOWN, asked["ids"], contact_id, runs + 1)]
    floor = asked["ids"][-1] if asked["has_older"] else None
    older = known[runs - 1]["run_id"] if len(known) > runs else floor
    ids = [one["run_id"] for one in known[:runs]]
    found = await tx.fetch(_SENT, ids, [one["id"] for one in known[:runs]])
    return [SentMessage(**dict(row)) for row in found], older


_ASKED_RUNS = """
WITH recent AS MATERIALIZED (
    SELECT id FROM notifier.runs WHERE team_id = $1 AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3)
SELECT coalesce(array_agg(id ORDER BY id DESC), '{}') AS ids,
    EXISTS (SELECT FROM notifier.runs WHERE team_id = $1 AND id < (SELECT min(id) FROM recent)) AS has_older
FROM recent
"""
_KNOWN = """
SELECT r.id AS run_id, k.id FROM unnest($1::bigint[]) AS r (id) CROSS JOIN LATERAL (
    SELECT id FROM notifier.recipients WHERE run_id = r.id AND id = $2 OFFSET 0) AS k
ORDER BY r.id DESC LIMIT $3
"""
_SENT = """
WITH known AS MATERIALIZED (
    SELECT k.run_id, k.id, r.campaign_key, r.nominal_at, r.frozen_at
    FROM unnest($1::bigint[], $2::bigint[]) AS k (run_id, id) JOIN notifier.runs r ON r.id = k.run_id)
SELECT k.run_id, m.id, k.campaign_key, m.step, m.channel, m.state, m.reason,
    coalesce(m.accepted_at, m.changed_at, m.due_at) AS at
FROM known k CROSS JOIN LATERAL (
    SELECT id, step, channel, state, reason, accepted_at, changed_at, due_at FROM notifier.messages
    WHERE run_id = k.run_id AND recipient_id = k.id OFFSET 0) AS m
UNION ALL
SELECT k.run_id, 0, k.campaign_key, '', '', 'refused', r.reason, coalesce(k.frozen_at, k.nominal_at)
FROM known k CROSS JOIN LATERAL (
    SELECT reason FROM notifier.recipients
    WHERE run_id = k.run_id AND id = k.id AND outcome = 'refused' OFFSET 0) AS r
ORDER BY run_id DESC, at DESC, id DESC
"""


async def list_happenings(tx: Tx, messages: Sequence[tuple[int, int]], kinds: Sequence[str]) -> list[Happening]:
    """The events of these kinds of these messages (run, id), oldest first."""
    rows = await tx.fetch(
        """
        SELECT e.run_id, e.message_id, e.kind, e.at, e.reason, e.source
        FROM unnest($1::bigint[], $2::bigint[]) AS m (run_id, id) CROSS JOIN LATERAL (
            SELECT * FROM notifier.events
            WHERE run_id = m.run_id AND message_id = m.id AND kind = ANY ($3::text[]) OFFSET 0) AS e
        ORDER BY e.at, e.event_key
        """,
        [run_id for run_id, _ in messages],
        [message_id for _, message_id in messages],
        list(kinds),
    )
    return [Happening(**dict(row)) for row in rows]


async def list_asked(tx: Tx, team_id: int, contact_id: int, *, limit: int = 50) -> list[Asked]:
    """Invitations with what came of them, and answers without invitation; the newest first."""
    rows = await tx.fetch(
        """
        WITH asked AS (
            (SELECT i.survey_key, i.survey_id, i.run_id, i.message_id, m.due_at AS invited_at, i.opened_at,
                i.answered_at, r.id AS response_id, coalesce(r.simulated, false) AS simulated
            FROM notifier.invitations i
            LEFT JOIN notifier.messages m ON m.run_id = i.run_id AND m.id = i.message_id
            LEFT JOIN notifier.responses r ON r.invitation_id = i.id
            WHERE i.contact_id = $2 AND i.team_id = $1 ORDER BY i.id DESC LIMIT $3)
            UNION ALL
            (SELECT r.survey_key, r.survey_id, r.run_id, NULL, NULL, NULL, r.received_at, r.id, r.simulated
            FROM notifier.responses r
            WHERE r.contact_id = $2 AND r.team_id = $1 AND r.invitation_id IS NULL ORDER BY r.id DESC LIMIT $3))
        SELECT asked.*, coalesce((SELECT jsonb_object_agg(a.question, coalesce(to_jsonb(a.number), to_jsonb(a.text)))
            FROM notifier.answers a WHERE a.response_id = asked.response_id), '{}') AS answers
        FROM asked ORDER BY coalesce(asked.answered_at, asked.invited_at) DESC LIMIT $3
        """,
        team_id,
        contact_id,
        limit,
    )
    return [Asked(**{name: value for name, value in row.items() if name != "response_id"}) for row in rows]


async def list_done(tx: Tx, team_id: int, external_id: str, *, limit: int = 50) -> list[Done]:
    """What people and systems did to a contact, the newest first."""
    rows = await tx.fetch(
        """
        SELECT at, actor, act, detail FROM notifier.audit WHERE team_id = $1 AND subject = $2
        ORDER BY id DESC LIMIT $3
        """,
        team_id,
        f"contact:{external_id}",
        limit,
    )
    return [Done(**dict(row)) for row in rows]
