"""What a message is rendered from, after the fact."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from notifier.domain.errors import NotFound
from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The stored facts of one message's content; `variables` are the contact's own where none are fixed yet."""

    step: str
    channel: str
    locale: str
    variables: Mapping[str, Any] = field(repr=False)
    inputs: Mapping[str, Any] | None = field(repr=False)
    invitation_id: int | None
    content_hash: bytes | None
    content: Mapping[str, Any] | None = field(repr=False)


async def get_rendered(tx: Tx, run_id: int, message_id: int) -> Rendered:
    """The facts, or `NotFound`."""
    row = await tx.fetchrow(
        """
        SELECT m.step, m.channel, m.locale, m.inputs, i.id AS invitation_id, m.content_hash, m.content,
            coalesce(m.variables, CASE WHEN c.id IS NULL THEN '{}' ELSE
                jsonb_build_object('name', c.name, 'locale', c.locale, 'attributes', c.attributes) END) AS variables
        FROM notifier.messages m LEFT JOIN notifier.contacts c ON c.id = m.contact_id
        LEFT JOIN notifier.invitations i ON i.run_id = m.run_id AND i.message_id = m.id
        WHERE m.run_id = $1 AND m.id = $2
        """,
        run_id,
        message_id,
    )
    if row is None:
        raise NotFound(f"there is no message {message_id} in run {run_id}")
    return Rendered(**dict(row))
