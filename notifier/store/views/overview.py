"""The overview: what comes next, what needs a person, what went out today."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Upcoming:
    """A step that will start: at the instant `due_at`, or at `due_local` on each contact's clock.

    `at` is the instant to order by: of a step in each contact's zone that of the bank's clock.
    """

    run_id: int
    campaign_key: str
    campaign_id: int
    run_state: str
    drill: bool
    step: str
    at: datetime
    due_at: datetime | None
    due_local: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """A run of which nothing was sent and that somebody has to do something about."""

    id: int
    campaign_key: str
    campaign_id: int
    kind: str
    state: str
    purpose: str
    nominal_at: datetime
    at_once: bool
    drill: bool
    launched_by: str
    is_mine: bool  # the one who looks made or changed it
    returned: str  # why it came back, "" where it did not
    submitted_at: datetime | None
    created_at: datetime
    inputs: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreviewed:
    """An emergency that was released by one person alone and that nobody else has looked at since."""

    run_id: int
    campaign_key: str
    reason: str
    by: str
    is_mine: bool
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """A stopped run of which messages are held back until a person resumes or ends it."""

    run_id: int
    campaign_key: str
    purpose: str
    drill: bool
    problem: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubts:
    """A run with messages of which nobody knows whether they were sent."""

    run_id: int
    campaign_key: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TroubledImport:
    """An import that did not take every row, or broke."""

    id: int
    file: str
    state: str
    rejected: int
    problem: str
    ended_at: datetime | None


async def list_upcoming(tx: Tx, team_id: int, zone: str, *, limit: int = 8) -> list[Upcoming]:
    """The next steps of scheduled and running runs, the soonest first; `zone` is the bank's."""
    rows = await tx.fetch(
        """
        SELECT r.id AS run_id, r.campaign_key, r.campaign_id, r.state AS run_state, r.drill, s.step,
            coalesce(s.due_at, notifier.local_to_utc(s.due_local, $3)) AS at, s.due_at, s.due_local
        FROM notifier.run_steps s JOIN notifier.runs r ON r.id = s.run_id
        WHERE r.team_id = $1 AND s.state = 'waiting' AND r.state IN ('scheduled', 'running') AND r.kind <> 'standing'
        ORDER BY 7, r.id, s.position LIMIT $2
        """,
        team_id,
        limit,
        zone,
    )
    return [Upcoming(**dict(row)) for row in rows]


async def list_open_runs(tx: Tx, team_id: int, user_id: int, *, limit: int = 100) -> list[OpenRun]:
    """The user's drafts, runs that wait for inputs or for their release.

    What was asked for at once of late comes first, then the soonest; what lies in the past comes last.
    """
    rows = await tx.fetch(
        """
        SELECT id, campaign_key, campaign_id, kind, state, purpose, nominal_at, at_once, drill, launched_by,
            $2 = ANY(authors) AS is_mine, CASE state WHEN 'draft' THEN problem ELSE '' END AS returned, submitted_at,
            created_at, inputs
        FROM notifier.runs WHERE team_id = $1 AND (state IN ('waiting', 'submitted') OR state = 'draft' AND $2 = ANY(authors))
        ORDER BY CASE WHEN at_once AND coalesce(submitted_at, created_at) > notifier.now() - interval '1 day' THEN 0
                WHEN nominal_at >= notifier.now() THEN 1 ELSE 2 END,
            CASE WHEN nominal_at >= notifier.now() THEN nominal_at END, nominal_at DESC, id LIMIT $3
        """,
        team_id,
        user_id,
        limit,
    )
    return [OpenRun(**dict(row)) for row in rows]


async def list_unreviewed(tx: Tx, team_id: int, user_id: int) -> list[Unreviewed]:
    """Emergencies released by one person alone that wait for a second look, oldest first."""
    rows = await tx.fetch(
        """
        SELECT e.run_id, r.campaign_key, e.break_glass AS reason, coalesce(u.login, '') AS by,
            coalesce(e.user_id = $2, false) OR $2 = ANY(e.authors) AS is_mine, e.at
        FROM notifier.releases e JOIN notifier.runs r ON r.id = e.run_id LEFT JOIN notifier.users u ON u.id = e.user_id
        WHERE e.team_id = $1 AND e.break_glass <> '' AND e.reviewed_at IS NULL ORDER BY e.id
        """,
        team_id,
        user_id,
    )
    return [Unreviewed(**dict(row)) for row in rows]


async def list_halted(tx: Tx, team_id: int, *, limit: int = 10) -> list[Halted]:
    """Stopped runs with messages that would go on, the newest first; from tallies."""
    rows = await tx.fetch(
        """
        SELECT r.id AS run_id, r.campaign_key, r.purpose, r.drill, r.problem, sum(t.delta)::bigint AS count
        FROM notifier.runs r JOIN notifier.tallies t ON t.run_id = r.id AND t.state IN ('queued', 'to-post')
        WHERE r.team_id = $1 AND r.state = 'stopped'
        GROUP BY r.id HAVING sum(t.delta) > 0 ORDER BY r.id DESC LIMIT $2
        """,
        team_id,
        limit,
    )
    return [Halted(**dict(row)) for row in rows]


async def list_doubts(tx: Tx, team_id: int, *, limit: int = 10) -> list[Doubts]:
    """Runs of the last sixty days with messages in doubt that wait for a person, the newest first; from tallies."""
    rows = await tx.fetch(
        """
        SELECT r.id AS run_id, r.campaign_key, sum(t.delta)::bigint AS count
        FROM notifier.runs r JOIN notifier.tallies t ON t.run_id = r.id AND t.state = 'uncertain'
        JOIN notifier.run_steps s ON s.run_id = r.id AND s.step = t.step
            AND (s.in_doubt NOT IN ('resend', 'reconcile-then-resend') OR t.channel = 'social')
        WHERE r.team_id = $1 AND (r.nominal_at > notifier.now() - interval '60 days' OR r.state = 'running')
        GROUP BY r.id HAVING sum(t.delta) > 0 ORDER BY r.id DESC LIMIT $2
        """,
        team_id,
        limit,
    )
    return [Doubts(**dict(row)) for row in rows]


async def list_troubled_imports(tx: Tx, team_id: int, *, limit: int = 5) -> list[TroubledImport]:
    """Imports of the last week with rows not taken, or that broke; the newest first."""
    rows = await tx.fetch(
        """
        SELECT id, file, state, rejected, problem, ended_at FROM notifier.imports
        WHERE team_id = $1 AND (state = 'done' AND rejected > 0 OR state = 'broken')
            AND coalesce(ended_at, started_at) > notifier.now() - interval '7 days'
        ORDER BY id DESC LIMIT $2
        """,
        team_id,
        limit,
    )
    return [TroubledImport(**dict(row)) for row in rows]


async def count_since(tx: Tx, team_id: int, since: datetime) -> Mapping[str, Mapping[str, int]]:
    """Channel → state → messages of runs that started, ran or ended since then; from tallies, never from messages."""
    rows = await tx.fetch(
        """
        SELECT t.channel, t.state, sum(t.delta)::bigint AS count
        FROM notifier.runs r JOIN notifier.tallies t ON t.run_id = r.id
        WHERE r.team_id = $1 AND (r.nominal_at BETWEEN $2 AND notifier.now() OR r.state = 'running' OR r.ended_at >= $2)
        GROUP BY t.channel, t.state HAVING sum(t.delta) <> 0
        """,
        team_id,
        since,
    )
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row["channel"], {})[row["state"]] = row["count"]
    return found
