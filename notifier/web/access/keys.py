"""API keys of the bank's systems."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from notifier.domain.errors import InputError
from notifier.domain.person import ACTING, RELEASING, Role
from notifier.store import access
from notifier.store.access import ApiKey, User
from notifier.store.database import Tx

SCOPES = ("read", "write", "send", "release")
_LONGEST_NAME = 200
_PREFIX = "nk"


async def create_api_key(
    tx: Tx,
    *,
    name: str,
    scopes: Sequence[str],
    by: str,
    login: str = "",
    expires_at: datetime | None = None,
    team_id: int = 1,
) -> str:
    """Add a key, of the user with this login or of a system, and return it: `nk_<number>_<secret>`.

    It cannot be shown again. `InputError` for a scope its user's role does not give: nobody gets more by a key.
    """
    name, wanted = name.strip(), tuple(scope for scope in SCOPES if scope in scopes)
    if not 0 < len(name) <= _LONGEST_NAME:
        raise InputError("name", f"wants 1 to {_LONGEST_NAME} characters")
    if not wanted or set(scopes) - set(SCOPES):
        raise InputError("scopes", f"wants some of {', '.join(SCOPES)}")
    user = await _find_live_user(tx, team_id, login) if login else None
    _refuse_more_than_allowed(wanted, user)
    secret = secrets.token_urlsafe(32)
    key_id = await access.add_api_key(
        tx,
        team_id,
        name=name,
        secret_hash=_hash(secret),
        scopes=wanted,
        expires_at=expires_at,
        user_id=user.id if user else None,
    )
    detail = {"name": name, "scopes": list(wanted), "user": user.login if user else None}
    await access.add_audit(tx, team_id, actor=by, act="key.created", subject=f"key:{key_id}", detail=detail)
    return f"{_PREFIX}_{key_id}_{secret}"


async def revoke_api_key(tx: Tx, team_id: int, key_id: int, *, by: str) -> None:
    """End a key for good; a second time changes nothing. `NotFound` where there is no such key."""
    if await access.revoke_api_key(tx, team_id, key_id):
        await access.add_audit(tx, team_id, actor=by, act="key.revoked", subject=f"key:{key_id}", detail={})


async def _find_live_user(tx: Tx, team_id: int, login: str) -> User:
    user = await access.find_user(tx, login.strip().lower())
    if user is None or user.team_id != team_id or user.is_disabled:
        raise InputError("user", f"there is no user {login!r} who may log in", "`notifier user list` shows them")
    return user


def _refuse_more_than_allowed(scopes: Sequence[str], user: User | None) -> None:
    allowed = scopes_of(user.role if user else None)
    if more := [scope for scope in scopes if scope not in allowed]:
        whose = f"a user who is {user.role}" if user else "a key without a user"
        remedy = "A key that releases stands for an approver or admin" if "release" in more else ""
        raise InputError("scopes", f"{whose} may not have {', '.join(more)}", remedy)


def scopes_of(role: str | None) -> frozenset[str]:
    """What a key may have at most: what its user's role allows; None is a system, which never releases."""
    if role is None:
        return frozenset({"read", "write", "send"})
    given = {"read"}
    if Role(role) in ACTING:
        given |= {"write", "send"}
    if Role(role) in RELEASING:
        given |= {"release"}
    return frozenset(given)


async def find_key(tx: Tx, token: str) -> ApiKey | None:
    """The live key a caller holds, with the scopes its user's role still allows; None for any other."""
    prefix, _, rest = token.partition("_")
    number, _, secret = rest.partition("_")
    if prefix != _PREFIX or not (number.isascii() and number.isdecimal() and len(number) < 19) or not secret:
        return None
    key = await access.find_api_key(tx, int(number))
    given = _hash(secret)
    if key is None or not hmac.compare_digest(key.secret_hash, given) or not key.is_live:
        return None
    await access.note_key_used(tx, key.id)
    allowed = scopes_of(key.user_role)
    return replace(key, scopes=tuple(scope for scope in key.scopes if scope in allowed))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
