"""Recurrence: the next run of every scheduled campaign exists before its time."""

from datetime import datetime, timedelta

from notifier.domain.errors import Conflict, NotifierError
from notifier.domain.inputs import default_inputs
from notifier.logs import get_logger
from notifier.planning.catalogue import CampaignVersion, list_campaigns
from notifier.planning.launch import Launch, make_run
from notifier.planning.schedule import first_due_at, next_occurrence
from notifier.store import clock, runs
from notifier.store.database import Database, Tx

log = get_logger()
AHEAD = timedelta(days=2)
_BY = "schedule"


async def make_recurring_runs(database: Database, team_id: int = 1) -> int:
    """Make the next run of each campaign whose time is within two days; returns how many were made.

    A run whose required inputs are empty waits: last week's text never goes out again by itself.
    """
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
        await runs.set_run_state(tx, last.id, "cancelled", "its inputs were not filled in time")
    log.info("planning.run_made", run=run.id, campaign=version.campaign.key, state=run.state)
    return 1
