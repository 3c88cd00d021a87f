"""Sessions of the console: an opaque token in a cookie, its hash in the database."""

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import Depends, Request
from starlette.responses import Response

from notifier.domain.keys import Keys
from notifier.domain.person import ACTING, ADMINISTERING, AUDITING, RELEASING, Person, Role
from notifier.settings import Settings
from notifier.store import access
from notifier.store.access import User
from notifier.store.database import Database, Tx
from notifier.web.access.passwords import find_person
from notifier.web.catalogue import DEFAULT_TEAM


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """A user with the session they came in with."""

    user: User
    token: str = field(repr=False)
    form_token: str = field(repr=False)

    @property
    def person(self) -> Person:
        """The user as the stages know them."""
        return Person(name=self.user.login, user_id=self.user.id, role=Role(self.user.role))

    @property
    def may_act(self) -> bool:
        """Whether they may launch, stop and fill in; viewers and auditors only look."""
        return self.person.may(ACTING)

    @property
    def may_release(self) -> bool:
        """Whether they may let out what others made."""
        return self.person.may(RELEASING)


class LoginNeeded(Exception):
    """Nobody is logged in; the page sends to the login."""


class ForgedForm(Exception):
    """A form that did not come from our own page."""


class NotAllowed(Exception):
    """The user's role does not allow it."""


async def log_in(database: Database, *, login: str, password: str, hours: int) -> tuple[User, str] | None:
    """The user and a new session's token; None for a wrong login as for a wrong password. The audit tells both."""
    user = await find_person(database, login=login, password=password)
    if user is None:
        await _note_refused(database, login)
        return None
    token = secrets.token_urlsafe(32)
    async with database.transaction() as tx:
        await access.add_session(tx, user.id, hash_token(token), timedelta(hours=hours))
        await access.add_audit(
            tx, user.team_id, actor=user.login, act="user.logged_in", subject=f"user:{user.login}", detail={}
        )
    return user, token


async def _note_refused(database: Database, login: str) -> None:
    """What was typed as a login that nobody has may be a password: it is not kept."""
    async with database.transaction() as tx:
        user = await access.find_user(tx, login.strip().lower())
        team_id, name = (user.team_id, user.login) if user else (DEFAULT_TEAM, "unknown")
        await access.add_audit(tx, team_id, actor=name, act="user.login_refused", subject=f"user:{name}", detail={})


async def log_out(database: Database, visitor: Visitor) -> None:
    """End the session."""
    team_id, login = visitor.user.team_id, visitor.user.login
    async with database.transaction() as tx:
        await access.end_session(tx, hash_token(visitor.token))
        await access.add_audit(tx, team_id, actor=login, act="user.logged_out", subject=f"user:{login}", detail={})


async def is_live(tx: Tx, visitor: Visitor) -> bool:
    """Whether the session goes on: not logged out, not run out, the user not disabled."""
    return await access.find_session_user(tx, hash_token(visitor.token)) is not None


def hash_token(token: str) -> bytes:
    """What the database keeps of a token."""
    return hashlib.sha256(token.encode()).digest()


def form_token(keys: Keys, token: str) -> str:
    """The token every form of a session carries."""
    return hmac.new(keys.sessions, b"form:" + token.encode(), hashlib.sha256).hexdigest()[:32]


def cookie_name(settings: Settings) -> str:
    """`__Host-` pins the cookie to this host where browsers allow it: over https."""
    return "__Host-notifier" if settings.public_url.startswith("https://") else "notifier_session"


def set_session_cookie(response: Response, settings: Settings, token: str) -> None:
    """Hand the token to the browser, out of reach of scripts."""
    response.set_cookie(
        cookie_name(settings),
        token,
        max_age=settings.session_hours * 3600,
        path="/",
        httponly=True,
        samesite="lax",
        secure=settings.public_url.startswith("https://"),
    )


async def find_visitor(request: Request) -> Visitor | None:
    """Who is logged in, if anybody."""
    settings: Settings = request.app.state.settings
    database: Database = request.app.state.database
    token = request.cookies.get(cookie_name(settings), "")
    if not token:
        return None
    async with database.transaction() as tx:
        user = await access.find_session_user(tx, hash_token(token))
        if user is None:
            return None
        await access.note_session_seen(tx, hash_token(token))
    return Visitor(user=user, token=token, form_token=form_token(request.app.state.keys, token))


async def need_visitor(request: Request) -> Visitor:
    """Who is logged in; `LoginNeeded` where nobody is."""
    visitor = await find_visitor(request)
    if visitor is None:
        raise LoginNeeded
    request.state.visitor = visitor
    return visitor


def check_origin(request: Request) -> None:
    """Browsers say where a form comes from; `ForgedForm` where that is elsewhere."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        raise ForgedForm
    origin = request.headers.get("origin")
    if origin is not None and not _is_ours(request, origin):
        raise ForgedForm


def _is_ours(request: Request, origin: str) -> bool:
    settings: Settings = request.app.state.settings
    given, public = urlsplit(origin), urlsplit(settings.public_url)
    hosts = {public.netloc, request.headers.get("host", "")}
    return given.scheme in {"http", "https"} and given.netloc in hosts


async def need_form(request: Request, visitor: Annotated[Visitor, Depends(need_visitor)]) -> Visitor:
    """A form of a logged-in user who may act: origin, token and role are right."""
    check_origin(request)
    form = await request.form()
    given = request.headers.get("x-form-token") or form.get("form_token") or ""
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), visitor.form_token.encode()):
        raise ForgedForm
    return visitor


async def need_actor(visitor: Annotated[Visitor, Depends(need_form)]) -> Visitor:
    """The same, for what changes something others see."""
    if not visitor.may_act:
        raise NotAllowed
    return visitor


def _of_role(
    need: Callable[..., Awaitable[Visitor]], roles: frozenset[Role]
) -> Callable[[Visitor], Awaitable[Visitor]]:
    async def check(visitor: Annotated[Visitor, Depends(need)]) -> Visitor:
        if not visitor.person.may(roles):
            raise NotAllowed("Your role does not open this page. Ask an admin.")
        return visitor

    return check


def login_url(request: Request) -> str:
    """The login page that leads back here."""
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    wanted = "" if request.method != "GET" or target == "/" else f"?next={quote(target, safe='/')}"
    return f"/login{wanted}"


def safe_next(target: str) -> str:
    """A path on this site; anything else becomes the overview."""
    is_local = target.startswith("/") and not target.startswith(("//", "/\\")) and "\n" not in target
    return target if is_local and not urlsplit(target).netloc else "/"


LoggedIn = Annotated[Visitor, Depends(need_visitor)]
Actor = Annotated[Visitor, Depends(need_actor)]
FormSender = Annotated[Visitor, Depends(need_form)]
Exporter = Annotated[Visitor, Depends(_of_role(need_visitor, ACTING))]
Auditor = Annotated[Visitor, Depends(_of_role(need_visitor, AUDITING))]
Admin = Annotated[Visitor, Depends(_of_role(need_visitor, ADMINISTERING))]
AdminSender = Annotated[Visitor, Depends(_of_role(need_form, ADMINISTERING))]
