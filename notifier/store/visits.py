"""What contacts do through the links of a message: follow them, opt out, look at their choices."""

from collections.abc import Sequence
from dataclasses import dataclass

from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedMessage:
    """The message a link was sent in."""

    run_id: int
    id: int
    team_id: int
    contact_id: int
    channel: str
    topic: str  # of its step, "" = none
    locale: str  # "" = unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelChoice:
    """Whether a contact takes messages on a channel where we have an address."""

    channel: str
    opted_out: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """A link followed."""

    run_id: int
    message_id: int
    event_key: str
    source: str


async def find_message(tx: Tx, run_id: int, message_id: int) -> LinkedMessage | None:
    """The message, None where there is none or it went to no contact."""
    row = await tx.fetchrow(
        """
        SELECT m.run_id, m.id, m.team_id, m.contact_id, m.channel, coalesce(s.topic, '') AS topic,
               coalesce(nullif(m.locale, ''), c.locale, '') AS locale
        FROM notifier.messages m JOIN notifier.contacts c ON c.id = m.contact_id
        LEFT JOIN notifier.run_steps s ON s.run_id = m.run_id AND s.step = m.step
        WHERE m.run_id = $1 AND m.id = $2
        """,
        run_id,
        message_id,
    )
    return LinkedMessage(**dict(row)) if row else None


async def find_target(tx: Tx, run_id: int, message_id: int, link_id: int) -> str | None:
    """Where a tracked link of this message leads; None once it is revoked."""
    target: str | None = await tx.fetchval(
        """
        SELECT l.target FROM notifier.links l
        JOIN notifier.messages m ON m.team_id = l.team_id AND m.run_id = $1 AND m.id = $2
        WHERE l.id = $3 AND l.revoked_at IS NULL
        """,
        run_id,
        message_id,
        link_id,
    )
    return target


async def add_click(tx: Tx, click: Click) -> None:
    """The first time counts."""
    await tx.execute(
        """
        INSERT INTO notifier.events (run_id, message_id, event_key, kind, source)
        VALUES ($1, $2, $3, 'clicked', $4) ON CONFLICT DO NOTHING
        """,
        click.run_id,
        click.message_id,
        click.event_key,
        click.source,
    )


async def add_opt_out(tx: Tx, message: LinkedMessage, *, channel: str, topic: str, source: str) -> bool:
    """Write the opt-out into the ledger; False where it is the contact's latest act there anyway.

    Out of a whole channel (no topic) blocks the address too: neither a re-import, nor erasure, nor
    another contact with the same number brings it back.
    """
    if not topic:
        await _suppress(tx, message, channel=channel, source=source)
    added = await tx.fetchval(
        """
        INSERT INTO notifier.consents (contact_id, channel, topic, act, source, proof, at)
        SELECT $1, $2, $3, 'opt-out', $4, $5, notifier.now() WHERE NOT EXISTS (
            SELECT FROM notifier.consent_states
            WHERE contact_id = $1 AND channel = $2 AND topic = $3 AND act = 'opt-out')
        ON CONFLICT DO NOTHING RETURNING id
        """,
        message.contact_id,
        channel,
        topic,
        source,
        f"message {message.run_id}/{message.id}",
    )
    return added is not None


async def _suppress(tx: Tx, message: LinkedMessage, *, channel: str, source: str) -> None:
    """The contact's address on the channel as it is, and as it was when this message went there."""
    await tx.execute(
        """
        INSERT INTO notifier.suppressions (team_id, address_key, channel, reason, source)
        SELECT $1, address_key, $5, 'opt-out', $6 FROM (
            SELECT address_key FROM notifier.addresses WHERE contact_id = $4 AND channel = $5
            UNION SELECT address_key FROM notifier.messages
            WHERE run_id = $2 AND id = $3 AND channel = $5 AND address_key IS NOT NULL) AS known
        ON CONFLICT DO NOTHING
        """,
        message.team_id,
        message.run_id,
        message.id,
        message.contact_id,
        channel,
        source,
    )


async def add_opted_out(tx: Tx, message: LinkedMessage, *, source: str) -> None:
    """The message that was answered with an opt-out says so."""
    await tx.execute(
        """
        INSERT INTO notifier.events (run_id, message_id, event_key, kind, source)
        VALUES ($1, $2, 'opted-out', 'opted-out', $3) ON CONFLICT DO NOTHING
        """,
        message.run_id,
        message.id,
        source,
    )


async def list_choices(tx: Tx, contact_id: int) -> Sequence[ChannelChoice]:
    """One per channel with an address of the contact, by channel."""
    rows = await tx.fetch(
        """
        SELECT a.channel, coalesce(s.act = 'opt-out', false) AS opted_out FROM notifier.addresses a
        LEFT JOIN notifier.consent_states s ON s.contact_id = a.contact_id AND s.channel = a.channel AND s.topic = ''
        WHERE a.contact_id = $1 ORDER BY a.channel
        """,
        contact_id,
    )
    return [ChannelChoice(**dict(row)) for row in rows]
