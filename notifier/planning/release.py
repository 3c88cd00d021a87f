"""Release: a run goes out when a second person has seen exactly what will happen and said yes.

The release binds the hash of template versions, inputs, audience rule and count, schedule and accounts. Whoever made
or changed the run cannot release it, by whichever door and in whichever role they come.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from notifier.domain.audience import Bindings
from notifier.domain.campaign import Campaign
from notifier.domain.errors import Conflict, Forbidden, InputError
from notifier.domain.inputs import read_inputs
from notifier.domain.person import ACTING, RELEASING, SCHEDULE, Person, Role
from notifier.domain.purpose import Purpose
from notifier.domain.release import audience_holds, facts_hash, needs_second_person
from notifier.domain.run import RunState
from notifier.logs import get_logger
from notifier.planning.alarms import alarm_break_glass
from notifier.planning.audience import run_audience
from notifier.planning.catalogue import CampaignVersion, get_campaign, writers_of
from notifier.planning.draft import audit_run, lock_open_run, rewrite_run
from notifier.planning.steps import useless_after, write_steps
from notifier.store import clock, releases, runs
from notifier.store.audience import count_audience
from notifier.store.database import Tx
from notifier.store.releases import NewRelease, Release
from notifier.store.run_steps import drop_steps, lock_steps
from notifier.store.runs import NewRun, Run

log = get_logger()
_SHORTEST_REASON = 5
_FRESH = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFacts:
    """All that a release of the run as it stands would bind."""

    facts: Mapping[str, Any] = field(repr=False)
    hash: bytes
    contacts: int  # meant by the audience now
    needs_second: bool
    alone: bool  # an emergency: one person may let it out, with a reason
    writers: tuple[int, ...]  # who wrote its texts in the console


async def release_facts(tx: Tx, run: Run) -> ReleaseFacts:
    """What is to be released, counted now; read it again right before a release."""
    version = await get_campaign(tx, run)
    contacts = 0 if run.kind == "standing" else await count_meant(tx, run, version)
    facts = _facts(run, contacts, await runs.list_digest(tx, run))
    needs_second = run.kind == "standing" or needs_second_person(version.campaign, drill=run.drill)
    return ReleaseFacts(
        facts=facts,
        hash=facts_hash(facts),
        contacts=contacts,
        needs_second=needs_second,
        alone=run.purpose == Purpose.EMERGENCY and await _is_fresh(tx, run, version.campaign),
        writers=await writers_of(tx, run.campaign_id, run.pinned),
    )


async def _is_fresh(tx: Tx, run: Run, campaign: Campaign) -> bool:
    """False for what corrects a run that did not start within the last days: that can wait for a second person."""
    if not campaign.inherits:
        return True
    corrected = run.inputs.get(campaign.inherits)
    started = (await runs.get_run(tx, int(str(corrected)))).frozen_at if corrected else None
    return started is not None and await clock.now(tx) - started <= _FRESH


def _facts(run: Run, contacts: int, members: str) -> dict[str, Any]:
    """Of a standing run what holds in every month."""
    common = {"campaign": run.campaign_key, "campaign_version": run.campaign_id, "pinned": run.pinned}
    if run.kind == "standing":
        return {**common, "kind": run.kind}
    return {
        **common,
        "run": run.id,
        "kind": run.kind,
        "purpose": run.purpose,
        "inputs": run.inputs,
        "audience_list": run.audience_list,
        "list_members": members,
        "segment_version": run.segment_id,
        "contacts": contacts,
        "starts": "at once" if run.at_once else run.nominal_at.isoformat(),
        "drill": run.drill,
    }


async def count_meant(tx: Tx, run: Run, version: CampaignVersion) -> int:
    """Contacts the run means now."""
    return await count_audience(
        tx,
        await run_audience(tx, run, version.campaign),
        Bindings(inputs=read_inputs(version.campaign, run.inputs), run_id=run.id),
        team_id=run.team_id,
        default_locale=version.bank.default_locale,
        default_zone=version.bank.zone,
    )


async def submit_run(tx: Tx, run_id: int, by: Person) -> Run:
    """The author is done: another person's turn. `Conflict` where it is no draft or its time is over."""
    run = await runs.get_run(tx, run_id, lock=True)
    if run.state != RunState.DRAFT:
        raise Conflict(f"run {run_id} is {run.state}: only a draft can be submitted")
    await _check_time(tx, run)
    authors = run.authors if by.user_id is None or by.user_id in run.authors else (*run.authors, by.user_id)
    await runs.submit_run(tx, run, authors)
    await audit_run(tx, run, by, "run.submitted")
    return await runs.get_run(tx, run_id)


async def return_run(tx: Tx, run_id: int, by: Person, reason: str) -> Run:
    """Give a submitted run back to its author with what is to be changed."""
    run = await runs.get_run(tx, run_id, lock=True)
    if run.state != RunState.SUBMITTED or run.kind == "standing":
        raise Conflict(f"run {run_id} is {run.state}: only a submitted run can be returned")
    if not reason.strip():
        raise InputError("reason", "is empty", "Say what is to be changed")
    await runs.set_run_state(tx, run_id, RunState.DRAFT, reason.strip())
    await audit_run(tx, run, by, "run.returned", reason=reason.strip())
    return await runs.get_run(tx, run_id)


async def reschedule_run(tx: Tx, run_id: int, at: datetime | None, by: Person) -> Run:
    """Another time for a run of which nothing was sent; it has to be released anew. None: as soon as it is."""
    run = await lock_open_run(tx, run_id)
    if run.state == RunState.WAITING:
        raise Conflict(f"run {run_id} waits for its inputs: fill them first")
    now = await clock.now(tx)
    if at is not None and at < now:
        raise InputError("at", "lies in the past", "Give a time from now on")
    mine = () if by.user_id is None else (by.user_id,)
    state = RunState.DRAFT if run.state == RunState.DRAFT else RunState.SUBMITTED
    new = replace(_as_new(run), nominal_at=at or now, at_once=at is None, authors=mine, state=state)
    await rewrite_run(tx, run, new, by)
    return await runs.get_run(tx, run_id)


def _as_new(run: Run) -> NewRun:
    return NewRun(
        team_id=run.team_id,
        campaign_id=run.campaign_id,
        campaign_key=run.campaign_key,
        kind=run.kind,
        state=run.state,
        nominal_at=run.nominal_at,
        inputs=run.inputs,
        audience_list=run.audience_list,
        pinned=run.pinned,
        purpose=run.purpose,
        launched_by=run.launched_by,
        at_once=run.at_once,
        occurrence_at=run.occurrence_at,
        drill=run.drill,
        authors=run.authors,
        segment_id=run.segment_id,
    )


async def release_run(tx: Tx, run_id: int, by: Person, *, hash: bytes, break_glass: str = "") -> Run:  # noqa: A002
    """Let the run out as it was seen: `hash` is that of the `release_facts` the person looked at.

    `break_glass`: the reason why an emergency is released alone; it is told to every approver and reviewed afterwards.
    `Forbidden` for an author, a role that may not or a key without a user; `Conflict` where the run is not submitted,
    its time is over or something changed since it was seen.
    """
    await lock_steps(tx, run_id)
    run = await runs.get_run(tx, run_id, lock=True)
    if run.state != RunState.SUBMITTED:
        raise Conflict(f"run {run_id} is {run.state}: only a submitted run can be released")
    await _check_time(tx, run)
    found = await release_facts(tx, run)
    if not hmac.compare_digest(found.hash, hash):
        raise Conflict(f"run {run_id} is not what you looked at any more. Look at it again, then release it")
    person = await _as_of_now(tx, by)
    reason = _check_may_release(run, person, found, break_glass.strip())
    await _let_out(tx, run, found, person, reason)
    return await runs.get_run(tx, run_id)


async def _as_of_now(tx: Tx, by: Person) -> Person:
    """The person with the role they have at this moment; none where they were disabled."""
    if by.user_id is None:
        return by
    role = await releases.current_role(tx, by.user_id)
    return replace(by, role=Role(role) if role else None)


async def has_released(tx: Tx, run_id: int, by: Person, *, hash: bytes) -> bool:  # noqa: A002
    """Whether this person's release of exactly this holds: they pressed twice, and once was enough."""
    release = await releases.find_release(tx, run_id)
    if release is None or by.user_id is None or release.user_id != by.user_id:
        return False
    return hmac.compare_digest(release.hash, hash)


def _check_may_release(run: Run, by: Person, found: ReleaseFacts, break_glass: str) -> str:
    """The reason of who breaks the glass, "" where the release is regular; `Forbidden` where it may not be."""
    if not found.needs_second:
        if by.user_id is not None and not by.may(ACTING):
            raise Forbidden("your role does not release runs")
        return ""
    if by.user_id is None:
        raise Forbidden("a person has to release it: this key or process stands for none")
    if break_glass:
        _check_break_glass(run, by, found, break_glass)
        return break_glass
    if not by.may(RELEASING):
        raise Forbidden("releasing needs the role of an approver or administrator")
    if by.user_id in run.authors:
        raise Forbidden("you made or changed this run: another person has to release it")
    return ""


def _check_break_glass(run: Run, by: Person, found: ReleaseFacts, reason: str) -> None:
    if run.purpose != Purpose.EMERGENCY:
        raise Forbidden("only an emergency can be released by one person alone")
    if not found.alone:
        raise Forbidden(
            f"it corrects no emergency that started within the last {_FRESH.days} days: another person has to release it"
        )
    if by.user_id in found.writers:
        raise Forbidden("you wrote these texts in the console: another person has to release them")
    if not by.may(ACTING):
        raise Forbidden("your role does not release runs")
    if len(reason) < _SHORTEST_REASON:
        raise InputError("break_glass", f"wants a reason of at least {_SHORTEST_REASON} characters")


async def _let_out(tx: Tx, run: Run, found: ReleaseFacts, by: Person, break_glass: str) -> None:
    await releases.add_release(
        tx,
        NewRelease(
            team_id=run.team_id,
            run_id=run.id,
            hash=found.hash,
            facts=found.facts,
            authors=run.authors,
            user_id=by.user_id,
            needs_second=found.needs_second,
            break_glass=break_glass,
        ),
    )
    detail = {"hash": found.hash.hex(), "contacts": found.contacts} | ({"drill": True} if run.drill else {})
    if break_glass:
        log.error("planning.glass_broken", run=run.id, by=by.name)
        await audit_run(tx, run, by, "run.glass_broken", reason=break_glass, **detail)
        await alarm_break_glass(tx, run, by, break_glass)
    else:
        await audit_run(tx, run, by, "run.released", **detail)
    await start_released(tx, run)


async def start_released(tx: Tx, run: Run) -> None:
    """The run with its steps is the workers' from now on."""
    version, now = await get_campaign(tx, run), await clock.now(tx)
    state = RunState.RUNNING if run.kind == "standing" else RunState.SCHEDULED
    held_until = now + undo_window(run, version)
    nominal_at = held_until if run.at_once else run.nominal_at
    await runs.start_run(tx, run.id, state=state, nominal_at=nominal_at, held_until=held_until)
    await drop_steps(tx, run.id)
    await write_steps(tx, await runs.get_run(tx, run.id), version)


def undo_window(run: Run, version: CampaignVersion) -> timedelta:
    """How long a release of the run can be undone; for that long nothing of it is planned.

    None for an emergency whose campaign does not ask for it, nor for single messages: a release sends none of them.
    """
    if run.kind == "standing":
        return timedelta()
    if version.campaign.undo is not None:
        return version.campaign.undo
    return timedelta() if run.purpose == Purpose.EMERGENCY else version.bank.undo


async def undo_release(tx: Tx, run_id: int, by: Person) -> Run:
    """Take a release back before anything left: the run waits for another one.

    `Conflict` once its time is over, `Forbidden` for a role that only looks.
    """
    await lock_steps(tx, run_id)
    run = await runs.get_run(tx, run_id, lock=True)
    if by.user_id is not None and not by.may(ACTING):
        raise Forbidden("your role does not undo a release")
    is_held = run.held_until is not None and await clock.now(tx) < run.held_until
    if run.state != RunState.SCHEDULED or not is_held:
        raise Conflict(f"the release of run {run_id} cannot be undone any more: stop the run instead")
    await releases.void_release(tx, run_id)
    await drop_steps(tx, run_id)
    await runs.set_run_state(tx, run_id, RunState.SUBMITTED)
    await audit_run(tx, run, by, "run.undone")
    return await runs.get_run(tx, run_id)


async def review_break_glass(tx: Tx, run_id: int, by: Person, note: str) -> None:
    """Another person looked at an emergency that was released alone, and wrote down what they found."""
    run = await runs.get_run(tx, run_id, lock=True)
    release = await releases.find_unreviewed(tx, run_id)
    if release is None:
        raise Conflict(f"run {run_id} has no release that waits for a review")
    person = await _as_of_now(tx, by)
    if person.user_id is None or not person.may(RELEASING):
        raise Forbidden("reviewing needs the role of an approver or administrator")
    if person.user_id == release.user_id:
        raise Forbidden("you released it: another person has to review it")
    if person.user_id in release.authors:
        raise Forbidden("you made or changed this run: another person has to review it")
    if not note.strip():
        raise InputError("note", "is empty", "Write what you found, even if all was well")
    await releases.set_reviewed(tx, release.id, user_id=person.user_id, note=note.strip())
    await audit_run(tx, run, by, "run.reviewed", note=note.strip())


async def release_problem(tx: Tx, run: Run, version: CampaignVersion) -> str:
    """Why a run that is about to begin is not what was released; "" where it is."""
    release: Release | None = await releases.find_release(tx, run.id)
    if release is None:
        return "it was not released"
    released_for = int(release.facts["contacts"])
    members = await runs.list_digest(tx, run)
    if members != release.facts.get("list_members", members):
        return "its list was changed after its release: it has to be released again"
    if facts_hash(_facts(run, released_for, members)) != release.hash:
        return "it is not what was released"
    now = await count_meant(tx, run, version)
    if not audience_holds(released_for, now):
        return f"it was released for {released_for} contacts and now means {now}: it has to be released again"
    return ""


async def call_back(tx: Tx, run: Run, problem: str) -> None:
    """A run that may not begin waits for another release."""
    await releases.void_release(tx, run.id)
    await runs.set_run_state(tx, run.id, RunState.SUBMITTED, problem)
    await audit_run(tx, run, SCHEDULE, "run.called_back", problem=problem)
    log.error("planning.run_called_back", run=run.id, problem=problem)


async def _check_time(tx: Tx, run: Run) -> None:
    if run.at_once or run.kind == "standing":
        return
    if await clock.now(tx) >= useless_after(run, await get_campaign(tx, run)):
        raise Conflict(f"the time of run {run.id} is over: choose another")
