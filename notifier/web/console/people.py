"""The users: an admin adds them, changes them, lets them in no longer."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from notifier.domain.errors import Conflict, InputError, NotFound
from notifier.domain.person import Role
from notifier.store.database import Database, Tx
from notifier.store.views.users import UserLine, list_api_keys, list_users
from notifier.web.access import people
from notifier.web.access.passwords import create_user, make_password
from notifier.web.access.profile import ROLES, Profile
from notifier.web.access.sessions import Admin, AdminSender, Visitor
from notifier.web.console.mistakes import Problem, field_of, status_of
from notifier.web.console.show import Page, open_page
from notifier.web.values import Text

router = APIRouter()
Field = Annotated[Text, Form(max_length=300)]


@router.get("/users")
async def show_users(request: Request, visitor: Admin) -> Response:
    """Everybody who may log in, and a form to add somebody."""
    async with open_page(request, visitor) as page:
        return await _users_page(page)


async def _users_page(
    page: Page, *, typed: Mapping[str, str] | None = None, problem: Problem | None = None
) -> Response:
    blank = {"login": "", "name": "", "email": "", "phone": "", "role": Role.AUTHOR.value, "locale": page.locale}
    return page.show(
        "users.html",
        status_of(problem),
        users=await list_users(page.tx, page.team_id),
        roles=ROLES,
        typed={**blank, **(typed or {})},
        problem=problem,
        problem_field=field_of(problem),
    )


@router.post("/users")
async def add_user(  # noqa: PLR0917 - one for each field
    request: Request,
    visitor: AdminSender,
    login: Field = "",
    name: Field = "",
    role: Field = "",
    locale: Field = "",
    email: Field = "",
    phone: Field = "",
) -> Response:
    """Add somebody with a password that is shown this once."""
    database: Database = request.app.state.database
    given, password, team_id = _typed(login, name, role, locale, email, phone), make_password(), visitor.user.team_id
    try:
        async with database.transaction() as tx:
            await create_user(tx, password=password, by=visitor.user.login, team_id=team_id, **given)
    except (InputError, Conflict) as error:
        async with open_page(request, visitor) as page:
            return await _users_page(page, typed=given, problem=error)
    return await _show_password(request, visitor, login.strip().lower(), password, is_new=True)


def _typed(*values: str) -> dict[str, str]:
    return dict(zip(("login", "name", "role", "locale", "email", "phone"), values, strict=True))


async def _show_password(request: Request, visitor: Visitor, login: str, password: str, *, is_new: bool) -> Response:
    async with open_page(request, visitor) as page:
        user = await _find(page, login)
        return page.show("users_password.html", user=user, password=password, is_new=is_new)


async def _find(page: Page, login: str) -> UserLine:
    for user in await list_users(page.tx, page.team_id):
        if user.login == login:
            return user
    raise NotFound(f"there is no user {login!r}")


@router.get("/users/{login}")
async def show_user(request: Request, visitor: Admin, login: Text) -> Response:
    """One user with everything an admin may change about them."""
    async with open_page(request, visitor) as page:
        return await _user_page(page, login)


async def _user_page(
    page: Page, login: str, *, typed: Profile | None = None, problem: Problem | None = None
) -> Response:
    user = await _find(page, login)
    return page.show(
        "user.html",
        status_of(problem),
        user=user,
        roles=ROLES,
        typed=typed or Profile(name=user.name, locale=user.locale, email=user.email, phone=user.phone),
        keys=[key for key in await list_api_keys(page.tx, page.team_id) if key.login == login],
        problem=problem,
        problem_field=field_of(problem),
    )


@router.post("/users/{login}")
async def change_user(  # noqa: PLR0917 - one for each field
    request: Request,
    visitor: AdminSender,
    login: Text,
    name: Field = "",
    locale: Field = "",
    email: Field = "",
    phone: Field = "",
) -> Response:
    """Change what somebody is called, reads and is reached by."""
    given = Profile(name=name, locale=locale, email=email, phone=phone)
    database: Database = request.app.state.database
    try:
        async with database.transaction() as tx:
            await people.change_profile(tx, visitor.user.team_id, login, given, by=visitor.user.login)
    except InputError as error:
        async with open_page(request, visitor) as page:
            return await _user_page(page, login, typed=given, problem=error)
    return RedirectResponse(f"/users/{login}?done=saved", 303)


@router.post("/users/{login}/role")
async def change_role(request: Request, visitor: AdminSender, login: Text, role: Field = "") -> Response:
    """Give another role; the user is logged out."""

    async def work(tx: Tx) -> None:
        await people.change_role(tx, visitor.user.team_id, login, role, by=visitor.user.login)

    return await _change(request, visitor, login, work, "role")


@router.post("/users/{login}/disable")
async def disable(request: Request, visitor: AdminSender, login: Text) -> Response:
    """Let somebody in no longer."""

    async def work(tx: Tx) -> None:
        await people.disable_user(tx, visitor.user.team_id, login, by=visitor.user.login)

    return await _change(request, visitor, login, work, "disabled")


@router.post("/users/{login}/enable")
async def enable(request: Request, visitor: AdminSender, login: Text) -> Response:
    """Let somebody in again."""

    async def work(tx: Tx) -> None:
        await people.enable_user(tx, visitor.user.team_id, login, by=visitor.user.login)

    return await _change(request, visitor, login, work, "enabled")


async def _change(
    request: Request, visitor: Visitor, login: str, work: Callable[[Tx], Awaitable[None]], done: str
) -> Response:
    database: Database = request.app.state.database
    try:
        async with database.transaction() as tx:
            await work(tx)
    except (InputError, Conflict) as error:
        async with open_page(request, visitor) as page:
            return await _user_page(page, login, problem=error)
    # Who changed themselves is logged out and comes back by the login page.
    return RedirectResponse(f"/users/{login}?done={done}", 303)


@router.post("/users/{login}/password")
async def reset_password(request: Request, visitor: AdminSender, login: Text) -> Response:
    """Give somebody a password that is shown this once; they are logged out everywhere."""
    password, database = make_password(), request.app.state.database
    async with database.transaction() as tx:
        await people.reset_password(tx, visitor.user.team_id, login, password, by=visitor.user.login)
    return await _show_password(request, visitor, login, password, is_new=False)
