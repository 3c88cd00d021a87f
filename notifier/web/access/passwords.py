"""Passwords and the people who have one: Argon2id, the same work for every login."""

import asyncio
import re

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from notifier.domain.errors import InputError
from notifier.domain.person import Role
from notifier.store import access
from notifier.store.database import Tx

ROLES = tuple(role.value for role in Role)
_SHORTEST = 8
_LONGEST = 200  # Argon2 would take more, and take its time over it
_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@-]{1,63}")
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


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


async def create_user(
    tx: Tx, *, login: str, password: str, name: str, role: str = "author", locale: str = "zh-CN", team_id: int = 1
) -> int:
    """Add a user and return the number; `InputError` says what is wrong, `Conflict` that the login is taken."""
    login = login.strip().lower()
    if not _LOGIN.fullmatch(login):
        raise InputError("login", "wants 2 to 64 of a-z, 0-9 and . _ @ -")
    if role not in ROLES:
        raise InputError("role", f"there is no role {role!r}", f"Use one of {', '.join(ROLES)}")
    password_hash = await hash_password(password)
    user_id = await access.add_user(
        tx, team_id, login=login, name=name.strip() or login, role=role, password_hash=password_hash, locale=locale
    )
    await access.add_audit(tx, team_id, actor="console", act="user-created", subject=login, detail={"role": role})
    return user_id
