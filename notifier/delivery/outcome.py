"""Outcome: one hand-over to a provider becomes the receipt the ledger records."""

from collections.abc import Mapping
from typing import Any

from notifier.domain.channel import Outgoing
from notifier.domain.errors import Fault, NeverAgain, OutcomeUnknown, TryAgain
from notifier.domain.message import State
from notifier.logs import get_logger
from notifier.providers.base import Provider
from notifier.store.messages.claim import Claimed
from notifier.store.messages.record import Receipt

log = get_logger()
SENDER_FAULT_WAIT_S = 300.0


async def hand_to(message: Claimed, outgoing: Outgoing, provider: Provider, facts: Mapping[str, Any]) -> Receipt:
    """The receipt of one hand-over, whatever the provider raises; `facts` are its fields known before."""
    try:
        taken = await provider.send(outgoing)
    except TryAgain as error:
        wait = error.after_s if error.fault is not Fault.SENDER else max(error.after_s, SENDER_FAULT_WAIT_S)
        again_s = max(wait, _least_wait_s(message))
        return Receipt(**facts, state=State.QUEUED, reason=error.reason, code=error.code, again_s=again_s)
    except NeverAgain as error:
        return Receipt(
            **facts,
            state=State.FAILED,
            reason=error.reason,
            code=error.code,
            suppress=error.fault is Fault.RECIPIENT,
            opted_out=error.fault is Fault.OPTED_OUT,
        )
    except OutcomeUnknown as error:
        return Receipt(**facts, state=State.UNCERTAIN, reason=error.reason, code=error.code)
    except Exception as error:  # noqa: BLE001 - against its contract; it may have sent, so this is in doubt
        log.error("delivery.provider_failed", provider=provider.name, error=type(error).__name__)
        reason = f"unexpected {type(error).__name__}"
        return Receipt(**facts, state=State.UNCERTAIN, reason=reason, code="unexpected")
    state = State.TO_POST if provider.capabilities.by_hand else State.ACCEPTED
    return Receipt(**facts, state=state, reason=taken.detail, provider_ref=taken.provider_ref, post_url=taken.url)


def _least_wait_s(message: Claimed) -> float:
    """Whatever the provider says: 2, 4, 8 … seconds, at most 5 minutes, so that no message spins."""
    return min(2.0 ** min(message.attempts, 10), SENDER_FAULT_WAIT_S)


def not_begun(message: Claimed) -> Receipt:
    """Claimed, and nothing of it has left the house."""
    return Receipt(id=message.id, state=State.QUEUED, reason="given back before it was sent", code="given-back")


def not_rendered(message: Claimed, problem: str) -> Receipt:
    """It cannot be made, now or later."""
    return Receipt(id=message.id, state=State.FAILED, reason=f"not rendered: {problem}", code="render")


def wait_for_account(message: Claimed, reason: str) -> Receipt:
    """No account can take it now; ours to mend."""
    return Receipt(id=message.id, state=State.QUEUED, reason=reason, code="account", again_s=SENDER_FAULT_WAIT_S)
