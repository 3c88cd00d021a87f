"""Releases: who let a run out, and exactly what; append-only, voided where the run was changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release; it holds until anything of its run is changed."""

    id: int
    run_id: int
    hash: bytes
    facts: Mapping[str, Any] = field(repr=False)
    authors: tuple[int, ...]
    user_id: int | None
    needs_second: bool
    break_glass: str
    at: datetime
    reviewed_by: int | None
    reviewed_at: datetime | None
    review_note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRelease:
    """A release about to be written."""

    team_id: int
    run_id: int
    hash: bytes
    facts: Mapping[str, Any] = field(repr=False)
    authors: Sequence[int]
    user_id: int | None
    needs_second: bool
    break_glass: str = ""


_RELEASE = """id, run_id, hash, facts, authors, user_id, needs_second, break_glass, at, reviewed_by, reviewed_at,
    review_note"""


async def add_release(tx: Tx, release: NewRelease) -> int:
    """Keep it; the table itself refuses one by an author where a second person is needed."""
    identity: int = await tx.fetchval(
        """
        INSERT INTO notifier.releases (team_id, run_id, hash, facts, authors, user_id, needs_second, break_glass)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id
        """,
        release.team_id,
        release.run_id,
        release.hash,
        release.facts,
        list(release.authors),
        release.user_id,
        release.needs_second,
        release.break_glass,
    )
    return identity


async def find_release(tx: Tx, run_id: int) -> Release | None:
    """The release of the run that holds now."""
    row = await tx.fetchrow(f"SELECT {_RELEASE} FROM notifier.releases WHERE run_id = $1 AND voided_at IS NULL", run_id)
    return _read(row) if row else None


async def find_standing_release(tx: Tx, team_id: int, digest: bytes) -> Release | None:
    """The newest release of single messages with these very facts, in whichever month, by a second person.

    None where its run does not run any more: who ended it ended them all.
    """
    row = await tx.fetchrow(
        f"""
        WITH newest AS (
            SELECT {_RELEASE} FROM notifier.releases r WHERE team_id = $1 AND hash = $2 AND voided_at IS NULL
                AND EXISTS (SELECT 1 FROM notifier.runs WHERE id = r.run_id AND kind = 'standing')
            ORDER BY id DESC LIMIT 1)
        SELECT n.* FROM newest n JOIN notifier.runs r ON r.id = n.run_id AND r.state = 'running'
        WHERE n.break_glass = ''
        """,
        team_id,
        digest,
    )
    return _read(row) if row else None


async def void_release(tx: Tx, run_id: int) -> bool:
    """The run is not released any more; False where it was not."""
    found = await tx.fetchval(
        "UPDATE notifier.releases SET voided_at = notifier.now() WHERE run_id = $1 AND voided_at IS NULL RETURNING id",
        run_id,
    )
    return found is not None


async def find_unreviewed(tx: Tx, run_id: int) -> Release | None:
    """The oldest release of the run by one person alone that nobody else has looked at since, voided or not."""
    row = await tx.fetchrow(
        f"""
        SELECT {_RELEASE} FROM notifier.releases
        WHERE run_id = $1 AND break_glass <> '' AND reviewed_at IS NULL ORDER BY id LIMIT 1
        """,
        run_id,
    )
    return _read(row) if row else None


async def set_reviewed(tx: Tx, release_id: int, *, user_id: int, note: str) -> None:
    """Keep who looked at it afterwards and what they found."""
    await tx.execute(
        "UPDATE notifier.releases SET reviewed_by = $2, reviewed_at = notifier.now(), review_note = $3 WHERE id = $1",
        release_id,
        user_id,
        note,
    )


async def current_role(tx: Tx, user_id: int) -> str:
    """The role the user has until the transaction ends; "" where they are disabled or gone."""
    found: str | None = await tx.fetchval(
        "SELECT role FROM notifier.users WHERE id = $1 AND disabled_at IS NULL FOR SHARE", user_id
    )
    return found or ""


def _read(row: Any) -> Release:
    return Release(**{**dict(row), "authors": tuple(row["authors"])})
