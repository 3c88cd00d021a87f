"""What a person may say about a message in doubt."""

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum

from notifier.delivery.settle import mark_not_sent, mark_sent
from notifier.store.database import Tx


class SettledAs(StrEnum):
    """What is true of it."""

    SENT = "sent"
    """The provider took it, or it even arrived."""
    NOT_SENT = "not-sent"
    """The provider never had it."""


SETTLE: Mapping[SettledAs, Callable[[Tx, int, int, str], Awaitable[None]]] = {
    SettledAs.SENT: mark_sent,
    SettledAs.NOT_SENT: mark_not_sent,
}
