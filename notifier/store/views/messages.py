"""Messages as a page's list and as one message with its history."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notifier.domain.errors import NotFound
from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageLine:
    """A message in a list; a post has an account instead of a contact."""

    run_id: int
    id: int
    step: str
    channel: str
    state: str
    reason: str
    account: str
    locale: str
    external_id: str
    name: str = field(repr=False)
    due_at: datetime
    changed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFacts:
    """Everything the ledger knows about one message."""

    run_id: int
    id: int
    team_id: int
    campaign_key: str
    campaign_id: int
    launched_by: str
    purpose: str
    step: str
    channel: str
    state: str
    reason: str
    account: str
    provider_ref: str
    post_url: str
    locale: str
    parts: int | None
    attempts: int
    occurrence: int
    external_id: str
    name: str = field(repr=False)
    address: str = field(repr=False)
    run_inputs: Mapping[str, Any] = field(repr=False)
    inputs: Mapping[str, Any] | None = field(repr=False)
    variables: Mapping[str, Any] | None = field(repr=False)
    content: Mapping[str, Any] | None = field(repr=False)
    content_hash: bytes | None = field(repr=False)
    renderer: str | None
    template_id: int
    template_key: str
    template_version: int
    due_at: datetime
    expires_at: datetime
    planned_at: datetime
    claimed_at: datetime | None
    accepted_at: datetime | None
    changed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLine:
    """One thing that happened."""

    kind: str
    at: datetime
    code: str
    reason: str
    source: str


async def list_messages(
    tx: Tx, team_id: int, run_id: int, *, state: str = "", step: str = "", after: int = 0, limit: int = 50
) -> list[MessageLine]:
    """By id, continuing after `after`; an empty state or step means all."""
    rows = await tx.fetch(
        """
        SELECT m.run_id, m.id, m.step, m.channel, m.state, m.reason, coalesce(k.account, m.account) AS account, m.locale,
            coalesce(c.external_id, '') AS external_id, coalesce(c.name, '') AS name, m.due_at, m.changed_at
        FROM notifier.messages m
        LEFT JOIN notifier.recipients k ON k.run_id = m.run_id AND k.id = m.recipient_id
        LEFT JOIN notifier.contacts c ON c.id = m.contact_id
        WHERE m.run_id = $2 AND m.team_id = $1 AND m.id > $5 AND ($3 = '' OR m.state = $3) AND ($4 = '' OR m.step = $4)
        ORDER BY m.id LIMIT $6
        """,
        team_id,
        run_id,
        state,
        step,
        after,
        limit,
    )
    return [MessageLine(**dict(row)) for row in rows]


async def get_message(tx: Tx, team_id: int, run_id: int, message_id: int) -> MessageFacts:
    """One message; `NotFound` where the team has none of this number."""
    row = await tx.fetchrow(
        """
        SELECT m.run_id, m.id, m.team_id, r.campaign_key, r.campaign_id, r.launched_by, s.purpose, m.step, m.channel,
            m.state, m.reason, coalesce(k.account, m.account) AS account, m.provider_ref, m.post_url, m.locale, m.parts,
            m.attempts, m.occurrence, coalesce(c.external_id, '') AS external_id, coalesce(c.name, '') AS name,
            coalesce(a.address, '') AS address, r.inputs AS run_inputs, m.inputs, m.variables, m.content,
            m.content_hash, m.renderer, s.template_id, t.key AS template_key, t.version AS template_version, m.due_at,
            m.expires_at, m.planned_at, m.claimed_at, m.accepted_at, m.changed_at
        FROM notifier.messages m
        JOIN notifier.runs r ON r.id = m.run_id
        JOIN notifier.run_steps s ON s.run_id = m.run_id AND s.step = m.step
        JOIN notifier.definitions t ON t.id = s.template_id
        LEFT JOIN notifier.recipients k ON k.run_id = m.run_id AND k.id = m.recipient_id
        LEFT JOIN notifier.contacts c ON c.id = m.contact_id
        LEFT JOIN notifier.addresses a ON a.contact_id = m.contact_id AND a.channel = m.channel
        WHERE m.run_id = $2 AND m.id = $3 AND m.team_id = $1
        """,
        team_id,
        run_id,
        message_id,
    )
    if row is None:
        raise NotFound("there is no such message")
    return MessageFacts(**dict(row))


async def list_events(tx: Tx, run_id: int, message_id: int) -> list[EventLine]:
    """The message's history, oldest first."""
    rows = await tx.fetch(
        """
        SELECT kind, at, code, reason, source FROM notifier.events WHERE run_id = $1 AND message_id = $2
        ORDER BY date_trunc('second', at), CASE kind WHEN 'accepted' THEN 1 WHEN 'delivered' THEN 3 ELSE 2 END, at,
            event_key
        """,
        run_id,
        message_id,
    )
    return [EventLine(**dict(row)) for row in rows]
