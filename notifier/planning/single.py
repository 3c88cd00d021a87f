"""Single messages: another system asks for one message to one contact; a person released their texts before."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from notifier.domain.errors import Conflict, Forbidden, InputError, NotFound, NotReleased
from notifier.domain.message import MessageId, RunId
from notifier.domain.person import Person
from notifier.domain.purpose import Purpose
from notifier.domain.run import RunState
from notifier.planning.backlog import refuse_when_late
from notifier.planning.catalogue import CampaignVersion, find_campaign, get_campaign, pin, writers_of
from notifier.planning.draft import audit_run, check_inputs, run_purpose
from notifier.planning.release import release_facts, start_released
from notifier.store import clock, releases, runs
from notifier.store.contacts import get_contact
from notifier.store.database import Tx
from notifier.store.messages.single import add_single
from notifier.store.releases import NewRelease
from notifier.store.runs import NewRun, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class SentOne:
    """A message accepted for sending through the API."""

    run_id: RunId
    message_id: MessageId


async def send_one(
    tx: Tx,
    *,
    team_id: int,
    campaign_key: str,
    external_id: str,
    inputs: Mapping[str, object],
    by: Person,
    late_pct: int = 50,
) -> SentOne:
    """One message of a campaign's first step to one contact, through the standing run of the month.

    What was released is what is sent: after an apply the texts released before go on until a person has released the
    new ones. `NotReleased` where none were yet: see `ask_release`. `Busy` where it would be late. `Forbidden` for a key
    that stands for a user: whoever may choose contacts and inputs one by one would need nobody else's eyes, so systems
    alone may.
    """
    if by.user_id is not None:
        raise Forbidden("single messages are sent by systems, and this key stands for a person: launch a run")
    run = await _released_run(tx, team_id, campaign_key, by)
    version = await get_campaign(tx, run)
    given = await check_inputs(tx, team_id, version, inputs)
    contact = await get_contact(tx, team_id, external_id)
    if contact is None:
        raise NotFound(f"there is no contact {external_id!r}")
    step = version.campaign.steps[0]
    if step.is_post:
        raise InputError("campaign", "its first step is a post, which has no contact")
    await refuse_when_late(tx, version.campaign.purpose_of(step) or Purpose(run.purpose), late_pct=late_pct)
    message_id = await add_single(
        tx, run, step=step.name, contact_id=contact.id, channels=step.channels or step.by, inputs=given
    )
    return SentOne(run_id=run.id, message_id=message_id)


async def ask_release(tx: Tx, *, team_id: int, campaign_key: str, by: Person) -> Run:
    """The standing run of the newest versions; submitted where nobody has released them yet."""
    version = await find_campaign(tx, team_id, campaign_key)
    pinned = (await pin(tx, team_id, version.campaign)).as_json()
    return await _standing_run(tx, await _new_standing(tx, team_id, version, pinned), by)


async def _released_run(tx: Tx, team_id: int, campaign_key: str, by: Person) -> Run:
    run = await ask_release(tx, team_id=team_id, campaign_key=campaign_key, by=by)
    if run.state == RunState.SUBMITTED:
        earlier = await runs.find_released_standing(tx, team_id, campaign_key)
        if earlier is not None:
            run = await _standing_run(
                tx, await _new_standing(tx, team_id, await get_campaign(tx, earlier), earlier.pinned), by
            )
    if run.state == RunState.SUBMITTED:
        raise NotReleased(f"single messages of {campaign_key} wait for run {run.id} to be released by a person")
    if run.state == RunState.STOPPED:
        raise Conflict(f"run {run.id}, to which these messages belong, is stopped: resume it first")
    return run


async def _new_standing(tx: Tx, team_id: int, version: CampaignVersion, pinned: Mapping[str, Any]) -> NewRun:
    now = await clock.now(tx)
    return NewRun(
        team_id=team_id,
        campaign_id=version.id,
        campaign_key=version.campaign.key,
        kind="standing",
        state=RunState.SUBMITTED,
        nominal_at=now.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
        inputs={},
        audience_list="",
        pinned=pinned,
        purpose=await run_purpose(tx, team_id, version.campaign, {}),
        launched_by="",
        authors=await writers_of(tx, version.id, pinned),
    )


async def _standing_run(tx: Tx, wanted: NewRun, by: Person) -> Run:
    """The month's run of these versions; the second of a month is made for the moment it is."""
    for at in (wanted.nominal_at, await clock.now(tx)):
        found = await runs.find_standing(tx, wanted)
        if found is not None:
            return found
        mine = () if by.user_id is None or by.user_id in wanted.authors else (by.user_id,)
        new = replace(wanted, nominal_at=at, launched_by=by.name, authors=(*wanted.authors, *mine))
        try:
            async with tx.transaction():
                return await _make_standing(tx, new, by)
        except Conflict:
            continue  # another request, or other versions, have the month's first moment
    raise Conflict(f"{wanted.campaign_key} is being sent by too many at once; ask again")


async def _make_standing(tx: Tx, new: NewRun, by: Person) -> Run:
    """A release of the very same versions by a second person holds in every month."""
    run = await runs.get_run(tx, await runs.add_run(tx, new))
    found = await release_facts(tx, run)
    earlier = await releases.find_standing_release(tx, run.team_id, found.hash)
    if earlier is None:
        await audit_run(tx, run, by, "run.submitted", campaign=run.campaign_key)
        return run
    await releases.add_release(
        tx,
        NewRelease(
            team_id=run.team_id,
            run_id=run.id,
            hash=earlier.hash,
            facts=earlier.facts,
            authors=earlier.authors,
            user_id=earlier.user_id,
            needs_second=earlier.needs_second,
        ),
    )
    await start_released(tx, run)
    await audit_run(tx, run, by, "run.released", carried_from=f"run:{earlier.run_id}")
    return await runs.get_run(tx, run.id)
