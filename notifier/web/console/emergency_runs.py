"""An emergency on its way: read and released on one page, then live until everybody is reached or called."""

import csv
import io
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from notifier.domain.campaign import Campaign
from notifier.domain.errors import Conflict, InputError, NotFound
from notifier.domain.message import State
from notifier.domain.purpose import Purpose
from notifier.domain.run import OPEN, OVER
from notifier.planning.acts import possible_acts
from notifier.planning.audience import run_audience
from notifier.planning.catalogue import CampaignVersion, get_campaign
from notifier.planning.control import stop_run
from notifier.planning.emergency.desk import EmergencyDesk
from notifier.planning.emergency.follow_up import FollowUp, follow_up
from notifier.planning.emergency.messages import read_run_messages
from notifier.planning.emergency.outlook import look_ahead
from notifier.planning.exports import begin_calling
from notifier.planning.release import has_released, release_facts, release_run
from notifier.planning.spreadsheet import safe_cell
from notifier.store.database import Database, Tx
from notifier.store.releases import find_release
from notifier.store.runs import Run, get_run
from notifier.store.tallies import Tally, read_tallies
from notifier.store.views.emergency import NotReached, People, count_people, list_not_reached, tried
from notifier.store.views.runs import get_run_line
from notifier.web.access.sessions import Actor, Exporter, LoggedIn, Visitor
from notifier.web.console.emergency import mail_of, own_first, tell_inputs
from notifier.web.console.mistakes import field_of, status_of
from notifier.web.console.names import read_names
from notifier.web.console.show import Page, open_page
from notifier.web.console.streams import Look, stream_parts
from notifier.web.console.words import Words
from notifier.web.values import Id, Text

router = APIRouter(prefix="/emergency/runs")
_LISTED = 50
_BATCH = 1_000
_REST = 20  # a look at all people is followed by this many times its length without one
_BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes Chinese for Latin
_COLUMNS = ("External id", "Name", "Phone", "E-mail", "Language", "What was tried")


@dataclass(slots=True)
class ChannelLine:
    """One channel of a run as its live page shows it; `reasons` of what did not get through."""

    channel: str
    counts: dict[str, int] = field(default_factory=dict)
    reasons: dict[tuple[str, str], int] = field(default_factory=dict)


def channel_lines(tallies: Sequence[Tally]) -> list[ChannelLine]:
    """Tallies added up by channel, phone first."""
    found: dict[str, ChannelLine] = {}
    for tally in tallies:
        line = found.setdefault(tally.channel, ChannelLine(tally.channel))
        line.counts[tally.state] = line.counts.get(tally.state, 0) + tally.count
        if tally.state in {State.REFUSED, State.FAILED, State.BOUNCED, State.EXPIRED, State.CANCELLED}:
            why = (tally.state, tally.reason or tally.state)
            line.reasons[why] = line.reasons.get(why, 0) + tally.count
    return sorted(found.values(), key=lambda line: ("sms", "email", "social").index(line.channel))


@router.get("/{run_id}")
async def show_run(request: Request, visitor: LoggedIn, run_id: Id, after: Id = 0) -> Response:
    """What is to be released, all on one page; once it is released, who is reached. Any other run has its own page."""
    async with open_page(request, visitor) as page:
        if not await _is_emergency(page.tx, visitor, run_id):
            return RedirectResponse(f"/runs/{run_id}/review", 303)
        return await _run_page(page, visitor, run_id, after=after)


async def _is_emergency(tx: Tx, visitor: Visitor, run_id: int) -> bool:
    """`NotFound` where the team has no run of this number."""
    return (await get_run_line(tx, visitor.user.team_id, run_id)).purpose == Purpose.EMERGENCY


async def _check_emergency(tx: Tx, visitor: Visitor, run_id: int) -> None:
    if not await _is_emergency(tx, visitor, run_id):
        raise NotFound(f"there is no run {run_id}")


async def _run_page(
    page: Page, visitor: Visitor, run_id: int, *, after: int = 0, problem: InputError | Conflict | None = None
) -> Response:
    run = await get_run(page.tx, run_id)
    version = await get_campaign(page.tx, run)
    common = {
        "run": run,
        "campaign": version.campaign,
        "inputs": tell_inputs(page, version.campaign, run.inputs),
        "problem": problem,
        "problem_field": field_of(problem),
        "is_drill": run.drill,
        "names": await read_names(page),
        **await _said(page, run, version),
    }
    if run.state in OPEN and run.frozen_at is None and run.state != "scheduled":
        shown = await _to_release(page, visitor, run, version)
        return page.show("emergency_release.html", status_of(problem), **common, **shown)
    follow_ups = await _follow_ups(page)
    shown = await _live(page, run, Looks(), after=after)
    return page.show(
        "emergency_live.html",
        status_of(problem),
        **common,
        **shown,
        follow_ups=follow_ups,
        release=await find_release(page.tx, run.id),
        is_over=run.state in OVER,
    )


async def _said(page: Page, run: Run, version: CampaignVersion) -> dict[str, Any]:
    desk: EmergencyDesk = page.request.app.state.emergency
    return {
        "said": await read_run_messages(page.tx, desk, run, version),
        "languages": own_first(page),
        "mail_url": f"/emergency/runs/{run.id}/mail?",
    }


async def _to_release(page: Page, visitor: Visitor, run: Run, version: CampaignVersion) -> dict[str, Any]:
    desk: EmergencyDesk = page.request.app.state.emergency
    facts = await release_facts(page.tx, run)
    meant = await run_audience(page.tx, run, version.campaign)
    try:
        outlook = await look_ahead(page.tx, desk, page.team_id, version, run.inputs, drill=run.drill, meant=meant)
    except InputError:
        outlook = None  # a run of single messages has no inputs of its own
    return {
        "hash": facts.hash.hex(),
        "outlook": outlook,
        "contacts": facts.contacts,
        "acts": possible_acts(run, facts, visitor.person),
    }


async def _follow_ups(page: Page) -> list[FollowUp]:
    campaigns: list[Campaign] = [one for _, one in await page.catalogue.campaigns(page.tx, page.team_id)]
    return [found for one in campaigns if (found := follow_up(one)) is not None]


@dataclass(slots=True)
class Looks:
    """What a live page saw last: all people are counted only when something changed, and not too often."""

    people: People | None = None
    lost: list[NotReached] = field(default_factory=list)
    _seen: list[Tally] | None = None
    _rests_until: float = 0.0

    async def look(self, tx: Tx, team_id: int, run_id: int, *, after: int) -> list[Tally]:
        """The tallies as they are now; people and list as of the last time it was right to count them."""
        tallies = await read_tallies(tx, run_id)
        if self.people is None or (tallies != self._seen and time.monotonic() >= self._rests_until):
            started = time.monotonic()
            self.people = await count_people(tx, run_id)
            self.lost = await list_not_reached(tx, team_id, run_id, after=after, limit=_LISTED + 1)
            self._seen = tallies
            self._rests_until = time.monotonic() + _REST * (time.monotonic() - started)
        return tallies


async def _live(page: Page, run: Run, looks: Looks, *, after: int) -> dict[str, Any]:
    tallies = await looks.look(page.tx, page.team_id, run.id, after=after)
    lost = looks.lost
    return {
        "people": looks.people,
        "channels": channel_lines(tallies),
        "lost": lost[:_LISTED],
        "more": lost[_LISTED - 1].id if len(lost) > _LISTED else None,
        "tried": tried,
        "after": after,
    }


@router.get("/{run_id}/mail")
async def show_mail(request: Request, visitor: LoggedIn, run_id: Id, locale: Text = "", step: Text = "") -> Response:
    """One of the run's e-mails as it is written, for a frame."""
    async with open_page(request, visitor) as page:
        await get_run_line(page.tx, page.team_id, run_id)
        run = await get_run(page.tx, run_id)
        shown = await _said(page, run, await get_campaign(page.tx, run))
    return mail_of(shown["said"], step, locale)


@router.post("/{run_id}/release")
async def release(
    request: Request,
    visitor: Actor,
    run_id: Id,
    hash: Annotated[Text, Form(max_length=64)] = "",  # noqa: A002
    break_glass: Annotated[Text, Form(max_length=2000)] = "",
) -> Response:
    """Let it out as it was seen; alone only with a reason."""
    database: Database = request.app.state.database
    try:
        seen = bytes.fromhex(hash)
    except ValueError:
        seen = b""
    try:
        async with database.transaction() as tx:
            await _check_emergency(tx, visitor, run_id)
            await release_run(tx, run_id, visitor.person, hash=seen, break_glass=break_glass)
    except (InputError, Conflict) as error:
        async with open_page(request, visitor) as page:
            if not await has_released(page.tx, run_id, visitor.person, hash=seen):
                return await _run_page(page, visitor, run_id, problem=error)
    await request.app.state.bell.ring("tick")
    return RedirectResponse(f"/emergency/runs/{run_id}", 303)


@router.post("/{run_id}/stop")
async def stop(request: Request, visitor: Actor, run_id: Id) -> Response:
    """Nothing more of it leaves."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await _check_emergency(tx, visitor, run_id)
        await stop_run(tx, run_id, visitor.user.login)
    await request.app.state.bell.ring("tick")
    return RedirectResponse(f"/emergency/runs/{run_id}?done=stopped", 303)


@router.get("/{run_id}/not-reached.csv")
async def export_not_reached(request: Request, visitor: Exporter, run_id: Id) -> Response:
    """Whom to call: everybody nothing got through to, with their numbers."""
    async with open_page(request, visitor) as page:
        await begin_calling(page.tx, page.team_id, run_id, by=visitor.person)
        words, team_id = page.words, page.team_id
    return StreamingResponse(
        _write_not_reached(request.app.state.database, team_id, run_id, words),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="not-reached-{run_id}.csv"'},
    )


async def _write_not_reached(database: Database, team_id: int, run_id: int, words: Words) -> AsyncIterator[str]:
    yield _BYTE_ORDER_MARK + _lines([[words(column) for column in _COLUMNS]])
    after = 0
    while True:
        async with database.transaction() as tx:
            found = await list_not_reached(tx, team_id, run_id, after=after, limit=_BATCH)
        yield _lines([_cells(one, words) for one in found])
        if len(found) < _BATCH:
            return
        after = found[-1].id


def _cells(one: NotReached, words: Words) -> list[str]:
    ways = "; ".join(f"{words(channel)}: {words(why)}" for channel, why in tried(one))
    return [one.external_id, one.name, one.phone, one.email, one.locale, ways]


def _lines(rows: Sequence[Sequence[str]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows([safe_cell(cell) for cell in row] for row in rows)
    return written.getvalue()


@router.get("/{run_id}/events")
async def stream_run(request: Request, visitor: LoggedIn, run_id: Id, after: Id = 0) -> Response:
    """Server-sent events: the live parts of the page whenever they changed, `ended` at the end."""
    async with open_page(request, visitor) as page:
        await get_run_line(page.tx, page.team_id, run_id)
    looks = Looks()

    async def look(page: Page) -> Look:
        run = await get_run(page.tx, run_id)
        return Look(parts=await _parts(page, run, looks, after), ended=run.state if run.state in OVER else "")

    return stream_parts(request, visitor, look)


async def _parts(page: Page, run: Run, looks: Looks, after: int) -> dict[str, str]:
    shown = await _live(page, run, looks, after=after)
    return {name: page.render(f"part/emergency_{name}.html", run=run, **shown) for name in ("people", "lost", "state")}
