"""Stops above a run over the API: a campaign, a channel or everything; what each holds; and resume."""

from dataclasses import asdict
from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import Field

from notifier.domain.stop import Extent, Scope, Stop, reckon
from notifier.planning.stops import lift_stop, stop_above
from notifier.store.database import Database, Tx
from notifier.store.stops import get_stop, list_held, list_in_force, list_lifted
from notifier.web.api.keyed import Reader, Sender, person
from notifier.web.api.paging import Listed, Shape
from notifier.web.values import Id, Text

router = APIRouter(prefix="/stops", tags=["stops"])
_LIFTED = 100


class StopIn(Shape):
    """What to stop. Everything means everything: emergencies go on only where they are spared."""

    scope: Scope
    which: Text = Field("", max_length=63, description="The channel or the campaign's key; nothing for everything")
    spares_emergencies: bool = Field(False, description="Emergencies go on")
    reason: Text = Field(min_length=1, max_length=300, description="Everybody reads it until it is resumed")


class StopOut(Shape):
    """A stop; in force while `lifted_at` is null."""

    id: int
    scope: Scope
    which: str
    spares_emergencies: bool
    reason: str
    stopped_by: str
    at: datetime
    lifted_at: datetime | None
    lifted_by: str


class ReckoningOut(Shape):
    """Messages by what became of them; the parts add up to all that were planned."""

    sent: int = Field(description="A provider took them")
    leaving: int = Field(description="Handed over before the stop, no answer yet: 0 once the stop is complete")
    in_doubt: int = Field(description="The provider's answer was lost")
    not_sent: int = Field(description="For good: refused, expired, failed, cancelled")
    held: int = Field(description="Wait for a resume, unless they expire")


class HeldRun(ReckoningOut):
    """A run within the stop's scope."""

    run: int
    campaign: str
    state: str


class StopDetail(StopOut):
    """A stop with the exact account of its scope as it stands now."""

    total: ReckoningOut
    runs: list[HeldRun]


@router.get("", summary="List stops")
async def list_all(request: Request, key: Reader, state: Literal["in-force", "lifted"] = "in-force") -> Listed[StopOut]:
    """Those in force, the oldest first; or the last 100 that were lifted, the newest first."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        found = (
            await list_in_force(tx, key.team_id)
            if state == "in-force"
            else await list_lifted(tx, key.team_id, limit=_LIFTED)
        )
    return Listed(items=[StopOut(**_facts(stop)) for stop in found], next_cursor=None)


@router.post("", status_code=201, summary="Stop a campaign, a channel or everything")
async def stop(request: Request, key: Sender, body: StopIn) -> StopDetail:
    """Within a second nothing of it is handed over any more. Stopping what is stopped answers with the first stop."""
    database: Database = request.app.state.database
    extent = Extent(scope=body.scope, which=body.which, spares_emergencies=body.spares_emergencies)
    async with database.transaction() as tx:
        made = await stop_above(tx, key.team_id, extent, reason=body.reason, by=person(key))
        return await _detail(tx, key.team_id, made)


@router.get("/{stop_id}", summary="Get a stop with its account")
async def get_one(request: Request, key: Reader, stop_id: Id) -> StopDetail:
    """By run: sent, in the provider's hands (`leaving`, `in_doubt`), not sent, held."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        return await _detail(tx, key.team_id, await get_stop(tx, key.team_id, stop_id))


@router.post("/{stop_id}/resume", summary="Resume what a stop holds")
async def resume(request: Request, key: Sender, stop_id: Id) -> StopDetail:
    """Wants a key of an approver, an operator or an administrator. What expired meanwhile stays unsent."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        lifted = await lift_stop(tx, key.team_id, stop_id, person(key))
        detail = await _detail(tx, key.team_id, lifted)
    await request.app.state.bell.ring("tick")
    return detail


async def _detail(tx: Tx, team_id: int, stop: Stop) -> StopDetail:
    held = await list_held(tx, team_id, stop.extent, since=stop.at)
    return StopDetail(
        **_facts(stop),
        total=ReckoningOut(**asdict(reckon(*(run.counts for run in held)))),
        runs=[HeldRun(run=run.id, campaign=run.campaign_key, state=run.state, **asdict(run.reckoning)) for run in held],
    )


def _facts(stop: Stop) -> dict[str, object]:
    facts, extent = asdict(stop), asdict(stop.extent)
    return {name: value for name, value in facts.items() if name != "extent"} | extent
