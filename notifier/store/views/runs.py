"""Runs as lists and as one page, counted from tallies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notifier.domain.errors import NotFound
from notifier.domain.message import Sums, add_up
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
    at_once: bool
    occurrence_at: datetime | None
    drill: bool
    authors: tuple[int, ...]
    submitted_at: datetime | None
    frozen_at: datetime | None
    counts: Mapping[str, int]

    @property
    def planned(self) -> int:
        """Messages made so far."""
        return sum(self.counts.values())

    @property
    def sums(self) -> Sums:
        """What was sent, not sent, and waits."""
        return add_up(self.counts)


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
    r.problem, r.created_at, r.ended_at, r.inputs, r.audience_list, r.at_once, r.occurrence_at, r.drill, r.authors,
    r.submitted_at, r.frozen_at"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSearch:
    """Runs somebody looks for: of these campaigns, or with this number, whole or within its month."""

    campaigns: Sequence[str]
    number: int | None


async def list_runs(
    tx: Tx,
    team_id: int,
    *,
    campaign_key: str = "",
    states: Sequence[str] = (),
    search: RunSearch | None = None,
    before: int | None = None,
    limit: int = 20,
) -> list[RunLine]:
    """Newest run id first, continuing before the run `before`."""
    rows = await tx.fetch(
        f"""
        SELECT {_LINE} FROM notifier.runs r
        WHERE r.team_id = $1 AND ($2 = '' OR r.campaign_key = $2)
            AND (cardinality($3::text[]) = 0 OR r.state = ANY($3)) AND ($4::bigint IS NULL OR r.id < $4)
            AND ($6::text[] IS NULL OR r.campaign_key = ANY($6) OR r.id = $7 OR r.id % 1000000 = $7)
        ORDER BY r.id DESC LIMIT $5
        """,
        team_id,
        campaign_key,
        list(states),
        before,
        limit,
        list(search.campaigns) if search else None,
        search.number if search else None,
    )
    return await _with_counts(tx, rows)


async def count_states(
    tx: Tx, team_id: int, *, campaign_key: str = "", search: RunSearch | None = None
) -> Mapping[str, int]:
    """State → runs, none of them zero."""
    rows = await tx.fetch(
        """
        SELECT state, count(*) AS count FROM notifier.runs r
        WHERE r.team_id = $1 AND ($2 = '' OR r.campaign_key = $2)
            AND ($3::text[] IS NULL OR r.campaign_key = ANY($3) OR r.id = $4 OR r.id % 1000000 = $4)
        GROUP BY state
        """,
        team_id,
        campaign_key,
        list(search.campaigns) if search else None,
        search.number if search else None,
    )
    return {row["state"]: row["count"] for row in rows}


async def list_campaign_keys(tx: Tx, team_id: int) -> list[str]:
    """Campaigns that ever had a run."""
    rows = await tx.fetch("SELECT DISTINCT campaign_key FROM notifier.runs WHERE team_id = $1 ORDER BY 1", team_id)
    return [row["campaign_key"] for row in rows]


async def list_active_runs(tx: Tx, team_id: int, *, limit: int = 12) -> list[RunLine]:
    """Runs that go out now or are stopped on the way; the newest first."""
    rows = await tx.fetch(
        f"""
        SELECT {_LINE} FROM notifier.runs r
        WHERE r.team_id = $1 AND r.state IN ('running', 'stopped') AND r.kind <> 'standing'
        ORDER BY r.nominal_at DESC, r.id DESC LIMIT $2
        """,
        team_id,
        limit,
    )
    return await _with_counts(tx, rows)


async def list_earlier_runs(tx: Tx, run: RunLine, team_id: int, *, limit: int = 6) -> list[RunLine]:
    """The runs of the same campaign that started before this one and sent something, the newest first; no exercises."""
    rows = await tx.fetch(
        f"""
        SELECT {_LINE} FROM notifier.runs r
        WHERE r.team_id = $1 AND r.campaign_key = $2 AND r.kind <> 'standing' AND r.frozen_at IS NOT NULL
            AND NOT r.drill AND (r.nominal_at, r.id) < ($3, $4)
        ORDER BY r.nominal_at DESC, r.id DESC LIMIT $5
        """,
        team_id,
        run.campaign_key,
        run.nominal_at,
        run.id,
        limit,
    )
    return await _with_counts(tx, rows)


async def get_run_line(tx: Tx, team_id: int, run_id: int) -> RunLine:
    """One run; `NotFound` where the team has none of this number."""
    rows = await tx.fetch(f"SELECT {_LINE} FROM notifier.runs r WHERE r.team_id = $1 AND r.id = $2", team_id, run_id)
    if not rows:
        raise NotFound(f"there is no run {run_id}")
    return (await _with_counts(tx, rows))[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Why nothing of a run is due at the moment: all that is queued waits for `until` or later."""

    until: datetime
    latest: datetime  # when the last of it is due
    is_local: bool  # the same wall time in each contact's zone: `until` is where it comes first
    wall: datetime | None  # that wall time
    reason: str  # `quiet-hours`, what a provider or we said, "" = it is simply not time yet


async def find_wait(tx: Tx, run_id: int) -> Wait | None:
    """Until when the run's queue waits; None where something is due, or nothing queued."""
    row = await tx.fetchrow(
        """
        WITH ends AS (
            SELECT min(f.due_at) AS until, max(l.due_at) AS latest
            FROM generate_series(1, 4) AS lane
            CROSS JOIN LATERAL (SELECT due_at FROM notifier.messages WHERE run_id = $1 AND lane = lane.lane
                AND state = 'queued' ORDER BY due_at, id LIMIT 1) AS f
            CROSS JOIN LATERAL (SELECT due_at FROM notifier.messages WHERE run_id = $1 AND lane = lane.lane
                AND state = 'queued' ORDER BY due_at DESC, id DESC LIMIT 1) AS l)
        SELECT ends.until, ends.latest, s.due_local AS wall, s.due_local IS NOT NULL AND e.reason IS NULL AS is_local,
            coalesce(e.reason, '') AS reason
        FROM ends
        CROSS JOIN LATERAL (SELECT id, step FROM notifier.messages WHERE run_id = $1 AND state = 'queued'
            AND lane BETWEEN 1 AND 4 AND due_at = ends.until LIMIT 1) AS m
        JOIN notifier.run_steps s ON s.run_id = $1 AND s.step = m.step
        LEFT JOIN LATERAL (SELECT v.reason FROM notifier.events v
            WHERE v.run_id = $1 AND v.message_id = m.id AND v.kind = 'deferred' ORDER BY v.at DESC LIMIT 1) AS e ON true
        WHERE ends.until > notifier.now()
        """,
        run_id,
    )
    return Wait(**dict(row)) if row else None


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
    return [RunLine(**{**dict(row), "authors": tuple(row["authors"])}, counts=counts[row["id"]]) for row in rows]
