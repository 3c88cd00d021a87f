"""Immutable versions of bank, accounts, surveys, templates and campaigns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notifier.domain.errors import NotFound
from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One version of one definition; `spec` is the plain form `domain.spec` reads."""

    id: int
    kind: str
    key: str
    version: int
    hash: bytes
    spec: Mapping[str, Any] = field(repr=False)
    file: str = ""  # the file that manages it, "" = made in the console


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionLine:
    """One version without what it says: who kept it and when. `author` is empty where a file says it."""

    id: int
    key: str
    version: int
    file: str
    author: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedRun:
    """A run that will use the version it is pinned to, whatever is saved since."""

    run_id: int
    campaign_key: str
    state: str
    nominal_at: datetime
    version: int


_COLUMNS = "id, kind, key, version, hash, spec, file"

_LINES = """
SELECT d.id, d.key, d.version, d.file, coalesce(u.name, '') AS author, d.created_at
FROM notifier.definitions d LEFT JOIN notifier.users u ON u.id = d.author_id WHERE d.team_id = $1 AND d.kind = $2
"""

_LATEST = f"""
SELECT {_COLUMNS} FROM (
    SELECT DISTINCT ON (kind, key) {_COLUMNS}, retired_at FROM notifier.definitions
    WHERE team_id = $1 AND ($2 = '' OR kind = $2) AND ($3 = '' OR key = $3) ORDER BY kind, key, version DESC) AS latest
WHERE retired_at IS NULL ORDER BY kind, key
"""


async def list_latest(tx: Tx, team_id: int, kind: str = "") -> list[Definition]:
    """The newest version of every definition still in use, by kind and key."""
    return [_read(row) for row in await tx.fetch(_LATEST, team_id, kind, "")]


async def find_latest(tx: Tx, team_id: int, kind: str, key: str) -> Definition:
    """The newest version in use; `NotFound` names what there is not."""
    row = await tx.fetchrow(_LATEST, team_id, kind, key)
    if row is None:
        raise NotFound(f"there is no {kind} {key!r}")
    return _read(row)


async def list_latest_ids(tx: Tx, team_id: int) -> dict[tuple[str, str], int]:
    """The id of the newest version of every definition still in use, by (kind, key)."""
    rows = await tx.fetch(
        """
        SELECT kind, key, id FROM (
            SELECT DISTINCT ON (kind, key) kind, key, id, retired_at FROM notifier.definitions
            WHERE team_id = $1 ORDER BY kind, key, version DESC) AS latest
        WHERE retired_at IS NULL
        """,
        team_id,
    )
    return {(row["kind"], row["key"]): row["id"] for row in rows}


async def get_definition(tx: Tx, definition_id: int) -> Definition:
    """This very version, retired or not."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM notifier.definitions WHERE id = $1", definition_id)
    if row is None:
        raise NotFound(f"there is no definition {definition_id}")
    return _read(row)


async def find_version(tx: Tx, team_id: int, kind: str, key: str, version: int) -> Definition:
    """This version by its number, retired or not; `NotFound` where there is none."""
    row = await tx.fetchrow(
        f"SELECT {_COLUMNS} FROM notifier.definitions WHERE team_id = $1 AND kind = $2 AND key = $3 AND version = $4",
        team_id,
        kind,
        key,
        version,
    )
    if row is None:
        raise NotFound(f"there is no version {version} of the {kind} {key!r}")
    return _read(row)


async def list_versions(tx: Tx, team_id: int, kind: str, key: str) -> list[VersionLine]:
    """Every version of one definition, the newest first."""
    return [
        _read_line(row) for row in await tx.fetch(f"{_LINES} AND d.key = $3 ORDER BY version DESC", team_id, kind, key)
    ]


async def list_newest_lines(tx: Tx, team_id: int, kind: str) -> dict[str, VersionLine]:
    """Who made the newest version of each definition, and when; by key."""
    rows = await tx.fetch(f"SELECT DISTINCT ON (key) * FROM ({_LINES}) lines ORDER BY key, version DESC", team_id, kind)
    return {row["key"]: _read_line(row) for row in rows}


async def list_open_runs_with(tx: Tx, team_id: int, template_key: str) -> list[PinnedRun]:
    """Runs that have sent nothing yet and the version of a template they are pinned to; the next one first."""
    rows = await tx.fetch(
        """
        SELECT r.id AS run_id, r.campaign_key, r.state, r.nominal_at, d.version
        FROM notifier.runs r JOIN notifier.definitions d ON d.id = (r.pinned -> 'templates' ->> $2)::bigint
        WHERE r.team_id = $1 AND r.state IN ('draft', 'waiting', 'submitted', 'scheduled')
            AND r.pinned -> 'templates' ? $2
        ORDER BY r.nominal_at, r.id LIMIT 200
        """,
        team_id,
        template_key,
    )
    return [PinnedRun(**dict(row)) for row in rows]


async def add_version(
    tx: Tx,
    team_id: int,
    *,
    kind: str,
    key: str,
    digest: bytes,
    spec: Mapping[str, Any],
    file: str,
    author_id: int | None = None,
) -> int:
    """Keep a new version; returns its id. `author_id` is None where a file says it."""
    identity: int = await tx.fetchval(
        """
        INSERT INTO notifier.definitions (team_id, kind, key, version, hash, spec, file, author_id)
        SELECT $1, $2, $3, coalesce(max(version), 0) + 1, $4, $5, $6, $7
        FROM notifier.definitions WHERE team_id = $1 AND kind = $2 AND key = $3 RETURNING id
        """,
        team_id,
        kind,
        key,
        digest,
        spec,
        file,
        author_id,
    )
    return identity


async def retire(tx: Tx, team_id: int, kind: str, key: str) -> None:
    """Take a definition out of use; its versions stay."""
    await tx.execute(
        """
        UPDATE notifier.definitions SET retired_at = notifier.now()
        WHERE team_id = $1 AND kind = $2 AND key = $3 AND retired_at IS NULL
        """,
        team_id,
        kind,
        key,
    )


async def lock_definitions(tx: Tx, team_id: int) -> None:
    """One apply at a time per team, until the transaction ends."""
    await tx.execute("SELECT pg_advisory_xact_lock(7320200, $1)", team_id)


def _read_line(row: Any) -> VersionLine:
    return VersionLine(**dict(row))


def _read(row: Any) -> Definition:
    return Definition(**dict(row))


async def list_authors(tx: Tx, ids: Sequence[int]) -> list[int]:
    """The users who made these versions, each once, in the order they came; files have none."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT author_id FROM notifier.definitions WHERE id = ANY($1::bigint[]) AND author_id IS NOT NULL
        ORDER BY author_id
        """,
        list(ids),
    )
    return [row["author_id"] for row in rows]
