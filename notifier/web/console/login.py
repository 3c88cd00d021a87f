"""Coming in and going out, and the language one reads in."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from notifier.logs import get_logger
from notifier.settings import Settings
from notifier.store import access
from notifier.store.attempts import Attempts
from notifier.store.database import Database
from notifier.web.access.demo import DEMO_LOGINS
from notifier.web.access.sessions import (
    FormSender,
    check_origin,
    cookie_name,
    find_visitor,
    log_in,
    log_out,
    safe_next,
    set_session_cookie,
)
from notifier.web.console.catalogues import LOCALES
from notifier.web.console.show import LANGUAGE_COOKIE, open_page
from notifier.web.values import Text

router = APIRouter()
log = get_logger()
_WINDOW_S = 900
_PER_LOGIN_AND_ADDRESS = 5
_PER_ADDRESS = 50
_PER_LOGIN = 20
"""From wherever they come: more than a person mistypes, far fewer than guessing needs."""


@router.get("/login")
async def show_login(request: Request, next: str = "/") -> Response:  # noqa: A002 - the address says next
    """The form; who is logged in already goes on."""
    if await find_visitor(request):
        return RedirectResponse(safe_next(next), 303)
    return await _login_page(request, target=next)


async def _login_page(
    request: Request, *, target: str, problem: str = "", login: str = "", status: int = 200
) -> Response:
    async with open_page(request) as page:
        values = {"target": safe_next(target), "problem": problem, "login": login, "demo_logins": DEMO_LOGINS}
        answer = page.show("login.html", status, **values)
    if status == 429:
        answer.headers["retry-after"] = str(_WINDOW_S)
    return answer


@router.post("/login")
async def take_login(
    request: Request,
    login: Annotated[Text, Form(max_length=200)] = "",
    password: Annotated[Text, Form(max_length=1000)] = "",
    next: Annotated[str, Form(max_length=2000)] = "/",  # noqa: A002
) -> Response:
    """The same answer after the same work for a wrong login as for a wrong password."""
    check_origin(request)
    settings: Settings = request.app.state.settings
    database: Database = request.app.state.database
    if await _tried_too_often(request, login):
        problem = "Too many attempts. Wait a quarter of an hour, then try again."
        return await _login_page(request, target=next, problem=problem, login=login, status=429)
    found = await log_in(database, login=login, password=password, hours=settings.session_hours)
    if found is None:
        log.info("web.login_refused")
        problem = "Login or password is wrong."
        return await _login_page(request, target=next, problem=problem, login=login, status=401)
    user, token = found
    await _forgive(request, login)
    log.info("web.logged_in", user=user.id)
    answer = RedirectResponse(safe_next(next), 303)
    set_session_cookie(answer, settings, token)
    return answer


async def _tried_too_often(request: Request, login: str) -> bool:
    """Counted before the password is looked at, so that many at once count too; who is right takes it back.

    Unknown logins count as known ones do: the answer tells nobody which there are.
    """
    attempts: Attempts = request.app.state.attempts
    address = _address(request)
    limits = (
        (_name(login, address), _PER_LOGIN_AND_ADDRESS),
        (_name("", address), _PER_ADDRESS),
        (_name(login, ""), _PER_LOGIN),
    )
    for name, at_most in limits:
        if await attempts.count(name, within_s=_WINDOW_S) > at_most:
            return True
    return False


async def _forgive(request: Request, login: str) -> None:
    attempts: Attempts = request.app.state.attempts
    address = _address(request)
    await attempts.forget(_name(login, address))
    await attempts.take_back(_name("", address))
    await attempts.take_back(_name(login, ""))


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _name(login: str, address: str) -> str:
    return hashlib.sha256(f"{login.strip().lower()}\n{address}".encode()).hexdigest()[:32]


@router.post("/logout")
async def go_out(request: Request, visitor: FormSender) -> Response:
    """End the session here and in the database."""
    await log_out(request.app.state.database, visitor)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(cookie_name(request.app.state.settings), path="/", httponly=True, samesite="lax")
    answer.delete_cookie(LANGUAGE_COOKIE, path="/", httponly=True, samesite="lax")
    return answer


@router.post("/language")
async def choose_language(
    request: Request,
    locale: Annotated[Text, Form(max_length=20)],
    next: Annotated[str, Form(max_length=2000)] = "/",  # noqa: A002
) -> Response:
    """Read on in this language until the session ends; who is logged in finds it again next time."""
    check_origin(request)
    answer = RedirectResponse(safe_next(next), 303)
    if locale in LOCALES:
        set_language(answer, locale)
        visitor = await find_visitor(request)
        database: Database = request.app.state.database
        if visitor:
            async with database.transaction() as tx:
                await access.set_locale(tx, visitor.user.id, locale)
    return answer


def set_language(answer: Response, locale: str) -> None:
    """Until the browser is closed or somebody logs out: the next person reads in their own."""
    answer.set_cookie(LANGUAGE_COOKIE, locale, path="/", httponly=True, samesite="lax")
