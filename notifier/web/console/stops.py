"""The stop page: a campaign, a channel or everything; what each holds now and held when it was stopped; and resume."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from notifier.domain.channel import Channel
from notifier.domain.errors import InputError, NotFound
from notifier.domain.stop import Extent, Scope, Stop, reckon
from notifier.planning.stops import check_extent, lift_stop, stop_above
from notifier.store import stops
from notifier.store.database import Database
from notifier.web.access.sessions import Actor, LoggedIn
from notifier.web.console.names import read_names
from notifier.web.console.show import Page, open_page
from notifier.web.console.streams import Look, stream_parts
from notifier.web.values import Id, Text

router = APIRouter(prefix="/stops")
_EARLIER = 20


@router.get("")
async def show_stops(request: Request, visitor: LoggedIn) -> Response:
    """What is stopped, and what could be."""
    async with open_page(request, visitor) as page:
        return page.show(
            "stops.html",
            earlier=await stops.list_lifted(page.tx, page.team_id, limit=_EARLIER),
            channels=list(Channel),
            campaigns=[campaign for _, campaign in await page.catalogue.campaigns(page.tx, page.team_id)],
            names=await read_names(page),
        )


@router.get("/ask")
async def ask(request: Request, visitor: LoggedIn, scope: Text = "", which: Text = "", spare: Text = "") -> Response:
    """What it would hold now, before it is stopped."""
    async with open_page(request, visitor) as page:
        return await _ask_page(page, _read_extent(scope, which, spare))


def _read_extent(scope: str, which: str, spare: str) -> Extent:
    if scope not in set(Scope):
        raise NotFound("there is nothing to stop by this name")
    return Extent(scope=Scope(scope), which=which, spares_emergencies=bool(spare))


async def _ask_page(page: Page, extent: Extent, problem: InputError | None = None) -> Response:
    await check_extent(page.tx, page.team_id, extent)
    return page.show("stop_ask.html", 422 if problem else 200, problem=problem, **await _holding(page, extent))


async def _holding(page: Page, extent: Extent, stop: Stop | None = None) -> dict[str, Any]:
    held = await stops.list_held(page.tx, page.team_id, extent, since=stop.at if stop else None)
    return {
        "extent": extent,
        "stop": stop,
        "held": held,
        "total": reckon(*(run.counts for run in held)),
        "names": await read_names(page),
    }


@router.post("")
async def stop(  # noqa: PLR0917 - one for each field
    request: Request,
    visitor: Actor,
    scope: Annotated[Text, Form(max_length=20)] = "",
    which: Annotated[Text, Form(max_length=63)] = "",
    spare: Annotated[Text, Form(max_length=3)] = "",
    reason: Annotated[Text, Form(max_length=300)] = "",
) -> Response:
    """From now on nothing of it leaves."""
    database: Database = request.app.state.database
    extent = _read_extent(scope, which, spare)
    try:
        async with database.transaction() as tx:
            made = await stop_above(tx, visitor.user.team_id, extent, reason=reason, by=visitor.person)
    except InputError as error:
        async with open_page(request, visitor) as page:
            return await _ask_page(page, extent, error)
    return RedirectResponse(f"/stops/{made.id}?done=stopped", 303)


@router.get("/{stop_id}")
async def show_stop(request: Request, visitor: LoggedIn, stop_id: Id) -> Response:
    """A stop with the exact account of what it holds."""
    async with open_page(request, visitor) as page:
        found = await stops.get_stop(page.tx, page.team_id, stop_id)
        return page.show("stop.html", **await _holding(page, found.extent, found))


@router.get("/{stop_id}/events")
async def stream_stop(request: Request, visitor: LoggedIn, stop_id: Id) -> Response:
    """Server-sent events: the account whenever it changed, `ended` once the last hand-over has."""

    async def look(page: Page) -> Look:
        found = await stops.get_stop(page.tx, page.team_id, stop_id)
        values = await _holding(page, found.extent, found)
        part = page.render("part/stop_account.html", **values)
        return Look(parts={"account": part}, ended="" if values["total"].leaving else "settled")

    return stream_parts(request, visitor, look)


@router.post("/{stop_id}/resume")
async def resume(request: Request, visitor: Actor, stop_id: Id) -> Response:
    """Go on with what it held."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await lift_stop(tx, visitor.user.team_id, stop_id, visitor.person)
    await request.app.state.bell.ring("tick")
    return RedirectResponse(f"/stops/{stop_id}?done=resumed", 303)
