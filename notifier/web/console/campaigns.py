"""Campaigns: what there is, what each means, and the form that launches one."""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from notifier.domain.campaign import Campaign
from notifier.domain.errors import Conflict, InputError
from notifier.domain.inputs import example_inputs
from notifier.domain.template import Bank
from notifier.planning.draft import Draft
from notifier.planning.launch import launch_campaign
from notifier.store import access
from notifier.store.database import Database, Tx
from notifier.store.views.runs import list_runs
from notifier.web.access.sessions import Actor, LoggedIn, Visitor
from notifier.web.console.sentences import tell_audience, tell_schedule, tell_step
from notifier.web.console.show import Page, open_page
from notifier.web.values import Text

router = APIRouter()
_SCOPE = "launch"
_LONGEST_KEY = 100
_NOT_SAID = frozenset({"form_token", "launch_key"})


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
async def show_campaign(request: Request, visitor: LoggedIn, key: Text, example: bool = False) -> Response:
    """One campaign; `example` fills the form with the definitions' examples."""
    async with open_page(request, visitor) as page:
        definition, campaign = await page.catalogue.campaign(page.tx, page.team_id, key)
        values = flatten_inputs(campaign, example_inputs(campaign)) if example else default_values(campaign)
        return await campaign_page(page, definition.file, definition.version, campaign, values)


async def campaign_page(
    page: Page,
    file: str,
    version: int,
    campaign: Campaign,
    values: Mapping[str, str],
    *,
    problem: InputError | Conflict | None = None,
) -> Response:
    """The page with what the form held before."""
    accounts = {account.key: account.title for account in await page.catalogue.accounts(page.tx, page.team_id)}
    return page.show(
        "campaign.html",
        422 if isinstance(problem, InputError) else 409 if problem else 200,
        campaign=campaign,
        file=file,
        version=version,
        values=values,
        problem=problem,
        problem_field=problem.field if isinstance(problem, InputError) else "",
        launch_key=secrets.token_urlsafe(16),
        audience=tell_audience(campaign.audience, page.words),
        schedule=tell_schedule(campaign.schedule, page.words),
        steps=[(step, tell_step(step, page.words, accounts)) for step in campaign.steps],
        runs=await list_runs(page.tx, page.team_id, campaign_key=campaign.key, limit=10),
    )


@router.post("/campaigns/{key}/launch")
async def launch(request: Request, visitor: Actor, key: Text) -> Response:
    """Launch a run; a wrong input shows the form again with what was typed."""
    form = await request.form()
    database: Database = request.app.state.database
    async with open_page(request, visitor) as page:
        definition, campaign = await page.catalogue.campaign(page.tx, page.team_id, key)
        bank = page.bank
    try:
        async with database.transaction() as tx:
            if (run_id := await _launched_before(tx, visitor, key, form)) is None:
                draft = Draft(
                    campaign_key=key,
                    inputs=read_inputs_form(campaign, form, bank),
                    at=_read_start(form, bank),
                    audience_list=_text(form, "audience_list"),
                )
                run = await launch_campaign(tx, team_id=visitor.user.team_id, draft=draft, by=visitor.person)
                run_id = run.id
                await _keep_launch(tx, visitor, form, run_id)
    except (InputError, Conflict) as error:
        typed = {name: _text(form, name) for name in form}
        async with open_page(request, visitor) as page:
            return await campaign_page(page, definition.file, definition.version, campaign, typed, problem=error)
    await request.app.state.bell.ring("tick")
    return RedirectResponse(f"/runs/{run_id}", 303)


async def _launched_before(tx: Tx, visitor: Visitor, campaign_key: str, form: FormData) -> int | None:
    """The run this very form launched already, as after a double click; `Conflict` if it said something else then."""
    launch_key = _text(form, "launch_key")[:_LONGEST_KEY]
    if not launch_key:
        return None
    said = sorted((name, _text(form, name)) for name in form if name not in _NOT_SAID)
    digest = hashlib.sha256(orjson.dumps([campaign_key, said])).digest()
    earlier = await access.reserve_request(tx, visitor.user.team_id, _SCOPE, launch_key, digest)
    if earlier is None:
        return None
    if earlier.request_hash != digest:
        raise Conflict(
            "This form was sent before with other values. Look at the runs; send it again to launch one more."
        )
    return int(earlier.body)


async def _keep_launch(tx: Tx, visitor: Visitor, form: FormData, run_id: int) -> None:
    if launch_key := _text(form, "launch_key")[:_LONGEST_KEY]:
        await access.keep_answer(tx, visitor.user.team_id, _SCOPE, launch_key, status=303, body=str(run_id))


def default_values(campaign: Campaign) -> dict[str, str]:
    """What the form holds before anybody typed."""
    defaults = {name: item.default for name, item in campaign.inputs.items() if item.default is not None}
    return flatten_inputs(campaign, defaults)


def flatten_inputs(campaign: Campaign, inputs: Mapping[str, Any]) -> dict[str, str]:
    """Inputs as form fields: `input.name`, or `input.name.locale` for a text per language."""
    fields: dict[str, str] = {}
    for name, value in inputs.items():
        if name in campaign.inputs and isinstance(value, Mapping):
            fields |= {f"input.{name}.{locale}": str(text) for locale, text in value.items()}
        elif isinstance(value, datetime):
            fields[f"input.{name}"] = value.strftime("%Y-%m-%dT%H:%M")
        else:
            fields[f"input.{name}"] = str(value)
    return fields


def read_inputs_form(campaign: Campaign, form: FormData, bank: Bank) -> dict[str, object]:
    """The inputs a form gives; empty fields are left out."""
    inputs: dict[str, object] = {}
    for name, wanted in campaign.inputs.items():
        if wanted.localized:
            texts = {locale: _text(form, f"input.{name}.{locale}") for locale in bank.locales}
            if any(texts.values()):
                inputs[name] = texts
        elif text := _text(form, f"input.{name}"):
            inputs[name] = text
    return inputs


def _read_start(form: FormData, bank: Bank) -> datetime | None:
    """The time chosen, in the bank's zone; none means now."""
    text = _text(form, "at")
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(bank.zone))
    except ValueError:
        raise InputError("at", "is no date and time") from None


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    # Browsers send line ends as two characters; a limit in characters counts them as one. None of them sends NUL.
    return value.replace("\r\n", "\n").replace("\x00", "").strip() if isinstance(value, str) else ""
