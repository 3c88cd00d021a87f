"""Retry: what a refusal means for the account, and when the message goes again."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from notifier.domain.errors import Fault, NeverAgain, OutcomeUnknown, SendError, TryAgain
from notifier.domain.purpose import Purpose


class Trouble(StrEnum):
    """What stood in the way of one hand-over."""

    TOO_FAST = "too-fast"  # the provider's limits: slow down; nothing is wrong with the message
    UNREACHABLE = "unreachable"  # no connection, or the provider is out of order
    SENDER = "sender"  # they do not accept our account: ours to mend
    POLICY = "policy"  # refused for who we are or what it says; others may pass
    GREYLISTED = "greylisted"  # come back later, to see that we do
    HANDSET = "handset"  # switched off or out of reach
    TEMPORARY = "temporary"  # any other "not now"
    PERMANENT = "permanent"  # never again
    UNKNOWN = "unknown"  # it may have arrived


FAILS_OVER = frozenset({Trouble.TOO_FAST, Trouble.UNREACHABLE, Trouble.SENDER})
"""A definite refusal of the account's own making: the next account may take the message."""

SPARED = FAILS_OVER
"""Not the message's doing: it goes back as it came, no try counted."""

_TOO_FAST_CODES = frozenset({"429", "421", "20429", "21611", "30001", "30022", "30023", "4.3.2", "4.4.5"})
_TOO_FAST = re.compile(r"too (many|fast|much)|rate.?limit|throttl|unusual rate|TSS04", re.I)
_SENDER_CODES = frozenset(
    {"20003", "20005", "20404", "30002", "30007", "30034", "30450", "535", "530", "534", "538", "tls", "401", "403"}
    | {f"5.7.{number}" for number in (3, 8, 9, 11, 14, 25, 26, 27, 28, 29, 30, 31, 32, 40, 57, 509, 515)}
)
"""Log-in, certificate, suspension, registration, filtering; SPF, DKIM and DMARC as Google and Microsoft number them."""

_UNREACHABLE_CODES = frozenset({"connect", "lost", "stalled", "500", "502", "503", "504"})
_HANDSET_CODES = frozenset({"30003", "30008"})
_GREYLIST = re.compile(r"gr[ae]y.?list|postgrey", re.I)


def trouble_of(error: SendError) -> Trouble:
    """The class of what a provider raised."""
    if isinstance(error, OutcomeUnknown):
        return Trouble.UNKNOWN
    if error.code in _SENDER_CODES and error.fault is Fault.SENDER:
        return Trouble.SENDER
    if error.fault is Fault.SENDER and isinstance(error, NeverAgain):
        return Trouble.POLICY
    if isinstance(error, NeverAgain):
        return Trouble.PERMANENT
    if _GREYLIST.search(error.reason):
        return Trouble.GREYLISTED
    if _is_too_fast(error):
        return Trouble.TOO_FAST
    if error.code in _UNREACHABLE_CODES:
        return Trouble.UNREACHABLE
    if error.code in _HANDSET_CODES:
        return Trouble.HANDSET
    return Trouble.SENDER if error.fault is Fault.SENDER else Trouble.TEMPORARY


def _is_too_fast(error: SendError) -> bool:
    """RFC 3463: 4.7.x is security and policy for now, which is how mail providers slow a sender down."""
    return error.code in _TOO_FAST_CODES or error.code.startswith("4.7.") or bool(_TOO_FAST.search(error.reason))


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """The first wait, doubled each time up to `most_s`; after so many tries it has failed (0 = until it expires)."""

    first_s: float
    most_s: float
    tries: int = 0


_OTP, _ALARM, _SERVICE, _MARKETING = (
    Purpose.TRANSACTIONAL,
    Purpose.EMERGENCY,
    Purpose.SERVICE,
    Purpose.MARKETING,
)
WAITS: Mapping[Trouble, Mapping[Purpose, Waits]] = {
    Trouble.TOO_FAST: {
        _ALARM: Waits(first_s=5, most_s=60),
        _OTP: Waits(first_s=5, most_s=30),
        _SERVICE: Waits(first_s=30, most_s=600),
        _MARKETING: Waits(first_s=60, most_s=900),
    },
    Trouble.UNREACHABLE: {
        _ALARM: Waits(first_s=5, most_s=60),
        _OTP: Waits(first_s=5, most_s=30),
        _SERVICE: Waits(first_s=60, most_s=900),
        _MARKETING: Waits(first_s=60, most_s=900),
    },
    Trouble.SENDER: {
        _ALARM: Waits(first_s=15, most_s=60),
        _OTP: Waits(first_s=15, most_s=30),
        _SERVICE: Waits(first_s=300, most_s=900),
        _MARKETING: Waits(first_s=300, most_s=900),
    },
    Trouble.POLICY: {
        _ALARM: Waits(first_s=60, most_s=300, tries=3),
        _OTP: Waits(first_s=30, most_s=60, tries=2),
        _SERVICE: Waits(first_s=900, most_s=3_600, tries=3),
        _MARKETING: Waits(first_s=3_600, most_s=14_400, tries=2),
    },
    Trouble.GREYLISTED: {
        _ALARM: Waits(first_s=60, most_s=300),
        _OTP: Waits(first_s=60, most_s=60),
        _SERVICE: Waits(first_s=600, most_s=3_600),
        _MARKETING: Waits(first_s=600, most_s=14_400),
    },
    Trouble.HANDSET: {
        _ALARM: Waits(first_s=300, most_s=1_800),
        _OTP: Waits(first_s=60, most_s=60, tries=3),
        _SERVICE: Waits(first_s=1_800, most_s=7_200, tries=3),
        _MARKETING: Waits(first_s=1_800, most_s=7_200, tries=2),
    },
    Trouble.TEMPORARY: {
        _ALARM: Waits(first_s=30, most_s=300),
        _OTP: Waits(first_s=20, most_s=60),
        _SERVICE: Waits(first_s=300, most_s=3_600),
        _MARKETING: Waits(first_s=300, most_s=14_400),
    },
}
"""RFC 5321 §4.5.4.1 wants minutes between tries, then ever longer; a code that lives for five minutes cannot wait so."""

_JITTER = 0.2


def next_wait_s(error: TryAgain | NeverAgain, purpose: Purpose, *, tries: int, draw: float) -> float | None:
    """Seconds until the message goes again, None where it has failed for good; `draw` in [0, 1) spreads a crowd.

    What the provider itself asked for (Retry-After) is the least. What it advises counts for ordinary purposes alone:
    the answer to what a contact just did is of no use later.
    """
    trouble = trouble_of(error)
    waits = WAITS.get(trouble, {}).get(purpose)
    if waits is None or (waits.tries and tries >= waits.tries):
        return None
    wait = min(waits.first_s * 2.0 ** min(max(tries - 1, 0), 20), waits.most_s)
    wait *= 1 - _JITTER + 2 * _JITTER * draw
    if isinstance(error, TryAgain):
        asked = error.retry_after_s or (error.after_s if purpose in (_SERVICE, _MARKETING) else 0.0)
        wait = max(wait, asked * (1 + _JITTER * draw))
    return wait
