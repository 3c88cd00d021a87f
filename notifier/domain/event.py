"""What became of a message, in one vocabulary for every provider."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from notifier.domain.message import State


class EventKind(StrEnum):
    """One thing that happened to a message."""

    PLANNED = "planned"  # its row was written
    DEFERRED = "deferred"  # waits: quiet hours, or the provider asked to
    CLAIMED = "claimed"  # a worker took it
    ACCEPTED = "accepted"  # the provider took it
    SENT = "sent"  # the provider passed it to the carrier
    DELIVERED = "delivered"  # the carrier or mailbox has it
    BOUNCED_HARD = "bounced-hard"  # no such address
    BOUNCED_SOFT = "bounced-soft"  # came back for a passing reason
    FAILED = "failed"  # the provider gave up
    REFUSED = "refused"  # our own rules
    EXPIRED = "expired"  # too late
    CANCELLED = "cancelled"  # stopped by a person
    UNCERTAIN = "uncertain"  # the answer was lost
    COMPLAINED = "complained"  # the contact called it spam
    OPENED = "opened"  # or a machine fetched the image
    CLICKED = "clicked"  # or a machine followed the link
    OPTED_OUT = "opted-out"  # by link, keyword or one click
    ANSWERED = "answered"  # a survey answer came back
    TO_POST = "to-post"  # a post by hand became somebody's task
    POSTED = "posted"  # a person marked a manual post as posted
    TAKEN_BACK = "taken-back"  # a person said that it is not posted after all
    LOOKED_UP = "looked-up"  # in doubt, its provider was asked and does not have it


STATE_AFTER: dict[EventKind, State] = {
    EventKind.ACCEPTED: State.ACCEPTED,
    EventKind.SENT: State.ACCEPTED,
    EventKind.DELIVERED: State.DELIVERED,
    EventKind.BOUNCED_HARD: State.BOUNCED,
    EventKind.BOUNCED_SOFT: State.BOUNCED,
    EventKind.FAILED: State.FAILED,
    EventKind.POSTED: State.ACCEPTED,
}
"""Events of providers that can move a message; all others are facts added to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEvent:
    """One thing a provider reports, in our words."""

    public_id: str  # our signed message id, "" where the provider returns only its own
    provider_ref: str = ""
    event_key: str  # the provider's event id, else SHA-256 of the canonical parameters
    kind: EventKind
    at: datetime | None = None  # the provider's time, None where it gives none
    code: str = ""
    reason: str = field(default="", repr=False)
    url: str = ""  # the public address of a post, where a look-up found one
