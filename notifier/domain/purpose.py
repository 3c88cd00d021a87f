"""Why a message is sent, and what follows from it."""

from dataclasses import dataclass
from datetime import time, timedelta
from enum import StrEnum


class Purpose(StrEnum):
    """Why a message is sent; fixed in the template and approved with it."""

    EMERGENCY = "emergency"  # people or money are in danger, or a branch is shut
    TRANSACTIONAL = "transactional"  # the answer to something the contact just did
    SERVICE = "service"  # neutral facts the contact needs
    MARKETING = "marketing"  # anything that promotes


class InDoubt(StrEnum):
    """What to do with a message whose acceptance is unknown."""

    RESEND = "resend"  # the same message again, same Message-ID
    RECONCILE_THEN_RESEND = "reconcile-then-resend"  # wait for a callback first
    RECONCILE_THEN_ASK = "reconcile-then-ask"
    ASK = "ask"  # a person decides


class Consent(StrEnum):
    """Which consent a purpose needs."""

    OBEYS_CHANNEL_STOP = "obeys-channel-stop"
    OBEYS_OPT_OUT = "obeys-opt-out"  # of the channel or the topic
    NEEDS_OPT_IN = "needs-opt-in"  # and no opt-out of channel or topic


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposeRules:
    """What a purpose means for a message; a campaign may shorten these, never lengthen."""

    lane: int  # 1 leaves first
    consent: Consent
    open_from: time | None  # local time of the contact; None = no quiet hours
    open_to: time | None
    expires: timedelta
    in_doubt: InDoubt


RULES: dict[Purpose, PurposeRules] = {
    Purpose.EMERGENCY: PurposeRules(
        lane=1,
        consent=Consent.OBEYS_CHANNEL_STOP,
        open_from=None,
        open_to=None,
        expires=timedelta(hours=4),
        in_doubt=InDoubt.RESEND,
    ),
    Purpose.TRANSACTIONAL: PurposeRules(
        lane=2,
        consent=Consent.OBEYS_CHANNEL_STOP,
        open_from=None,
        open_to=None,
        expires=timedelta(minutes=5),
        in_doubt=InDoubt.RECONCILE_THEN_ASK,
    ),
    Purpose.SERVICE: PurposeRules(
        lane=3,
        consent=Consent.OBEYS_OPT_OUT,
        open_from=time(8),
        open_to=time(21),
        expires=timedelta(hours=24),
        in_doubt=InDoubt.RECONCILE_THEN_RESEND,
    ),
    Purpose.MARKETING: PurposeRules(
        lane=4,
        consent=Consent.NEEDS_OPT_IN,
        open_from=time(9),
        open_to=time(20),
        expires=timedelta(hours=72),
        in_doubt=InDoubt.ASK,
    ),
}

POST_EXPIRES = timedelta(hours=24)
LANES = tuple(sorted(rules.lane for rules in RULES.values()))
PURPOSE_OF_LANE = {rules.lane: purpose for purpose, rules in RULES.items()}
