"""Recurrence: the next run of every scheduled campaign exists before its time, and no run waits after its own."""

from datetime import datetime, timedelta

from notifier.domain.errors import Conflict, NotifierError
from notifier.domain.inputs import default_inputs
from notifier.domain.person import SCHEDULE
from notifier.domain.run import RunState
from notifier.logs import get_logger
from notifier.planning.catalogue import CampaignVersion, get_campaign, list_campaigns, pin, writers_of
from notifier.planning.draft import audit_run, run_purpose
from notifier.planning.schedule import first_due_at, next_occurrence
from notifier.planning.steps import useless_after
from notifier.store import clock, runs
from notifier.store.database import Database, Tx
from notifier.store.runs import NewRun, Run

log = get_logger()
AHEAD = timedelta(days=5)
REMIND = timedelta(days=1)
UNTOUCHED = timedelta(days=30)
_REMINDERS = {RunState.WAITING: "run.inputs_missing", RunState.DRAFT: "run.release_missing"}
_REMINDERS[RunState.SUBMITTED] = _REMINDERS[RunState.DRAFT]
_TOO_LATE = {
    RunState.WAITING: "its inputs were not filled in time",
    RunState.DRAFT: "it was not submitted in time",
    RunState.SUBMITTED: "it was not released in time",
}


async def make_recurring_runs(database: Database, team_id: int = 1) -> int:
    """Make the next run of each campaign whose time is within some days; returns how many were made.

    Each is released on its own. A run whose required inputs are empty waits for them first: last week's text never
    goes out again by itself. A day before its time that is said, once; when its messages would have expired it is
    cancelled. So is a launched run that nobody released in time, or went on with for a month.
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
        left = await runs.list_left(tx, team_id, UNTOUCHED)
    for run_id in [*waiting, *left]:
        try:
            async with database.transaction() as tx:
                run = await runs.get_run(tx, run_id, lock=True)
                await (_remind_or_give_up(tx, run) if run.kind == "recurring" else _give_up_launched(tx, run))
        except NotifierError as error:  # the others go on
            log.error("planning.waiting_not_looked_after", run=run_id, problem=str(error))


async def _remind_or_give_up(tx: Tx, run: Run) -> None:
    now = await clock.now(tx)
    if run.state not in _TOO_LATE:
        return  # released while its row was waited for
    act = _REMINDERS[RunState(run.state)]
    if now >= useless_after(run, await get_campaign(tx, run)):
        await _give_up(tx, run, _TOO_LATE[RunState(run.state)])
    elif run.nominal_at - now < REMIND and not await runs.was_audited(tx, run.id, act):
        detail = {"campaign": run.campaign_key, "nominal_at": run.nominal_at.isoformat()}
        await audit_run(tx, run, SCHEDULE, act, **detail)
        log.warning("planning.run_waits", run=run.id, state=run.state, **detail)


async def _give_up_launched(tx: Tx, run: Run) -> None:
    """Its author is not reminded: they chose the time, and know that it has to be released."""
    now = await clock.now(tx)
    if run.state not in _TOO_LATE:
        return  # released while its row was waited for
    if run.at_once and now - await runs.last_touched(tx, run) >= UNTOUCHED:
        await _give_up(tx, run, "nobody went on with it")
    elif not run.at_once and now >= useless_after(run, await get_campaign(tx, run)):
        await _give_up(tx, run, _TOO_LATE[RunState(run.state)])


async def _give_up(tx: Tx, run: Run, problem: str) -> None:
    if await runs.cancel_waiting(tx, run.id, problem):
        await audit_run(tx, run, SCHEDULE, "run.cancel", problem=problem)


async def _make_next(tx: Tx, team_id: int, version: CampaignVersion, now: datetime) -> int:
    schedule, bank = version.campaign.schedule, version.bank
    last = await runs.newest_run(tx, team_id, version.campaign.key, "recurring")
    after = max(now, last.occurrence_at or last.nominal_at) if last else now
    nominal_at = next_occurrence(schedule, after, bank.zone)
    if nominal_at is None or first_due_at(schedule, nominal_at, bank.zone) - now > AHEAD:
        return 0
    try:
        async with tx.transaction():
            run = await _make_run(tx, team_id, version, nominal_at)
    except Conflict:
        return 0  # another worker made it
    if last is not None and last.state in _TOO_LATE and last.nominal_at <= now:
        await _give_up(tx, last, _TOO_LATE[RunState(last.state)])
    log.info("planning.run_made", run=run.id, campaign=version.campaign.key, state=run.state)
    return 1


async def _make_run(tx: Tx, team_id: int, version: CampaignVersion, nominal_at: datetime) -> Run:
    inputs, complete = default_inputs(version.campaign)
    pinned = (await pin(tx, team_id, version.campaign)).as_json()
    new = NewRun(
        team_id=team_id,
        campaign_id=version.id,
        campaign_key=version.campaign.key,
        kind="recurring",
        state=RunState.SUBMITTED if complete else RunState.WAITING,
        nominal_at=nominal_at,
        inputs=inputs,
        audience_list="",
        pinned=pinned,
        purpose=await run_purpose(tx, team_id, version.campaign, inputs),
        launched_by=SCHEDULE.name,
        occurrence_at=nominal_at,
        authors=await writers_of(tx, version.id, pinned),
    )
    run = await runs.get_run(tx, await runs.add_run(tx, new))
    await audit_run(tx, run, SCHEDULE, "run.made", campaign=run.campaign_key)
    return run
