"""Doubts: what a person may say about a message of which nobody knows whether it was sent."""

from collections.abc import Mapping
from enum import StrEnum

from notifier.domain.message import State


class Verdict(StrEnum):
    """What is true of it, and what shall become of it."""

    SENT = "sent"
    """The provider took it, or it even arrived."""
    NOT_SENT = "not-sent"
    """The provider never had it; it stays unsent."""
    SEND_AGAIN = "send-again"
    """The provider never had it; it goes again, unless its time ran out."""


AFTER: Mapping[Verdict, State] = {
    Verdict.SENT: State.ACCEPTED,
    Verdict.NOT_SENT: State.FAILED,
    Verdict.SEND_AGAIN: State.QUEUED,
}
