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
    held_until: datetime | None
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
    r.submitted_at, r.frozen_at, r.held_until"""


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
        WITH lanes AS (
            SELECT f.id, f.step, f.due_at AS until, l.due_at AS latest
            FROM generate_series(1, 4) AS lane
            CROSS JOIN LATERAL (SELECT id, step, due_at FROM notifier.messages WHERE run_id = $1 AND lane = lane.lane
                AND state = 'queued' ORDER BY due_at, id LIMIT 1) AS f
            CROSS JOIN LATERAL (SELECT due_at FROM notifier.messages WHERE run_id = $1 AND lane = lane.lane
                AND state = 'queued' ORDER BY due_at DESC, id DESC LIMIT 1) AS l),
        first AS (SELECT id, step, until, (SELECT max(latest) FROM lanes) AS latest FROM lanes ORDER BY until, id LIMIT 1)
        SELECT first.until, first.latest, s.due_local AS wall, s.due_local IS NOT NULL AND e.reason IS NULL AS is_local,
            coalesce(e.reason, '') AS reason
        FROM first JOIN notifier.run_steps s ON s.run_id = $1 AND s.step = first.step
        LEFT JOIN LATERAL (SELECT v.reason FROM notifier.events v
            WHERE v.run_id = $1 AND v.message_id = first.id AND v.kind = 'deferred' ORDER BY v.at DESC LIMIT 1) AS e ON true
        WHERE first.until > notifier.now()
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAct:
    """What somebody did to a run, as the audit has it."""

    act: str
    actor: str
    at: datetime
    detail: Mapping[str, Any] = field(repr=False)


async def list_acts(tx: Tx, team_id: int, run_id: int) -> list[RunAct]:
    """What was done to the run, oldest first."""
    rows = await tx.fetch(
        """
        SELECT act, actor, at, detail FROM notifier.audit
        WHERE team_id = $1 AND subject = 'run:' || $2::bigint ORDER BY id LIMIT 200
        """,
        team_id,
        run_id,
    )
    return [RunAct(**dict(row)) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """A run as it is compared with others: messages to contacts, posts left out."""

    run_id: int
    nominal_at: datetime
    planned: int
    taken: int  # by a provider
    delivered: int
    refused: int
    failed: int  # or came back
    invited: int
    answered: int

    @property
    def delivery_pct(self) -> float | None:
        """*Delivery rate* = delivered / taken; None where no delivery is reported."""
        return 100 * self.delivered / self.taken if self.taken and self.delivered else None

    @property
    def refused_pct(self) -> float | None:
        """Refused / planned."""
        return 100 * self.refused / self.planned if self.planned else None


async def compare_runs(tx: Tx, team_id: int, run_id: int, *, limit: int = 6) -> list[RunFigures]:
    """The run and those of its campaign that started before it and sent something; the newest first, no exercises."""
    rows = await tx.fetch(
        """
        WITH chosen AS (
            SELECT r.id, r.nominal_at FROM notifier.runs r
            JOIN notifier.runs this ON this.id = $2 AND this.campaign_key = r.campaign_key AND this.team_id = r.team_id
            WHERE r.team_id = $1 AND r.kind <> 'standing' AND r.frozen_at IS NOT NULL AND r.drill = this.drill
                AND (r.nominal_at, r.id) <= (this.nominal_at, this.id)
            ORDER BY r.nominal_at DESC, r.id DESC LIMIT $3),
        counted AS (
            SELECT t.run_id, sum(t.delta) AS planned,
                sum(t.delta) FILTER (WHERE t.state IN ('accepted', 'delivered', 'bounced')) AS taken,
                sum(t.delta) FILTER (WHERE t.state = 'delivered') AS delivered,
                sum(t.delta) FILTER (WHERE t.state = 'refused') AS refused,
                sum(t.delta) FILTER (WHERE t.state IN ('failed', 'bounced')) AS failed
            FROM notifier.tallies t JOIN chosen ON chosen.id = t.run_id WHERE t.channel <> 'social' GROUP BY t.run_id),
        asked AS (
            SELECT i.run_id, count(*) AS invited, count(i.answered_at) AS answered
            FROM notifier.invitations i WHERE i.run_id IN (SELECT id FROM chosen) GROUP BY i.run_id)
        SELECT chosen.id AS run_id, chosen.nominal_at, coalesce(planned, 0)::bigint AS planned,
            coalesce(taken, 0)::bigint AS taken, coalesce(delivered, 0)::bigint AS delivered,
            coalesce(refused, 0)::bigint AS refused, coalesce(failed, 0)::bigint AS failed,
            coalesce(invited, 0) AS invited, coalesce(answered, 0) AS answered
        FROM chosen LEFT JOIN counted ON counted.run_id = chosen.id LEFT JOIN asked ON asked.run_id = chosen.id
        ORDER BY chosen.nominal_at DESC, chosen.id DESC
        """,
        team_id,
        run_id,
        limit,
    )
    return [RunFigures(**dict(row)) for row in rows]


async def count_notes(tx: Tx, run_id: int) -> Mapping[str, int]:
    """Kind → messages to the house about this run: tests, proofs, alarms."""
    rows = await tx.fetch("SELECT kind, count(*) AS count FROM notifier.notes WHERE run_id = $1 GROUP BY kind", run_id)
    return {row["kind"]: row["count"] for row in rows}


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
