"""Runs: the list, and one run with what it does right now."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse

from notifier.domain.campaign import Campaign
from notifier.domain.errors import Conflict, InputError
from notifier.domain.inputs import read_inputs
from notifier.domain.message import State
from notifier.planning.control import cancel_run, resume_run, stop_run
from notifier.planning.draft import fill_inputs
from notifier.store.database import Database
from notifier.store.tallies import Tally, read_tallies
from notifier.store.views.messages import list_messages
from notifier.store.views.runs import RunLine, StepLine, get_run_line, list_runs, list_steps
from notifier.web.access.sessions import Actor, LoggedIn, Visitor, is_live
from notifier.web.console.campaigns import flatten_inputs, read_inputs_form
from notifier.web.console.overview import campaign_titles
from notifier.web.console.show import Page, open_page
from notifier.web.console.streams import Streams
from notifier.web.values import Id, Text

router = APIRouter()
_PAGE = 25
_LOOK_EVERY_S = 1.0
_HEARTBEAT_EVERY = 15
_LONGEST_LOOKS = 3600
_OVER = frozenset({"ended", "cancelled"})
_ACTS = {"stop": stop_run, "resume": resume_run, "cancel": cancel_run}
_SENT = ("accepted", "delivered", "bounced")
_ON_THE_WAY = ("queued", "sending", "uncertain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A run's counts as its page shows them: planned = sent + not sent + waiting."""

    planned: int
    sent: int
    not_sent: int
    waiting: int
    rows: Sequence[tuple[StepLine, Sequence[tuple[str, Mapping[str, int]]]]]
    reasons: Sequence[Tally]


def make_progress(steps: Sequence[StepLine], tallies: Sequence[Tally]) -> Progress:
    """Adds tallies up per step and channel."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for tally in tallies:
        states = counts.setdefault((tally.step, tally.channel), {})
        states[tally.state] = states.get(tally.state, 0) + tally.count
    rows = [
        (step, [(channel, found) for (name, channel), found in counts.items() if name == step.step]) for step in steps
    ]
    total = {state: sum(tally.count for tally in tallies if tally.state == state) for state in State}
    planned, sent = sum(total.values()), sum(total[State(state)] for state in _SENT)
    waiting = sum(total[State(state)] for state in _ON_THE_WAY)
    reasons = sorted((tally for tally in tallies if tally.reason), key=lambda tally: -tally.count)
    return Progress(
        planned=planned, sent=sent, waiting=waiting, not_sent=planned - sent - waiting, rows=rows, reasons=reasons
    )


@router.get("/runs")
async def show_runs(request: Request, visitor: LoggedIn, before: Id | None = None, state: Text = "") -> Response:
    """All runs, the newest first."""
    async with open_page(request, visitor) as page:
        states = [state] if state else []
        found = await list_runs(page.tx, page.team_id, states=states, before=before, limit=_PAGE + 1)
        more = found[_PAGE - 1].id if len(found) > _PAGE else None
        return page.show("runs.html", runs=found[:_PAGE], more=more, state=state, titles=await campaign_titles(page))


@router.get("/runs/{run_id}")
async def show_run(request: Request, visitor: LoggedIn, run_id: Id, state: Text = "", after: Id = 0) -> Response:
    """One run; with `state` only the messages in it."""
    async with open_page(request, visitor) as page:
        return await run_page(page, run_id, state=state, after=after)


async def run_page(
    page: Page,
    run_id: int,
    *,
    state: str = "",
    after: int = 0,
    typed: Mapping[str, str] | None = None,
    problem: InputError | Conflict | None = None,
) -> Response:
    """The page of a run; `typed` and `problem` come from a form that was wrong."""
    run = await get_run_line(page.tx, page.team_id, run_id)
    campaign = await page.catalogue.campaign_version(page.tx, run.campaign_id)
    return page.show(
        "run.html",
        422 if isinstance(problem, InputError) else 409 if problem else 200,
        run=run,
        campaign=campaign,
        progress=await _progress(page, run_id),
        is_over=run.state in _OVER,
        after=after,
        inputs=_told_inputs(page, campaign, run),
        values=typed if typed is not None else flatten_inputs(campaign, run.inputs),
        problem=problem,
        problem_field=problem.field if isinstance(problem, InputError) else "",
        **await _listed(page, run_id, state=state, after=after),
    )


async def _listed(page: Page, run_id: int, *, state: str, after: int) -> dict[str, Any]:
    """One page of messages."""
    found = await list_messages(page.tx, page.team_id, run_id, state=state, after=after, limit=_PAGE + 1)
    more = found[_PAGE - 1].id if len(found) > _PAGE else None
    return {"messages": found[:_PAGE], "more": more, "state": state}


async def _progress(page: Page, run_id: int) -> Progress:
    return make_progress(await list_steps(page.tx, run_id), await read_tallies(page.tx, run_id))


def _told_inputs(page: Page, campaign: Campaign, run: RunLine) -> list[tuple[str, str]]:
    def tell(value: Any) -> str:
        if isinstance(value, Mapping):
            return str(value.get(page.locale) or next(iter(value.values()), ""))
        if isinstance(value, datetime):
            return page.words.wall(value)
        return page.words.day(value) if isinstance(value, date) else str(value)

    labels = {name: page.say(wanted.label) for name, wanted in campaign.inputs.items()}
    return [(labels.get(name, name), tell(value)) for name, value in read_inputs(campaign, run.inputs).items()]


@router.get("/runs/{run_id}/events")
async def stream_run(request: Request, visitor: LoggedIn, run_id: Id, state: Text = "", after: Id = 0) -> Response:
    """Server-sent events: parts of the run's page whenever they changed, `ended` at the end."""
    async with open_page(request, visitor) as page:
        await get_run_line(page.tx, page.team_id, run_id)
    streams: Streams = request.app.state.streams
    if streams.is_full(visitor.user.id):
        return PlainTextResponse("too many live pages are open", 429, headers={"retry-after": "60"})
    return StreamingResponse(
        _hold(streams, visitor, _tell_changes(request, visitor, run_id, state=state, after=after)),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _hold(streams: Streams, visitor: Visitor, events: AsyncIterator[str]) -> AsyncIterator[str]:
    with streams.hold(visitor.user.id):
        async for event in events:
            yield event


async def _tell_changes(
    request: Request, visitor: Visitor, run_id: int, *, state: str, after: int
) -> AsyncIterator[str]:
    told: dict[str, str] = {}
    for look in range(_LONGEST_LOOKS):
        if await request.is_disconnected():
            return
        async with open_page(request, visitor) as page:
            if not await is_live(page.tx, visitor):
                return
            run = await get_run_line(page.tx, page.team_id, run_id)
            parts = await _live_parts(page, run, state=state, after=after)
        changed = {name: part for name, part in parts.items() if told.get(name) != part}
        told |= changed
        for name, part in changed.items():
            yield _event(name, part)
        if run.state in _OVER:
            yield _event("ended", run.state)
            return
        if not changed and look % _HEARTBEAT_EVERY == 0:
            yield ": still here\n\n"
        await asyncio.sleep(_LOOK_EVERY_S)


async def _live_parts(page: Page, run: RunLine, *, state: str, after: int) -> dict[str, str]:
    return {
        "progress": page.render("part/progress.html", run=run, progress=await _progress(page, run.id)),
        "acts": page.render("part/acts.html", run=run),
        "messages": page.render("part/messages.html", run=run, **await _listed(page, run.id, state=state, after=after)),
    }


def _event(name: str, data: str) -> str:
    lines = "".join(f"data: {line}\n" for line in data.splitlines())
    return f"event: {name}\n{lines}\n"


@router.post("/runs/{run_id}/inputs")
async def fill(request: Request, visitor: Actor, run_id: Id) -> Response:
    """Give a waiting run what it waits for."""
    form = await request.form()
    database: Database = request.app.state.database
    async with open_page(request, visitor) as page:
        run = await get_run_line(page.tx, page.team_id, run_id)
        campaign = await page.catalogue.campaign_version(page.tx, run.campaign_id)
        inputs = read_inputs_form(campaign, form, page.bank)
    try:
        async with database.transaction() as tx:
            await fill_inputs(tx, run_id, inputs, visitor.person)
    except (InputError, Conflict) as error:
        typed = {name: value for name, value in form.items() if isinstance(value, str)}
        async with open_page(request, visitor) as page:
            return await run_page(page, run_id, typed=typed, problem=error)
    await request.app.state.bell.ring("tick")
    return RedirectResponse(f"/runs/{run_id}", 303)


@router.post("/runs/{run_id}/{act}")
async def act_on_run(request: Request, visitor: Actor, run_id: Id, act: Text) -> Response:
    """Stop it, resume it, or end it for good."""
    database: Database = request.app.state.database
    async with open_page(request, visitor) as page:
        await get_run_line(page.tx, page.team_id, run_id)
    if act not in _ACTS:
        raise Conflict(f"a run cannot be asked to {act}")
    async with database.transaction() as tx:
        await _ACTS[act](tx, run_id, visitor.user.login)
    await request.app.state.bell.ring("tick")
    return RedirectResponse(f"/runs/{run_id}", 303)
