"""Runs as lists and as one page, counted from tallies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notifier.domain.errors import NotFound
from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """A run in a list; `counts` is message state → how many."""

    id: int
    campaign_key: str
    campaign_id: int
    kind: str
    state: str
    nominal_at: datetime
    purpose: str
    launched_by: str
    recipients: int
    problem: str
    created_at: datetime
    ended_at: datetime | None
    inputs: Mapping[str, Any] = field(repr=False)
    audience_list: str
    counts: Mapping[str, int]

    @property
    def planned(self) -> int:
        """Messages made so far."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    """A step of a run with the versions it uses; `waiting_inputs` is told by the run's state."""

    step: str
    position: int
    state: str
    template_id: int
    template_key: str
    template_version: int
    survey_key: str
    purpose: str
    plan_at: datetime
    due_at: datetime | None
    due_local: datetime | None


_LINE = """r.id, r.campaign_key, r.campaign_id, r.kind, r.state, r.nominal_at, r.purpose, r.launched_by, r.recipients,
    r.problem, r.created_at, r.ended_at, r.inputs, r.audience_list"""


async def list_runs(
    tx: Tx,
    team_id: int,
    *,
    campaign_key: str = "",
    states: Sequence[str] = (),
    before: int | None = None,
    limit: int = 20,
) -> list[RunLine]:
    """Newest run id first, continuing before the run `before`."""
    rows = await tx.fetch(
        f"""
        SELECT {_LINE} FROM notifier.runs r
        WHERE r.team_id = $1 AND ($2 = '' OR r.campaign_key = $2)
            AND (cardinality($3::text[]) = 0 OR r.state = ANY($3)) AND ($4::bigint IS NULL OR r.id < $4)
        ORDER BY r.id DESC LIMIT $5
        """,
        team_id,
        campaign_key,
        list(states),
        before,
        limit,
    )
    return await _with_counts(tx, rows)


async def list_active_runs(tx: Tx, team_id: int, *, limit: int = 12) -> list[RunLine]:
    """Runs that go out now, are stopped on the way, or wait for inputs; the newest first."""
    rows = await tx.fetch(
        f"""
        SELECT {_LINE} FROM notifier.runs r
        WHERE r.team_id = $1 AND r.state IN ('running', 'stopped', 'waiting') AND r.kind <> 'standing'
        ORDER BY r.state = 'waiting', r.nominal_at DESC, r.id DESC LIMIT $2
        """,
        team_id,
        limit,
    )
    return await _with_counts(tx, rows)


async def get_run_line(tx: Tx, team_id: int, run_id: int) -> RunLine:
    """One run; `NotFound` where the team has none of this number."""
    rows = await tx.fetch(f"SELECT {_LINE} FROM notifier.runs r WHERE r.team_id = $1 AND r.id = $2", team_id, run_id)
    if not rows:
        raise NotFound(f"there is no run {run_id}")
    return (await _with_counts(tx, rows))[0]


async def list_steps(tx: Tx, run_id: int) -> list[StepLine]:
    """The run's steps in their order."""
    rows = await tx.fetch(
        """
        SELECT s.step, s.position, s.state, s.template_id, t.key AS template_key, t.version AS template_version,
            coalesce(v.key, '') AS survey_key, s.purpose, s.plan_at, s.due_at, s.due_local
        FROM notifier.run_steps s JOIN notifier.definitions t ON t.id = s.template_id
        LEFT JOIN notifier.definitions v ON v.id = s.survey_id
        WHERE s.run_id = $1 ORDER BY s.position
        """,
        run_id,
    )
    return [StepLine(**dict(row)) for row in rows]


async def _with_counts(tx: Tx, rows: Sequence[Any]) -> list[RunLine]:
    counts: dict[int, dict[str, int]] = {row["id"]: {} for row in rows}
    tallies = await tx.fetch(
        """
        SELECT run_id, state, sum(delta)::bigint AS count FROM notifier.tallies
        WHERE run_id = ANY($1::bigint[]) GROUP BY run_id, state HAVING sum(delta) <> 0
        """,
        list(counts),
    )
    for tally in tallies:
        counts[tally["run_id"]][tally["state"]] = tally["count"]
    return [RunLine(**dict(row), counts=counts[row["id"]]) for row in rows]
