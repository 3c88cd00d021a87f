"""Twilio's error codes as data: what each means for a message. From Twilio's pages on errors 20429 to 30450."""

from collections.abc import Mapping
from dataclasses import dataclass

from notifier.domain.errors import Fault, NeverAgain, SendError, TryAgain
from notifier.domain.event import EventKind
from notifier.providers.base import safe_reason


@dataclass(frozen=True, slots=True)
class Meaning:
    """What to do about a code."""

    text: str  # safe to show
    fault: Fault
    retry_s: float  # 0 = never again
    event: EventKind  # what it is when a callback carries it


_HARD, _SOFT, _FAILED = EventKind.BOUNCED_HARD, EventKind.BOUNCED_SOFT, EventKind.FAILED

CODES: Mapping[str, Meaning] = {
    "20003": Meaning("log-in refused", Fault.SENDER, 900, _FAILED),
    "20005": Meaning("account not active", Fault.SENDER, 900, _FAILED),
    "20404": Meaning("no such account or address of the API", Fault.SENDER, 900, _FAILED),
    "20429": Meaning("too many requests at once", Fault.PROVIDER, 30, _FAILED),
    "21211": Meaning("not a valid number", Fault.RECIPIENT, 0, _HARD),
    "21212": Meaning("the sender is no valid number", Fault.SENDER, 0, _FAILED),
    "21214": Meaning("number cannot be reached", Fault.RECIPIENT, 0, _HARD),
    "21408": Meaning("sending to this region is not enabled", Fault.SENDER, 0, _FAILED),
    "21602": Meaning("the message has no text", Fault.CONTENT, 0, _FAILED),
    "21603": Meaning("the message has no sender", Fault.SENDER, 0, _FAILED),
    "21606": Meaning("the sender cannot send to this number", Fault.SENDER, 0, _FAILED),
    "21610": Meaning("the recipient opted out at the carrier", Fault.OPTED_OUT, 0, _FAILED),
    "21611": Meaning("the sender's queue is full", Fault.PROVIDER, 600, _SOFT),
    "21612": Meaning("no route from this sender to this number", Fault.SENDER, 0, _FAILED),
    "21614": Meaning("not a mobile number", Fault.RECIPIENT, 0, _HARD),
    "21617": Meaning("the text is too long", Fault.CONTENT, 0, _FAILED),
    "21635": Meaning("a landline", Fault.RECIPIENT, 0, _HARD),
    "21659": Meaning("the sender is not one of ours", Fault.SENDER, 0, _FAILED),
    "21660": Meaning("the sender belongs to another account", Fault.SENDER, 0, _FAILED),
    "30001": Meaning("the queue overflowed", Fault.PROVIDER, 600, _SOFT),
    "30002": Meaning("account suspended", Fault.SENDER, 900, _FAILED),
    "30003": Meaning("the handset cannot be reached now", Fault.PROVIDER, 1800, _SOFT),
    "30004": Meaning("blocked for this sender", Fault.SENDER, 0, _FAILED),
    "30005": Meaning("the handset is unknown", Fault.RECIPIENT, 0, _HARD),
    "30006": Meaning("a landline or an unreachable carrier", Fault.RECIPIENT, 0, _HARD),
    "30007": Meaning("filtered as unwanted", Fault.SENDER, 0, _FAILED),
    "30008": Meaning("unknown error at the carrier", Fault.PROVIDER, 1800, _SOFT),
    "30022": Meaning("over the carrier's rate for this sender", Fault.SENDER, 600, _SOFT),
    "30023": Meaning("over the carrier's daily limit for this sender", Fault.SENDER, 3600, _SOFT),
    "30034": Meaning("the sender is not registered", Fault.SENDER, 0, _FAILED),
    "30036": Meaning("its validity ran out", Fault.PROVIDER, 0, _FAILED),
    "30450": Meaning("stopped by protection against SMS pumping", Fault.SENDER, 0, _FAILED),
}

OPTED_OUT = frozenset({"21610"})
"""Codes that say the recipient opted out at the carrier."""

_UNKNOWN_RETRY_S = 900
_ACCOUNT_STATUSES = (401, 403, 404)


def refusal(status: int, code: str, text: str) -> SendError:
    """The error for a definite refusal (HTTP 3xx, 4xx). Twilio adds codes at will: an unknown one is for now, not for good."""
    meaning = CODES.get(code)
    if meaning is None:
        fault = Fault.SENDER if status in _ACCOUNT_STATUSES else Fault.PROVIDER
        return TryAgain(safe_reason(f"{code}: {text}"), after_s=_UNKNOWN_RETRY_S, code=code, fault=fault)
    if meaning.retry_s:
        return TryAgain(meaning.text, after_s=meaning.retry_s, code=code, fault=meaning.fault)
    return NeverAgain(meaning.text, code=code, fault=meaning.fault)
