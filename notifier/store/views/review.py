"""What the page of a run about to go out asks: who had a hand in it, which runs there were before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from notifier.store.database import Tx
from notifier.store.runs import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAct:
    """Something somebody did to a run; `name` is the user's where the actor is one."""

    act: str
    actor: str
    name: str
    at: datetime
    detail: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerRun:
    """A run that a new one may speak of."""

    id: int
    campaign_key: str
    nominal_at: datetime
    state: str
    reached: int
    drill: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A run of the same campaign at about the same time."""

    id: int
    nominal_at: datetime
    state: str
    recipients: int  # 0 before it began


async def list_neighbours(tx: Tx, run: Run, *, around: datetime, within: timedelta, limit: int = 4) -> list[Neighbour]:
    """The other runs of its campaign that begin or began so close to a moment, the nearest first."""
    rows = await tx.fetch(
        """
        SELECT id, nominal_at, state, recipients FROM notifier.runs
        WHERE team_id = $1 AND campaign_key = $2 AND id <> $3 AND kind <> 'standing' AND drill = $4
            AND state IN ('waiting', 'submitted', 'scheduled', 'running', 'stopped', 'ended')
            AND nominal_at BETWEEN $5::timestamptz - $6::interval AND $5::timestamptz + $6::interval
        ORDER BY abs(extract(epoch FROM nominal_at - $5::timestamptz)), id LIMIT $7
        """,
        run.team_id,
        run.campaign_key,
        run.id,
        run.drill,
        around,
        within,
        limit,
    )
    return [Neighbour(**dict(row)) for row in rows]


async def list_run_acts(tx: Tx, run_id: int) -> list[RunAct]:
    """The latest of each kind of act on a run, oldest first."""
    rows = await tx.fetch(
        """
        SELECT * FROM (
            SELECT DISTINCT ON (a.act) a.act, a.actor, coalesce(u.name, '') AS name, a.at, a.detail, a.id
            FROM notifier.audit a LEFT JOIN notifier.users u ON u.login = a.actor
            WHERE a.subject = 'run:' || $1::bigint ORDER BY a.act, a.id DESC) AS latest
        ORDER BY id
        """,
        run_id,
    )
    return [RunAct(**{name: row[name] for name in ("act", "actor", "name", "at", "detail")}) for row in rows]


async def list_names(tx: Tx, user_ids: Sequence[int]) -> list[str]:
    """The users' names, in the order given."""
    rows = await tx.fetch("SELECT id, name FROM notifier.users WHERE id = ANY($1::bigint[])", list(user_ids))
    names = {row["id"]: row["name"] for row in rows}
    return [names[one] for one in user_ids if one in names]


async def list_former_runs(tx: Tx, team_id: int, *, limit: int = 50) -> list[FormerRun]:
    """Runs that reached somebody, the newest first."""
    rows = await tx.fetch(
        """
        SELECT r.id, r.campaign_key, r.nominal_at, r.state, r.drill, sent.reached
        FROM notifier.runs r CROSS JOIN LATERAL (
            SELECT coalesce(sum(t.delta), 0)::bigint AS reached FROM notifier.tallies t
            WHERE t.run_id = r.id AND t.state IN ('accepted', 'delivered')) AS sent
        WHERE r.team_id = $1 AND r.kind <> 'standing' AND r.frozen_at IS NOT NULL AND sent.reached > 0
        ORDER BY r.nominal_at DESC, r.id DESC LIMIT $2
        """,
        team_id,
        limit,
    )
    return [FormerRun(**dict(row)) for row in rows]


async def last_asked_run(tx: Tx, team_id: int, survey_key: str, *, other_than: int, least: int) -> int | None:
    """The newest run with at least this many responses to the survey; none of an exercise."""
    found: int | None = await tx.fetchval(
        """
        SELECT r.run_id FROM notifier.responses r JOIN notifier.runs n ON n.id = r.run_id
        WHERE r.team_id = $1 AND r.survey_key = $2 AND r.run_id <> $3 AND NOT n.drill
        GROUP BY r.run_id, n.nominal_at HAVING count(*) >= $4 ORDER BY n.nominal_at DESC, r.run_id DESC LIMIT 1
        """,
        team_id,
        survey_key,
        other_than,
        least,
    )
    return found
