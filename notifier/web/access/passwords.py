"""Passwords and the people who have one: Argon2id, the same work for every login."""

import asyncio
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from notifier.domain.errors import InputError
from notifier.store import access
from notifier.store.access import User
from notifier.store.database import Database, Tx
from notifier.web.access.profile import ROLES, Profile, read_login, read_profile, read_role

__all__ = ["ROLES", "create_user", "find_person", "hash_password", "make_password", "verify_password"]
_SHORTEST = 8
_LONGEST = 200  # Argon2 would take more, and take its time over it
_HASHER = PasswordHasher()
# Nobody's password: unknown logins cost the same work as known ones.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$bm9ib2R5LW5vYm9keS1ubw$0000000000000000000000000000000000000000000"


async def hash_password(password: str) -> str:
    """The Argon2id hash; `InputError` for a password too short or too long."""
    if not _SHORTEST <= len(password) <= _LONGEST:
        raise InputError("password", f"wants {_SHORTEST} to {_LONGEST} characters")
    return await asyncio.to_thread(_HASHER.hash, password)


async def verify_password(password_hash: str | None, password: str) -> bool:
    """Whether it is the password; None (no such user) takes as long and is never true."""
    checked = await asyncio.to_thread(_verify, password_hash or _NOBODY, password[:_LONGEST])
    return checked and password_hash is not None


async def find_person(database: Database, *, login: str, password: str) -> User | None:
    """The user who knows this password and may log in; None, after the same work, for anybody else."""
    async with database.transaction() as tx:
        user = await access.find_user(tx, login.strip().lower())
    # Takes a tenth of a second: no connection waits for it.
    is_right = await verify_password(user.password_hash if user else None, password)
    return user if user is not None and is_right and not user.is_disabled else None


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def make_password() -> str:
    """A password nobody thought of; shown once."""
    return secrets.token_urlsafe(12)


async def create_user(  # noqa: PLR0913 - one for each thing known of a user
    tx: Tx,
    *,
    login: str,
    password: str,
    name: str,
    by: str,
    role: str = "author",
    locale: str = "zh-CN",
    email: str = "",
    phone: str = "",
    team_id: int = 1,
) -> int:
    """Add a user and return the number; `InputError` says what is wrong, `Conflict` that the login is taken.

    `by` is who acts, as the audit names them.
    """
    login, role = read_login(login), read_role(role)
    given = Profile(name=name.strip() or login, locale=locale, email=email, phone=phone)
    profile = await read_profile(tx, team_id, given)
    user_id = await access.add_user(
        tx,
        team_id,
        login=login,
        name=profile.name,
        role=role,
        password_hash=await hash_password(password),
        locale=profile.locale,
        email=profile.email,
        phone=profile.phone,
    )
    await access.add_audit(tx, team_id, actor=by, act="user.created", subject=f"user:{login}", detail={"role": role})
    return user_id
