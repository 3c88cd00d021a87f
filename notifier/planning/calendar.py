"""The calendar: runs and their later steps at their times, and the times of recurring campaigns for which no run was made yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from notifier.domain.campaign import Campaign
from notifier.domain.errors import InputError
from notifier.planning.catalogue import list_campaigns
from notifier.planning.schedule import next_occurrence
from notifier.store import clock
from notifier.store.database import Tx
from notifier.store.views.calendar import CalendarRun, list_calendar_runs, list_calendar_steps, list_occurrences

MOST_DAYS = 400
_MOST_EACH = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing of the calendar. Without a run it is a time of a recurring campaign that will get one."""

    campaign_key: str
    at: datetime
    run: CalendarRun | None = None
    step: str = ""  # a later step of the run, "" = its start
    each_zone: bool = False  # at this wall time of the bank's clock in each contact's zone

    @property
    def state(self) -> str:
        """The run's state, or `expected`."""
        return self.run.state if self.run else "expected"


async def read_calendar(tx: Tx, team_id: int, since: datetime, until: datetime) -> list[Entry]:
    """Everything from `since` to before `until`, by time: runs, their later steps once released, times without a run yet."""
    if not since < until or (until - since).days > MOST_DAYS:
        raise InputError("to", f"must be later than `from` and within {MOST_DAYS} days of it")
    known, now = await list_occurrences(tx, team_id, since, until), await clock.now(tx)
    versions = {version.campaign.key: version for version in await list_campaigns(tx, team_id)}
    zone = next((version.bank.zone for version in versions.values()), "UTC")
    per_contact = {key for key, version in versions.items() if version.campaign.schedule.zone == "contact"}
    entries = [
        Entry(
            campaign_key=run.campaign_key,
            at=run.nominal_at,
            run=run,
            each_zone=run.campaign_key in per_contact and not run.at_once,
        )
        for run in await list_calendar_runs(tx, team_id, since, until)
    ]
    entries += [
        Entry(campaign_key=one.run.campaign_key, at=one.at, run=one.run, step=one.step, each_zone=one.each_zone)
        for one in await list_calendar_steps(tx, team_id, since, until, zone=zone)
    ]
    for key, version in versions.items():
        expected = expected_times(version.campaign, max(since, now), until, version.bank.zone)
        entries += [
            Entry(campaign_key=key, at=at, each_zone=key in per_contact)
            for at in expected
            if at not in known.get(key, set())
        ]
    return sorted(entries, key=lambda entry: (entry.at, entry.campaign_key))


def expected_times(campaign: Campaign, after: datetime, until: datetime, zone: str) -> Sequence[datetime]:
    """The times of its schedule later than `after` and before `until`."""
    found: list[datetime] = []
    at = next_occurrence(campaign.schedule, after, zone)
    while at is not None and at < until and len(found) < _MOST_EACH:
        found.append(at)
        at = next_occurrence(campaign.schedule, at, zone)
    return found
