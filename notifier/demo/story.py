"""The story: every starter campaign once, at the time its bank would start it."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from notifier.domain.campaign import Campaign, InputType
from notifier.domain.errors import NotFound
from notifier.domain.inputs import example_inputs
from notifier.domain.person import Person, Role
from notifier.planning.catalogue import CampaignVersion, list_campaigns
from notifier.planning.draft import Draft
from notifier.planning.launch import launch_campaign
from notifier.planning.release import release_facts, release_run
from notifier.planning.schedule import next_occurrence
from notifier.store import access, clock, runs
from notifier.store.database import Tx
from notifier.store.runs import Run
from notifier.web.access.demo import DEMO_LOGINS

TEAM = 1
OPENING = datetime(2026, 3, 9, 8, 30)  # noqa: DTZ001 - the bank's local time; the examples in the pack are of this week
_CORRECTED_AFTER = timedelta(hours=5)
_TOMORROW = timedelta(days=1, minutes=90)  # at ten


def opening_moment(zone: str) -> datetime:
    """The Monday morning on which the story begins."""
    return OPENING.replace(tzinfo=ZoneInfo(zone))


Starts = Callable[[CampaignVersion, datetime], datetime]


async def launch_story(tx: Tx, starts: Starts, *, left_to_visitor: str = "") -> list[Run]:
    """The author launches all campaigns when `starts` says, the approver releases them; a correction comes later.

    `left_to_visitor`: a campaign whose run still waits for its release.
    """
    author, approver = [await _person(tx, login) for login, *_ in DEMO_LOGINS]
    now = await clock.now(tx)
    versions = await list_campaigns(tx, TEAM)
    launched: dict[str, Run] = {}
    alert: Run | None = None
    for version in sorted(versions, key=lambda one: (bool(one.campaign.inherits), one.campaign.key)):
        campaign = version.campaign
        at = starts(version, now)
        if campaign.inherits:
            if alert is None:
                continue
            at = alert.nominal_at + _CORRECTED_AFTER
        elif campaign.key == left_to_visitor:
            at += _TOMORROW
        draft = Draft(
            campaign_key=campaign.key,
            inputs=story_inputs(campaign, at - opening_moment(version.bank.zone), alert),
            at=at,
        )
        run = await launch_campaign(tx, team_id=TEAM, draft=draft, by=author)
        if campaign.key != left_to_visitor:
            run = await _release(tx, run, approver)
        launched[campaign.key] = run
        alert = run if campaign.purpose == "emergency" else alert
    return list(launched.values())


async def release_submitted(tx: Tx) -> int:
    """The approver of the story releases what waits for it, as a run whose audience changed; returns how many."""
    _, approver = [await _person(tx, login) for login, *_ in DEMO_LOGINS]
    waiting = await runs.list_submitted(tx, TEAM)
    for run_id in waiting:
        await _release(tx, await runs.get_run(tx, run_id), approver)
    return len(waiting)


async def _release(tx: Tx, run: Run, by: Person) -> Run:
    return await release_run(tx, run.id, by, hash=(await release_facts(tx, run)).hash)


async def _person(tx: Tx, login: str) -> Person:
    user = await access.find_user(tx, login)
    if user is None:
        raise NotFound(f"the demo has no user {login!r}")
    return Person(name=login, user_id=user.id, role=Role(user.role))


def at_once(version: CampaignVersion, now: datetime) -> datetime:
    """Now, whatever its schedule says."""
    del version
    return now


def by_calendar(version: CampaignVersion, now: datetime) -> datetime:
    """At once where a date among the inputs says when its steps are, else at the campaign's next time."""
    is_dated = any(step.anchor for step in version.campaign.steps)
    return now if is_dated else next_occurrence(version.campaign.schedule, now, version.bank.zone) or now


def story_inputs(campaign: Campaign, since_opening: timedelta, corrected: Run | None) -> Mapping[str, object]:
    """The campaign's own examples, moved by the whole months of four weeks since the story began."""
    moved = timedelta(weeks=4 * max(0, since_opening // timedelta(weeks=4) - 1))
    inputs = dict(example_inputs(campaign))
    for name, wanted in campaign.inputs.items():
        if wanted.type is InputType.RUN and corrected is not None:
            inputs[name] = corrected.id
        elif name in inputs and wanted.type in {InputType.DATE, InputType.DATETIME}:
            inputs[name] = _moved(str(inputs[name]), wanted.type, moved)
    return inputs


def _moved(given: str, kind: InputType, by: timedelta) -> str:
    moved = datetime.fromisoformat(given) + by
    return moved.date().isoformat() if kind is InputType.DATE else moved.isoformat()
