"""Draft: a campaign, its inputs, a time and an audience become a run that nobody has released yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from notifier.domain.campaign import Campaign, InputType
from notifier.domain.errors import Conflict, InputError, NotFound
from notifier.domain.inputs import validate_inputs
from notifier.domain.person import Person
from notifier.domain.purpose import Purpose
from notifier.domain.run import OPEN, RunState
from notifier.planning.catalogue import CampaignVersion, find_campaign, pin
from notifier.planning.steps import useless_after
from notifier.store import clock, runs
from notifier.store import definitions as stored
from notifier.store.access import add_audit
from notifier.store.database import Tx
from notifier.store.releases import void_release
from notifier.store.run_steps import drop_steps, lock_steps
from notifier.store.runs import NewRun, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a person decides about a run. `at` None: as soon as it is released."""

    campaign_key: str
    inputs: Mapping[str, object] = field(default_factory=dict, repr=False)
    at: datetime | None = None
    audience_list: str = ""
    segment: str = ""
    drill: bool = False


async def draft_run(tx: Tx, *, team_id: int, draft: Draft, by: Person) -> Run:
    """A run of the newest versions, its inputs checked; nothing of it goes out before `release_run`.

    `InputError`, `NotFound` or `Conflict` say what is wrong.
    """
    version = await find_campaign(tx, team_id, draft.campaign_key)
    new = await _read_draft(tx, version, draft, team_id=team_id, by=by)
    run_id = await runs.add_run(tx, new)
    await audit_run(tx, await runs.get_run(tx, run_id), by, "run.drafted", campaign=draft.campaign_key)
    return await runs.get_run(tx, run_id)


async def edit_run(tx: Tx, run_id: int, draft: Draft, by: Person) -> Run:
    """Change a run of which nothing was sent: newest versions, release voided, the editor one of its authors.

    A recurring run keeps the occasion it stands for. `Conflict` where it has begun or is over.
    """
    run = await lock_open_run(tx, run_id)
    if run.campaign_key != draft.campaign_key:
        raise InputError("campaign", f"run {run_id} is one of {run.campaign_key}", "Draft another run")
    version = await find_campaign(tx, run.team_id, run.campaign_key)
    new = await _read_draft(tx, version, draft, team_id=run.team_id, by=by)
    state = RunState.SUBMITTED if run.state == RunState.WAITING else RunState.DRAFT
    await rewrite_run(tx, run, replace(new, state=state), by)
    return await runs.get_run(tx, run_id)


async def lock_open_run(tx: Tx, run_id: int) -> Run:
    """The run with its steps, locked against planners and everybody else; `Conflict` where it cannot be changed."""
    await lock_steps(tx, run_id)
    run = await runs.get_run(tx, run_id, lock=True)
    if run.kind == "standing" or run.frozen_at is not None or run.state not in OPEN:
        raise Conflict(f"run {run_id} is {run.state}: it cannot be changed any more")
    return run


async def rewrite_run(tx: Tx, run: Run, new: NewRun, by: Person) -> None:
    """What the run says from now on; whoever released it before released something else."""
    authors = (*run.authors, *(one for one in new.authors if one not in run.authors))
    await runs.change_run(tx, run.id, replace(new, authors=authors))
    await drop_steps(tx, run.id)
    voided = await void_release(tx, run.id)
    await audit_run(tx, run, by, "run.edited", release_voided=voided)


async def _read_draft(tx: Tx, version: CampaignVersion, draft: Draft, *, team_id: int, by: Person) -> NewRun:
    now = await clock.now(tx)
    if draft.at is not None and draft.at < now - timedelta(days=1):
        raise InputError("at", "lies in the past", "Give a time from now on")
    await check_list(tx, team_id, draft.audience_list)
    inputs = await check_inputs(tx, team_id, version, draft.inputs)
    return NewRun(
        team_id=team_id,
        campaign_id=version.id,
        campaign_key=version.campaign.key,
        kind="launched",
        state=RunState.DRAFT,
        nominal_at=draft.at or now,
        inputs=inputs,
        audience_list=draft.audience_list,
        pinned=(await pin(tx, team_id, version.campaign)).as_json(),
        purpose=await run_purpose(tx, team_id, version.campaign, inputs),
        launched_by=by.name,
        at_once=draft.at is None,
        drill=draft.drill or await _follows_drill(tx, team_id, version.campaign, inputs),
        authors=() if by.user_id is None else (by.user_id,),
        segment_id=await _segment_id(tx, team_id, draft.segment),
    )


async def _follows_drill(tx: Tx, team_id: int, campaign: Campaign, inputs: Mapping[str, object]) -> bool:
    """What follows an exercise is part of it, whoever forgets to say so."""
    named = [
        inputs[name] for name, wanted in campaign.inputs.items() if wanted.type is InputType.RUN and name in inputs
    ]
    return any([(await _named_run(tx, team_id, number)).drill for number in named])


async def _segment_id(tx: Tx, team_id: int, key: str) -> int | None:
    try:
        return (await stored.find_latest(tx, team_id, "segment", key)).id if key else None
    except NotFound as error:
        raise InputError("segment", str(error)) from None


async def check_list(tx: Tx, team_id: int, key: str) -> None:
    """`InputError` where a list is named that nobody imported."""
    if key and not await runs.has_list(tx, team_id, key):
        raise InputError("audience_list", f"there is no list {key!r}", "Import it first")


async def check_inputs(
    tx: Tx, team_id: int, version: CampaignVersion, inputs: Mapping[str, object]
) -> dict[str, object]:
    """The inputs as they are kept; the runs they name exist and are the team's own."""
    given = validate_inputs(version.campaign, inputs, version.bank)
    for name, wanted in version.campaign.inputs.items():
        if wanted.type is InputType.RUN and name in given:
            try:
                await _named_run(tx, team_id, given[name])
            except NotFound as error:
                raise InputError(name, str(error), "Write the number the run is listed under") from None
    return given


async def run_purpose(tx: Tx, team_id: int, campaign: Campaign, inputs: Mapping[str, object]) -> str:
    """The campaign's purpose, or that of the run it corrects; a run that still waits counts as service."""
    if campaign.purpose is not None:
        return campaign.purpose.value
    corrected = inputs.get(campaign.inherits)
    return (await _named_run(tx, team_id, corrected)).purpose if corrected else Purpose.SERVICE.value


async def _named_run(tx: Tx, team_id: int, number: object) -> Run:
    run = await runs.get_run(tx, int(str(number)))
    if run.team_id != team_id:
        raise NotFound(f"there is no run {number}")
    return run


async def fill_inputs(tx: Tx, run_id: int, inputs: Mapping[str, object], by: Person) -> Run:
    """Fill the inputs of a recurring run that waits for them; then it waits for its release.

    `Conflict` where it does not wait, or where its time is over.
    """
    run = await runs.get_run(tx, run_id, lock=True)
    if run.state != RunState.WAITING:
        raise Conflict(f"run {run_id} does not wait for inputs: it is {run.state}")
    version = await find_campaign(tx, run.team_id, run.campaign_key)
    if await clock.now(tx) >= useless_after(run, version):
        raise Conflict(f"the time of run {run_id} is over: launch {run.campaign_key} anew")
    draft = Draft(campaign_key=run.campaign_key, inputs=inputs, at=run.nominal_at, audience_list=run.audience_list)
    new = await _read_draft(tx, version, draft, team_id=run.team_id, by=by)
    await rewrite_run(tx, run, replace(new, state=RunState.SUBMITTED, segment_id=run.segment_id), by)
    return await runs.get_run(tx, run_id)


async def audit_run(tx: Tx, run: Run, by: Person, act: str, **detail: object) -> None:
    """What somebody did to a run, in the transaction that does it."""
    await add_audit(tx, run.team_id, actor=by.name, act=act, subject=f"run:{run.id}", detail=detail)
