"""Users, keys and the audit trail over the API, for a key whose user is an admin or auditor; and one's own profile."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from notifier.domain.errors import NotFound
from notifier.store import access
from notifier.store.access import ApiKey
from notifier.store.database import Database, Tx
from notifier.store.views.audit import AuditFilter, AuditLine, list_audit
from notifier.store.views.users import KeyLine, UserLine, list_api_keys, list_users
from notifier.web.access import people
from notifier.web.access.keys import create_api_key, revoke_api_key
from notifier.web.access.passwords import create_user, make_password
from notifier.web.access.profile import Profile
from notifier.web.api.keyed import AdminReader, AdminWriter, AuditReader, Reader, Writer, actor
from notifier.web.api.paging import Cursor, Limit, Listed, Shape, read_cursor, write_cursor
from notifier.web.problems import Problem
from notifier.web.values import Id, Moment, Text

router = APIRouter(tags=["people"])
RoleName = Literal["viewer", "auditor", "author", "approver", "operator", "admin"]
Scope = Literal["read", "write", "send", "release"]
_LONGEST_DAYS = 3650


class UserOut(Shape):
    """Somebody who may log in, or no longer may."""

    login: str
    name: str
    role: str
    locale: str
    email: str
    phone: str
    is_disabled: bool
    created_at: datetime
    seen_at: datetime | None = Field(description="when a live session of theirs was last used")


class UserIn(Shape):
    """A new user."""

    login: Text = Field(max_length=100)
    name: Text = Field("", max_length=100)
    role: RoleName = "author"
    locale: Literal["zh-CN", "en"] = "zh-CN"
    email: Text = Field("", max_length=300, description="where their tests and alarms go")
    phone: Text = Field("", max_length=100)


class UserMade(UserOut):
    """A new user with the password, which is told this once."""

    password: str


class PasswordOut(Shape):
    """A new password, told this once."""

    password: str


class UserChange(Shape):
    """What is to be different; what is left out stays."""

    name: Text | None = Field(None, max_length=100)
    locale: Literal["zh-CN", "en"] | None = None
    email: Text | None = Field(None, max_length=300)
    phone: Text | None = Field(None, max_length=100)
    role: RoleName | None = None
    is_disabled: bool | None = None


class ProfileChange(Shape):
    """What a user changes about themselves."""

    name: Text | None = Field(None, max_length=100)
    locale: Literal["zh-CN", "en"] | None = None
    email: Text | None = Field(None, max_length=300)
    phone: Text | None = Field(None, max_length=100)


class Ended(Shape):
    """How many sessions ended."""

    sessions: int


class KeyOut(Shape):
    """A key, without its secret."""

    id: int
    name: str
    user: str | None = Field(description="the login it stands for; null: a system")
    scopes: list[str]
    is_live: bool
    created_at: datetime
    used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


class KeyIn(Shape):
    """A new key."""

    name: Text = Field(min_length=1, max_length=200)
    user: Text = Field("", max_length=100, description="the login it stands for; empty: a system")
    scopes: list[Scope] = Field(min_length=1, max_length=4)
    days: int | None = Field(None, ge=1, le=_LONGEST_DAYS, description="until it expires; null: never")


class KeyMade(Shape):
    """A new key, told this once."""

    key: str


class AuditOut(Shape):
    """Something somebody did."""

    id: int
    at: datetime
    actor: str = Field(description="a login, `api-key:3`, `cli:` and a system account, or `schedule`")
    act: str
    subject: str
    detail: dict[str, Any]


@router.get("/users", summary="List users")
async def get_users(request: Request, key: AdminReader) -> Listed[UserOut]:
    """Everybody, in the order they came; always one page."""
    async with _database(request).transaction() as tx:
        return Listed(items=[_tell_user(user) for user in await list_users(tx, key.team_id)], next_cursor=None)


@router.post("/users", status_code=201, summary="Add a user")
async def post_user(request: Request, key: AdminWriter, body: UserIn) -> UserMade:
    """With a password that is told this once. 409 where the login is taken."""
    password = make_password()
    async with _database(request).transaction() as tx:
        await create_user(tx, **body.model_dump(), password=password, by=actor(key), team_id=key.team_id)
        user = await _find(tx, key.team_id, body.login.strip().lower())
    return UserMade(**_tell_user(user).model_dump(), password=password)


@router.patch("/users/{login}", summary="Change a user")
async def patch_user(request: Request, key: AdminWriter, login: Text, body: UserChange) -> UserOut:
    """Profile, role, whether they may log in. 409 for the last admin who may log in."""
    async with _database(request).transaction() as tx:
        user = await _find(tx, key.team_id, login)
        wanted = _merge(user, body.model_dump())
        await people.change_profile(tx, key.team_id, login, wanted, by=actor(key))
        if body.role is not None:
            await people.change_role(tx, key.team_id, login, body.role, by=actor(key))
        if body.is_disabled is not None:
            move = people.disable_user if body.is_disabled else people.enable_user
            await move(tx, key.team_id, login, by=actor(key))
        return _tell_user(await _find(tx, key.team_id, login))


@router.post("/users/{login}/password", summary="Give a user another password")
async def post_password(request: Request, key: AdminWriter, login: Text) -> PasswordOut:
    """They are logged out everywhere; the password is told this once."""
    password = make_password()
    async with _database(request).transaction() as tx:
        await people.reset_password(tx, key.team_id, login, password, by=actor(key))
    return PasswordOut(password=password)


@router.get("/me", summary="Whom the key stands for")
async def get_me(request: Request, key: Reader) -> UserOut:
    """404 for a key of a system."""
    async with _database(request).transaction() as tx:
        return _tell_user(await _own(tx, key))


@router.patch("/me", summary="Change one's own profile")
async def patch_me(request: Request, key: Writer, body: ProfileChange) -> UserOut:
    """Name, language and addresses of the user the key stands for."""
    async with _database(request).transaction() as tx:
        user = await _own(tx, key)
        await people.change_profile(tx, key.team_id, user.login, _merge(user, body.model_dump()), by=actor(key))
        return _tell_user(await _find(tx, key.team_id, user.login))


@router.post("/me/sessions/end", summary="Log out everywhere")
async def end_sessions(request: Request, key: Writer) -> Ended:
    """Every session of the user the key stands for; their keys go on."""
    async with _database(request).transaction() as tx:
        found = await access.find_user(tx, (await _own(tx, key)).login)
        assert found is not None
        return Ended(sessions=await people.end_other_sessions(tx, found, session=b""))


@router.get("/keys", summary="List keys")
async def get_keys(request: Request, key: AdminReader) -> Listed[KeyOut]:
    """Live and dead ones, without their secrets; always one page."""
    async with _database(request).transaction() as tx:
        return Listed(items=[_tell_key(one) for one in await list_api_keys(tx, key.team_id)], next_cursor=None)


@router.post("/keys", status_code=201, summary="Make a key")
async def post_key(request: Request, key: AdminWriter, body: KeyIn) -> KeyMade:
    """Told this once. 403 for a scope the calling key lacks, 422 for one that its user's role does not allow."""
    if more := sorted(set(body.scopes) - set(key.scopes)):
        raise Problem(403, f"this key lacks {', '.join(more)} itself and cannot give it")
    expires_at = datetime.now(UTC) + timedelta(days=body.days) if body.days else None
    async with _database(request).transaction() as tx:
        token = await create_api_key(
            tx,
            name=body.name,
            scopes=body.scopes,
            by=actor(key),
            login=body.user,
            expires_at=expires_at,
            team_id=key.team_id,
        )
    return KeyMade(key=token)


@router.delete("/keys/{number}", status_code=204, summary="Revoke a key")
async def delete_key(request: Request, key: AdminWriter, number: Id) -> Response:
    """From now on it opens nothing."""
    async with _database(request).transaction() as tx:
        await revoke_api_key(tx, key.team_id, number, by=actor(key))
    return Response(status_code=204)


@router.get("/audit", summary="Read the audit trail")
async def get_audit(  # noqa: PLR0913, PLR0917 - one for each filter
    request: Request,
    key: AuditReader,
    by: Text = "",
    act: Text = "",
    subject: Text = "",
    since: Moment | None = None,
    until: Moment | None = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> Listed[AuditOut]:
    """The newest first. `act` is one act, `run.stop`, or all of a kind, `run`; `until` itself is not meant."""
    wanted = AuditFilter(actor=by, act=act, subject=subject, since=since, until=until)
    async with _database(request).transaction() as tx:
        found = await list_audit(tx, key.team_id, wanted, before=read_cursor(cursor), limit=limit + 1)
    more = write_cursor(found[limit - 1].id) if len(found) > limit else None
    return Listed(items=[_tell_line(line) for line in found[:limit]], next_cursor=more)


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def _find(tx: Tx, team_id: int, login: str) -> UserLine:
    for user in await list_users(tx, team_id):
        if user.login == login:
            return user
    raise NotFound(f"there is no user {login!r}")


async def _own(tx: Tx, key: ApiKey) -> UserLine:
    for user in await list_users(tx, key.team_id):
        if user.id == key.user_id:
            return user
    raise NotFound("this key stands for a system, not for a user")


def _merge(user: UserLine, change: Mapping[str, Any]) -> Profile:
    now = {name: getattr(user, name) for name in ("name", "locale", "email", "phone")}
    return Profile(**{name: now[name] if change[name] is None else change[name] for name in now})


def _tell_user(user: UserLine) -> UserOut:
    return UserOut(**{name: getattr(user, name) for name in UserOut.model_fields})


def _tell_key(key: KeyLine) -> KeyOut:
    is_over = key.revoked_at or key.is_user_disabled or (key.expires_at and key.expires_at <= datetime.now(UTC))
    return KeyOut(
        id=key.id,
        name=key.name,
        user=key.login,
        scopes=list(key.scopes),
        is_live=not is_over,
        created_at=key.created_at,
        used_at=key.used_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
    )


def _tell_line(line: AuditLine) -> AuditOut:
    return AuditOut(
        id=line.id, at=line.at, actor=line.actor, act=line.act, subject=line.subject, detail=dict(line.detail)
    )
