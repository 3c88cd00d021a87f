"""Outcome: one hand-over to a provider becomes the receipt the ledger records, and what it says about the account."""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from notifier.domain.channel import Outgoing
from notifier.domain.errors import Fault, NeverAgain, OutcomeUnknown, TryAgain, Withheld
from notifier.domain.message import State
from notifier.domain.purpose import Purpose
from notifier.domain.retry import SPARED, Trouble, next_wait_s, trouble_of
from notifier.logs import get_logger
from notifier.providers.base import Provider
from notifier.store.messages.claim import Claimed
from notifier.store.messages.record import Receipt

log = get_logger()
SENDER_FAULT_WAIT_S = 300.0
ACCOUNT = "account"  # the code of what waits for an account of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What became of one hand-over."""

    receipt: Receipt
    trouble: Trouble | None = None  # None: it was taken
    retry_after_s: float = 0  # the provider wants the whole account to stay away
    took_s: float = 0

    @property
    def spared(self) -> bool:
        """Whether it counts as no try of the message."""
        return self.receipt.state is State.QUEUED and self.trouble in SPARED


async def hand_to(
    message: Claimed, outgoing: Outgoing, provider: Provider, *, purpose: Purpose, facts: Mapping[str, Any]
) -> Handed:
    """One hand-over, whatever the provider raises but `Withheld`; `facts` are the receipt's fields known before."""
    begun = time.monotonic()
    try:
        taken = await provider.send(outgoing)
    except Withheld:
        raise  # there was none
    except (TryAgain, NeverAgain) as error:
        return _refused(message, error, purpose, facts=facts, took_s=time.monotonic() - begun)
    except OutcomeUnknown as error:
        lost = Receipt(**facts, state=State.UNCERTAIN, reason=error.reason, code=error.code)
        return Handed(receipt=lost, trouble=Trouble.UNKNOWN, took_s=time.monotonic() - begun)
    except Exception as error:  # noqa: BLE001 - against its contract; it may have sent, so this is in doubt
        log.error("delivery.provider_failed", provider=provider.name, error=type(error).__name__)
        reason = f"unexpected {type(error).__name__}"
        lost = Receipt(**facts, state=State.UNCERTAIN, reason=reason, code="unexpected")
        return Handed(receipt=lost, trouble=Trouble.UNKNOWN, took_s=time.monotonic() - begun)
    state = State.TO_POST if provider.capabilities.by_hand else State.ACCEPTED
    accepted = Receipt(**facts, state=state, reason=taken.detail, provider_ref=taken.provider_ref, post_url=taken.url)
    return Handed(receipt=accepted, took_s=time.monotonic() - begun)


def _refused(
    message: Claimed, error: TryAgain | NeverAgain, purpose: Purpose, *, facts: Mapping[str, Any], took_s: float
) -> Handed:
    wait_s = next_wait_s(error, purpose, tries=message.attempts, draw=random.random())  # noqa: S311
    told: dict[str, Any] = {**facts, "reason": error.reason, "code": error.code}
    if wait_s is not None:
        receipt = Receipt(**told, state=State.QUEUED, again_s=wait_s)
    else:
        is_bad, has_stopped = error.fault is Fault.RECIPIENT, error.fault is Fault.OPTED_OUT
        is_final = isinstance(error, NeverAgain)
        receipt = Receipt(**told, state=State.FAILED, suppress=is_bad and is_final, opted_out=has_stopped and is_final)
    return Handed(
        receipt=receipt,
        trouble=trouble_of(error),
        retry_after_s=error.retry_after_s if isinstance(error, TryAgain) else 0,
        took_s=took_s,
    )


def not_begun(message: Claimed) -> Receipt:
    """Claimed, and nothing of it has left the house."""
    return Receipt(id=message.id, state=State.QUEUED, reason="given back before it was sent", code="given-back")


def not_rendered(message: Claimed, problem: str) -> Receipt:
    """It cannot be made, now or later."""
    return Receipt(id=message.id, state=State.FAILED, reason=f"not rendered: {problem}", code="render")


def wait_for_account(message: Claimed, reason: str, *, again_s: float = SENDER_FAULT_WAIT_S) -> Receipt:
    """No account can take it now; ours to mend."""
    return Receipt(id=message.id, state=State.QUEUED, reason=reason, code=ACCOUNT, again_s=again_s)
