"""Imports: a file is sent, looked at, mapped, started, watched and stopped."""

from collections.abc import Mapping
from dataclasses import replace

import orjson
from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from notifier.domain.contact import ContactKind
from notifier.domain.contact_import import OPEN, ImportState
from notifier.domain.errors import InputError
from notifier.planning.contact_import.options import ImportOptions
from notifier.planning.contact_import.preview import Preview
from notifier.planning.contact_import.uploads import (
    keep_upload,
    save_options,
    show_preview,
    start_import,
    stop_import,
    unpack_options,
)
from notifier.planning.exports import take_errors
from notifier.settings import Settings
from notifier.store import clock, imports
from notifier.store.database import Database
from notifier.store.imports import ImportLine
from notifier.store.views.contacts import list_lists
from notifier.web.access.sessions import Actor, Exporter, LoggedIn
from notifier.web.console.contacts.words import read_texts, target_words
from notifier.web.console.show import Page, open_page
from notifier.web.uploads import sent_file
from notifier.web.values import Id

router = APIRouter()
_PAGE = 25


@router.get("/contacts/imports")
async def find_imports(request: Request) -> Response:
    """They stand under the form that starts one."""
    return RedirectResponse("/contacts/import", 303)


@router.get("/contacts/import")
async def show_imports(request: Request, visitor: LoggedIn, before: Id | None = None) -> Response:
    """The form for a file, and the imports so far."""
    async with open_page(request, visitor) as page:
        return await _upload_page(page, before=before)


async def _upload_page(page: Page, *, before: int | None = None, problem: InputError | None = None) -> Response:
    settings: Settings = page.request.app.state.settings
    found = await imports.list_imports(page.tx, page.team_id, before=before, limit=_PAGE + 1)
    return page.show(
        "contacts_import.html",
        422 if problem else 200,
        imports=found[:_PAGE],
        more=found[_PAGE - 1].id if len(found) > _PAGE else None,
        problem=problem,
        most_mb=settings.import_max_mb,
    )


@router.post("/contacts/import")
async def take_file(request: Request, visitor: Actor) -> Response:
    """Keep the file and show what it would become; nothing is written to the contacts yet."""
    settings: Settings = request.app.state.settings
    database: Database = request.app.state.database
    try:
        async with request.form() as form, sent_file(form, most_mb=settings.import_max_mb) as path:
            import_id = await keep_upload(database, path, team_id=visitor.user.team_id, by=visitor.person)
    except InputError as error:
        async with open_page(request, visitor) as page:
            return await _upload_page(page, problem=error)
    return RedirectResponse(f"/contacts/imports/{import_id}", 303)


@router.get("/contacts/imports/{import_id}")
async def show_import(request: Request, visitor: LoggedIn, import_id: Id) -> Response:
    """Before it starts the preview, then its progress, at last what became of it."""
    async with open_page(request, visitor) as page:
        line = await imports.get_import(page.tx, page.team_id, import_id)
        answer = await _import_page(page, line)
    if request.headers.get("hx-request") and line.state not in OPEN:
        answer.headers["hx-refresh"] = "true"  # it is over: the page says what became of it
    return answer


async def _import_page(
    page: Page, line: ImportLine, *, options: ImportOptions | None = None, problem: InputError | None = None
) -> Response:
    if line.state is ImportState.UPLOADED:
        chosen = options or _options_of(line)
        # What the form says wrongly would make every row of the preview wrong.
        shown = replace(chosen, locale="", zone="") if problem else chosen
        preview = await show_preview(page.tx, line, shown, bank=page.bank)
        return await _preview_page(page, line, chosen, preview, problem)
    ended = line.ended_at or await clock.now(page.tx)
    seconds = max((ended - line.started_at).total_seconds(), 0.001)
    sample = await imports.get_sample(page.tx, line.id)
    return page.show(
        "contacts_import_state.html",
        line=line,
        is_open=line.state in OPEN,
        rows_per_s=round(line.read_rows / seconds),
        expected=sample["counted"] if sample else None,
        share=_share(line, sample["counted"] if sample else 0),
    )


def _share(line: ImportLine, expected: int) -> float:
    """How much of the file is read, in 0..1: by rows where they were counted, else by bytes."""
    if line.state is ImportState.DONE:
        return 1.0
    if expected:
        return min(line.read_rows / expected, 1.0)
    return line.done_bytes / line.size_bytes if line.size_bytes else 0.0


async def _preview_page(
    page: Page, line: ImportLine, options: ImportOptions, preview: Preview, problem: InputError | None
) -> Response:
    return page.show(
        "contacts_import_preview.html",
        422 if problem else 200,
        line=line,
        options=options,
        preview=preview,
        problem=problem,
        kinds=list(ContactKind),
        lists=await list_lists(page.tx, page.team_id),
        tell_target=lambda target: target_words(target, page.words),
        tell_attributes=lambda text: " · ".join(f"{name} {value}" for name, value in orjson.loads(text).items()) or "–",
    )


def _options_of(line: ImportLine) -> ImportOptions:
    return unpack_options(line.options, team_id=line.team_id) if line.options else ImportOptions(team_id=line.team_id)


@router.post("/contacts/imports/{import_id}/options")
async def choose_options(request: Request, visitor: Actor, import_id: Id) -> Response:
    """Keep what was chosen; the preview shows what it makes of the file."""
    form = await request.form()
    async with open_page(request, visitor) as page:
        line = await imports.get_import(page.tx, page.team_id, import_id)
        options = await _read_options(page, line, form)
        try:
            await save_options(page.tx, line, options, is_demo=page.request.app.state.settings.demo)
        except InputError as error:
            return await _import_page(page, line, options=options, problem=error)
    return RedirectResponse(f"/contacts/imports/{import_id}", 303)


@router.post("/contacts/imports/{import_id}/start")
async def start(request: Request, visitor: Actor, import_id: Id) -> Response:
    """Let a worker read it; sent twice it starts once."""
    form = await request.form()
    async with open_page(request, visitor) as page:
        line = await imports.get_import(page.tx, page.team_id, import_id)
        if line.state is ImportState.UPLOADED:
            options = await _read_options(page, line, form)
            is_demo = page.request.app.state.settings.demo
            try:
                await start_import(page.tx, line, options, by=visitor.person, is_demo=is_demo)
            except InputError as error:
                return await _import_page(page, line, options=options, problem=error)
    await request.app.state.bell.ring("imports")
    return RedirectResponse(f"/contacts/imports/{import_id}", 303)


async def _read_options(page: Page, line: ImportLine, form: FormData) -> ImportOptions:
    """The form as options; columns are numbered, because their names may hold anything."""
    said = read_texts(form)
    sample = await imports.get_sample(page.tx, line.id)
    titles = sample["titles"] if sample else []
    return replace(
        _options_of(line),
        mapping=_read_mapping(said, titles),
        list_key=said.get("list_key", ""),
        kind=_read_kind(said.get("kind", "")),
        locale=said.get("locale", ""),
        zone=said.get("zone", ""),
        consent_source=said.get("consent_source", "import"),
        synthesize="synthesize" in said,
    )


def _read_mapping(said: Mapping[str, str], titles: list[str]) -> dict[str, str]:
    named = ((title, said.get(f"column.{index}", "")) for index, title in enumerate(titles))
    return {title: target for title, target in named if target}


def _read_kind(text: str) -> ContactKind:
    try:
        return ContactKind(text) if text else ContactKind.CUSTOMER
    except ValueError as error:
        raise InputError("kind", "no such kind of contact") from error


@router.post("/contacts/imports/{import_id}/cancel")
async def cancel(request: Request, visitor: Actor, import_id: Id) -> Response:
    """Stop it, or give the file up before it starts."""
    async with open_page(request, visitor) as page:
        line = await imports.get_import(page.tx, page.team_id, import_id)
        await stop_import(page.tx, line, by=visitor.person)
    return RedirectResponse(f"/contacts/imports/{import_id}", 303)


@router.get("/contacts/imports/{import_id}/errors.csv")
async def get_errors(request: Request, visitor: Exporter, import_id: Id) -> Response:
    """The rows that were not taken, each with its reason."""
    async with open_page(request, visitor) as page:
        data = await take_errors(page.tx, page.team_id, import_id, by=visitor.person)
    return errors_answer(import_id, data)


def errors_answer(import_id: int, data: bytes) -> Response:
    """The file of errors as a download."""
    headers = {"content-disposition": f'attachment; filename="import-{import_id}-errors.csv"'}
    return Response(data, media_type="text/csv; charset=utf-8", headers=headers)
