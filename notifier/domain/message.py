"""A message, its states and its only legal moves."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from notifier.domain.errors import IllegalMove

RunId = NewType("RunId", int)  # yyyymm * 10^6 + n
MessageId = NewType("MessageId", int)


class State(StrEnum):
    """Where a message is."""

    QUEUED = "queued"  # planned; waits for its time, its lane, its turn
    SENDING = "sending"  # claimed by a worker; may be on the wire
    TO_POST = "to-post"  # a post by hand: a person has to publish it, or nobody did yet
    ACCEPTED = "accepted"  # the provider took it
    DELIVERED = "delivered"  # the carrier or mailbox says so
    BOUNCED = "bounced"  # came back
    FAILED = "failed"  # the provider refused it for good, or it could not be rendered
    EXPIRED = "expired"  # its time ran out; never sent late
    REFUSED = "refused"  # our own rules forbid it: consent, suppression, duplicate address
    CANCELLED = "cancelled"  # a person stopped it
    UNCERTAIN = "uncertain"  # handed over, answer lost; open until settled


RANK: dict[State, int] = {
    State.QUEUED: 0,
    State.SENDING: 1,
    State.UNCERTAIN: 2,
    State.ACCEPTED: 3,
    State.FAILED: 4,
    State.EXPIRED: 5,
    State.BOUNCED: 6,
    State.DELIVERED: 7,
    State.REFUSED: 8,
    State.CANCELLED: 8,
    State.TO_POST: 8,  # no provider reports of it: a person's word alone moves it
}
"""An event moves a message only to a higher rank, so late and doubled events are harmless.

No two states a provider can report share a rank: the first to arrive would win.
"""

MOVES: dict[tuple[State, State], str] = {
    (State.QUEUED, State.SENDING): "a worker claimed it",
    (State.QUEUED, State.EXPIRED): "its time ran out before it could go",
    (State.QUEUED, State.REFUSED): "consent, suppression or a duplicate address forbids it",
    (State.QUEUED, State.CANCELLED): "a person stopped the run",
    (State.QUEUED, State.ACCEPTED): "sent again after doubt, then a report of the first hand-over came",
    (State.QUEUED, State.DELIVERED): "sent again after doubt, then a report of the first hand-over came",
    (State.QUEUED, State.BOUNCED): "sent again after doubt, then a report of the first hand-over came",
    (State.QUEUED, State.FAILED): "sent again after doubt, then a report of the first hand-over came",
    (State.SENDING, State.ACCEPTED): "the provider took it",
    (State.SENDING, State.TO_POST): "a person has to publish it",
    (State.TO_POST, State.ACCEPTED): "a person said that it is published",
    (State.TO_POST, State.EXPIRED): "nobody published it in time",
    (State.TO_POST, State.CANCELLED): "a person stopped the run",
    (State.ACCEPTED, State.TO_POST): "a person took back that a post by hand is published",
    (State.SENDING, State.QUEUED): "the provider said: try again later, or its worker died before it was sent",
    (State.SENDING, State.FAILED): "the provider said: never again, it could not be rendered, or it is set aside",
    (State.SENDING, State.UNCERTAIN): "the answer was lost, or the worker died",
    (State.SENDING, State.DELIVERED): "the callback overtook the provider's answer",
    (State.SENDING, State.BOUNCED): "the callback overtook the provider's answer",
    (State.SENDING, State.EXPIRED): "the provider asked to wait past its expiry",
    (State.UNCERTAIN, State.ACCEPTED): "a callback, a look-up or a person found it at the provider",
    (State.UNCERTAIN, State.DELIVERED): "a callback reported delivery",
    (State.UNCERTAIN, State.BOUNCED): "a callback reported a bounce",
    (State.UNCERTAIN, State.FAILED): "a callback or a person said it was not sent",
    (State.UNCERTAIN, State.QUEUED): "its purpose or a person allows to send it again",
    (State.FAILED, State.QUEUED): "it was set aside, and a person gave it another chance",
    (State.UNCERTAIN, State.EXPIRED): "its time ran out before it was settled",
    (State.UNCERTAIN, State.CANCELLED): "a person decided against it",
    (State.ACCEPTED, State.DELIVERED): "the carrier or mailbox reported delivery",
    (State.ACCEPTED, State.BOUNCED): "it came back",
    (State.ACCEPTED, State.FAILED): "the provider gave up after taking it",
    (State.EXPIRED, State.BOUNCED): "it expired in doubt, then a report of the hand-over came",
    (State.EXPIRED, State.DELIVERED): "it expired in doubt, then a report of the hand-over came",
    (State.FAILED, State.BOUNCED): "a bounce says more than a failure: it was on its way and came back",
    (State.FAILED, State.DELIVERED): "a late report of delivery wins",
    (State.BOUNCED, State.DELIVERED): "a late report of delivery wins: the bounce was an out-of-office or a retry",
}
"""Every legal move with a line of meaning; anything else is refused."""

OPEN = frozenset({State.QUEUED, State.SENDING, State.TO_POST, State.UNCERTAIN})
"""States in which the house still has to do something."""

SENT = frozenset({State.ACCEPTED, State.DELIVERED, State.BOUNCED})
"""States that mean a provider took the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Messages that add up: planned = sent + not sent + waiting."""

    sent: int
    not_sent: int
    waiting: int

    @property
    def planned(self) -> int:
        """All of them."""
        return self.sent + self.not_sent + self.waiting


def add_up(counts: Mapping[str, int]) -> Sums:
    """The sums of messages counted by state."""
    sent = sum(count for state, count in counts.items() if State(state) in SENT)
    waiting = sum(count for state, count in counts.items() if State(state) in OPEN)
    return Sums(sent=sent, waiting=waiting, not_sent=sum(counts.values()) - sent - waiting)


def move(current: State, to: State) -> State:
    """The new state, or `IllegalMove`."""
    if (current, to) not in MOVES:
        raise IllegalMove(f"a message cannot go from {current} to {to}")
    return to


def after_event(current: State, reported: State) -> State:
    """The state after a provider's report: it rises in rank by a legal move, else stays."""
    if RANK[reported] > RANK[current] and (current, reported) in MOVES:
        return reported
    return current
