"""The page of doubts: what became of messages nobody knows about, and of those that were set aside."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from notifier.delivery.settle import decide, replay
from notifier.domain.doubt import Verdict
from notifier.store.database import Database
from notifier.store.views import doubts as view
from notifier.store.views.runs import get_run_line
from notifier.web.access.sessions import Actor, LoggedIn
from notifier.web.console.names import read_names
from notifier.web.console.show import open_page
from notifier.web.values import Id, Text

router = APIRouter(prefix="/doubts")


@router.get("")
async def show_doubts(request: Request, visitor: LoggedIn) -> Response:
    """What waits for a person, and what is being settled by itself."""
    async with open_page(request, visitor) as page:
        return page.show(
            "doubts.html",
            doubts=await view.list_doubts(page.tx, page.team_id),
            aside=await view.list_set_aside(page.tx, page.team_id),
            names=await read_names(page),
        )


@router.post("/{run_id}/settle")
async def settle_all(request: Request, visitor: Actor, run_id: Id, outcome: Annotated[Verdict, Form()]) -> Response:
    """A person knows what became of all messages in doubt of a run."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await get_run_line(tx, visitor.user.team_id, run_id)
        await decide(tx, run_id, outcome, visitor.user.login)
    return RedirectResponse("/doubts?done=settled", 303)


@router.post("/{run_id}/replay")
async def replay_all(
    request: Request, visitor: Actor, run_id: Id, reason: Annotated[Text, Form(max_length=2000)] = ""
) -> Response:
    """What was set aside of a run for this reason gets another chance."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await get_run_line(tx, visitor.user.team_id, run_id)
        await replay(tx, run_id, visitor.user.login, reason=reason)
    return RedirectResponse("/doubts?done=replayed", 303)
