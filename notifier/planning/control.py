"""Stop and resume: what a person decides about a run."""

from notifier.domain.errors import Conflict, Forbidden
from notifier.domain.person import RESUMING, Person
from notifier.domain.run import RunState
from notifier.store import runs
from notifier.store.access import add_audit
from notifier.store.database import Tx
from notifier.store.messages.doubts import cancel_queued

_MOVES = {
    "stop": (("scheduled", "running"), "stopped"),
    "resume": (("stopped",), "running"),
    "cancel": (("draft", "waiting", "submitted", "scheduled", "running", "stopped"), "cancelled"),
}


async def stop_run(tx: Tx, run_id: int, by: str) -> None:
    """No claim takes a message of this run from the commit on; what is on the wire is finished."""
    await _move(tx, run_id, "stop", by)


async def resume_run(tx: Tx, run_id: int, by: Person) -> None:
    """Go on with a stopped run; what expired meanwhile stays unsent.

    What the service stopped by itself waits until a person looked at it: `Forbidden` for who is none or may not.
    """
    run = await runs.get_run(tx, run_id, lock=True)
    if run.state == RunState.STOPPED and run.problem and (by.user_id is None or not by.may(RESUMING)):
        raise Forbidden("resuming needs a person: an approver, an operator or an administrator")
    await _move(tx, run_id, "resume", by.name)


async def cancel_run(tx: Tx, run_id: int, by: str) -> int:
    """End a run for good; returns how many queued messages were cancelled."""
    await _move(tx, run_id, "cancel", by)
    return await cancel_queued(tx, run_id)


async def _move(tx: Tx, run_id: int, act: str, by: str) -> None:
    sources, target = _MOVES[act]
    run = await runs.get_run(tx, run_id, lock=True)
    if run.state not in sources:
        raise Conflict(f"run {run_id} is {run.state}: it cannot {act}")
    if act == "resume" and run.frozen_at is None and run.kind != "standing":  # a standing run freezes nobody
        target = "scheduled"
    await runs.gate_claims(tx, run_id)
    await runs.set_run_state(tx, run_id, target)
    await add_audit(tx, run.team_id, actor=by, act=f"run.{act}", subject=f"run:{run_id}", detail={})
