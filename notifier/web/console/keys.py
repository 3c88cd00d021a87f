"""API keys: an admin makes them for systems and for users, and ends them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from notifier.domain.errors import InputError
from notifier.store.database import Database
from notifier.store.views.users import list_api_keys, list_users
from notifier.web.access.keys import SCOPES, create_api_key, revoke_api_key
from notifier.web.access.sessions import Admin, AdminSender
from notifier.web.console.mistakes import Problem, field_of, status_of
from notifier.web.console.show import Page, open_page
from notifier.web.values import Id, Text

router = APIRouter()
_DAYS = (30, 90, 365)
Field = Annotated[Text, Form(max_length=300)]


@router.get("/keys")
async def show_keys(request: Request, visitor: Admin) -> Response:
    """The API keys, and a form to make one."""
    async with open_page(request, visitor) as page:
        return await _keys_page(page)


async def _keys_page(
    page: Page,
    *,
    typed: Mapping[str, Any] | None = None,
    problem: Problem | None = None,
    token: str = "",
) -> Response:
    users = [user for user in await list_users(page.tx, page.team_id) if not user.is_disabled]
    return page.show(
        "keys.html",
        status_of(problem),
        keys=list(reversed(await list_api_keys(page.tx, page.team_id))),
        users=users,
        scopes=SCOPES,
        days=_DAYS,
        now=datetime.now(UTC),
        typed={"name": "", "login": "", "days": "365", "scopes": ("read",), **(typed or {})},
        token=token,
        problem=problem,
        problem_field=field_of(problem),
    )


@router.post("/keys")
async def add_key(  # noqa: PLR0917 - one for each field
    request: Request,
    visitor: AdminSender,
    name: Field = "",
    login: Field = "",
    days: Annotated[int, Form(ge=0, le=3650)] = 365,
    scope: Annotated[list[Text], Form()] = [],  # noqa: B006
) -> Response:
    """Make a key; it is shown this once. 0 days: it never expires."""
    database: Database = request.app.state.database
    expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
    typed = {"name": name, "login": login, "days": str(days), "scopes": tuple(scope)}
    try:
        async with database.transaction() as tx:
            token = await create_api_key(
                tx,
                name=name,
                scopes=scope,
                by=visitor.user.login,
                login=login,
                expires_at=expires_at,
                team_id=visitor.user.team_id,
            )
    except InputError as error:
        async with open_page(request, visitor) as page:
            return await _keys_page(page, typed=typed, problem=error)
    async with open_page(request, visitor) as page:
        return await _keys_page(page, token=token)


@router.post("/keys/{number}/revoke")
async def revoke_key(request: Request, visitor: AdminSender, number: Id) -> Response:
    """From now on the key opens nothing."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await revoke_api_key(tx, visitor.user.team_id, number, by=visitor.user.login)
    return RedirectResponse("/keys?done=revoked", 303)
