"""The seam between what a message needs and how its bytes travel."""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from notifier.domain.channel import Permit


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One message for one recipient, checked and ready for the wire."""

    mail_from: str  # one addr-spec, ASCII domain
    rcpt_to: str  # one addr-spec, ASCII domain
    data: bytes = field(repr=False)  # CRLF lines, dots stuffed, the final dot included
    is_ascii: bool  # the data; False needs 8BITMIME
    urgent: bool = False  # goes before all ordinary ones that wait
    permit: Permit | None = field(default=None, repr=False, compare=False)  # asked right before the data leaves


class Reply(NamedTuple):
    """A server's answer."""

    code: int
    text: str


class Transport(Protocol):
    """Carries envelopes; may keep, share and pipeline connections as it likes."""

    async def deliver(self, envelope: Envelope) -> Reply:
        """The positive reply to the final dot.

        Errors: `TryAgain` and `NeverAgain` when the server surely does not have the message, `Withheld` when its
        permit was not renewed, else `OutcomeUnknown`.
        """
        ...

    async def aclose(self) -> None: ...
