"""Campaigns: what there is, what each means, and the form that drafts a run of one."""

import secrets
from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from notifier.domain.campaign import Campaign
from notifier.domain.errors import Conflict, InputError
from notifier.domain.inputs import example_inputs
from notifier.planning.draft import draft_run
from notifier.store.database import Database
from notifier.store.definitions import get_definition
from notifier.store.runs import get_run
from notifier.store.views.runs import get_run_line, list_runs
from notifier.web.access.sessions import Actor, LoggedIn
from notifier.web.console.draft_form import (
    default_values,
    drafted_before,
    flatten_inputs,
    form_choices,
    keep_draft,
    read_draft,
    read_inputs_form,
    run_values,
    typed_values,
)
from notifier.web.console.mistakes import Problem, field_of, status_of
from notifier.web.console.names import read_names
from notifier.web.console.sentences import tell_audience, tell_schedule, tell_step
from notifier.web.console.show import Page, open_page
from notifier.web.values import Id, Text

router = APIRouter()
__all__ = ["flatten_inputs", "read_inputs_form", "router"]


@router.get("/campaigns")
async def show_campaigns(request: Request, visitor: LoggedIn) -> Response:
    """Every campaign in use."""
    async with open_page(request, visitor) as page:
        found = [campaign for _, campaign in await page.catalogue.campaigns(page.tx, page.team_id)]
        newest = {}
        for campaign in found:
            runs = await list_runs(page.tx, page.team_id, campaign_key=campaign.key, limit=1)
            newest[campaign.key] = runs[0] if runs else None
        schedules = {campaign.key: tell_schedule(campaign.schedule, page.words) for campaign in found}
        return page.show("campaigns.html", campaigns=found, newest=newest, schedules=schedules)


@router.get("/campaigns/{key}")
async def show_campaign(
    request: Request, visitor: LoggedIn, key: Text, example: bool = False, like: Id | None = None
) -> Response:
    """One campaign; the form holds the definitions' examples, or what an earlier run of it was given, for another time."""
    async with open_page(request, visitor) as page:
        definition, campaign = await page.catalogue.campaign(page.tx, page.team_id, key)
        values = default_values(campaign)
        if example:
            values |= flatten_inputs(campaign, example_inputs(campaign))
        if like is not None:
            values |= await _values_of_run(page, campaign, like)
        return await campaign_page(page, definition.file, definition.version, campaign, values)


async def _values_of_run(page: Page, campaign: Campaign, run_id: int) -> dict[str, str]:
    await get_run_line(page.tx, page.team_id, run_id)
    run = await get_run(page.tx, run_id)
    segment = (await get_definition(page.tx, run.segment_id)).key if run.segment_id else ""
    return run_values(campaign, run, zone=page.bank.zone, segment=segment) | {"at": ""}


async def campaign_page(
    page: Page,
    file: str,
    version: int,
    campaign: Campaign,
    values: Mapping[str, str],
    *,
    problem: Problem | None = None,
) -> Response:
    """The page with what the form held before."""
    accounts = {account.key: account.title for account in await page.catalogue.accounts(page.tx, page.team_id)}
    return page.show(
        "campaign.html",
        status_of(problem),
        campaign=campaign,
        file=file,
        version=version,
        values=values,
        problem=problem,
        problem_field=field_of(problem) if isinstance(problem, InputError) else "",
        launch_key=secrets.token_urlsafe(16),
        audience=tell_audience(campaign.audience, page.words),
        schedule=tell_schedule(campaign.schedule, page.words),
        steps=[(step, tell_step(step, page.words, accounts)) for step in campaign.steps],
        runs=await list_runs(page.tx, page.team_id, campaign_key=campaign.key, limit=10),
        names=await read_names(page),
        **await form_choices(page, campaign, values),
    )


@router.post("/campaigns/{key}/draft")
async def draft(request: Request, visitor: Actor, key: Text) -> Response:
    """Draft a run and show what it would do; a wrong input shows the form again with what was typed."""
    form = await request.form()
    database: Database = request.app.state.database
    async with open_page(request, visitor) as page:
        definition, campaign = await page.catalogue.campaign(page.tx, page.team_id, key)
        bank = page.bank
    try:
        async with database.transaction() as tx:
            if (run_id := await drafted_before(tx, visitor, key, form)) is None:
                wanted = read_draft(campaign, form, bank)
                run_id = (await draft_run(tx, team_id=visitor.user.team_id, draft=wanted, by=visitor.person)).id
                await keep_draft(tx, visitor, form, run_id)
    except (InputError, Conflict) as error:
        async with open_page(request, visitor) as page:
            return await campaign_page(
                page, definition.file, definition.version, campaign, typed_values(form), problem=error
            )
    return RedirectResponse(f"/runs/{run_id}/review", 303)
