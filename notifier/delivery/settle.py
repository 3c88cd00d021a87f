"""Settle: what a dead worker or a lost reply left in doubt, as its purpose says."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from notifier.domain.errors import Conflict, NotFound
from notifier.domain.event import STATE_AFTER, EventKind
from notifier.domain.message import SENT, State, move
from notifier.logs import get_logger
from notifier.store import clock
from notifier.store.access import add_audit
from notifier.store.callbacks import NewEvent, StateChange, add_events, change_states, lock_messages
from notifier.store.database import Database, Tx
from notifier.store.messages.doubts import (
    cancel_left_over,
    expire_unposted,
    settle_uncertain,
    sweep_dead_claims,
)
from notifier.store.runs import get_run

log = get_logger()
RECONCILE_FOR = timedelta(minutes=5)
"""How long a callback may take to settle a doubt before the message goes again."""
_CANCEL_S = 5.0

NOT_SENT = "a person said it was not sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What one sweep found."""

    in_doubt: int
    resent: int


async def settle_doubts(database: Database, *, looked_up: Sequence[str] = ()) -> Settled:
    """Take messages from leases that ran out; send again what its purpose allows.

    Of the channels `looked_up` the provider is asked first, see `LookUps`.
    """
    async with database.transaction() as tx:
        in_doubt = await sweep_dead_claims(tx)
    async with database.transaction() as tx:
        resent = await settle_uncertain(tx, RECONCILE_FOR, looked_up=looked_up)
    await _cancel_left_over(database)
    async with database.transaction() as tx:
        await expire_unposted(tx)
    if in_doubt or resent:
        log.warning("delivery.doubts_settled", in_doubt=in_doubt, resent=resent)
    return Settled(in_doubt=in_doubt, resent=resent)


async def _cancel_left_over(database: Database) -> None:
    """A large run's messages take several ticks; what else a tick does need not wait for them."""
    ends = time.monotonic() + _CANCEL_S
    while time.monotonic() < ends:
        async with database.transaction() as tx:
            if not await cancel_left_over(tx):
                return


async def mark_sent(tx: Tx, run_id: int, message_id: int, by: str) -> None:
    """A person looked: the provider took this message. `Conflict` where it is not in doubt (any more)."""
    await _decide(tx, run_id, message_id, by, told=EventKind.ACCEPTED, reason="")


async def mark_not_sent(tx: Tx, run_id: int, message_id: int, by: str) -> None:
    """A person looked: the provider never got this message. `Conflict` where it is not in doubt (any more)."""
    await _decide(tx, run_id, message_id, by, told=EventKind.FAILED, reason=NOT_SENT)


async def _decide(tx: Tx, run_id: int, message_id: int, by: str, *, told: EventKind, reason: str) -> None:
    run = await get_run(tx, run_id)
    locked = await lock_messages(tx, [(run_id, message_id)])
    if not locked:
        raise NotFound(f"there is no message {message_id} in run {run_id}")
    current = State(locked[0].state)
    if current is not State.UNCERTAIN:
        raise Conflict(f"message {message_id} is {current}: there is nothing to decide")
    state, now = move(current, STATE_AFTER[told]), await clock.now(tx)
    took_at = now if state in SENT else None
    await change_states(tx, [StateChange(message=locked[0], to_state=state, reason=reason, took_at=took_at)])
    event = NewEvent(
        run_id=run_id,
        message_id=message_id,
        event_key=f"decided:{state}",
        kind=told,
        at=now,
        code="",
        reason=reason,
        source="person",
    )
    await add_events(tx, [event])
    await add_audit(
        tx, run.team_id, actor=by, act=f"message.decided_{state}", subject=f"message:{run_id}/{message_id}", detail={}
    )
