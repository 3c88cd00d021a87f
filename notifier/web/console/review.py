"""Review: one page of all that a run will do, and the acts that lead to its release."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from notifier.domain.campaign import Campaign
from notifier.domain.channel import Channel, EmailContent
from notifier.domain.errors import Conflict, Forbidden, InputError, NotFound, NotifierError
from notifier.planning.acts import may_review, possible_acts
from notifier.planning.draft import edit_run
from notifier.planning.release import (
    has_released,
    release_facts,
    release_run,
    return_run,
    review_break_glass,
    submit_run,
)
from notifier.planning.remarks import Remark, list_remarks, tell_changes
from notifier.planning.review import review_run
from notifier.planning.samples import render_sample
from notifier.store import definitions as stored
from notifier.store import releases
from notifier.store.contacts import get_contact
from notifier.store.database import Database, Tx
from notifier.store.runs import Run, get_run
from notifier.store.views.review import list_names, list_run_acts
from notifier.store.views.runs import get_run_line
from notifier.web.access.sessions import Actor, LoggedIn, Visitor
from notifier.web.console.draft_form import form_choices, read_draft, read_text, run_values, typed_values
from notifier.web.console.messages import mail_answer
from notifier.web.console.mistakes import Problem, field_of, status_of
from notifier.web.console.names import read_names
from notifier.web.console.notes import recent_tests
from notifier.web.console.preview import Shown
from notifier.web.console.sentences import tell_audience, tell_inputs, tell_money, tell_remark
from notifier.web.console.show import Page, open_page
from notifier.web.values import Id, Text

router = APIRouter()
_LONGEST_FACTS = 200_000


@router.get("/runs/{run_id}/review")
async def show_review(request: Request, visitor: LoggedIn, run_id: Id, tested: Text = "", done: Text = "") -> Response:
    """All that will happen if the run is released as it stands."""
    async with open_page(request, visitor) as page:
        return await review_page(page, visitor, run_id, tested=tested, done=done)


async def review_page(
    page: Page,
    visitor: Visitor,
    run_id: int,
    *,
    tested: str = "",
    done: str = "",
    problem: NotifierError | None = None,
    changes: Sequence[Remark] = (),
) -> Response:
    """The page; `problem` and `changes` say why an act was not done."""
    run = await _own_run(page.tx, visitor, run_id)
    review = await review_run(page.tx, run, site=page.request.app.state.settings.public_url)
    release = await releases.find_release(page.tx, run_id)
    alone = await releases.find_unreviewed(page.tx, run_id)
    return page.show(
        "review.html",
        403 if isinstance(problem, Forbidden) else 422 if isinstance(problem, InputError) else 409 if problem else 200,
        review=review,
        run=run,
        campaign=review.campaign,
        acts=possible_acts(run, review.facts, visitor.person),
        told={act.act: act for act in await list_run_acts(page.tx, run_id)},
        authors=await list_names(page.tx, run.authors),
        release=release,
        alone=alone,
        may_review=alone is not None and may_review(alone, visitor.person),
        releasers=await list_names(page.tx, [release.user_id] if release and release.user_id else []),
        names=await read_names(page),
        audience=tell_audience(review.audience, page.words),
        inputs=tell_inputs(review.campaign, run.inputs, page.words, page.say),
        remarks=[(one.weight.value, tell_remark(one, page.words, page.say)) for one in list_remarks(review)],
        changes=[tell_remark(one, page.words, page.say) for one in changes],
        problem=problem,
        money=partial(tell_money, page.words),
        seen=json.dumps(review.facts.facts, ensure_ascii=False, default=str) if review.facts else "",
        done=done,
        **await recent_tests(page, visitor, run_id, tested=tested),
    )


@router.get("/runs/{run_id}/review/mail")
async def show_mail(  # noqa: PLR0917 - which of the samples
    request: Request, visitor: LoggedIn, run_id: Id, step: Text, locale: Text = "", contact: Text = ""
) -> Response:
    """One sample e-mail alone, for a frame."""
    async with open_page(request, visitor) as page:
        run = await _own_run(page.tx, visitor, run_id)
        found = await get_contact(page.tx, visitor.user.team_id, contact) if contact else None
        if contact and found is None:
            raise NotFound(f"there is no contact {contact!r}")
        site = request.app.state.settings.public_url
        content = await render_sample(
            page.tx, run, step, Channel.EMAIL, locale, found.contact if found else None, site=site
        )
    assert isinstance(content, EmailContent)
    return mail_answer(Shown(subject=content.subject, html=content.html, text=content.text))


# ── change it ─────────────────────────────────────────────────────────────────────────────────────


@router.get("/runs/{run_id}/edit")
async def show_edit(request: Request, visitor: LoggedIn, run_id: Id) -> Response:
    """The form of a draft, filled with what the run says."""
    async with open_page(request, visitor) as page:
        run = await _own_run(page.tx, visitor, run_id)
        _, campaign = await page.catalogue.campaign(page.tx, page.team_id, run.campaign_key)
        segment = (await stored.get_definition(page.tx, run.segment_id)).key if run.segment_id else ""
        values = run_values(campaign, run, zone=page.bank.zone, segment=segment)
        return await _edit_page(page, run, campaign, values)


async def _edit_page(
    page: Page, run: Run, campaign: Campaign, values: Mapping[str, str], *, problem: Problem | None = None
) -> Response:
    choices: dict[str, Any] = await form_choices(page, campaign, values)
    return page.show(
        "edit.html",
        status_of(problem),
        run=run,
        campaign=campaign,
        values=values,
        release=await releases.find_release(page.tx, run.id),
        names=await read_names(page),
        problem=problem,
        problem_field=field_of(problem) if isinstance(problem, InputError) else "",
        **choices,
    )


@router.post("/runs/{run_id}/edit")
async def edit(request: Request, visitor: Actor, run_id: Id) -> Response:
    """Change it; what was released before is not any more."""
    form = await request.form()
    database: Database = request.app.state.database
    async with open_page(request, visitor) as page:
        run = await _own_run(page.tx, visitor, run_id)
        _, campaign = await page.catalogue.campaign(page.tx, page.team_id, run.campaign_key)
        bank = page.bank
    try:
        async with database.transaction() as tx:
            await edit_run(tx, run_id, read_draft(campaign, form, bank), visitor.person)
    except (InputError, Conflict) as error:
        async with open_page(request, visitor) as page:
            return await _edit_page(page, run, campaign, typed_values(form), problem=error)
    return RedirectResponse(f"/runs/{run_id}/review?done=saved", 303)


# ── let it out ────────────────────────────────────────────────────────────────────────────────────


Act = Callable[[Tx, FormData], Awaitable[object]]


async def _act(request: Request, visitor: Visitor, run_id: int, act: Act, done: str) -> Response:
    """Do it and say so on the page; what speaks against it stands on the page too."""
    form = await request.form()
    try:
        async with request.app.state.database.transaction() as tx:
            await _own_run(tx, visitor, run_id)
            await act(tx, form)
    except (InputError, Conflict, Forbidden) as error:
        return await _show_again(request, visitor, run_id, form, error)
    return RedirectResponse(f"/runs/{run_id}/review?done={done}", 303)


@router.post("/runs/{run_id}/submit")
async def submit(request: Request, visitor: Actor, run_id: Id) -> Response:
    """The author is done: another person looks at it."""
    return await _act(request, visitor, run_id, lambda tx, _: submit_run(tx, run_id, visitor.person), "submitted")


@router.post("/runs/{run_id}/return")
async def give_back(request: Request, visitor: Actor, run_id: Id) -> Response:
    """Back to the author with what is to be changed."""

    async def act(tx: Tx, form: FormData) -> object:
        return await return_run(tx, run_id, visitor.person, read_text(form, "reason"))

    return await _act(request, visitor, run_id, act, "returned")


@router.post("/runs/{run_id}/release")
async def release(request: Request, visitor: Actor, run_id: Id) -> Response:
    """Let out exactly what the page showed; if it changed meanwhile, say what and let nothing out."""
    form = await request.form()
    try:
        async with request.app.state.database.transaction() as tx:
            await _own_run(tx, visitor, run_id)
            await release_run(
                tx, run_id, visitor.person, hash=_read_hash(form), break_glass=read_text(form, "break_glass")
            )
    except (InputError, Conflict, Forbidden) as error:
        async with request.app.state.database.transaction() as tx:
            done = isinstance(error, Conflict) and await has_released(tx, run_id, visitor.person, hash=_read_hash(form))
        if not done:
            return await _show_again(request, visitor, run_id, form, error)
    await request.app.state.bell.ring("tick")
    return RedirectResponse(f"/runs/{run_id}", 303)


@router.post("/runs/{run_id}/reviewed")
async def keep_review(request: Request, visitor: Actor, run_id: Id) -> Response:
    """Another person looked at what was released alone, and says what they found."""

    async def act(tx: Tx, form: FormData) -> None:
        await review_break_glass(tx, run_id, visitor.person, read_text(form, "note"))

    return await _act(request, visitor, run_id, act, "reviewed")


def _read_hash(form: Any) -> bytes:
    try:
        return bytes.fromhex(read_text(form, "hash"))
    except ValueError:
        return b""


async def _show_again(request: Request, visitor: Visitor, run_id: int, form: Any, problem: NotifierError) -> Response:
    async with open_page(request, visitor) as page:
        changes = await _changes(page.tx, await _own_run(page.tx, visitor, run_id), form)
        return await review_page(page, visitor, run_id, problem=problem, changes=changes)


async def _changes(tx: Tx, run: Run, form: Any) -> list[Remark]:
    """What differs from the page that was looked at. Only explains: the hash alone decides."""
    text = read_text(form, "seen")
    if not text or len(text) > _LONGEST_FACTS:
        return []
    try:
        seen = json.loads(text)
        now = json.loads(json.dumps((await release_facts(tx, run)).facts, default=str))
    except (ValueError, InputError):
        return []
    return tell_changes(seen, now) if isinstance(seen, dict) else []


async def _own_run(tx: Tx, visitor: Visitor, run_id: int) -> Run:
    """The run, `NotFound` where the team has none of this number."""
    await get_run_line(tx, visitor.user.team_id, run_id)
    return await get_run(tx, run_id)
