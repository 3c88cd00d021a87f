"""Imports: the account of each, the files that wait to be read, and who reads them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from notifier.domain.contact_import import ImportState
from notifier.domain.errors import NotFound
from notifier.store.database import Tx

LEASE_S = 30
MOST_TRIES = 3


class Turn(NamedTuple):
    """Who reads an import: the number of the try. Whoever had an earlier turn may write no more."""

    import_id: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportLine:
    """The account of an import."""

    id: int
    team_id: int
    file: str
    state: ImportState
    read_rows: int
    added: int
    updated: int
    rejected: int
    problem: str
    started_at: datetime
    ended_at: datetime | None
    by: str  # the user's name, "" = the command line or a key
    options: Mapping[str, Any]
    size_bytes: int
    done_bytes: int
    has_errors: bool

    @property
    def unchanged(self) -> int:
        """Rows that said what stood there already, or that a later row overruled."""
        return self.read_rows - self.added - self.updated - self.rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file about to be kept."""

    team_id: int
    file: str
    size_bytes: int
    sample: Mapping[str, Any] = field(repr=False)
    user_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """An import that is ours to read; `read_rows` of it are in the database already."""

    turn: Turn
    team_id: int
    file: str
    options: Mapping[str, Any]
    size_bytes: int
    read_rows: int


_LINE = """
SELECT i.id, i.team_id, i.file, i.state, i.read_rows, i.added, i.updated, i.rejected, i.problem, i.started_at, i.ended_at,
    coalesce(u.name, '') AS by, i.options, i.size_bytes, i.done_bytes, i.errors IS NOT NULL AS has_errors
FROM notifier.imports i LEFT JOIN notifier.users u ON u.id = i.user_id
"""


# ── files ─────────────────────────────────────────────────────────────────────────────────────────


async def add_upload(tx: Tx, upload: Upload) -> int:
    """Note a file whose parts follow in the same transaction; returns the import's id."""
    import_id: int = await tx.fetchval(
        """
        INSERT INTO notifier.imports (team_id, file, state, size_bytes, sample, user_id)
        VALUES ($1, $2, 'uploaded', $3, $4, $5) RETURNING id
        """,
        upload.team_id,
        upload.file,
        upload.size_bytes,
        upload.sample,
        upload.user_id,
    )
    return import_id


async def add_part(tx: Tx, import_id: int, part: int, data: bytes) -> None:
    """One piece of a file; parts count from 0."""
    await tx.execute(
        "INSERT INTO notifier.import_parts (import_id, part, data) VALUES ($1, $2, $3)", import_id, part, data
    )


async def read_part(tx: Tx, import_id: int, part: int) -> bytes | None:
    """One piece of a file, None past its end."""
    data: bytes | None = await tx.fetchval(
        "SELECT data FROM notifier.import_parts WHERE import_id = $1 AND part = $2", import_id, part
    )
    return data


async def get_sample(tx: Tx, import_id: int) -> Mapping[str, Any] | None:
    """What the preview shows; None once the file is read."""
    sample: Mapping[str, Any] | None = await tx.fetchval("SELECT sample FROM notifier.imports WHERE id = $1", import_id)
    return sample


# ── what people decide ────────────────────────────────────────────────────────────────────────────


async def keep_options(tx: Tx, team_id: int, import_id: int, options: Mapping[str, Any]) -> None:
    """What was chosen so far; nothing once it is begun."""
    await tx.execute(
        "UPDATE notifier.imports SET options = $3 WHERE team_id = $1 AND id = $2 AND state = 'uploaded'",
        team_id,
        import_id,
        options,
    )


async def queue_import(tx: Tx, team_id: int, import_id: int, options: Mapping[str, Any]) -> bool:
    """Let a worker read it with these options; False where it was begun or given up before."""
    moved = await tx.fetchval(
        """
        UPDATE notifier.imports SET state = 'queued', options = $3, started_at = (SELECT notifier.now())
        WHERE team_id = $1 AND id = $2 AND state = 'uploaded' RETURNING true
        """,
        team_id,
        import_id,
        options,
    )
    return bool(moved)


async def cancel_import(tx: Tx, team_id: int, import_id: int) -> bool:
    """Stop it and forget the file; False where it is over."""
    moved = await tx.fetchval(
        """
        UPDATE notifier.imports SET state = 'cancelled', sample = NULL, ended_at = (SELECT notifier.now())
        WHERE team_id = $1 AND id = $2 AND state IN ('uploaded', 'queued', 'reading') RETURNING true
        """,
        team_id,
        import_id,
    )
    if moved:
        await _forget_parts(tx, import_id)
    return bool(moved)


# ── reading ───────────────────────────────────────────────────────────────────────────────────────


async def begin_import(tx: Tx, team_id: int, file: str) -> Turn:
    """Note that this process reads a file of its own, from the command line."""
    import_id: int = await tx.fetchval(
        """
        INSERT INTO notifier.imports (team_id, file, state, tries, alive_until)
        VALUES ($1, $2, 'reading', 1, now() + interval '10 minutes') RETURNING id
        """,
        team_id,
        file,
    )
    return Turn(import_id, 1)


async def has_waiting(tx: Tx) -> bool:
    """Whether there is anything for a worker: a file to read, a dead reader, an upload nobody wanted."""
    found: bool = await tx.fetchval(
        """
        SELECT EXISTS (SELECT FROM notifier.imports WHERE state = 'queued' OR (state = 'reading' AND alive_until < now())
            OR (state = 'uploaded' AND started_at < (SELECT notifier.now()) - interval '1 day'))
        """
    )
    return found


async def claim_import(tx: Tx) -> Claimed | None:
    """The oldest file that waits, or whose reader is dead; it is ours for `LEASE_S` by the database's clock."""
    row = await tx.fetchrow(
        """
        UPDATE notifier.imports SET state = 'reading', tries = tries + 1, alive_until = now() + $1 * interval '1 second'
        WHERE id = (SELECT id FROM notifier.imports
            WHERE state = 'queued' OR (state = 'reading' AND alive_until < now())
            ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING id, tries, team_id, file, options, size_bytes, read_rows
        """,
        LEASE_S,
    )
    if row is None:
        return None
    facts = dict(row)
    return Claimed(turn=Turn(facts.pop("id"), facts.pop("tries")), **facts)


async def keep_alive(tx: Tx, turn: Turn, *, done_bytes: int) -> bool:
    """Say how far the file is read and hold the lease; False where it is ours no more."""
    held = await tx.fetchval(
        """
        UPDATE notifier.imports SET done_bytes = $3, alive_until = now() + $4 * interval '1 second'
        WHERE id = $1 AND tries = $2 AND state = 'reading' RETURNING true
        """,
        *turn,
        done_bytes,
        LEASE_S,
    )
    return bool(held)


async def hand_back(tx: Tx, turn: Turn) -> None:
    """Let the next worker go on at once; the try is not counted."""
    await tx.execute(
        """
        UPDATE notifier.imports SET state = 'queued', tries = tries - 1
        WHERE id = $1 AND tries = $2 AND state = 'reading'
        """,
        *turn,
    )


async def count_import(tx: Tx, turn: Turn, *, read: int, added: int, updated: int, rejected: int) -> bool:
    """Add a batch to the account of its import; in the batch's own transaction, so that it is always exact.

    False where a person stopped it, or somebody else took over: the batch must not be committed.
    """
    counted = await tx.fetchval(
        """
        UPDATE notifier.imports SET read_rows = read_rows + $3, added = added + $4, updated = updated + $5,
            rejected = rejected + $6, alive_until = greatest(alive_until, now() + $7 * interval '1 second')
        WHERE id = $1 AND tries = $2 AND state = 'reading' RETURNING true
        """,
        *turn,
        read,
        added,
        updated,
        rejected,
        LEASE_S,
    )
    return bool(counted)


async def end_import(tx: Tx, turn: Turn, *, problem: str = "", errors: bytes | None = None) -> bool:
    """Close the account, done or broken by `problem`, keep the errors and forget the file.

    A person may have closed it meanwhile: then only the errors are kept. False where it is ours no more.
    """
    ended = await tx.fetchval(
        """
        UPDATE notifier.imports SET errors = $4, sample = NULL,
            state = CASE WHEN state <> 'reading' THEN state WHEN $3 = '' THEN 'done' ELSE 'broken' END,
            problem = CASE state WHEN 'reading' THEN $3 ELSE problem END,
            done_bytes = CASE WHEN state = 'reading' AND $3 = '' THEN size_bytes ELSE done_bytes END,
            ended_at = CASE state WHEN 'reading' THEN (SELECT notifier.now()) ELSE ended_at END
        WHERE id = $1 AND tries = $2 AND state IN ('reading', 'cancelled') RETURNING true
        """,
        *turn,
        problem,
        errors,
    )
    if ended:
        await _forget_parts(tx, turn.import_id)
    return bool(ended)


async def tidy_imports(tx: Tx) -> None:
    """Close what no process reads any more, forget uploads nobody wanted, and errors after a month."""
    await tx.execute(
        """
        WITH dead AS (
            UPDATE notifier.imports i SET state = 'broken', sample = NULL, ended_at = (SELECT notifier.now()),
                problem = CASE WHEN i.tries >= $1 THEN $2 ELSE $3 END
            WHERE i.state = 'reading' AND i.alive_until < now() AND (i.tries >= $1
                OR NOT EXISTS (SELECT FROM notifier.import_parts p WHERE p.import_id = i.id))
            RETURNING id)
        DELETE FROM notifier.import_parts WHERE import_id IN (SELECT id FROM dead)
        """,
        MOST_TRIES,
        f"the process that read it died {MOST_TRIES} times. Split the file and import the parts",
        "the process that read it was killed. Import the file again: what is there already is not changed",
    )
    await tx.execute(
        "DELETE FROM notifier.imports WHERE state = 'uploaded' AND started_at < (SELECT notifier.now()) - interval '1 day'"
    )
    await tx.execute(
        """
        UPDATE notifier.imports SET errors = NULL
        WHERE errors IS NOT NULL AND ended_at < (SELECT notifier.now()) - interval '30 days'
        """
    )


async def _forget_parts(tx: Tx, import_id: int) -> None:
    await tx.execute("DELETE FROM notifier.import_parts WHERE import_id = $1", import_id)


# ── looking ───────────────────────────────────────────────────────────────────────────────────────


async def list_imports(tx: Tx, team_id: int, *, before: int | None = None, limit: int = 25) -> list[ImportLine]:
    """The newest first, continuing below `before`."""
    where = "WHERE i.team_id = $1 AND ($2::bigint IS NULL OR i.id < $2) ORDER BY i.id DESC LIMIT $3"
    return [_read_line(row) for row in await tx.fetch(_LINE + where, team_id, before, limit)]


async def get_import(tx: Tx, team_id: int, import_id: int) -> ImportLine:
    """One import; `NotFound` where the team has none of this number."""
    row = await tx.fetchrow(_LINE + "WHERE i.team_id = $1 AND i.id = $2", team_id, import_id)
    if row is None:
        raise NotFound("there is no such import")
    return _read_line(row)


async def get_errors(tx: Tx, team_id: int, import_id: int) -> bytes:
    """The CSV of the rows not taken; `NotFound` where none was wrong, or it is gone."""
    data: bytes | None = await tx.fetchval(
        "SELECT errors FROM notifier.imports WHERE team_id = $1 AND id = $2", team_id, import_id
    )
    if data is None:
        raise NotFound("there is no file of errors")
    return data


def _read_line(row: Mapping[str, Any]) -> ImportLine:
    return ImportLine(**{**dict(row), "state": ImportState(row["state"])})
