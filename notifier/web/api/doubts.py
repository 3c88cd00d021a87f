"""Doubts over the API: what waits for a decision, what was set aside, and the word on all of a run at once."""

from dataclasses import asdict
from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import Field

from notifier.delivery.settle import decide, replay
from notifier.store.database import Database
from notifier.store.views import doubts as view
from notifier.store.views.runs import get_run_line
from notifier.web.api.keyed import Reader, Sender, actor
from notifier.web.api.paging import Listed, Shape
from notifier.web.api.shapes import SettleIn
from notifier.web.values import Id, Text

router = APIRouter(tags=["doubts"])


class _Line(Shape):
    run_id: int
    campaign: str
    drill: bool
    step: str
    channel: str
    count: int
    fresh: int = Field(description="of them so many have not expired")


class DoubtOut(_Line):
    """Messages in doubt of one step and channel."""

    looked_up: int = Field(description="of so many the provider was asked and does not have them")
    since: datetime | None
    asks: bool = Field(description="they wait for a person; false: their purpose settles them")


class AsideOut(_Line):
    """Messages set aside of one step, channel and reason."""

    reason: str
    crashes: int = Field(description="workers the worst of them has ended")
    in_doubt: int = Field(description="of so many an earlier hand-over may have arrived")
    at: datetime | None


class ReplayIn(Shape):
    """Which of a run's messages that were set aside."""

    reason: Text = Field("", max_length=2000, description="only those of this reason; nothing for all")


class Changed(Shape):
    """How many messages it was about."""

    messages: int


@router.get("/doubts", summary="List messages in doubt")
async def list_doubts(request: Request, key: Reader) -> Listed[DoubtOut]:
    """By run, step and channel; what waits for a person first."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        found = [asdict(line) for line in await view.list_doubts(tx, key.team_id)]
    return Listed(items=[DoubtOut(campaign=line.pop("campaign_key"), **line) for line in found], next_cursor=None)


@router.get("/set-aside", summary="List messages set aside")
async def list_set_aside(request: Request, key: Reader) -> Listed[AsideOut]:
    """What ended its workers or could not be rendered, by run, step, channel and reason."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        found = [asdict(line) for line in await view.list_set_aside(tx, key.team_id)]
    return Listed(items=[AsideOut(campaign=line.pop("campaign_key"), **line) for line in found], next_cursor=None)


@router.post("/runs/{run_id}/settle", summary="Settle all messages in doubt of a run")
async def settle_run(request: Request, key: Sender, run_id: Id, body: SettleIn) -> Changed:
    """One word for all of them. 409 where nothing is in doubt, or all that should go again have expired."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await get_run_line(tx, key.team_id, run_id)
        return Changed(messages=await decide(tx, run_id, body.outcome, actor(key)))


@router.post("/runs/{run_id}/replay", summary="Send again what was set aside of a run")
async def replay_run(request: Request, key: Sender, run_id: Id, body: ReplayIn) -> Changed:
    """They go through every check again. 409 where there is none that has not expired."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await get_run_line(tx, key.team_id, run_id)
        return Changed(messages=await replay(tx, run_id, actor(key), reason=body.reason))
