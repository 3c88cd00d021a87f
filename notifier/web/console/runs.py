"""Runs: the list, one run live, and what people do about it."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from notifier.domain.errors import Conflict, InputError
from notifier.domain.run import OPEN, OVER, RunState
from notifier.planning.control import cancel_run, resume_run, stop_run
from notifier.planning.draft import fill_inputs
from notifier.planning.release import reschedule_run, undo_release
from notifier.store.database import Database
from notifier.store.tallies import read_tallies
from notifier.store.views.runs import RunLine, RunSearch, count_states, get_run_line, list_campaign_keys, list_runs
from notifier.web.access.sessions import Actor, LoggedIn, Visitor
from notifier.web.console.campaigns import read_inputs_form
from notifier.web.console.draft_form import AT_ONCE, AT_TIME
from notifier.web.console.moments import tell_start
from notifier.web.console.names import Names, read_names
from notifier.web.console.run_page import live_parts, make_progress, run_page, tell_halt
from notifier.web.console.show import Page, open_page
from notifier.web.console.streams import Look, stream_parts
from notifier.web.values import Id, Text

router = APIRouter()
_PAGE = 25
_NUMBER = re.compile(r"\s*(?:(\d{4})-(\d{2})\s*)?(?:#|№)?\s*(\d{1,12})\s*")
__all__ = ["make_progress", "router", "run_page"]


@router.get("/runs")
async def show_runs(  # noqa: PLR0917 - one for each filter
    request: Request,
    visitor: LoggedIn,
    before: Id | None = None,
    state: Text = "",
    campaign: Text = "",
    search: Text = "",
) -> Response:
    """Runs of a state, a campaign, or with these words in their campaign's title or this number."""
    async with open_page(request, visitor) as page:
        names = await read_names(page)
        keys = await list_campaign_keys(page.tx, page.team_id)
        wanted = read_search(search, names, keys)
        counts = await count_states(page.tx, page.team_id, campaign_key=campaign, search=wanted)
        found = await list_runs(
            page.tx,
            page.team_id,
            campaign_key=campaign,
            states=[state] if state else [],
            search=wanted,
            before=before,
            limit=_PAGE + 1,
        )
        return page.show(
            "runs.html",
            runs=found[:_PAGE],
            more=found[_PAGE - 1].id if len(found) > _PAGE else None,
            state=state,
            campaign=campaign,
            search=search.strip(),
            names=names,
            run_states=[(one.value, counts[one]) for one in RunState if counts.get(one)],
            total=sum(counts.values()),
            campaigns=sorted((names.campaign(key), key) for key in keys),
            starts=lambda run: tell_start(run, page.words),
        )


def read_search(search: str, names: Names, keys: list[str]) -> RunSearch | None:
    """What somebody typed: a number as `2026-03 #14`, `#14` or whole, else words of a campaign's title."""
    words = search.strip().lower()
    if not words:
        return None
    if number := _NUMBER.fullmatch(words):
        year, month, last = number.groups()
        wanted = int(f"{year}{month}") * 1_000_000 + int(last) if year else int(last)
        return RunSearch(campaigns=[], number=wanted)
    found = [key for key in keys if words in key or words in names.campaign(key).lower()]
    return RunSearch(campaigns=found, number=None)


@router.get("/runs/{run_id}")
async def show_run(  # noqa: PLR0917
    request: Request, visitor: LoggedIn, run_id: Id, state: Text = "", after: Id = 0, done: Text = ""
) -> Response:
    """One run; with `state` only the messages in it."""
    async with open_page(request, visitor) as page:
        return await run_page(page, run_id, state=state, after=after, done=done)


@router.get("/runs/{run_id}/events")
async def stream_run(request: Request, visitor: LoggedIn, run_id: Id, state: Text = "", after: Id = 0) -> Response:
    """Server-sent events: parts of the run's page whenever they changed, `ended` at the end."""
    async with open_page(request, visitor) as page:
        await get_run_line(page.tx, page.team_id, run_id)

    async def look(page: Page) -> Look:
        run = await get_run_line(page.tx, page.team_id, run_id)
        parts = await live_parts(page, run, state=state, after=after)
        return Look(parts=parts, ended=run.state if run.state in OVER else "")

    return stream_parts(request, visitor, look)


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
    return await _back(request, run_id, "filled")


@router.post("/runs/{run_id}/stop")
async def stop(request: Request, visitor: Actor, run_id: Id) -> Response:
    """At once: nothing of it leaves from now on."""
    await _act(request, visitor, run_id, "stop")
    return await _back(request, run_id, "stopped")


@router.post("/runs/{run_id}/resume")
async def resume(request: Request, visitor: Actor, run_id: Id) -> Response:
    """Go on with what was stopped."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await get_run_line(tx, visitor.user.team_id, run_id)
        await resume_run(tx, run_id, visitor.person)
    return await _back(request, run_id, "resumed")


@router.post("/runs/{run_id}/undo")
async def undo(request: Request, visitor: Actor, run_id: Id) -> Response:
    """Take its release back; nothing of it has left."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await get_run_line(tx, visitor.user.team_id, run_id)
        await undo_release(tx, run_id, visitor.person)
    return await _back(request, run_id, "undone")


@router.get("/runs/{run_id}/cancel")
async def ask_cancel(request: Request, visitor: LoggedIn, run_id: Id) -> Response:
    """What will not be sent, before it is ended for good."""
    async with open_page(request, visitor) as page:
        run = await get_run_line(page.tx, page.team_id, run_id)
        _check_may_end(run.state, run_id)
        progress = make_progress([], await read_tallies(page.tx, run_id))
        values: dict[str, Any] = {"halt": tell_halt(progress.states), "starts": tell_start(run, page.words)}
        return page.show("run_cancel.html", run=run, is_open=run.state in OPEN, names=await read_names(page), **values)


def _check_may_end(state: str, run_id: int) -> None:
    if state in OVER:
        raise Conflict(f"run {run_id} is {state}: there is nothing left to cancel")


@router.post("/runs/{run_id}/cancel")
async def cancel(request: Request, visitor: Actor, run_id: Id) -> Response:
    """End it for good; what has not left stays here."""
    await _act(request, visitor, run_id, "cancel")
    return await _back(request, run_id, "cancelled")


@router.get("/runs/{run_id}/reschedule")
async def ask_reschedule(request: Request, visitor: LoggedIn, run_id: Id) -> Response:
    """Another time for a run of which nothing was sent."""
    async with open_page(request, visitor) as page:
        return await _reschedule_page(page, run_id, {})


async def _reschedule_page(
    page: Page, run_id: int, typed: Mapping[str, str], problem: InputError | None = None
) -> Response:
    run = await get_run_line(page.tx, page.team_id, run_id)
    if run.state not in OPEN or run.frozen_at is not None or run.kind == "standing":
        raise Conflict(f"run {run_id} is {run.state}: its time cannot be changed any more")
    local = run.nominal_at.astimezone(ZoneInfo(page.bank.zone))
    return page.show(
        "run_reschedule.html",
        422 if problem else 200,
        run=run,
        names=await read_names(page),
        starts=tell_start(run, page.words),
        values=typed or {"start": AT_ONCE if run.at_once else AT_TIME, "at": _field_time(run, local)},
        problem=problem,
    )


def _field_time(run: RunLine, local: datetime) -> str:
    return "" if run.at_once else local.strftime("%Y-%m-%dT%H:%M")


@router.post("/runs/{run_id}/reschedule")
async def reschedule(
    request: Request,
    visitor: Actor,
    run_id: Id,
    at: Annotated[Text, Form(max_length=40)] = "",
    start: Annotated[Text, Form(max_length=10)] = AT_TIME,
) -> Response:
    """A release of it is void; as soon as it is released only where that was chosen."""
    database: Database = request.app.state.database
    async with open_page(request, visitor) as page:
        await get_run_line(page.tx, page.team_id, run_id)
        zone = ZoneInfo(page.bank.zone)
    try:
        async with database.transaction() as tx:
            wanted = None if start == AT_ONCE else read_local(at, zone)
            await reschedule_run(tx, run_id, wanted, visitor.person)
    except InputError as error:
        async with open_page(request, visitor) as page:
            return await _reschedule_page(page, run_id, {"start": start, "at": at}, error)
    return await _back(request, run_id, "rescheduled")


def read_local(at: str, zone: ZoneInfo) -> datetime:
    """What a form's date and time field gives, in the bank's zone."""
    try:
        return datetime.fromisoformat(at.strip()).replace(tzinfo=zone)
    except ValueError:
        raise InputError("at", "is no date and time", "Choose a day and a time") from None


_ACTS = {"stop": stop_run, "cancel": cancel_run}


async def _act(request: Request, visitor: Visitor, run_id: int, act: str) -> None:
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await get_run_line(tx, visitor.user.team_id, run_id)
        await _ACTS[act](tx, run_id, visitor.user.login)


async def _back(request: Request, run_id: int, done: str) -> Response:
    await request.app.state.bell.ring("tick")
    return RedirectResponse(f"/runs/{run_id}?done={done}", 303)
