"""Why a message was not sent or came back, in the few classes that differ in what to do."""

import re
from enum import StrEnum

from notifier.domain.message import State


class Cause(StrEnum):
    """What kept a message from its recipient."""

    NO_ADDRESS = "no-address"  # the contact has none for this channel
    OPTED_OUT = "opted-out"  # their own choice, also at the carrier
    NO_CONSENT = "no-consent"  # marketing to somebody who never said yes
    DUPLICATE = "duplicate-address"  # another contact with the same address got it
    BLOCKED_BAD = "blocked-bad-address"  # came back before, so it was not tried again
    BLOCKED_COMPLAINT = "blocked-complaint"  # called an earlier mail spam
    BLOCKED_BY_HAND = "blocked-by-hand"  # a colleague, or an erasure
    BAD_ADDRESS = "bad-address"  # the provider says there is no such recipient
    FULL = "mailbox-full"  # passes by itself
    CAME_BACK = "came-back"  # reported after it was sent
    NOT_RENDERED = "not-rendered"  # the text could not be made
    TOO_LONG = "too-long"  # for this network
    LOGIN = "login"  # the provider does not accept our account
    UNWANTED = "unwanted"  # filtered: content or reputation
    SENDER = "sender"  # this sender may not send there
    TOO_FAST = "too-fast"  # over a limit of the provider
    PROVIDER = "provider"  # refused for another reason, in the provider's words
    SET_ASIDE = "set-aside"  # it ended three workers
    SETTLED = "settled-not-sent"  # a person found that it never left
    DRILL = "drill"  # a post of an exercise
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    IN_DOUBT = "in-doubt"


_OURS = {
    "no-address": Cause.NO_ADDRESS,
    "opted-out": Cause.OPTED_OUT,
    "no-consent": Cause.NO_CONSENT,
    "duplicate-address": Cause.DUPLICATE,
    "suppressed: hard-bounce": Cause.BLOCKED_BAD,
    "suppressed: invalid": Cause.BLOCKED_BAD,
    "suppressed: complaint": Cause.BLOCKED_COMPLAINT,
    "suppressed: opt-out": Cause.OPTED_OUT,
    "suppressed: manual": Cause.BLOCKED_BY_HAND,
    "suppressed: erasure": Cause.BLOCKED_BY_HAND,
    "a person said it was not sent": Cause.SETTLED,
    "drill": Cause.DRILL,
}
_BY_STATE = {
    State.EXPIRED: Cause.EXPIRED,
    State.CANCELLED: Cause.CANCELLED,
    State.BOUNCED: Cause.CAME_BACK,
    State.UNCERTAIN: Cause.IN_DOUBT,
}
_THEIRS = (
    (Cause.NOT_RENDERED, r"^not rendered"),
    (Cause.SET_ASIDE, r"^set aside"),
    (Cause.OPTED_OUT, r"opted out|unsubscribed"),
    (
        Cause.LOGIN,
        r"log-?in|authenticat|unauthori[sz]ed|suspended|not active|not accept our account|\b5\.7\.8\b|\b535\b",
    ),
    (Cause.TOO_LONG, r"too long|characters, the|too (large|big)|\b5\.[23]\.[34]\b"),
    (Cause.TOO_FAST, r"too many|rate|daily limit|queue (is full|overflowed)|throttl"),
    (Cause.FULL, r"mailbox (is )?full|quota|\b5\.2\.2\b"),
    (Cause.UNWANTED, r"spam|unwanted|filtered|block|reputation|policy|dmarc|dkim|\bspf\b|\b5\.7\.\d"),
    (Cause.SENDER, r"sender|not registered|region|no route|relay|pumping"),
    (
        Cause.BAD_ADDRESS,
        r"not a (valid|mobile) number|landline|handset is unknown|cannot be reached|no such|unknown (user|recipient)"
        r"|user unknown|does not exist|invalid (recipient|address|mailbox)|mailbox unavailable|\b5\.1\.\d|\b5\.2\.1\b",
    ),
)
_PATTERNS = tuple((cause, re.compile(pattern, re.IGNORECASE)) for cause, pattern in _THEIRS)


def cause_of(state: str, reason: str) -> Cause | None:
    """The class of a message that is not sent, came back or is in doubt; None for every other."""
    if State(state) in _BY_STATE:
        return _BY_STATE[State(state)]
    if State(state) not in {State.REFUSED, State.FAILED}:
        return None
    if reason in _OURS:
        return _OURS[reason]
    return cause_of_words(reason)


def cause_of_words(reason: str) -> Cause:
    """The class of what a provider said."""
    return next((cause for cause, pattern in _PATTERNS if pattern.search(reason)), Cause.PROVIDER)
