"""What is decided about a run over the API, beside stop and resume: its release undone, another time, its end."""

from fastapi import APIRouter, Request
from pydantic import Field

from notifier.planning.control import cancel_run
from notifier.planning.release import reschedule_run, undo_release
from notifier.store.database import Database
from notifier.store.views.runs import get_run_line
from notifier.web.api.keyed import Sender, actor, person
from notifier.web.api.paging import Shape
from notifier.web.api.runs import read_detail
from notifier.web.api.shapes import RunDetail
from notifier.web.values import Id, Moment

router = APIRouter(prefix="/runs", tags=["runs"])


class RescheduleIn(Shape):
    """When the run starts instead."""

    at: Moment | None = Field(description="null: as soon as it is released")


@router.post("/{run_id}/reschedule", summary="Give a run another time")
async def reschedule(request: Request, key: Sender, run_id: Id, body: RescheduleIn) -> RunDetail:
    """A release of it is void: somebody has to release it anew. 409 where anything of it was sent."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await get_run_line(tx, key.team_id, run_id)
        await reschedule_run(tx, run_id, body.at, person(key))
        return await read_detail(tx, key.team_id, run_id)


@router.post("/{run_id}/undo", summary="Undo a release")
async def undo(request: Request, key: Sender, run_id: Id) -> RunDetail:
    """Before `held_until` nothing of a released run has left; the run waits for another release. 409 afterwards."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await get_run_line(tx, key.team_id, run_id)
        await undo_release(tx, run_id, person(key))
        return await read_detail(tx, key.team_id, run_id)


@router.post("/{run_id}/cancel", summary="End a run for good")
async def cancel(request: Request, key: Sender, run_id: Id) -> RunDetail:
    """What has not left stays here; posts by hand are withdrawn. 409 where it is over."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await get_run_line(tx, key.team_id, run_id)
        await cancel_run(tx, run_id, actor(key))
        return await read_detail(tx, key.team_id, run_id)
