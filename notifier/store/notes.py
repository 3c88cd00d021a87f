"""Notes to the house; no run, tally or event ever sees one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notifier.domain.errors import NotFound
from notifier.store.database import Tx

LEASE_S = 180
"""How long a note may be on the wire before nobody believes in it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """A user as notes reach them."""

    id: int
    login: str
    name: str
    locale: str
    email: str = field(repr=False)
    phone: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNote:
    """One message to the house, rendered and marked."""

    team_id: int
    kind: str
    channel: str
    address: str = field(repr=False)
    content: Mapping[str, Any] = field(repr=False)
    locale: str
    account_id: int
    run_id: int | None = None
    step: str = ""
    user_id: int | None = None
    reader_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedNote:
    """A note that only this worker sends."""

    id: int
    team_id: int
    kind: str
    channel: str
    address: str = field(repr=False)
    content: Mapping[str, Any] = field(repr=False)
    locale: str
    account_id: int
    tries: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteLine:
    """A note as a list shows it."""

    id: int
    kind: str
    run_id: int | None
    step: str
    channel: str
    address: str = field(repr=False)
    locale: str
    state: str
    problem: str
    asked_by: str
    created_at: datetime
    changed_at: datetime | None


async def lock_addressee(tx: Tx, user_id: int) -> Addressee:
    """A user with their addresses; two tests of the same user are counted one after the other. `NotFound`."""
    row = await tx.fetchrow(
        """
        SELECT id, login, name, locale, email, phone FROM notifier.users
        WHERE id = $1 AND disabled_at IS NULL FOR NO KEY UPDATE
        """,
        user_id,
    )
    if row is None:
        raise NotFound("there is no such user")
    return Addressee(**dict(row))


async def list_addressees(
    tx: Tx, team_id: int, roles: Sequence[str], *, also: Sequence[int] = (), without: int | None
) -> list[Addressee]:
    """The users of these roles, and these, who can be reached, but for one; in the order they came."""
    rows = await tx.fetch(
        """
        SELECT id, login, name, locale, email, phone FROM notifier.users
        WHERE team_id = $1 AND (role = ANY($2) OR id = ANY($4::bigint[])) AND disabled_at IS NULL
            AND id IS DISTINCT FROM $3 AND (email <> '' OR phone <> '')
        ORDER BY id
        """,
        team_id,
        list(roles),
        without,
        list(also),
    )
    return [Addressee(**dict(row)) for row in rows]


async def find_user_name(tx: Tx, user_id: int) -> str:
    """How a user is called, "" where there is none."""
    name: str | None = await tx.fetchval("SELECT name FROM notifier.users WHERE id = $1", user_id)
    return name or ""


async def add_note(tx: Tx, note: NewNote) -> int | None:
    """Queue a note; None where this proof is queued already."""
    identity: int | None = await tx.fetchval(
        """
        INSERT INTO notifier.notes (team_id, kind, channel, address, content, locale, account_id, run_id, step, user_id,
            reader_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (run_id, step, channel, reader_id) WHERE kind = 'proof' DO NOTHING RETURNING id
        """,
        note.team_id,
        note.kind,
        note.channel,
        note.address,
        note.content,
        note.locale,
        note.account_id,
        note.run_id,
        note.step,
        note.user_id,
        note.reader_id,
    )
    return identity


async def count_tests(tx: Tx, user_id: int) -> int:
    """How many tests a user asked for within the last hour."""
    count: int = await tx.fetchval(
        """
        SELECT count(*) FROM notifier.notes
        WHERE user_id = $1 AND kind = 'test' AND created_at > (SELECT notifier.now()) - interval '1 hour'
        """,
        user_id,
    )
    return count


async def claim_notes(tx: Tx, limit: int) -> list[ClaimedNote]:
    """Take the notes that are due, alarms first; committed as `sending` before any of them leaves."""
    rows = await tx.fetch(
        """
        UPDATE notifier.notes n SET state = 'sending', tries = n.tries + 1, claimed_at = now(),
            changed_at = (SELECT notifier.now())
        FROM (
            SELECT id FROM notifier.notes WHERE state = 'queued' AND due_at <= now()
            ORDER BY kind <> 'alarm', due_at, id LIMIT $1 FOR UPDATE SKIP LOCKED) AS due
        WHERE n.id = due.id
        RETURNING n.id, n.team_id, n.kind, n.channel, n.address, n.content, n.locale, n.account_id, n.tries, n.created_at
        """,
        limit,
    )
    return sorted((ClaimedNote(**dict(row)) for row in rows), key=lambda note: (note.kind != "alarm", note.id))


async def finish_note(tx: Tx, note_id: int, state: str, problem: str = "") -> None:
    """Record how it ended, `sent` or `failed`; one given up meanwhile stays given up."""
    await tx.execute(
        """
        UPDATE notifier.notes SET state = $2, problem = $3, changed_at = (SELECT notifier.now())
        WHERE id = $1 AND state = 'sending'
        """,
        note_id,
        state,
        problem,
    )


async def postpone_note(tx: Tx, note_id: int, after_s: float, problem: str) -> None:
    """Back into the queue: the provider surely does not have it."""
    await tx.execute(
        """
        UPDATE notifier.notes SET state = 'queued', due_at = now() + make_interval(secs => $2), problem = $3,
            changed_at = (SELECT notifier.now())
        WHERE id = $1 AND state = 'sending'
        """,
        note_id,
        float(after_s),
        problem,
    )


async def give_up_notes(tx: Tx, problem: str) -> int:
    """Notes whose worker is gone: nobody knows whether they left, so they are not sent again."""
    status: str = await tx.execute(
        """
        UPDATE notifier.notes SET state = 'failed', problem = $2, changed_at = (SELECT notifier.now())
        WHERE state = 'sending' AND claimed_at < now() - make_interval(secs => $1)
        """,
        float(LEASE_S),
        problem,
    )
    return int(status.rpartition(" ")[2])


async def forget_old_notes(tx: Tx, *, after_days: int = 30) -> int:
    """Empty what old notes said and to whom: they show real contacts' values. That they were sent stays."""
    status: str = await tx.execute(
        """
        UPDATE notifier.notes SET content = '{}', address = ''
        WHERE state IN ('sent', 'failed') AND created_at < (SELECT notifier.now()) - make_interval(days => $1)
            AND address <> ''
        """,
        after_days,
    )
    return int(status.rpartition(" ")[2])


_LINE = """n.id, n.kind, n.run_id, n.step, n.channel, n.address, n.locale, n.state, n.problem,
    coalesce(u.login, '') AS asked_by, n.created_at, n.changed_at"""


async def list_notes(
    tx: Tx,
    team_id: int,
    *,
    run_id: int | None = None,
    user_id: int | None = None,
    kind: str = "",
    before: int | None = None,
    limit: int = 50,
) -> list[NoteLine]:
    """The newest first, continuing before `before`."""
    rows = await tx.fetch(
        f"""
        SELECT {_LINE} FROM notifier.notes n LEFT JOIN notifier.users u ON u.id = n.user_id
        WHERE n.team_id = $1 AND ($2::bigint IS NULL OR n.run_id = $2) AND ($3::bigint IS NULL OR n.user_id = $3)
            AND ($4 = '' OR n.kind = $4) AND ($5::bigint IS NULL OR n.id < $5)
        ORDER BY n.id DESC LIMIT $6
        """,
        team_id,
        run_id,
        user_id,
        kind,
        before,
        limit,
    )
    return [NoteLine(**dict(row)) for row in rows]


async def get_note(tx: Tx, team_id: int, note_id: int) -> NoteLine:
    """One note; `NotFound`."""
    row = await tx.fetchrow(
        f"""
        SELECT {_LINE} FROM notifier.notes n LEFT JOIN notifier.users u ON u.id = n.user_id
        WHERE n.team_id = $1 AND n.id = $2
        """,
        team_id,
        note_id,
    )
    if row is None:
        raise NotFound("there is no such note")
    return NoteLine(**dict(row))


async def list_sandbox_items(tx: Tx, public_ids: Sequence[str]) -> dict[str, int]:
    """Public id → item of those that a sandbox took lately."""
    rows = await tx.fetch(
        """
        SELECT id, public_id FROM (
            SELECT id, public_id FROM notifier.sandbox_items ORDER BY id DESC LIMIT 5000) AS newest
        WHERE public_id = ANY($1)
        """,
        list(public_ids),
    )
    return {row["public_id"]: row["id"] for row in rows}
