"""One contact: the whole story, and what people do for them."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from notifier.domain.channel import Channel
from notifier.domain.contact import AttributeValue, Contact, ContactKind
from notifier.domain.errors import Conflict, Forbidden, InputError, NotFound
from notifier.domain.survey import Survey
from notifier.planning.contact_acts import (
    LIFTABLE,
    SOURCES,
    Edited,
    edit_contact,
    fingerprint,
    lift_suppression,
    opt_out_for,
)
from notifier.planning.contact_story import Story, tell_story
from notifier.store.views.contact_story import Asked
from notifier.web.access.sessions import Actor, LoggedIn
from notifier.web.console.contacts.words import read_texts
from notifier.web.console.names import read_names
from notifier.web.console.show import Page, open_page
from notifier.web.values import Id

router = APIRouter()
_NEW_ATTRIBUTES = 2


@router.get("/contacts/{contact_id}")
async def show_contact(request: Request, visitor: LoggedIn, contact_id: Id, before: Id | None = None) -> Response:
    """Everything that is known; `before` continues below a run."""
    async with open_page(request, visitor) as page:
        return await _story_page(page, contact_id, before=before)


async def _story_page(
    page: Page, contact_id: int, *, before: int | None = None, problem: InputError | Conflict | None = None
) -> Response:
    story = await tell_story(page.tx, page.team_id, contact_id, before_run=before)
    surveys = {survey.key: survey for survey in await page.catalogue.surveys(page.tx, page.team_id)}
    campaigns = [campaign for _, campaign in await page.catalogue.campaigns(page.tx, page.team_id)]
    return page.show(
        "contact.html",
        422 if isinstance(problem, InputError) else 409 if problem else 200,
        story=story,
        contact=story.stored.contact,
        names=await read_names(page),
        survey_titles={key: page.say(survey.title) for key, survey in surveys.items()},
        topics=sorted({campaign.topic for campaign in campaigns if campaign.topic} | _topics(story)),
        told_answers=lambda asked: _tell_answers(page, surveys, asked),
        liftable=LIFTABLE,
        sources=SOURCES,
        channels=[name for name, address in _addresses(story.stored.contact).items() if address],
        problem=problem,
    )


def _addresses(contact: Contact) -> dict[str, str]:
    return {"email": contact.email, "sms": contact.phone}


def _topics(story: Story) -> set[str]:
    return {record.topic for record in story.consents if record.topic}


def _tell_answers(page: Page, surveys: Mapping[str, Survey], asked: Asked) -> list[tuple[str, str]]:
    """Each question in the reader's language with what was answered; a question no longer asked by its key."""
    survey = surveys.get(asked.survey_key)
    questions = {question.key: question for question in survey.questions} if survey else {}
    told = []
    for key, value in asked.answers.items():
        question = questions.get(key)
        choice = question.choices.get(str(value)) if question else None
        told.append((page.say(question.text) if question else key, page.say(choice) if choice else str(value)))
    return told


@router.get("/contacts/{contact_id}/edit")
async def show_form(request: Request, visitor: LoggedIn, contact_id: Id) -> Response:
    """What we know, to be corrected."""
    async with open_page(request, visitor) as page:
        contact = (await tell_story(page.tx, page.team_id, contact_id)).stored.contact
        return _form_page(page, contact_id, contact, values=_typed(contact), seen=fingerprint(contact))


def _form_page(
    page: Page,
    contact_id: int,
    contact: Contact,
    *,
    values: Mapping[str, str],
    seen: str,
    problem: InputError | Conflict | Forbidden | None = None,
) -> Response:
    return page.show(
        "contact_edit.html",
        _status_of(problem),
        contact_id=contact_id,
        contact=contact,
        values=values,
        seen=seen,
        attributes=sorted(name.removeprefix("attribute.") for name in values if name.startswith("attribute.")),
        new_attributes=range(_NEW_ATTRIBUTES),
        kinds=list(ContactKind),
        problem=problem,
        problem_field=problem.field if isinstance(problem, InputError) else "",
    )


def _status_of(problem: InputError | Conflict | Forbidden | None) -> int:
    if isinstance(problem, Forbidden):
        return 403
    return 422 if isinstance(problem, InputError) else 409 if problem else 200


def _typed(contact: Contact) -> dict[str, str]:
    plain = {name: str(getattr(contact, name)) for name in ("kind", "name", "locale", "zone", "email", "phone")}
    return plain | {f"attribute.{name}": _text(value) for name, value in contact.attributes.items()}


def _text(value: AttributeValue) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


@router.post("/contacts/{contact_id}/edit")
async def edit(request: Request, visitor: Actor, contact_id: Id) -> Response:
    """Correct what we know."""
    said = read_texts(await request.form())
    async with open_page(request, visitor) as page:
        before = (await tell_story(page.tx, page.team_id, contact_id)).stored.contact
        try:
            await edit_contact(
                page.tx,
                page.team_id,
                contact_id,
                _read_edited(said),
                seen=said.get("seen", ""),
                region=page.bank.region,
                key=request.app.state.keys.addresses,
                by=visitor.person,
            )
        except (InputError, Conflict, Forbidden) as error:
            seen = fingerprint(before) if isinstance(error, Conflict) else said.get("seen", "")
            return _form_page(page, contact_id, before, values=said, seen=seen, problem=error)
    return RedirectResponse(f"/contacts/{contact_id}?done=changed", 303)


def _read_edited(said: Mapping[str, str]) -> Edited:
    named = {name.removeprefix("attribute."): text for name, text in said.items() if name.startswith("attribute.")}
    for number in range(_NEW_ATTRIBUTES):
        name, text = said.get(f"new.{number}.name", ""), said.get(f"new.{number}.value", "")
        if text and not name:
            raise InputError("attributes", "a value has no name", "Give it one, or empty both.")
        if name:
            named[name] = text
    try:
        kind = ContactKind(said.get("kind", ""))
    except ValueError as error:
        raise InputError("kind", "no such kind of contact", f"Write one of {', '.join(ContactKind)}.") from error
    fields = {name: said.get(name, "") for name in ("name", "locale", "zone", "email", "phone")}
    return Edited(kind=kind, attributes=named, **fields)


@router.post("/contacts/{contact_id}/opt-out")
async def opt_out(request: Request, visitor: Actor, contact_id: Id) -> Response:
    """The contact told somebody to stop."""
    said = read_texts(await request.form())
    async with open_page(request, visitor) as page:
        try:
            await opt_out_for(
                page.tx,
                page.team_id,
                contact_id,
                channel=_read_channel(said.get("channel", "")),
                topic=said.get("topic", ""),
                source=said.get("source", ""),
                note=said.get("note", ""),
                by=visitor.person,
            )
        except InputError as error:
            return await _story_page(page, contact_id, problem=error)
    return RedirectResponse(f"/contacts/{contact_id}?done=opted-out", 303)


@router.post("/contacts/{contact_id}/lift")
async def lift(request: Request, visitor: Actor, contact_id: Id) -> Response:
    """Write to an address again that we blocked."""
    said = read_texts(await request.form())
    async with open_page(request, visitor) as page:
        try:
            await lift_suppression(
                page.tx,
                page.team_id,
                contact_id,
                _read_channel(said.get("channel", "")),
                because=said.get("because", ""),
                by=visitor.person,
            )
        except (InputError, Conflict) as error:
            return await _story_page(page, contact_id, problem=error)
        except NotFound:  # nothing blocks it: somebody else was faster; or there is no such contact
            await tell_story(page.tx, page.team_id, contact_id)
    return RedirectResponse(f"/contacts/{contact_id}?done=lifted", 303)


def _read_channel(text: str) -> Channel:
    try:
        return Channel(text)
    except ValueError as error:
        raise InputError("channel", "there is no such channel", "Choose e-mail or SMS.") from error
