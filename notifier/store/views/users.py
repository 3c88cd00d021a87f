"""Users and API keys as lists."""

from dataclasses import dataclass
from datetime import datetime

from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class UserLine:
    """Somebody who may log in, or no longer may."""

    login: str
    name: str
    role: str
    locale: str
    is_disabled: bool
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLine:
    """An API key, without its secret."""

    id: int
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


async def list_users(tx: Tx, team_id: int) -> list[UserLine]:
    """The team's users in the order they came."""
    rows = await tx.fetch(
        """
        SELECT login, name, role, locale, disabled_at IS NOT NULL AS is_disabled, created_at
        FROM notifier.users WHERE team_id = $1 ORDER BY id
        """,
        team_id,
    )
    return [UserLine(**dict(row)) for row in rows]


async def list_api_keys(tx: Tx, team_id: int) -> list[KeyLine]:
    """The team's keys in the order they came, dead ones too."""
    rows = await tx.fetch(
        """
        SELECT id, name, scopes, created_at, used_at, expires_at, revoked_at
        FROM notifier.api_keys WHERE team_id = $1 ORDER BY id
        """,
        team_id,
    )
    return [KeyLine(**{**dict(row), "scopes": tuple(row["scopes"])}) for row in rows]
