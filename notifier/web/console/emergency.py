"""Emergency: one button, four fields, what everybody would read, and the way to whoever releases it."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import orjson
from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from notifier.domain.campaign import Campaign, Input, InputType
from notifier.domain.channel import Channel, EmailContent
from notifier.domain.errors import Conflict, InputError, NotFound
from notifier.domain.inputs import read_inputs
from notifier.domain.purpose import Purpose
from notifier.planning.catalogue import CampaignVersion, find_campaign, get_campaign
from notifier.planning.draft import Draft, draft_run, edit_run
from notifier.planning.emergency.choice import Choice, complete_inputs, find_choice, names_of
from notifier.planning.emergency.desk import EmergencyDesk
from notifier.planning.emergency.follow_up import FollowUp, follow_up, follow_up_inputs
from notifier.planning.emergency.messages import Said, read_messages
from notifier.planning.emergency.outlook import count_everybody, list_groups, look_ahead
from notifier.planning.release import submit_run
from notifier.store import access, clock
from notifier.store.database import Database, Tx
from notifier.store.runs import Run, get_run
from notifier.store.views.emergency import Group
from notifier.store.views.runs import get_run_line
from notifier.web.access.sessions import Actor, FormSender, LoggedIn, Visitor
from notifier.web.console.campaigns import flatten_inputs, read_inputs_form
from notifier.web.console.messages import mail_answer
from notifier.web.console.mistakes import field_of, status_of
from notifier.web.console.names import read_names
from notifier.web.console.preview import Shown
from notifier.web.console.show import Page, open_page
from notifier.web.values import Text

router = APIRouter()
_SCOPE = "emergency"
_NOT_SAID = frozenset({"form_token", "form_key"})
_LONGEST_KEY = 100
_MINUTES = 5  # a proposed time is a round one


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the form is about: a campaign, and the run it changes or follows."""

    version: CampaignVersion
    choice: Choice | None
    follow: FollowUp | None = None
    corrected: Run | None = None
    edited: Run | None = None
    is_drill: bool = False
    hidden: Mapping[str, str] = field(default_factory=dict)  # form fields nobody has to see

    @property
    def campaign(self) -> Campaign:
        """The campaign it will be a run of."""
        return self.version.campaign

    @property
    def out_of_sight(self) -> set[str]:
        """Inputs that are no fields of their own."""
        names = {self.choice.names} if self.choice else set()
        follow = {self.follow.campaign.inherits, self.follow.kind_input} if self.follow else set()
        return names | follow


@router.get("/emergency")
async def choose(request: Request, visitor: LoggedIn, drill: bool = False) -> Response:
    """The prepared campaigns; where there is one alone, its form."""
    async with open_page(request, visitor) as page:
        found = await _prepared(page)
        if len(found) != 1:
            return page.show("emergency_choose.html", campaigns=found, is_drill=drill)
        situation = await _situation(page.tx, page.team_id, found[0].key, FormData({"drill": "1"} if drill else {}))
        return await _form_page(page, situation, await _first_values(page.tx, situation))


async def _prepared(page: Page) -> list[Campaign]:
    campaigns = [campaign for _, campaign in await page.catalogue.campaigns(page.tx, page.team_id)]
    return [campaign for campaign in campaigns if campaign.purpose is Purpose.EMERGENCY]


@router.get("/emergency/{key}")
async def show_form(request: Request, visitor: LoggedIn, key: Text) -> Response:
    """The form. `?run=` changes a run that has not gone out, `?corrects=&kind=` follows one that has."""
    given = FormData(dict(request.query_params))
    async with open_page(request, visitor) as page:
        situation = await _situation(page.tx, page.team_id, key, given)
        values = await _first_values(page.tx, situation)
        return await _form_page(page, situation, {**values, **_texts(given)})


@router.post("/emergency/{key}/preview")
async def preview(request: Request, visitor: FormSender, key: Text) -> Response:
    """What these fields would say and to whom; the whole page where the browser runs no scripts."""
    form = await request.form()
    async with open_page(request, visitor) as page:
        situation = await _situation(page.tx, page.team_id, key, form)
        if "hx-request" not in request.headers:
            return await _form_page(page, situation, _texts(form))
        outlook = await _outlook(page, situation, form)
        return page.show("part/emergency_outlook.html", **outlook)


@router.get("/emergency/{key}/mail")
async def show_mail(request: Request, visitor: LoggedIn, key: Text, locale: Text = "", step: Text = "") -> Response:
    """The e-mail these fields would make, for a frame."""
    given = FormData(dict(request.query_params))
    async with open_page(request, visitor) as page:
        situation = await _situation(page.tx, page.team_id, key, given)
        said = await _read(page, situation, given)
    return mail_of(said, step, locale)


def mail_of(said: list[Said], step: str, locale: str) -> Response:
    """One of the e-mails behind its own policy; `NotFound` where there is none."""
    for one in said:
        if one.channel is Channel.EMAIL and (one.step, one.locale) == (step, locale):
            if isinstance(one.content, EmailContent):
                return mail_answer(Shown(html=one.content.html))
            raise NotFound(one.problem)
    raise NotFound("there is no such e-mail")


@router.post("/emergency/{key}")
async def submit(request: Request, visitor: Actor, key: Text) -> Response:
    """Draft it, or change what was drafted, and hand it to whoever releases it."""
    form = await request.form()
    database: Database = request.app.state.database
    try:
        async with database.transaction() as tx:
            situation = await _situation(tx, visitor.user.team_id, key, form)
            run_id = await _submit(tx, visitor, situation, form)
    except (InputError, Conflict) as error:
        async with open_page(request, visitor) as page:
            situation = await _situation(page.tx, page.team_id, key, form)
            return await _form_page(page, situation, _texts(form), problem=error)
    await request.app.state.bell.ring("tick")
    return RedirectResponse(f"/emergency/runs/{run_id}", 303)


async def _submit(tx: Tx, visitor: Visitor, situation: Situation, form: FormData) -> int:
    earlier = await _submitted_before(tx, visitor, form)
    if earlier is not None:
        return earlier
    draft = Draft(campaign_key=situation.campaign.key, inputs=_given(situation, form), drill=situation.is_drill)
    if situation.edited is not None:
        run = await edit_run(tx, situation.edited.id, draft, visitor.person)
    else:
        run = await draft_run(tx, team_id=visitor.user.team_id, draft=draft, by=visitor.person)
    await submit_run(tx, run.id, visitor.person)
    if form_key := _text(form, "form_key")[:_LONGEST_KEY]:
        await access.keep_answer(tx, visitor.user.team_id, _SCOPE, form_key, status=303, body=str(run.id))
    return run.id


async def _submitted_before(tx: Tx, visitor: Visitor, form: FormData) -> int | None:
    """The run this very form became already, as after a double click."""
    form_key = _text(form, "form_key")[:_LONGEST_KEY]
    if not form_key:
        return None
    said = sorted((name, _text(form, name)) for name in form if name not in _NOT_SAID)
    digest = hashlib.sha256(orjson.dumps(said)).digest()
    earlier = await access.reserve_request(tx, visitor.user.team_id, _SCOPE, form_key, digest)
    if earlier is None:
        return None
    if earlier.request_hash != digest:
        raise Conflict("This form was sent before with other values. Look at the run it became, and change that.")
    return int(earlier.body)


async def _situation(tx: Tx, team_id: int, key: str, given: FormData) -> Situation:
    """`NotFound` for a campaign that is neither prepared for emergencies nor follows one."""
    version = await find_campaign(tx, team_id, key)
    choice, follow = find_choice(version.campaign), follow_up(version.campaign)
    is_drill = bool(_text(given, "drill"))
    edited = await _find_run(tx, team_id, _text(given, "run"))
    if edited is not None and edited.campaign_key != key:
        raise NotFound(f"run {edited.id} is none of {key}")
    hidden = {"run": str(edited.id)} if edited else {}
    if follow is None:
        if version.campaign.purpose is not Purpose.EMERGENCY:
            raise NotFound(f"{key} is not for emergencies")
        return Situation(version=version, choice=choice, edited=edited, is_drill=is_drill, hidden=hidden)
    inherits, kind = follow.campaign.inherits, follow.kind_input
    was = edited.inputs if edited else {}
    followed = _text(given, f"input.{inherits}") or _text(given, "corrects") or str(was.get(inherits, ""))
    corrected = await _find_run(tx, team_id, followed)
    if corrected is None:
        raise NotFound("say which run it follows: open that run first")
    chosen = _text(given, f"input.{kind}") or _text(given, "kind") or str(was.get(kind, ""))
    hidden |= {f"input.{inherits}": str(corrected.id), f"input.{kind}": chosen}
    return Situation(
        version=version,
        choice=choice,
        follow=follow,
        corrected=corrected,
        edited=edited,
        is_drill=corrected.drill,  # who had an exercise is told by one
        hidden=hidden,
    )


async def _find_run(tx: Tx, team_id: int, number: str) -> Run | None:
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        return None
    return await get_run(tx, (await get_run_line(tx, team_id, int(number))).id)


async def _first_values(tx: Tx, situation: Situation) -> dict[str, str]:
    """What the form holds before anybody typed: a round time from now on, and what the run says already."""
    campaign = situation.campaign
    if situation.edited is not None:
        drill = {"drill": "1"} if situation.edited.drill else {}
        return flatten_inputs(campaign, situation.edited.inputs) | drill
    zone = ZoneInfo(situation.version.bank.zone)
    now = (await clock.now(tx)).astimezone(zone).replace(tzinfo=None, second=0, microsecond=0)
    soon = now + timedelta(minutes=-now.minute % _MINUTES)
    values = {
        f"input.{name}": soon.isoformat(timespec="minutes")
        for name, wanted in campaign.inputs.items()
        if wanted.type is InputType.DATETIME
    }
    if situation.follow is not None and situation.corrected is not None:
        kind = situation.hidden.get(f"input.{situation.follow.kind_input}", "")
        corrected = await get_campaign(tx, situation.corrected)
        values |= flatten_inputs(campaign, follow_up_inputs(situation.follow, kind, situation.corrected, corrected))
    return values | ({"drill": "1"} if situation.is_drill else {})


async def _form_page(
    page: Page, situation: Situation, values: Mapping[str, str], *, problem: InputError | Conflict | None = None
) -> Response:
    desk: EmergencyDesk = page.request.app.state.emergency
    version, given = situation.version, FormData({**values, **situation.hidden})
    if values.get("drill") and situation.follow is None:
        situation = Situation(
            version=version, choice=situation.choice, edited=situation.edited, is_drill=True, hidden=situation.hidden
        )
    groups = await list_groups(page.tx, desk, page.team_id, version)
    return page.show(
        "emergency.html",
        status_of(problem),
        situation=situation,
        called=_called(page, situation, groups),
        others=[one for one in await _prepared(page) if one.key != situation.campaign.key],
        groups=groups,
        everybody=await count_everybody(page.tx, desk, page.team_id, version),
        values=values,
        problem=problem,
        problem_field=field_of(problem),
        form_key=secrets.token_urlsafe(16),
        **await _outlook(page, situation, given),
    )


def _called(page: Page, situation: Situation, groups: Sequence[Group]) -> dict[str, str]:
    """Each group as its reader knows it: by the value in the data, with its prepared name where that is another."""
    if situation.choice is None:
        return {}
    found: dict[str, str] = {}
    for group in groups:
        name = names_of(situation.campaign, situation.choice, group.value, page.bank).get(page.locale, group.value)
        found[group.value] = group.value if name == group.value else f"{name} · {group.value}"
    return found


def own_first(page: Page) -> list[str]:
    """The bank's languages, that of the reader first."""
    return sorted(page.bank.locales, key=lambda locale: locale != page.locale)


def tell_inputs(page: Page, campaign: Campaign, inputs: Mapping[str, object]) -> list[tuple[str, str]]:
    """Label and value of each input of a run, in the reader's language; a group under its name alone."""
    choice = find_choice(campaign)
    told: list[tuple[str, str]] = []
    known = read_inputs(campaign, inputs)
    for name, wanted in campaign.inputs.items():
        if name in known and not (choice and name == choice.input and choice.names in known):
            label = campaign.inputs[choice.input].label if choice and name == choice.names else wanted.label
            told.append((page.say(label), _tell(page, wanted, known[name])))
    return told


def _tell(page: Page, wanted: Input, value: object) -> str:
    if isinstance(value, Mapping):
        return " · ".join(str(value[locale]) for locale in own_first(page) if value.get(locale))
    if isinstance(value, datetime):
        return page.words.wall(value)
    if wanted.type is InputType.CHOICE:
        return page.say(wanted.choice_called(str(value)))
    return str(value)


async def _outlook(page: Page, situation: Situation, given: FormData) -> dict[str, Any]:
    """Numbers and messages as the part of the page shows them."""
    desk: EmergencyDesk = page.request.app.state.emergency
    inputs = _given(situation, given)
    try:
        numbers = await look_ahead(page.tx, desk, page.team_id, situation.version, inputs, drill=situation.is_drill)
    except InputError:
        numbers = None  # the part says what to choose; submitting says what is wrong
    query = urlencode([(name, text) for name, text in _texts(given).items() if name not in _NOT_SAID and text])
    return {
        "campaign": situation.campaign,
        "outlook": numbers,
        "said": await _read(page, situation, given),
        "is_drill": situation.is_drill,
        "languages": own_first(page),
        "names": await read_names(page),
        "mail_url": f"/emergency/{situation.campaign.key}/mail?{query}",
    }


async def _read(page: Page, situation: Situation, given: FormData) -> list[Said]:
    desk: EmergencyDesk = page.request.app.state.emergency
    inputs = _given(situation, given)
    return await read_messages(page.tx, desk, page.team_id, situation.version, inputs, drill=situation.is_drill)


def _given(situation: Situation, form: FormData) -> dict[str, object]:
    whole = FormData({**_texts(form), **situation.hidden})
    bank = situation.version.bank
    return complete_inputs(situation.campaign, read_inputs_form(situation.campaign, whole, bank), bank)


def _texts(form: FormData) -> dict[str, str]:
    return {name: _text(form, name) for name in form}


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value.replace("\x00", "").strip()[:2000] if isinstance(value, str) else ""
