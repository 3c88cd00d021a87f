"""Stops above a run: whoever acts may stop a campaign, a channel or everything; a person resumes it."""

from dataclasses import asdict

from notifier.domain.channel import Channel
from notifier.domain.errors import Conflict, Forbidden, InputError
from notifier.domain.note import one_line
from notifier.domain.person import ACTING, RESUMING, Person
from notifier.domain.stop import Extent, Scope, Stop, reckon
from notifier.logs import get_logger
from notifier.store import stops
from notifier.store.access import add_audit
from notifier.store.database import Tx
from notifier.store.definitions import find_latest

log = get_logger()
_LONGEST_REASON = 300


async def stop_above(tx: Tx, team_id: int, extent: Extent, *, reason: str, by: Person) -> Stop:
    """From the commit on no claim takes what it holds; what is claimed leaves within a second or not at all.

    Stopping what is stopped changes nothing. `Forbidden` for a role that only looks.
    """
    if by.user_id is not None and not by.may(ACTING):
        raise Forbidden("your role does not stop anything")
    reason = one_line(reason)[:_LONGEST_REASON]
    if not reason:
        raise InputError("reason", "is empty", "Say why: everybody reads it until it is resumed")
    await check_extent(tx, team_id, extent)
    await stops.gate_all_claims(tx)
    stop, is_new = await stops.add_stop(tx, team_id, extent, reason=reason, by=by.name)
    if is_new:
        await _audit(tx, team_id, stop, by, "stop.made")
    return stop


async def check_extent(tx: Tx, team_id: int, extent: Extent) -> None:
    """`InputError` or `NotFound` where there is nothing of this name to stop."""
    match extent.scope:
        case Scope.CAMPAIGN:
            await find_latest(tx, team_id, "campaign", extent.which)
        case Scope.CHANNEL if extent.which not in set(Channel):
            raise InputError("which", f"is no channel: {extent.which}", f"Give one of {', '.join(Channel)}")
        case Scope.EVERYTHING if extent.which:
            raise InputError("which", "is not for a stop of everything", "Leave it out")


async def lift_stop(tx: Tx, team_id: int, stop_id: int, by: Person) -> Stop:
    """What it held goes on, but for what expired meanwhile. `Forbidden` for who is no person or may not."""
    stop = await stops.get_stop(tx, team_id, stop_id, lock=True)
    if by.user_id is None or not by.may(RESUMING):
        raise Forbidden("resuming needs a person: an approver, an operator or an administrator")
    if stop.lifted_at is not None:
        raise Conflict(f"stop {stop_id} was resumed already")
    await stops.set_lifted(tx, stop_id, by.name)
    await _audit(tx, team_id, stop, by, "stop.lifted")
    return await stops.get_stop(tx, team_id, stop_id)


async def _audit(tx: Tx, team_id: int, stop: Stop, by: Person, act: str) -> None:
    """With the account of that moment."""
    extent, held = stop.extent, await stops.list_held(tx, team_id, stop.extent, since=stop.at)
    account = asdict(reckon(*(run.counts for run in held)))
    detail = {**asdict(extent), "reason": stop.reason, "runs": len(held), **account}
    await add_audit(tx, team_id, actor=by.name, act=act, subject=f"stop:{stop.id}", detail=detail)
    log.warning(f"planning.{act.replace('.', '_')}", stop=stop.id, scope=extent.scope.value, which=extent.which)
