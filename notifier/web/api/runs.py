"""Runs over the API: launch, look, stop, resume."""

from typing import Literal

from fastapi import APIRouter, Request, Response

from notifier.planning.control import resume_run, stop_run
from notifier.planning.draft import Draft
from notifier.planning.launch import launch_campaign
from notifier.store.database import Database, Tx
from notifier.store.tallies import read_tallies
from notifier.store.views.runs import RunLine, find_wait, get_run_line, list_runs
from notifier.web.api.keyed import Reader, Sender, actor, once, person
from notifier.web.api.paging import Cursor, Limit, Listed, read_cursor, write_cursor
from notifier.web.api.shapes import LaunchIn, RunDetail, RunOut, TallyOut
from notifier.web.values import Id, Text

router = APIRouter(prefix="/runs", tags=["runs"])
RunState = Literal["", "draft", "waiting", "submitted", "scheduled", "running", "stopped", "ended", "cancelled"]


@router.get("", summary="List runs")
async def list_all(  # noqa: PLR0917
    request: Request, key: Reader, campaign: Text = "", state: RunState = "", cursor: Cursor = "", limit: Limit = 50
) -> Listed[RunOut]:
    """The newest first."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        found = await list_runs(
            tx,
            key.team_id,
            campaign_key=campaign,
            states=[state] if state else [],
            before=read_cursor(cursor),
            limit=limit + 1,
        )
    more = write_cursor(found[limit - 1].id) if len(found) > limit else None
    return Listed(items=[RunOut(**_facts(run)) for run in found[:limit]], next_cursor=more)


@router.get("/{run_id}", summary="Get a run with its counts")
async def get_one(request: Request, key: Reader, run_id: Id) -> RunDetail:
    """Planned = sent + not sent + waiting, by step, channel, state and reason."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        return await read_detail(tx, key.team_id, run_id)


@router.post("", status_code=202, summary="Launch a campaign", response_model=RunOut)
async def launch(request: Request, key: Sender, body: LaunchIn) -> Response:
    """202: the run stands in the database, submitted where another person has to release it first.

    Wants an `Idempotency-Key`.
    """

    async def work(tx: Tx) -> RunOut:
        draft = Draft(
            campaign_key=body.campaign,
            inputs=body.inputs,
            at=body.at,
            audience_list=body.audience_list,
            segment=body.segment,
            drill=body.drill,
        )
        run = await launch_campaign(tx, team_id=key.team_id, draft=draft, by=person(key))
        return RunOut(**_facts(await get_run_line(tx, key.team_id, run.id)))

    return await once(request, key, body, status=202, work=work)


@router.post("/{run_id}/stop", summary="Stop a run")
async def stop(request: Request, key: Sender, run_id: Id) -> RunDetail:
    """From now on no message of it leaves; what is on the wire is finished. 409 where it cannot be stopped."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await get_run_line(tx, key.team_id, run_id)
        await stop_run(tx, run_id, actor(key))
        return await read_detail(tx, key.team_id, run_id)


@router.post("/{run_id}/resume", summary="Resume a stopped run")
async def resume(request: Request, key: Sender, run_id: Id) -> RunDetail:
    """What expired meanwhile stays unsent. 409 where it is not stopped.

    What the service stopped by itself wants a key of an approver, an operator or an administrator: 403 for others.
    """
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await get_run_line(tx, key.team_id, run_id)
        await resume_run(tx, run_id, person(key))
        detail = await read_detail(tx, key.team_id, run_id)
    await request.app.state.bell.ring("tick")
    return detail


async def read_detail(tx: Tx, team_id: int, run_id: int) -> RunDetail:
    """The run as it stands now."""
    run = await get_run_line(tx, team_id, run_id)
    tallies = [
        TallyOut(step=t.step, channel=t.channel, state=t.state, reason=t.reason, count=t.count)
        for t in await read_tallies(tx, run_id)
    ]
    wait = await find_wait(tx, run_id) if run.state == "running" else None
    return RunDetail(
        **_facts(run),
        inputs=dict(run.inputs),
        tallies=tallies,
        waits_until=wait.until if wait else None,
        waits_for=wait.reason if wait else "",
        held_until=run.held_until,
    )


def _facts(run: RunLine) -> dict[str, object]:
    return {
        "id": run.id,
        "campaign": run.campaign_key,
        "kind": run.kind,
        "state": run.state,
        "purpose": run.purpose,
        "nominal_at": run.nominal_at,
        "launched_by": run.launched_by,
        "recipients": run.recipients,
        "problem": run.problem,
        "created_at": run.created_at,
        "ended_at": run.ended_at,
        "drill": run.drill,
        "counts": dict(run.counts),
        "planned": run.sums.planned,
        "sent": run.sums.sent,
        "not_sent": run.sums.not_sent,
        "waiting": run.sums.waiting,
    }
