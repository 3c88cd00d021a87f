"""Tests to oneself, and those who read proofs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from notifier.domain.channel import Channel
from notifier.domain.errors import Conflict, InputError, RenderError
from notifier.domain.keys import Keys
from notifier.domain.links import LinkKind, sign_link
from notifier.domain.note import NoteKind, NoteState
from notifier.planning.notes import TooManyTests, add_reader, ask_for_test, change_reader, remove_reader
from notifier.store import notes as store
from notifier.store import proofs
from notifier.store.database import Database
from notifier.store.notes import NoteLine
from notifier.store.runs import get_run
from notifier.store.views.runs import get_run_line
from notifier.web.access.sessions import Actor, LoggedIn, Visitor
from notifier.web.catalogue import Catalogue
from notifier.web.console.mistakes import say_problem
from notifier.web.console.names import read_names
from notifier.web.console.show import Page, open_page
from notifier.web.proofreading import read_reader
from notifier.web.values import Id, Text

router = APIRouter()
_SHOWN = 5
_OPEN = frozenset({NoteState.QUEUED, NoteState.SENDING})
_WRONG = {"email": "no-email", "phone": "no-phone"}
_ROOMS = {"email": "mailbox", "sms": "phone"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTest:
    """One of my tests; `href` leads to it in the sandbox, where that took it."""

    note: NoteLine
    step: str  # its title
    href: str


@router.post("/runs/{run_id}/test")
async def send_test_to_me(request: Request, visitor: Actor, run_id: Id) -> Response:
    """Send what a step says to the one who asks; back to the review with what came of it."""
    form = await request.form()
    database: Database = request.app.state.database
    try:
        async with database.transaction() as tx:
            await get_run_line(tx, visitor.user.team_id, run_id)
            run = await get_run(tx, run_id)
            await ask_for_test(
                tx,
                run,
                step=_text(form, "step"),
                channel=_read_channel(_text(form, "channel")),
                locale=_text(form, "locale"),
                by=visitor.person,
            )
    except TooManyTests:
        return _back(run_id, "too-many")
    except RenderError:
        return _back(run_id, "no-text")
    except InputError as error:
        if error.field not in _WRONG:
            raise
        return _back(run_id, _WRONG[error.field])
    await request.app.state.bell.ring("notes")
    return _back(run_id, "1")


@router.get("/runs/{run_id}/tests")
async def show_tests(request: Request, visitor: LoggedIn, run_id: Id, tested: Text = "") -> Response:
    """The part of a page that says what became of my last tests of a run; asks again while one is under way."""
    async with open_page(request, visitor) as page:
        await get_run_line(page.tx, page.team_id, run_id)
        return page.show("part/tests.html", **await recent_tests(page, visitor, run_id, tested=tested))


async def recent_tests(page: Page, visitor: Visitor, run_id: int, *, tested: str = "") -> dict[str, Any]:
    """What `part/tests.html` shows: my last tests of this run, the newest first."""
    found = await store.list_notes(
        page.tx, page.team_id, run_id=run_id, user_id=visitor.user.id, kind=NoteKind.TEST, limit=_SHOWN
    )
    keys: Keys = page.request.app.state.keys
    tokens = {note.id: sign_link(keys.links, LinkKind.NOTE, note.id) for note in found}
    items = await store.list_sandbox_items(page.tx, list(tokens.values())) if found and page.has_sandbox else {}
    names, campaign = await read_names(page), (await get_run_line(page.tx, page.team_id, run_id)).campaign_key
    tests = [
        ShownTest(note=note, step=names.step(campaign, note.step), href=_sandbox_href(note, items.get(tokens[note.id])))
        for note in found
    ]
    return {
        "tests": tests,
        "tests_of": run_id,
        "tested": tested,
        "is_under_way": any(note.state in _OPEN for note in found),
    }


def _sandbox_href(note: NoteLine, item_id: int | None) -> str:
    if item_id is None:
        return ""
    where = urlencode({"to": note.address, "item": item_id})
    return f"/sandbox/{_ROOMS[note.channel]}?{where}"


def _back(run_id: int, tested: str) -> Response:
    return RedirectResponse(f"/runs/{run_id}/review?tested={tested}#tests", 303)


def _read_channel(text: str) -> Channel:
    try:
        return Channel(text)
    except ValueError:
        raise InputError("channel", "is none we send by", "Choose e-mail or SMS") from None


# ── proof readers ─────────────────────────────────────────────────────────────────────────────────


@router.get("/proof-readers")
async def show_readers(request: Request, visitor: LoggedIn) -> Response:
    """Who gets a marked copy of each run."""
    async with open_page(request, visitor) as page:
        return await _readers_page(page)


@router.post("/proof-readers")
async def add(request: Request, visitor: Actor) -> Response:
    """One more; a wrong field shows the form again with what was typed."""
    return await _keep(request, visitor, 0)


@router.post("/proof-readers/{reader_id}")
async def change(request: Request, visitor: Actor, reader_id: Id) -> Response:
    """One of them becomes what the form says."""
    return await _keep(request, visitor, reader_id)


@router.post("/proof-readers/{reader_id}/remove")
async def remove(request: Request, visitor: Actor, reader_id: Id) -> Response:
    """Off the list."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await remove_reader(tx, visitor.user.team_id, reader_id, visitor.person)
    return RedirectResponse("/proof-readers?done=removed", 303)


async def _keep(request: Request, visitor: Visitor, reader_id: int) -> Response:
    form = await request.form()
    typed = {name: _text(form, name) for name in ("name", "email", "phone", "locale")}
    database: Database = request.app.state.database
    catalogue: Catalogue = request.app.state.catalogue
    try:
        async with database.transaction() as tx:
            bank = await catalogue.bank(tx, visitor.user.team_id)
            reader = read_reader(reader_id, bank, **typed)
            if reader_id:
                await change_reader(tx, visitor.user.team_id, reader, visitor.person)
            else:
                await add_reader(tx, visitor.user.team_id, reader, visitor.person)
    except (InputError, Conflict) as error:
        async with open_page(request, visitor) as page:
            return await _readers_page(page, typed={"id": reader_id, **typed}, problem=error)
    return RedirectResponse(f"/proof-readers?done={'changed' if reader_id else 'added'}", 303)


async def _readers_page(
    page: Page, *, typed: Mapping[str, object] | None = None, problem: InputError | Conflict | None = None
) -> Response:
    return page.show(
        "proof_readers.html",
        422 if isinstance(problem, InputError) else 409 if problem else 200,
        readers=await proofs.list_proof_readers(page.tx, page.team_id),
        typed=typed or {},
        problem=say_problem(problem, page.words),
        problem_field=problem.field if isinstance(problem, InputError) else "name",
    )


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value.replace("\x00", "").strip() if isinstance(value, str) else ""
