"""Recurrence: the next run of every scheduled campaign exists before its time."""

from datetime import datetime, timedelta

from notifier.domain.errors import Conflict, NotifierError
from notifier.domain.inputs import default_inputs
from notifier.logs import get_logger
from notifier.planning.catalogue import CampaignVersion, get_campaign, list_campaigns
from notifier.planning.launch import Launch, make_run, useless_after
from notifier.planning.schedule import first_due_at, next_occurrence
from notifier.store import clock, runs
from notifier.store.access import add_audit
from notifier.store.database import Database, Tx
from notifier.store.runs import Run

log = get_logger()
AHEAD = timedelta(days=2)
REMIND = timedelta(days=1)
_BY = "schedule"
_MISSING = "run.inputs_missing"
_TOO_LATE = "its inputs were not filled in time"


async def make_recurring_runs(database: Database, team_id: int = 1) -> int:
    """Make the next run of each campaign whose time is within two days; returns how many were made.

    A run whose required inputs are empty waits: last week's text never goes out again by itself. A day before its
    time that is said, once; when its messages would have expired it is cancelled.
    """
    await _look_after_waiting(database, team_id)
    async with database.transaction() as tx:
        now = await clock.now(tx)
        versions = [version for version in await list_campaigns(tx, team_id) if version.campaign.schedule.start]
    made = 0
    for version in versions:
        try:
            async with database.transaction() as tx:
                made += await _make_next(tx, team_id, version, now)
        except NotifierError as error:  # its template is gone, say: the other campaigns go on
            log.error("planning.run_not_made", campaign=version.campaign.key, problem=str(error))
    return made


async def _look_after_waiting(database: Database, team_id: int) -> None:
    async with database.transaction() as tx:
        waiting = await runs.list_waiting(tx, team_id)
    for run_id in waiting:
        try:
            async with database.transaction() as tx:
                await _remind_or_give_up(tx, await runs.get_run(tx, run_id, lock=True))
        except NotifierError as error:  # the others go on
            log.error("planning.waiting_not_looked_after", run=run_id, problem=str(error))


async def _remind_or_give_up(tx: Tx, run: Run) -> None:
    now = await clock.now(tx)
    if run.state != "waiting":
        return  # filled while its row was waited for
    if now >= useless_after(run, await get_campaign(tx, run)):
        await _give_up(tx, run)
    elif run.nominal_at - now < REMIND and not await runs.was_audited(tx, run.id, _MISSING):
        detail = {"campaign": run.campaign_key, "nominal_at": run.nominal_at.isoformat()}
        await add_audit(tx, run.team_id, actor=_BY, act=_MISSING, subject=f"run:{run.id}", detail=detail)
        log.warning("planning.inputs_missing", run=run.id, **detail)


async def _give_up(tx: Tx, run: Run) -> None:
    if await runs.cancel_waiting(tx, run.id, _TOO_LATE):
        detail = {"problem": _TOO_LATE}
        await add_audit(tx, run.team_id, actor=_BY, act="run.cancel", subject=f"run:{run.id}", detail=detail)


async def _make_next(tx: Tx, team_id: int, version: CampaignVersion, now: datetime) -> int:
    schedule, bank = version.campaign.schedule, version.bank
    last = await runs.newest_run(tx, team_id, version.campaign.key, "recurring")
    after = max(now, last.nominal_at) if last else now
    nominal_at = next_occurrence(schedule, after, bank.zone)
    if nominal_at is None or first_due_at(schedule, nominal_at, bank.zone) - now > AHEAD:
        return 0
    inputs, complete = default_inputs(version.campaign)
    launch = Launch(
        version=version,
        nominal_at=nominal_at,
        inputs=inputs,
        by=_BY,
        kind="recurring",
        state="scheduled" if complete else "waiting",
    )
    try:
        async with tx.transaction():
            run = await make_run(tx, team_id, launch)
    except Conflict:
        return 0  # another worker made it
    if last is not None and last.state == "waiting":
        await _give_up(tx, last)
    log.info("planning.run_made", run=run.id, campaign=version.campaign.key, state=run.state)
    return 1
