"""Runs, their steps and recipients: from a launch to planned messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from notifier.domain.errors import Conflict, NotFound
from notifier.domain.message import RunId
from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a campaign."""

    id: RunId
    team_id: int
    campaign_id: int
    campaign_key: str
    kind: str
    state: str
    nominal_at: datetime
    inputs: Mapping[str, Any] = field(repr=False)
    audience_list: str
    pinned: Mapping[str, Any] = field(repr=False)
    purpose: str
    launched_by: str
    problem: str
    frozen_at: datetime | None
    recipients: int
    created_at: datetime
    ended_at: datetime | None
    at_once: bool  # starts when it is released; until then `nominal_at` is when it was drafted
    occurrence_at: datetime | None  # of a recurring run: which of its schedule's times it stands for
    drill: bool
    authors: tuple[int, ...]  # users who made or changed it
    segment_id: int | None
    submitted_at: datetime | None
    held_until: datetime | None  # until then its release can be undone


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run as drafted."""

    team_id: int
    campaign_id: int
    campaign_key: str
    kind: str
    state: str
    nominal_at: datetime
    inputs: Mapping[str, Any]
    audience_list: str
    pinned: Mapping[str, Any]
    purpose: str
    launched_by: str
    at_once: bool = False
    occurrence_at: datetime | None = None
    drill: bool = False
    authors: tuple[int, ...] = ()
    segment_id: int | None = None


_RUN = """id, team_id, campaign_id, campaign_key, kind, state, nominal_at, inputs, audience_list, pinned, purpose,
    launched_by, problem, frozen_at, recipients, created_at, ended_at, at_once, occurrence_at, drill, authors,
    segment_id, submitted_at, held_until"""


async def add_run(tx: Tx, run: NewRun) -> RunId:
    """Keep a new run; `Conflict` where the campaign already has one of this kind for this time."""
    month = run.nominal_at.year * 100 + run.nominal_at.month
    await tx.execute("SELECT notifier.make_month($1)", month)
    await tx.execute("SELECT pg_advisory_xact_lock(7320300, $1)", month)
    identity = await tx.fetchval(
        """
        INSERT INTO notifier.runs (id, team_id, campaign_id, campaign_key, kind, state, nominal_at, inputs,
            audience_list, pinned, purpose, launched_by, at_once, occurrence_at, drill, authors, segment_id, submitted_at)
        SELECT coalesce(max(id), $1::bigint * 1000000) + 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
            $13, $14, $15, $16, $17, CASE WHEN $5 = 'submitted' THEN notifier.now() END
        FROM notifier.runs WHERE id > $1::bigint * 1000000 AND id < ($1::bigint + 1) * 1000000
        ON CONFLICT DO NOTHING RETURNING id
        """,
        month,
        run.team_id,
        run.campaign_id,
        run.campaign_key,
        run.kind,
        run.state,
        run.nominal_at,
        run.inputs,
        run.audience_list,
        run.pinned,
        run.purpose,
        run.launched_by,
        run.at_once,
        run.occurrence_at,
        run.drill,
        list(run.authors),
        run.segment_id,
    )
    if identity is None:
        raise already_there(run.campaign_key, run.nominal_at)
    return RunId(identity)


def already_there(campaign_key: str, at: datetime) -> Conflict:
    """A campaign has one run for a time."""
    return Conflict(f"{campaign_key} already has a run for {at.isoformat()}")


async def get_run(tx: Tx, run_id: int, *, lock: bool = False) -> Run:
    """The run, locked against other writers if asked; `NotFound` where there is none."""
    row = await tx.fetchrow(f"SELECT {_RUN} FROM notifier.runs WHERE id = $1 {'FOR UPDATE' if lock else ''}", run_id)
    if row is None:
        raise NotFound(f"there is no run {run_id}")
    return _read(row)


def _read(row: Any) -> Run:
    return Run(**{**dict(row), "authors": tuple(row["authors"])})


async def gate_claims(tx: Tx, run_id: int) -> None:
    """Wait for the claims of this run that are being made and hold up new ones until the transaction ends."""
    await tx.execute("SELECT pg_advisory_xact_lock($1)", run_id)


async def set_run_state(tx: Tx, run_id: int, state: str, problem: str = "") -> None:
    """Move a run; `ended_at` is set with an end."""
    await tx.execute(
        """
        UPDATE notifier.runs SET state = $2, problem = $3,
            ended_at = CASE WHEN $2 IN ('ended', 'cancelled') THEN notifier.now() END
        WHERE id = $1
        """,
        run_id,
        state,
        problem,
    )


async def change_run(tx: Tx, run_id: int, run: NewRun) -> None:
    """All that a draft says, anew; `Conflict` where the campaign has a run for this time already."""
    try:
        async with tx.transaction():
            await tx.execute(
                """
                UPDATE notifier.runs SET campaign_id = $2, state = $3, nominal_at = $4, inputs = $5, audience_list = $6,
                    pinned = $7, purpose = $8, at_once = $9, drill = $10, authors = $11, segment_id = $12, problem = '',
                    submitted_at = CASE WHEN $3 = 'submitted' THEN notifier.now() END
                WHERE id = $1
                """,
                run_id,
                run.campaign_id,
                run.state,
                run.nominal_at,
                run.inputs,
                run.audience_list,
                run.pinned,
                run.purpose,
                run.at_once,
                run.drill,
                list(run.authors),
                run.segment_id,
            )
    except asyncpg.UniqueViolationError:
        raise already_there(run.campaign_key, run.nominal_at) from None


async def submit_run(tx: Tx, run: Run, authors: Sequence[int]) -> None:
    """The draft waits for its release; `Conflict` where the campaign has a run for this time already."""
    try:
        async with tx.transaction():
            await tx.execute(
                """
                UPDATE notifier.runs SET state = 'submitted', problem = '', authors = $2, submitted_at = notifier.now()
                WHERE id = $1
                """,
                run.id,
                list(authors),
            )
    except asyncpg.UniqueViolationError:
        raise already_there(run.campaign_key, run.nominal_at) from None


async def start_run(tx: Tx, run_id: int, *, state: str, nominal_at: datetime, held_until: datetime) -> None:
    """A released run, from then on at the mercy of its time; nothing of it is planned before `held_until`."""
    await tx.execute(
        "UPDATE notifier.runs SET state = $2, nominal_at = $3, held_until = $4, problem = '' WHERE id = $1",
        run_id,
        state,
        nominal_at,
        held_until,
    )


async def list_waiting(tx: Tx, team_id: int) -> list[RunId]:
    """Recurring runs that wait for inputs or for their release, the soonest first."""
    rows = await tx.fetch(
        """
        SELECT id FROM notifier.runs WHERE team_id = $1 AND kind = 'recurring' AND state IN ('draft', 'waiting', 'submitted')
        ORDER BY nominal_at, id
        """,
        team_id,
    )
    return [RunId(row["id"]) for row in rows]


async def list_left(tx: Tx, team_id: int, untouched: timedelta) -> list[RunId]:
    """Launched runs nobody released though their time has come, or without a time and older than `untouched`."""
    rows = await tx.fetch(
        """
        SELECT id FROM notifier.runs WHERE team_id = $1 AND kind = 'launched' AND state IN ('draft', 'submitted')
            AND CASE WHEN at_once THEN created_at <= notifier.now() - $2::interval ELSE nominal_at <= notifier.now() END
        ORDER BY id
        """,
        team_id,
        untouched,
    )
    return [RunId(row["id"]) for row in rows]


async def last_touched(tx: Tx, run: Run) -> datetime:
    """When somebody last did anything to the run."""
    statement = "SELECT max(at) FROM notifier.audit WHERE subject = 'run:' || $1::bigint"
    found: datetime | None = await tx.fetchval(statement, run.id)
    return max(found or run.created_at, run.created_at)


async def list_submitted(tx: Tx, team_id: int) -> list[RunId]:
    """Runs that wait for their release, the soonest first."""
    rows = await tx.fetch(
        "SELECT id FROM notifier.runs WHERE team_id = $1 AND state = 'submitted' ORDER BY nominal_at, id", team_id
    )
    return [RunId(row["id"]) for row in rows]


async def was_audited(tx: Tx, run_id: int, act: str) -> bool:
    """Whether this act on the run stands in the audit."""
    statement = "SELECT EXISTS (SELECT FROM notifier.audit WHERE subject = 'run:' || $1::bigint AND act = $2)"
    found: bool = await tx.fetchval(statement, run_id, act)
    return found


async def cancel_waiting(tx: Tx, run_id: int, problem: str) -> bool:
    """End a run that waits still; False where somebody has released or cancelled it meanwhile."""
    found = await tx.fetchval(
        """
        UPDATE notifier.runs SET state = 'cancelled', problem = $2, ended_at = notifier.now()
        WHERE id = $1 AND state IN ('draft', 'waiting', 'submitted') RETURNING id
        """,
        run_id,
        problem,
    )
    return found is not None


async def newest_run(tx: Tx, team_id: int, campaign_key: str, kind: str) -> Run | None:
    """The run of the latest time it was made for."""
    row = await tx.fetchrow(
        f"""
        SELECT {_RUN} FROM notifier.runs WHERE team_id = $1 AND campaign_key = $2 AND kind = $3
        ORDER BY coalesce(occurrence_at, nominal_at) DESC LIMIT 1
        """,
        team_id,
        campaign_key,
        kind,
    )
    return _read(row) if row else None


async def find_standing(tx: Tx, wanted: NewRun) -> Run | None:
    """The standing run of these very versions in the month of `nominal_at` or later; a stopped one in any month."""
    row = await tx.fetchrow(
        f"""
        SELECT {_RUN} FROM notifier.runs
        WHERE team_id = $1 AND campaign_key = $2 AND kind = 'standing' AND campaign_id = $4 AND pinned = $5
            AND (nominal_at >= $3 AND state IN ('submitted', 'running') OR state = 'stopped')
        ORDER BY nominal_at DESC LIMIT 1
        """,
        wanted.team_id,
        wanted.campaign_key,
        wanted.nominal_at,
        wanted.campaign_id,
        wanted.pinned,
    )
    return _read(row) if row else None


async def find_released_standing(tx: Tx, team_id: int, campaign_key: str) -> Run | None:
    """The newest standing run that was released, of whichever versions and month; None where that was cancelled."""
    row = await tx.fetchrow(
        f"""
        SELECT {_RUN} FROM notifier.runs r
        WHERE team_id = $1 AND campaign_key = $2 AND kind = 'standing' AND state IN ('running', 'stopped', 'cancelled')
            AND EXISTS (SELECT 1 FROM notifier.releases v WHERE v.run_id = r.id AND v.voided_at IS NULL)
        ORDER BY nominal_at DESC LIMIT 1
        """,
        team_id,
        campaign_key,
    )
    return _read(row) if row and row["state"] != "cancelled" else None


async def list_digest(tx: Tx, run: Run) -> str:
    """Who is on the run's list now, as a digest; "" where it has none."""
    if not run.audience_list:
        return ""
    found: str | None = await tx.fetchval(
        """
        SELECT encode(sha256(convert_to(string_agg(m.contact_id::text, ',' ORDER BY m.contact_id), 'UTF8')), 'hex')
        FROM notifier.lists l JOIN notifier.list_members m ON m.list_id = l.id WHERE l.team_id = $1 AND l.key = $2
        """,
        run.team_id,
        run.audience_list,
    )
    return found or "empty"


async def has_list(tx: Tx, team_id: int, key: str) -> bool:
    """Whether there is an imported list of this name."""
    found = await tx.fetchval("SELECT 1 FROM notifier.lists WHERE team_id = $1 AND key = $2", team_id, key)
    return found is not None


_MANY = 10_000


async def freeze_recipients(tx: Tx, run: Run, where: str, params: list[Any], accounts: list[str]) -> int:
    """Freeze the audience and the accounts into recipients; `where` is over `c`, its params from $3 on.

    Whatever it says, an exercise takes no customer.
    """
    status = await tx.execute(
        f"""
        INSERT INTO notifier.recipients (run_id, id, team_id, contact_id)
        SELECT $1, c.id, $2, c.id FROM notifier.contacts c WHERE c.team_id = $2 AND ({where})
            AND NOT (c.kind = 'customer' AND (SELECT r.drill FROM notifier.runs r WHERE r.id = $1))
        ORDER BY c.id
        """,
        run.id,
        run.team_id,
        *params,
    )
    await tx.execute(
        "INSERT INTO notifier.recipients (run_id, team_id, account) SELECT $1, $2, unnest($3::text[])",
        run.id,
        run.team_id,
        accounts,
    )
    count = int(status.rpartition(" ")[2])
    if count > _MANY:  # else every chunk is planned as if there were a handful; the server would notice in a minute
        await tx.execute(f"ANALYZE (SKIP_LOCKED) notifier.recipients_{run.id // 1_000_000}")
    await tx.execute(
        """
        UPDATE notifier.runs SET frozen_at = notifier.now(), recipients = $2,
            state = CASE state WHEN 'scheduled' THEN 'running' ELSE state END WHERE id = $1
        """,
        run.id,
        count,
    )
    return count


async def count_opted_out(tx: Tx, run_id: int, channels: list[str]) -> int:
    """Recipients whom nothing but an opt-out, by act or by block, keeps from one of these channels."""
    number: int = await tx.fetchval(
        """
        SELECT count(*) FROM notifier.recipients k JOIN notifier.contacts c ON c.id = k.contact_id
        WHERE k.run_id = $1 AND EXISTS (
            SELECT 1 FROM notifier.addresses a
            LEFT JOIN notifier.consent_states s ON s.contact_id = a.contact_id AND s.channel = a.channel AND s.topic = ''
                AND s.act = 'opt-out'
            LEFT JOIN notifier.suppressions u ON u.team_id = c.team_id AND u.address_key = a.address_key
            WHERE a.contact_id = c.id AND a.channel = ANY($2::text[])
                AND (s.act IS NOT NULL AND u.reason IS NULL OR u.reason = 'opt-out'))
        """,
        run_id,
        channels,
    )
    return number
