"""Settle: what a dead worker or a lost reply left in doubt, as its purpose says."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

from notifier.domain.doubt import AFTER, Verdict
from notifier.domain.errors import Conflict, NotFound
from notifier.domain.message import State, move
from notifier.logs import get_logger
from notifier.store.access import add_audit
from notifier.store.callbacks import lock_messages
from notifier.store.database import Database, Tx
from notifier.store.messages import doubts
from notifier.store.messages.doubts import (
    cancel_left_over,
    expire_unposted,
    settle_uncertain,
    sweep_dead_claims,
)
from notifier.store.runs import Run, get_run

log = get_logger()
RECONCILE_FOR = timedelta(minutes=5)
"""How long a callback may take to settle a doubt before the message goes again."""
_CANCEL_S = 0.5

NOT_SENT = "a person said it was not sent"
_WHY: Mapping[Verdict, str] = {
    Verdict.SENT: "",
    Verdict.NOT_SENT: NOT_SENT,
    Verdict.SEND_AGAIN: "a person said it was not sent: it goes again",
}


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


async def decide(tx: Tx, run_id: int, verdict: Verdict, by: str, *, message_id: int | None = None) -> int:
    """A person looked: what is true of one message in doubt, or of all of a run; returns of how many.

    `Conflict` where none is in doubt (any more), or all that should go again have expired.
    """
    run, state = await get_run(tx, run_id), move(State.UNCERTAIN, AFTER[verdict])
    if verdict is Verdict.SEND_AGAIN and run.state == "cancelled":
        raise Conflict("its run is cancelled: nothing of it goes out any more")
    count = await doubts.decide_doubts(tx, run_id, message_id, to=state, why=_WHY[verdict])
    if not count:
        await _say_why_not(tx, run_id, message_id, State.UNCERTAIN)
    await _audit(tx, run, f"decided_{state}", by, message_id=message_id, detail={"messages": count})
    return count


async def replay(tx: Tx, run_id: int, by: str, *, message_id: int | None = None, reason: str = "") -> int:
    """Give what was set aside another chance: one message, or all of a run, or those of one reason.

    `Conflict` where there is none that has not expired.
    """
    run = await get_run(tx, run_id)
    if run.state == "cancelled":
        raise Conflict("its run is cancelled: nothing of it goes out any more")
    move(State.FAILED, State.QUEUED)
    count = await doubts.replay_set_aside(tx, run_id, message_id, reason=reason)
    if not count:
        await _say_why_not(tx, run_id, message_id, State.FAILED)
    await _audit(tx, run, "replayed", by, message_id=message_id, detail={"messages": count, "reason": reason})
    return count


async def _say_why_not(tx: Tx, run_id: int, message_id: int | None, wanted: State) -> NoReturn:
    if message_id is None:
        raise Conflict(f"nothing of run {run_id} waits for this decision, or its time ran out")
    locked = await lock_messages(tx, [(run_id, message_id)])
    if not locked:
        raise NotFound(f"there is no message {message_id} in run {run_id}")
    if locked[0].state == wanted:
        raise Conflict("its time ran out, or it failed for good: it is not sent late")
    raise Conflict(f"message {message_id} is {locked[0].state}: there is nothing to decide")


async def _audit(tx: Tx, run: Run, act: str, by: str, *, message_id: int | None, detail: Mapping[str, object]) -> None:
    what, subject = ("run", f"run:{run.id}") if message_id is None else ("message", f"message:{run.id}/{message_id}")
    await add_audit(tx, run.team_id, actor=by, act=f"{what}.{act}", subject=subject, detail=detail)
