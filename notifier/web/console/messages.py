"""One message: its history, what it said, and the posts people publish by hand."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from notifier.delivery.settle import decide, replay
from notifier.domain.causes import Cause, cause_of
from notifier.domain.doubt import Verdict
from notifier.store import clock
from notifier.store.database import Database
from notifier.store.views import messages as view
from notifier.web.access.sessions import Actor, LoggedIn
from notifier.web.console.names import read_names
from notifier.web.console.preview import Shown, show_content
from notifier.web.console.show import open_page
from notifier.web.security import MAIL_POLICY
from notifier.web.values import Id

router = APIRouter()


@router.get("/messages/{run_id}/{message_id}")
async def show_message(request: Request, visitor: LoggedIn, run_id: Id, message_id: Id) -> Response:
    """Who wrote it, what it said, what became of it."""
    async with open_page(request, visitor) as page:
        facts = await view.get_message(page.tx, page.team_id, run_id, message_id)
        events = await view.list_events(page.tx, run_id, message_id)
        names, now = await read_names(page), await clock.now(page.tx)
    return page.show(
        "message.html",
        message=facts,
        address=mask_address(facts.address),
        events=events,
        shown=await show_content(request, run_id, message_id),
        names=names,
        now=now,
        is_aside=cause_of(facts.state, facts.reason) in {Cause.SET_ASIDE, Cause.NOT_RENDERED},
    )


def mask_address(address: str) -> str:
    """Enough to recognise an address, not enough to write to it."""
    name, at, domain = address.partition("@")
    if at:
        return f"{name[:1]}•••@{domain}"
    return f"{address[:4]}•••{address[-2:]}" if len(address) > 6 else address


@router.get("/messages/{run_id}/{message_id}/mail")
async def show_mail(request: Request, visitor: LoggedIn, run_id: Id, message_id: Id) -> Response:
    """The e-mail alone, for a frame: no scripts, no forms, nothing from elsewhere."""
    async with open_page(request, visitor) as page:
        await view.get_message(page.tx, page.team_id, run_id, message_id)
    return mail_answer(await show_content(request, run_id, message_id))


def mail_answer(shown: Shown) -> Response:
    """An e-mail's HTML behind its own policy; its links open in a window of their own."""
    headers = {"content-security-policy": MAIL_POLICY, "x-frame-options": "SAMEORIGIN"}
    return HTMLResponse(shown.html.replace("<head>", '<head><base target="_blank">', 1), headers=headers)


@router.post("/messages/{run_id}/{message_id}/settle")
async def settle(
    request: Request, visitor: Actor, run_id: Id, message_id: Id, outcome: Annotated[Verdict, Form()]
) -> Response:
    """A person knows what became of a message in doubt."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await view.get_message(tx, visitor.user.team_id, run_id, message_id)
        await decide(tx, run_id, outcome, visitor.user.login, message_id=message_id)
    return RedirectResponse(f"/messages/{run_id}/{message_id}", 303)


@router.post("/messages/{run_id}/{message_id}/replay")
async def replay_one(request: Request, visitor: Actor, run_id: Id, message_id: Id) -> Response:
    """A message that was set aside gets another chance."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await view.get_message(tx, visitor.user.team_id, run_id, message_id)
        await replay(tx, run_id, visitor.user.login, message_id=message_id)
    return RedirectResponse(f"/messages/{run_id}/{message_id}", 303)
