"""A stop above a run: nothing of a campaign, by a channel or at all is handed over until a person resumes it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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
