"""Users and API keys as lists."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class UserLine:
    """Somebody who may log in, or no longer may."""

    id: int
    login: str
    name: str
    role: str
    locale: str
    email: str = field(repr=False)
    phone: str = field(repr=False)
    is_disabled: bool
    created_at: datetime
    seen_at: datetime | None  # when a live session of theirs was last used


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLine:
    """An API key, without its secret."""

    id: int
    name: str
    login: str | None  # the user it stands for; None: a system
    role: str | None  # what that user may do now
    is_user_disabled: bool
    scopes: tuple[str, ...]
    created_at: datetime
    used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


async def list_users(tx: Tx, team_id: int) -> list[UserLine]:
    """The team's users in the order they came."""
    rows = await tx.fetch(
        """
        SELECT u.id, u.login, u.name, u.role, u.locale, u.email, u.phone, u.disabled_at IS NOT NULL AS is_disabled,
            u.created_at,
            (SELECT max(s.seen_at) FROM notifier.sessions s WHERE s.user_id = u.id AND s.expires_at > now()) AS seen_at
        FROM notifier.users u WHERE u.team_id = $1 ORDER BY u.id
        """,
        team_id,
    )
    return [UserLine(**dict(row)) for row in rows]


async def list_api_keys(tx: Tx, team_id: int) -> list[KeyLine]:
    """The team's keys in the order they came, dead ones too."""
    rows = await tx.fetch(
        """
        SELECT k.id, k.name, u.login, u.role, u.disabled_at IS NOT NULL AS is_user_disabled, k.scopes, k.created_at,
            k.used_at, k.expires_at, k.revoked_at
        FROM notifier.api_keys k LEFT JOIN notifier.users u ON u.id = k.user_id WHERE k.team_id = $1 ORDER BY k.id
        """,
        team_id,
    )
    return [KeyLine(**{**dict(row), "scopes": tuple(row["scopes"])}) for row in rows]


async def names_of(tx: Tx, team_id: int, user_ids: Sequence[int]) -> list[str]:
    """What these users are called, with their logins, in the order they came."""
    rows = await tx.fetch(
        "SELECT name, login FROM notifier.users WHERE team_id = $1 AND id = ANY($2::bigint[]) ORDER BY id",
        team_id,
        list(user_ids),
    )
    return [f"{row['name']} ({row['login']})" for row in rows]
