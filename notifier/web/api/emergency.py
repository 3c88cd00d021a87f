"""Emergencies over the API: what is prepared, what it would say and to whom, and who was reached."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from pydantic import Field

from notifier.domain.errors import InputError, NotFound
from notifier.domain.purpose import Purpose
from notifier.planning.catalogue import CampaignVersion, find_campaign, list_campaigns
from notifier.planning.emergency.choice import complete_inputs, find_choice
from notifier.planning.emergency.desk import EmergencyDesk
from notifier.planning.emergency.follow_up import follow_up
from notifier.planning.emergency.messages import Said, read_messages
from notifier.planning.emergency.outlook import Outlook, count_everybody, list_groups, look_ahead
from notifier.store.database import Database, Tx
from notifier.store.views.emergency import count_people, list_not_reached
from notifier.store.views.runs import get_run_line
from notifier.web.api.keyed import Reader
from notifier.web.api.paging import Cursor, Limit, Listed, Shape, read_cursor, write_cursor
from notifier.web.values import Id, Json, Text

router = APIRouter(tags=["emergencies"])
_MANY = 100


class GroupOut(Shape):
    """Contacts an emergency can mean together, such as the customers of a branch."""

    value: str
    contacts: int


class EmergencyOut(Shape):
    """A campaign prepared for emergencies."""

    campaign: str
    title: dict[str, str]
    choice: str = Field(description="the input that says whom it concerns, empty = everybody it means")
    everybody: str = Field(description="the value of that input that means all, empty = there is none")
    contacts: int = Field(description="how many that is")
    groups: list[GroupOut]


class PreviewIn(Shape):
    """What somebody is about to send."""

    inputs: dict[Text, Json] = Field(default_factory=dict, max_length=_MANY)
    drill: bool = Field(False, description="as an exercise")


class ReachOut(Shape):
    """Contacts on one channel; `refused` is reason → contacts."""

    channel: str
    reachable: int
    refused: dict[str, int]


class OutlookOut(Shape):
    """Whom it would go to now."""

    contacts: int
    unreachable: int = Field(description="contacts whom no channel reaches")
    reach: list[ReachOut]
    accounts: list[str] = Field(description="accounts it would be posted on")


class SaidOut(Shape):
    """One message as it would read; `problem` where it cannot be made yet."""

    step: str
    channel: str
    locale: str
    content: dict[str, Any] | None
    problem: str


class PreviewOut(Shape):
    """Whom it means and what it says; gaps read as ____."""

    inputs: dict[str, Any] = Field(description="as given, with the names of the group filled in")
    outlook: OutlookOut | None = Field(description="null while the input the audience depends on is missing")
    messages: list[SaidOut]


class PeopleOut(Shape):
    """The contacts of a run, each counted once and for the best of their messages."""

    meant: int
    delivered: int
    handed_over: int
    on_the_way: int
    not_reached: int


class NotReachedOut(Shape):
    """A contact nothing got through to, with what was tried."""

    contact: str = Field(description="external id")
    name: str
    kind: str
    locale: str
    phone: str
    email: str
    tried: list[dict[str, str]] = Field(description="channel, state and reason of each message")


@router.get("/emergencies", summary="List what is prepared for emergencies")
async def list_prepared(request: Request, key: Reader) -> list[EmergencyOut]:
    """Campaigns with the purpose `emergency`, each with the groups it can mean; numbers as of a moment ago."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        found = await list_campaigns(tx, key.team_id)
        return [
            await _prepared(request, tx, key.team_id, version)
            for version in found
            if version.campaign.purpose is Purpose.EMERGENCY
        ]


async def _prepared(request: Request, tx: Tx, team_id: int, version: CampaignVersion) -> EmergencyOut:
    desk: EmergencyDesk = request.app.state.emergency
    choice = find_choice(version.campaign)
    groups = await list_groups(tx, desk, team_id, version)
    return EmergencyOut(
        campaign=version.campaign.key,
        title=dict(version.campaign.title.texts),
        choice=choice.input if choice else "",
        everybody=choice.everybody if choice else "",
        contacts=await count_everybody(tx, desk, team_id, version),
        groups=[GroupOut(value=group.value, contacts=group.contacts) for group in groups],
    )


@router.post("/emergencies/{campaign}/preview", summary="Read an emergency before it is sent")
async def preview(request: Request, key: Reader, campaign: Text, body: PreviewIn) -> PreviewOut:
    """Every message in each language, and whom it would reach now. Writes nothing, for corrections too."""
    desk: EmergencyDesk = request.app.state.emergency
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        version = await find_campaign(tx, key.team_id, campaign)
        if version.campaign.purpose is not Purpose.EMERGENCY and follow_up(version.campaign) is None:
            raise NotFound(f"{campaign} is not for emergencies")
        inputs = complete_inputs(version.campaign, body.inputs, version.bank)
        try:
            outlook = await look_ahead(tx, desk, key.team_id, version, inputs, drill=body.drill)
        except InputError:
            outlook = None
        said = await read_messages(tx, desk, key.team_id, version, inputs, drill=body.drill)
    return PreviewOut(
        inputs=inputs, outlook=_outlook(outlook) if outlook else None, messages=[_said(one) for one in said]
    )


def _outlook(outlook: Outlook) -> OutlookOut:
    return OutlookOut(
        contacts=outlook.contacts,
        unreachable=outlook.unreachable,
        reach=[
            ReachOut(channel=one.channel, reachable=one.reachable, refused=dict(one.refused)) for one in outlook.reach
        ],
        accounts=list(outlook.accounts),
    )


def _said(one: Said) -> SaidOut:
    return SaidOut(
        step=one.step,
        channel=one.channel.value,
        locale=one.locale,
        content=asdict(one.content) if one.content else None,
        problem=one.problem,
    )


@router.get("/runs/{run_id}/people", summary="Count who is reached")
async def get_people(request: Request, key: Reader, run_id: Id) -> PeopleOut:
    """`meant` = delivered + handed over + on the way + not reached. Reads every message of the run: ask it seldom."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await get_run_line(tx, key.team_id, run_id)
        return PeopleOut(**asdict(await count_people(tx, run_id)))


@router.get("/runs/{run_id}/not-reached", summary="List who is not reached")
async def get_not_reached(
    request: Request, key: Reader, run_id: Id, cursor: Cursor = "", limit: Limit = 100
) -> Listed[NotReachedOut]:
    """Contacts nothing got through to and nothing is on the way for, to be called."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await get_run_line(tx, key.team_id, run_id)
        found = await list_not_reached(tx, key.team_id, run_id, after=read_cursor(cursor) or 0, limit=limit + 1)
    items = [
        NotReachedOut(
            contact=one.external_id,
            name=one.name,
            kind=one.kind,
            locale=one.locale,
            phone=one.phone,
            email=one.email,
            tried=[dict(way) for way in one.ways],
        )
        for one in found[:limit]
    ]
    return Listed(items=items, next_cursor=write_cursor(found[limit - 1].id) if len(found) > limit else None)
