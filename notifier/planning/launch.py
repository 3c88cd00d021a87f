"""Launch: a campaign, its inputs and a time become a run with steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from notifier.domain.campaign import Campaign, InputType, Step
from notifier.domain.errors import Conflict, InputError, NotFound
from notifier.domain.inputs import read_inputs, validate_inputs
from notifier.domain.message import MessageId, RunId
from notifier.domain.purpose import POST_EXPIRES, RULES, Purpose
from notifier.planning.catalogue import CampaignVersion, Pinned, find_campaign, pin
from notifier.planning.schedule import LARGEST_OFFSET, step_local_time
from notifier.store import clock, runs
from notifier.store.access import add_audit
from notifier.store.contacts import get_contact
from notifier.store.database import Tx
from notifier.store.messages.single import add_single
from notifier.store.runs import NewRun, NewStep, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class SentOne:
    """A message accepted for sending through the API."""

    run_id: RunId
    message_id: MessageId


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A run about to be made."""

    version: CampaignVersion
    nominal_at: datetime
    inputs: Mapping[str, object]
    by: str
    kind: str = "launched"
    state: str = "scheduled"
    audience_list: str = ""
    at_once: bool = False  # at this very moment for everybody, whatever their clocks show


async def launch_campaign(
    tx: Tx,
    *,
    team_id: int,
    campaign_key: str,
    inputs: Mapping[str, object],
    by: str,
    at: datetime | None = None,
    audience_list: str = "",
) -> Run:
    """Make a run that starts `at` (UTC; None = now, for everybody at once).

    `InputError`, `NotFound` or `Conflict` say what is wrong.
    """
    version = await find_campaign(tx, team_id, campaign_key)
    now = await clock.now(tx)
    if at is not None and at < now - timedelta(days=1):
        raise InputError("at", "lies in the past", "Give a time from now on")
    await check_list(tx, team_id, audience_list)
    given = await _read_given(tx, version, inputs)
    launch = Launch(
        version=version,
        nominal_at=at or now,
        inputs=given,
        by=by,
        audience_list=audience_list,
        at_once=at is None,
    )
    return await make_run(tx, team_id, launch)


async def check_list(tx: Tx, team_id: int, key: str) -> None:
    """`InputError` where a list is named that nobody imported."""
    if key and not await runs.has_list(tx, team_id, key):
        raise InputError("audience_list", f"there is no list {key!r}", "Import it first")


async def make_run(tx: Tx, team_id: int, launch: Launch) -> Run:
    """Write the run, its steps and the audit row; a run that waits for inputs gets its steps later."""
    campaign, pinned = launch.version.campaign, await pin(tx, team_id, launch.version.campaign)
    run_id = await runs.add_run(
        tx,
        NewRun(
            team_id=team_id,
            campaign_id=launch.version.id,
            campaign_key=campaign.key,
            kind=launch.kind,
            state=launch.state,
            nominal_at=launch.nominal_at,
            inputs=launch.inputs,
            audience_list=launch.audience_list,
            pinned=pinned.as_json(),
            purpose=await run_purpose(tx, campaign, launch.inputs),
            launched_by=launch.by,
        ),
    )
    run = await runs.get_run(tx, run_id)
    if launch.state != "waiting":
        await write_steps(tx, run, launch.version, pinned, at_once=launch.at_once)
    await add_audit(
        tx, team_id, actor=launch.by, act="run.launched", subject=f"run:{run_id}", detail={"campaign": campaign.key}
    )
    return run


async def _read_given(tx: Tx, version: CampaignVersion, inputs: Mapping[str, object]) -> dict[str, object]:
    """The inputs as they are kept; the runs they name exist."""
    given = validate_inputs(version.campaign, inputs, version.bank)
    for name, wanted in version.campaign.inputs.items():
        if wanted.type is InputType.RUN and name in given:
            try:
                await runs.get_run(tx, int(str(given[name])))
            except NotFound as error:
                raise InputError(name, str(error), "Write the number the run is listed under") from None
    return given


async def run_purpose(tx: Tx, campaign: Campaign, inputs: Mapping[str, object]) -> str:
    """The campaign's purpose, or that of the run it corrects; a run that still waits counts as service."""
    if campaign.purpose is not None:
        return campaign.purpose.value
    corrected = inputs.get(campaign.inherits)
    return (await runs.get_run(tx, int(str(corrected)))).purpose if corrected else Purpose.SERVICE.value


async def write_steps(tx: Tx, run: Run, version: CampaignVersion, pinned: Pinned, *, at_once: bool = False) -> None:
    """The steps of a run with everything the claim must know."""
    meant = version.campaign.steps[:1] if run.kind == "standing" else version.campaign.steps
    steps = [
        _new_step(
            step, position, run=run, version=version, pinned=pinned, starts=_starts_at(step, run, version, at_once)
        )
        for position, step in enumerate(meant, 1)
    ]
    await runs.add_steps(tx, run.id, steps)


def _new_step(
    step: Step,
    position: int,
    *,
    run: Run,
    version: CampaignVersion,
    pinned: Pinned,
    starts: datetime,
) -> NewStep:
    campaign = version.campaign
    purpose = campaign.purpose_of(step) or Purpose(run.purpose)
    rules = RULES[purpose]
    at_contact = starts.tzinfo is None
    return NewStep(
        step=step.name,
        position=position,
        template_id=pinned.templates[step.template],
        survey_id=pinned.surveys[step.survey] if step.survey else None,
        purpose=purpose.value,
        topic=campaign.topic_of(step),
        lane=rules.lane,
        in_doubt="ask" if step.is_post else rules.in_doubt.value,
        consent=rules.consent.value,
        open_from=None if step.is_post else rules.open_from,
        open_until=None if step.is_post else rules.open_to,
        expires=_expires(campaign, step, purpose),
        plan_at=starts.replace(tzinfo=UTC) - LARGEST_OFFSET if at_contact else starts,
        due_at=None if at_contact else starts,
        due_local=starts if at_contact else None,
        closes=step.closes,
    )


def _starts_at(step: Step, run: Run, version: CampaignVersion, at_once: bool) -> datetime:
    """Aware: this instant; naive: this local time of each contact. What counts from now is an instant for all."""
    zone = version.campaign.schedule.zone
    return step_local_time(
        step,
        nominal_at=run.nominal_at,
        inputs=read_inputs(version.campaign, run.inputs),
        zone="bank" if at_once and zone == "contact" and step.anchor is None else zone,
        bank_zone=version.bank.zone,
    )


def _expires(campaign: Campaign, step: Step, purpose: Purpose) -> timedelta:
    longest = POST_EXPIRES if step.is_post else RULES[purpose].expires
    return min(longest, campaign.expires or longest)


def useless_after(run: Run, version: CampaignVersion) -> datetime:
    """When the messages of the first step have expired: whoever fills the inputs of a waiting run later is too late."""
    campaign, step = version.campaign, version.campaign.steps[0]
    return run.nominal_at + _expires(campaign, step, campaign.purpose_of(step) or Purpose(run.purpose))


async def fill_inputs(tx: Tx, run_id: int, inputs: Mapping[str, object], by: str) -> Run:
    """Fill the inputs of a run that waits for them, so that it can go out at its time.

    `Conflict` where it does not wait, or where its time is over.
    """
    run = await runs.get_run(tx, run_id, lock=True)
    if run.state != "waiting":
        raise Conflict(f"run {run_id} does not wait for inputs: it is {run.state}")
    version = await find_campaign(tx, run.team_id, run.campaign_key)
    if await clock.now(tx) >= useless_after(run, version):
        raise Conflict(f"the time of run {run_id} is over: launch {run.campaign_key} anew")
    given = await _read_given(tx, version, inputs)
    pinned = await pin(tx, run.team_id, version.campaign)
    await runs.set_run_inputs(
        tx,
        run_id,
        given,
        campaign_id=version.id,
        pinned=pinned.as_json(),
        purpose=await run_purpose(tx, version.campaign, given),
    )
    filled = await runs.get_run(tx, run_id)
    await write_steps(tx, filled, version, pinned)
    await add_audit(tx, run.team_id, actor=by, act="run.inputs_filled", subject=f"run:{run_id}", detail={})
    return filled


async def send_one(
    tx: Tx, *, team_id: int, campaign_key: str, external_id: str, inputs: Mapping[str, object], by: str
) -> SentOne:
    """One message of a campaign's first step to one contact, through the standing run of the month.

    An apply in the middle of a month begins another standing run, so that what is sent is what is defined now.
    """
    version = await find_campaign(tx, team_id, campaign_key)
    given = await _read_given(tx, version, inputs)
    contact = await get_contact(tx, team_id, external_id)
    if contact is None:
        raise NotFound(f"there is no contact {external_id!r}")
    run = await _standing_run(tx, team_id, version, by)
    step = version.campaign.steps[0]
    if step.is_post:
        raise InputError("campaign", "its first step is a post, which has no contact")
    message_id = await add_single(
        tx, run, step=step.name, contact_id=contact.id, channels=step.channels or step.by, inputs=given
    )
    return SentOne(run_id=run.id, message_id=message_id)


async def _standing_run(tx: Tx, team_id: int, version: CampaignVersion, by: str) -> Run:
    now = await clock.now(tx)
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    pinned = (await pin(tx, team_id, version.campaign)).as_json()
    for _ in range(2):
        newest = await runs.newest_run(tx, team_id, version.campaign.key, "standing")
        if newest is not None and newest.nominal_at >= month:
            if newest.state == "stopped":
                raise Conflict(f"run {newest.id}, to which these messages belong, is stopped: resume it first")
            if newest.state == "running" and newest.campaign_id == version.id and newest.pinned == pinned:
                return newest
            month = now
        launch = Launch(version=version, nominal_at=month, inputs={}, by=by, kind="standing", state="running")
        try:
            async with tx.transaction():
                return await make_run(tx, team_id, launch)
        except Conflict:
            continue  # another request made it at the same moment
    raise Conflict(f"{version.campaign.key} is being sent by too many at once; ask again")
