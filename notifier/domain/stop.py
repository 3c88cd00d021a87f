"""A stop above a run: nothing of a campaign, by a channel or at all is handed over until a person resumes it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from notifier.domain.message import State, add_up


class Scope(StrEnum):
    """What a stop holds."""

    EVERYTHING = "everything"
    CHANNEL = "channel"
    CAMPAIGN = "campaign"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """What a stop holds, exactly. Everything holds emergencies too, unless they are spared by name."""

    scope: Scope
    which: str = ""  # the channel or the campaign's key
    spares_emergencies: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A stop somebody made; in force until it is lifted."""

    id: int
    extent: Extent
    reason: str
    stopped_by: str
    at: datetime
    lifted_at: datetime | None
    lifted_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoning:
    """What became of messages when they were stopped; the parts add up to all of them."""

    sent: int  # a provider took them
    leaving: int  # handed over before the stop, no answer yet
    in_doubt: int  # the answer was lost
    not_sent: int  # for good
    held: int  # wait for a resume, unless they expire

    @property
    def in_hands(self) -> int:
        """Nobody here can say whether the provider has them."""
        return self.leaving + self.in_doubt


def reckon(*counts: Mapping[str, int]) -> Reckoning:
    """From messages by state, of one run or of many."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    sums = add_up(total)
    leaving, in_doubt = total[State.SENDING], total[State.UNCERTAIN]
    return Reckoning(
        sent=sums.sent,
        leaving=leaving,
        in_doubt=in_doubt,
        not_sent=sums.not_sent,
        held=sums.waiting - leaving - in_doubt,
    )
