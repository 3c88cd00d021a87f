"""What somebody does with a template: save it, send oneself a test, take it over, copy it, export it."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from notifier.domain.channel import Channel
from notifier.domain.errors import DefinitionErrors, InputError, RenderError
from notifier.planning.notes import send_test
from notifier.planning.templates.draft import draft_of
from notifier.planning.templates.keep import (
    EditedMeanwhile,
    ManagedByFile,
    Saved,
    copy_template,
    save_template,
    take_over,
)
from notifier.planning.templates.look import Looked
from notifier.planning.templates.versions import export_template
from notifier.store.database import Database
from notifier.web.access.sessions import Actor, LoggedIn, Visitor
from notifier.web.console.show import open_page
from notifier.web.console.templates.editor import Said, editor_page, find_template, look_and_render
from notifier.web.console.templates.form import EditorForm, read_form
from notifier.web.values import Text

router = APIRouter()


@router.post("/templates/{key}")
async def save(request: Request, visitor: Actor, key: Text) -> Response:
    """Keep what was typed as a new version; what is wrong is shown beside what was typed."""
    sent = await request.form()
    async with open_page(request, visitor) as page:
        form = read_form(sent, key, page.bank)
    outcome = await _save(request.app.state.database, visitor, form)
    if isinstance(outcome, Saved):
        done = "saved" if outcome.is_new else "unchanged"
        return RedirectResponse(f"/templates/{key}?done={done}&file={form.open}", 303)
    async with open_page(request, visitor) as page:
        definition, template = await find_template(page, key)
        status = 422 if outcome.errors else 409
        return await editor_page(page, definition, template, form, outcome, status=status)


async def _save(database: Database, visitor: Visitor, form: EditorForm) -> Saved | Said:
    try:
        return await save_template(
            database, form.draft, team_id=visitor.user.team_id, base=form.base, over=form.over, by=visitor.person
        )
    except DefinitionErrors as error:
        return Said(errors=error.errors)
    except EditedMeanwhile as error:
        return Said(newest=error.newest, differences=error.differences)
    except ManagedByFile as error:
        return Said(problem=str(error))


@router.post("/templates/{key}/test")
async def send_me(request: Request, visitor: Actor, key: Text) -> Response:
    """Send what was typed so far, as shown, to the one who asks."""
    sent = await request.form()
    async with open_page(request, visitor) as page:
        definition, template = await find_template(page, key)
        form = read_form(sent, key, page.bank)
    shown = await look_and_render(request, visitor, form, template)
    problem = ""
    try:
        await _send(request, visitor, shown.looked)
    except (InputError, RenderError) as error:
        problem = error.problem if isinstance(error, InputError) else str(error)
        problem += f". {error.remedy}" if isinstance(error, InputError) and error.remedy else ""
    said = Said(done="" if problem else "tested", problem=problem)
    async with open_page(request, visitor) as page:
        if request.headers.get("hx-request"):
            return page.show("part/template_said.html", said=said)
        status = 422 if problem else 200
        return await editor_page(page, definition, template, form, said, status=status, preview=shown.part)


async def _send(request: Request, visitor: Visitor, looked: Looked) -> None:
    if looked.content is None or looked.channel is None:
        raise RenderError(looked.problem or "the text cannot be rendered yet")
    if looked.channel is Channel.SOCIAL:
        raise InputError("channel", "a post cannot be sent to one person", "Look at its preview")
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await send_test(
            tx,
            team_id=visitor.user.team_id,
            by=visitor.person,
            channel=looked.channel,
            content=looked.content,
            locale=looked.locale,
        )
    await request.app.state.bell.ring("notes")


@router.post("/templates/{key}/take-over")
async def take(request: Request, visitor: Actor, key: Text) -> Response:
    """From now on it is edited here, not in its file."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await take_over(tx, key, team_id=visitor.user.team_id, by=visitor.person)
    return RedirectResponse(f"/templates/{key}?done=taken-over", 303)


@router.post("/templates/{key}/copy")
async def copy(request: Request, visitor: Actor, key: Text, to: Annotated[Text, Form(max_length=200)] = "") -> Response:
    """The same words under another key."""
    database: Database = request.app.state.database
    wanted = to.strip().lower()
    try:
        async with database.transaction() as tx:
            await copy_template(tx, key, to=wanted, team_id=visitor.user.team_id, by=visitor.person)
    except InputError as error:
        async with open_page(request, visitor) as page:
            definition, template = await find_template(page, key)
            form = EditorForm(draft=draft_of(template, page.bank.locales), base=definition.version)
            said = Said(problem=f"{error.problem}. {error.remedy}")
            return await editor_page(page, definition, template, form, said, status=422)
    return RedirectResponse(f"/templates/{wanted}?done=copied", 303)


@router.get("/templates/{key}/export")
async def export(request: Request, visitor: LoggedIn, key: Text) -> Response:
    """The template's folder as a zip, for git."""
    async with open_page(request, visitor) as page:
        definition, template = await find_template(page, key)
    name = f"{template.key}-v{definition.version}.zip"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(export_template(template), media_type="application/zip", headers=headers)
