"""Retry: what a refusal means for the account, and when the message goes again."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from notifier.domain.errors import Fault, NeverAgain, OutcomeUnknown, SendError, TryAgain
from notifier.domain.purpose import RULES, Purpose
from notifier.domain.rate import URGENT_LANES


class Trouble(StrEnum):
    """What stood in the way of one hand-over."""

    TOO_FAST = "too-fast"  # the provider's limits: slow down; nothing is wrong with the message
    UNREACHABLE = "unreachable"  # no connection, or the provider is out of order
    SENDER = "sender"  # they do not accept our account: ours to mend
    POLICY = "policy"  # refused by one server for who we are or what it says; others may pass
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
    {"20003", "20005", "20404", "30002", "535", "530", "534", "538", "tls", "401", "403", "sandbox-store", ""}
    | {f"5.7.{number}" for number in (3, 8, 9, 11, 14, 57)}
)
"""Log-in, certificate, suspension: said of the account, whoever the message is for."""

_UNREACHABLE_CODES = frozenset({"connect", "lost", "stalled", "500", "502", "503", "504"})
_HANDSET_CODES = frozenset({"30003", "30008"})
_GREYLIST = re.compile(r"gr[ae]y.?list|postgrey", re.I)


def trouble_of(error: SendError) -> Trouble:
    """The class of what a provider raised."""
    if isinstance(error, OutcomeUnknown):
        return Trouble.UNKNOWN
    if error.code in _SENDER_CODES and error.fault is Fault.SENDER:
        return Trouble.SENDER
    if isinstance(error, NeverAgain) and error.fault is Fault.SENDER:
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
    return Trouble.POLICY if error.fault is Fault.SENDER else Trouble.TEMPORARY


def _is_too_fast(error: SendError) -> bool:
    """RFC 3463: 4.7.x is security and policy for now, which is how mail providers slow a sender down."""
    return error.code in _TOO_FAST_CODES or error.code.startswith("4.7.") or bool(_TOO_FAST.search(error.reason))


@dataclass(frozen=True, slots=True)
class Waits:
    """The first wait, doubled each time up to `most_s`; after so many tries it has failed (0 = until it expires)."""

    first_s: float
    most_s: float
    tries: int = 0


_PURPOSES = (Purpose.EMERGENCY, Purpose.TRANSACTIONAL, Purpose.SERVICE, Purpose.MARKETING)
_TABLE = {
    Trouble.TOO_FAST: (Waits(5, 60), Waits(5, 30), Waits(30, 600), Waits(60, 900)),
    Trouble.UNREACHABLE: (Waits(5, 60), Waits(5, 30), Waits(60, 900), Waits(60, 900)),
    Trouble.SENDER: (Waits(15, 60), Waits(15, 30), Waits(300, 900), Waits(300, 900)),
    Trouble.POLICY: (Waits(60, 300, 3), Waits(30, 60, 2), Waits(900, 3_600, 3), Waits(3_600, 14_400, 2)),
    Trouble.GREYLISTED: (Waits(60, 300), Waits(60, 60), Waits(600, 3_600), Waits(600, 14_400)),
    Trouble.HANDSET: (Waits(300, 1_800), Waits(60, 60, 3), Waits(1_800, 7_200, 3), Waits(1_800, 7_200, 2)),
    Trouble.TEMPORARY: (Waits(30, 300), Waits(20, 60), Waits(300, 3_600), Waits(300, 14_400)),
}
WAITS: Mapping[Trouble, Mapping[Purpose, Waits]] = {
    trouble: dict(zip(_PURPOSES, waits, strict=True)) for trouble, waits in _TABLE.items()
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
    if waits is None or (waits.tries and tries >= waits.tries and not _may_pass(error, trouble)):
        return None
    wait = min(waits.first_s * 2.0 ** min(max(tries - 1, 0), 20), waits.most_s)
    wait *= 1 - _JITTER + 2 * _JITTER * draw
    if isinstance(error, TryAgain):
        asked = error.retry_after_s or (error.after_s if RULES[purpose].lane not in URGENT_LANES else 0.0)
        wait = max(wait, asked * (1 + _JITTER * draw))
    return wait


def _may_pass(error: TryAgain | NeverAgain, trouble: Trouble) -> bool:
    """Refused for who we are, but for now alone: a name that is not found today, a check that failed to run."""
    return trouble is Trouble.POLICY and isinstance(error, TryAgain)
