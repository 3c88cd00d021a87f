"""Who may use it: users, sessions, API keys; what they did, and which requests were answered already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from notifier.domain.errors import Conflict, NotFound
from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who may log in to the console."""

    id: int
    team_id: int
    login: str
    name: str
    role: str
    locale: str
    email: str = field(default="", repr=False)  # where tests and alarms go
    phone: str = field(default="", repr=False)
    password_hash: str = field(default="", repr=False)
    is_disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser somebody is logged in with."""

    token_hash: bytes = field(repr=False)
    created_at: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key of a bank's system; `is_live` is False once it expired, was revoked, or its user was disabled."""

    id: int
    team_id: int
    name: str
    secret_hash: bytes = field(repr=False)
    scopes: tuple[str, ...]
    is_live: bool
    user_id: int | None = None  # whom it stands for; None: a system, no person
    user_role: str | None = None  # what they may do now


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What was answered to an earlier request with the same key; `status` None: none yet."""

    request_hash: bytes
    status: int | None
    body: str


_USER = "u.id, u.team_id, u.login, u.name, u.role, u.locale, u.email, u.phone"
_IS_DISABLED = "u.disabled_at IS NOT NULL AS is_disabled"


async def add_user(  # noqa: PLR0913 - one for each thing known of a user
    tx: Tx,
    team_id: int,
    *,
    login: str,
    name: str,
    role: str,
    password_hash: str,
    locale: str,
    email: str = "",
    phone: str = "",
) -> int:
    """Keep a new user; `Conflict` where the login is taken."""
    identity: int | None = await tx.fetchval(
        """
        INSERT INTO notifier.users (team_id, login, name, role, password_hash, locale, email, phone)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (login) DO NOTHING RETURNING id
        """,
        team_id,
        login,
        name,
        role,
        password_hash,
        locale,
        email,
        phone,
    )
    if identity is None:
        raise Conflict(f"there is already a user {login!r}")
    return identity


async def find_user(tx: Tx, login: str) -> User | None:
    """The user with this login, disabled or not."""
    row = await tx.fetchrow(
        f"SELECT {_USER}, u.password_hash, {_IS_DISABLED} FROM notifier.users u WHERE u.login = $1", login
    )
    return User(**dict(row)) if row else None


async def lock_user(tx: Tx, team_id: int, login: str) -> tuple[User, bool]:
    """The user, held until the transaction ends, and whether they are the team's only live admin.

    All live admins are held with them, in id order: two who demote each other wait, and the second sees the first.
    `NotFound` where there is nobody of that login.
    """
    rows = await tx.fetch(
        f"""
        SELECT {_USER}, u.password_hash, {_IS_DISABLED} FROM notifier.users u
        WHERE u.team_id = $1 AND (u.login = $2 OR u.role = 'admin' AND u.disabled_at IS NULL)
        ORDER BY u.id FOR UPDATE
        """,
        team_id,
        login,
    )
    held = [User(**dict(row)) for row in rows]
    found = next((user for user in held if user.login == login), None)
    if found is None:
        raise NotFound(f"there is no user {login!r}")
    admins = [user.id for user in held if user.role == "admin" and not user.is_disabled]
    return found, admins == [found.id]


async def set_role(tx: Tx, user_id: int, role: str) -> None:
    """Give another role."""
    await tx.execute("UPDATE notifier.users SET role = $2 WHERE id = $1", user_id, role)


async def disable_user(tx: Tx, user_id: int) -> None:
    """From now on the user opens nothing, nor do their keys."""
    await tx.execute("UPDATE notifier.users SET disabled_at = now() WHERE id = $1", user_id)


async def enable_user(tx: Tx, user_id: int) -> None:
    """The user may log in again."""
    await tx.execute("UPDATE notifier.users SET disabled_at = NULL WHERE id = $1", user_id)


async def set_profile(tx: Tx, user_id: int, *, name: str, locale: str, email: str, phone: str) -> None:
    """Change what a user is called, reads and is reached by."""
    await tx.execute(
        "UPDATE notifier.users SET name = $2, locale = $3, email = $4, phone = $5 WHERE id = $1",
        user_id,
        name,
        locale,
        email,
        phone,
    )


async def set_password(tx: Tx, user_id: int, password_hash: str, *, but: bytes = b"") -> None:
    """Change the password hash and end every session of the user but this one."""
    await tx.execute("UPDATE notifier.users SET password_hash = $2 WHERE id = $1", user_id, password_hash)
    await end_sessions(tx, user_id, but=but)


async def set_locale(tx: Tx, user_id: int, locale: str) -> None:
    """Remember the language a user reads the console in."""
    await tx.execute("UPDATE notifier.users SET locale = $2 WHERE id = $1", user_id, locale)


async def add_session(tx: Tx, user_id: int, token_hash: bytes, lasts: timedelta) -> None:
    """Keep a session; by the server's own clock, whatever business time says. Old ones go."""
    await tx.execute("DELETE FROM notifier.sessions WHERE expires_at < now()")
    await tx.execute(
        "INSERT INTO notifier.sessions (token_hash, user_id, expires_at) VALUES ($1, $2, now() + $3::interval)",
        token_hash,
        user_id,
        lasts,
    )


async def find_session_user(tx: Tx, token_hash: bytes) -> User | None:
    """The user of a live session, None where it ended or the user was disabled."""
    row = await tx.fetchrow(
        f"""
        SELECT {_USER} FROM notifier.sessions s JOIN notifier.users u ON u.id = s.user_id
        WHERE s.token_hash = $1 AND s.expires_at > now() AND u.disabled_at IS NULL
        """,
        token_hash,
    )
    return User(**dict(row)) if row else None


async def note_session_seen(tx: Tx, token_hash: bytes) -> None:
    """Remember when a session was last used, to the minute."""
    await tx.execute(
        """
        UPDATE notifier.sessions SET seen_at = now() WHERE token_hash = (
            SELECT token_hash FROM notifier.sessions
            WHERE token_hash = $1 AND seen_at < now() - interval '1 minute' FOR UPDATE SKIP LOCKED)
        """,
        token_hash,
    )


async def list_sessions(tx: Tx, user_id: int) -> list[Session]:
    """The user's live sessions, the last used first."""
    rows = await tx.fetch(
        """
        SELECT token_hash, created_at, seen_at FROM notifier.sessions
        WHERE user_id = $1 AND expires_at > now() ORDER BY seen_at DESC, created_at DESC
        """,
        user_id,
    )
    return [Session(**dict(row)) for row in rows]


async def end_sessions(tx: Tx, user_id: int, *, but: bytes = b"") -> int:
    """End every session of the user but this one; returns how many."""
    rows = await tx.fetch(
        "DELETE FROM notifier.sessions WHERE user_id = $1 AND token_hash <> $2 RETURNING 1", user_id, but
    )
    return len(rows)


async def end_session(tx: Tx, token_hash: bytes) -> None:
    """Forget a session."""
    await tx.execute("DELETE FROM notifier.sessions WHERE token_hash = $1", token_hash)


async def add_api_key(
    tx: Tx,
    team_id: int,
    *,
    name: str,
    secret_hash: bytes,
    scopes: Sequence[str],
    expires_at: datetime | None,
    user_id: int | None = None,
) -> int:
    """Keep a new API key, of a user or of a system."""
    identity: int = await tx.fetchval(
        """
        INSERT INTO notifier.api_keys (team_id, name, secret_hash, scopes, expires_at, user_id)
        VALUES ($1, $2, $3, $4, $5, $6) RETURNING id
        """,
        team_id,
        name,
        secret_hash,
        list(scopes),
        expires_at,
        user_id,
    )
    return identity


async def find_api_key(tx: Tx, key_id: int) -> ApiKey | None:
    """The key with this number, live or not, with the role its user has now."""
    row = await tx.fetchrow(
        """
        SELECT k.id, k.team_id, k.name, k.secret_hash, k.scopes, k.user_id, u.role AS user_role,
            k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now()) AND u.disabled_at IS NULL AS is_live
        FROM notifier.api_keys k LEFT JOIN notifier.users u ON u.id = k.user_id WHERE k.id = $1
        """,
        key_id,
    )
    return ApiKey(**{**dict(row), "scopes": tuple(row["scopes"])}) if row else None


async def note_key_used(tx: Tx, key_id: int) -> None:
    """Remember when a key was last used, to the minute; a busy key does not wait for itself."""
    await tx.execute(
        """
        UPDATE notifier.api_keys SET used_at = now() WHERE id = (
            SELECT id FROM notifier.api_keys
            WHERE id = $1 AND (used_at IS NULL OR used_at < now() - interval '1 minute') FOR UPDATE SKIP LOCKED)
        """,
        key_id,
    )


async def revoke_api_key(tx: Tx, team_id: int, key_id: int) -> bool:
    """From now on the key opens nothing; False where it was revoked before, `NotFound` where there is none."""
    was_live: bool | None = await tx.fetchval(
        "SELECT revoked_at IS NULL FROM notifier.api_keys WHERE id = $1 AND team_id = $2 FOR UPDATE", key_id, team_id
    )
    if was_live is None:
        raise NotFound(f"there is no API key {key_id}")
    await tx.execute("UPDATE notifier.api_keys SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL", key_id)
    return was_live


async def hold_request(tx: Tx, team_id: int, scope: str, key: str) -> bool:
    """Hold an idempotency key until the transaction ends; False where another request holds it."""
    held: bool = await tx.fetchval(
        "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 7320400))", f"{team_id}\n{scope}\n{key}"
    )
    return held


async def reserve_request(tx: Tx, team_id: int, scope: str, key: str, request_hash: bytes) -> Answered | None:
    """Reserve the key by its unique row; what was answered before where the key was used already."""
    added = await tx.fetchval(
        """
        INSERT INTO notifier.idempotency (team_id, scope, key, request_hash) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING RETURNING true
        """,
        team_id,
        scope,
        key,
        request_hash,
    )
    if added:
        return None
    row = await tx.fetchrow(
        """
        SELECT request_hash, status, coalesce(body #>> '{}', '') AS body FROM notifier.idempotency
        WHERE team_id = $1 AND scope = $2 AND key = $3
        """,
        team_id,
        scope,
        key,
    )
    return Answered(**dict(row))


async def keep_answer(tx: Tx, team_id: int, scope: str, key: str, *, status: int, body: str) -> None:
    """Keep the answer byte for byte: as a JSON string, for jsonb would sort the keys."""
    await tx.execute(
        "UPDATE notifier.idempotency SET status = $4, body = $5 WHERE team_id = $1 AND scope = $2 AND key = $3",
        team_id,
        scope,
        key,
        status,
        body,
    )


async def add_audit(tx: Tx, team_id: int, *, actor: str, act: str, subject: str, detail: Mapping[str, Any]) -> None:
    """Write what somebody did, in the transaction that does it."""
    await tx.execute(
        "INSERT INTO notifier.audit (team_id, actor, act, subject, detail) VALUES ($1, $2, $3, $4, $5)",
        team_id,
        actor,
        act,
        subject,
        detail,
    )
