"""One's own profile: name, language, addresses, password, sessions."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from notifier.domain.errors import InputError
from notifier.store import access
from notifier.store.attempts import Attempts
from notifier.store.database import Database
from notifier.web.access import people
from notifier.web.access.profile import Profile
from notifier.web.access.sessions import FormSender, LoggedIn, Visitor, hash_token
from notifier.web.console.login import set_language
from notifier.web.console.mistakes import Problem, field_of, status_of
from notifier.web.console.show import Page, open_page
from notifier.web.values import Text

router = APIRouter()
_WINDOW_S = 900
_WRONG_PASSWORDS = 5
Field = Annotated[Text, Form(max_length=300)]


@router.get("/me")
async def show_me(request: Request, visitor: LoggedIn) -> Response:
    """One's own name, language, addresses, password and sessions."""
    async with open_page(request, visitor) as page:
        return await _my_page(page, visitor)


async def _my_page(
    page: Page, visitor: Visitor, *, typed: Profile | None = None, problem: Problem | None = None, status: int = 0
) -> Response:
    user = visitor.user
    return page.show(
        "me.html",
        status or status_of(problem),
        user=user,
        typed=typed or Profile(name=user.name, locale=user.locale, email=user.email, phone=user.phone),
        sessions=await access.list_sessions(page.tx, user.id),
        session=hash_token(visitor.token),
        problem=problem,
        problem_field=field_of(problem),
    )


@router.post("/me")
async def change_me(  # noqa: PLR0917 - one for each field
    request: Request,
    visitor: FormSender,
    name: Field = "",
    locale: Field = "",
    email: Field = "",
    phone: Field = "",
) -> Response:
    """Change name, language and addresses; what is wrong is shown beside what was typed."""
    database: Database = request.app.state.database
    given, user = Profile(name=name, locale=locale, email=email, phone=phone), visitor.user
    try:
        async with database.transaction() as tx:
            await people.change_profile(tx, user.team_id, user.login, given, by=user.login)
    except InputError as error:
        async with open_page(request, visitor) as page:
            return await _my_page(page, visitor, typed=given, problem=error)
    answer = RedirectResponse("/me?done=saved", 303)
    set_language(answer, locale)
    return answer


@router.post("/me/password")
async def change_password(
    request: Request,
    visitor: FormSender,
    current: Annotated[Text, Form(max_length=1000)] = "",
    password: Annotated[Text, Form(max_length=1000)] = "",
) -> Response:
    """Change the password by the current one; every other session ends. A stolen session cannot guess for long."""
    database: Database = request.app.state.database
    attempts: Attempts = request.app.state.attempts
    tried = f"password:{visitor.user.id}"
    if await attempts.count(tried, within_s=_WINDOW_S) > _WRONG_PASSWORDS:
        async with open_page(request, visitor) as page:
            answer = await _my_page(page, visitor, problem=InputError("attempts", "too many"), status=429)
        answer.headers["retry-after"] = str(_WINDOW_S)
        return answer
    try:
        async with database.transaction() as tx:
            session = hash_token(visitor.token)
            await people.change_own_password(tx, visitor.user, current=current, new=password, session=session)
    except InputError as error:
        async with open_page(request, visitor) as page:
            return await _my_page(page, visitor, problem=error)
    await attempts.forget(tried)
    return RedirectResponse("/me?done=password", 303)


@router.post("/me/sessions/end")
async def end_other_sessions(request: Request, visitor: FormSender) -> Response:
    """Log out everywhere but here."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await people.end_other_sessions(tx, visitor.user, session=hash_token(visitor.token))
    return RedirectResponse("/me?done=sessions", 303)
