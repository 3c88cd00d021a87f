"""Accounts as the doors for callbacks need them: also those that were taken out of use not long ago."""

from dataclasses import dataclass
from datetime import timedelta

from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweringAccount:
    """The newest version of an account whose provider may still report."""

    id: int
    key: str


async def list_answering(tx: Tx, team_id: int, *, after_retiring: timedelta) -> list[AnsweringAccount]:
    """Accounts in use, and those retired at most this long ago, by key."""
    rows = await tx.fetch(
        """
        SELECT id, key FROM (
            SELECT DISTINCT ON (key) id, key, retired_at FROM notifier.definitions
            WHERE team_id = $1 AND kind = 'account' ORDER BY key, version DESC) AS latest
        WHERE retired_at IS NULL OR retired_at > notifier.now() - $2::interval ORDER BY key
        """,
        team_id,
        after_retiring,
    )
    return [AnsweringAccount(**dict(row)) for row in rows]


async def get_team(tx: Tx, definition_id: int) -> int:
    """Whose account it is."""
    team_id: int = await tx.fetchval("SELECT team_id FROM notifier.definitions WHERE id = $1", definition_id)
    return team_id
