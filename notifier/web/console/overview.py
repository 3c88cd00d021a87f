"""The overview: what goes out now, what comes next, what needs a person, how satisfied people are."""

from collections.abc import Mapping
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from notifier.domain.message import Sums, add_up
from notifier.domain.survey import Survey
from notifier.feedback.satisfaction import Satisfaction, satisfaction
from notifier.store import clock
from notifier.store.database import Database
from notifier.store.paused_accounts import try_now
from notifier.store.views import overview as view
from notifier.store.views.runs import find_wait, list_active_runs
from notifier.web.access.sessions import Actor, LoggedIn
from notifier.web.console.causes import SAID
from notifier.web.console.moments import tell_due, tell_start, tell_wait
from notifier.web.console.names import read_names
from notifier.web.console.needs import read_needs
from notifier.web.console.show import Page, open_page
from notifier.web.console.streams import Look, stream_parts
from notifier.web.values import Text

router = APIRouter()
_LIVE_EVERY_S = 2.0


@router.get("/")
async def show_overview(request: Request, visitor: LoggedIn) -> Response:
    """Now, next and what needs the one who looks."""
    needs = await read_needs(request, visitor)
    async with open_page(request, visitor) as page:
        now = await clock.now(page.tx)
        upcoming = await view.list_upcoming(page.tx, page.team_id, page.bank.zone)
        return page.show(
            "overview.html",
            now=now,
            needs=needs,
            starts=lambda run: tell_start(run, page.words, now=now),
            upcoming=[(step, tell_due(step, page.words)) for step in upcoming],
            advice={cause: page.words(advice) for cause, (_, advice) in SAID.items()},
            survey=await _headline_survey(page),
            today=_sums(await view.count_since(page.tx, page.team_id, _start_of_day(page, now))),
            **await _going(page),
        )


@router.get("/overview/events")
async def stream_overview(request: Request, visitor: LoggedIn) -> Response:
    """Server-sent events: what goes out now, whenever it changed."""

    async def look(page: Page) -> Look:
        return Look(parts={"going": page.render("part/going.html", **await _going(page))})

    return stream_parts(request, visitor, look, every_s=_LIVE_EVERY_S)


@router.post("/accounts/{key}/try")
async def try_account(request: Request, visitor: Actor, key: Text) -> Response:
    """Somebody had a paused account mended: one message tries it at once."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await try_now(tx, visitor.user.team_id, key, by=visitor.user.login)
    await request.app.state.bell.ring("tick")
    return RedirectResponse("/", 303)


async def _going(page: Page) -> dict[str, Any]:
    """The runs of this moment with what they wait for."""
    runs = await list_active_runs(page.tx, page.team_id)
    waits = {run.id: await find_wait(page.tx, run.id) for run in runs}
    return {
        "going": runs,
        "waits": {run_id: tell_wait(wait, page.words) for run_id, wait in waits.items() if wait},
        "names": await read_names(page),
    }


def _sums(counted: Mapping[str, Mapping[str, int]]) -> dict[str, Sums]:
    return {channel: add_up(counts) for channel, counts in counted.items()}


async def _headline_survey(page: Page) -> tuple[Survey, Satisfaction] | None:
    """The survey with a score that has most answers; the one that measures satisfaction where none has any."""
    scored = [survey for survey in await page.catalogue.surveys(page.tx, page.team_id) if survey.score]
    results = [(survey, await satisfaction(page.tx, survey, team_id=page.team_id, comments=0)) for survey in scored]
    results.sort(key=lambda pair: ("satisfaction" not in pair[0].key, -pair[1].responses))
    return results[0] if results else None


def _start_of_day(page: Page, now: datetime) -> datetime:
    zone = ZoneInfo(page.bank.zone)
    return datetime.combine(now.astimezone(zone).date(), time(), zone)
