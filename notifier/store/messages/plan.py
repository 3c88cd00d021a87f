"""Plan: rows for the messages of one step, in resumable chunks."""

from dataclasses import dataclass, field
from typing import Any

from notifier.store.database import Tx
from notifier.store.messages.fragments import ACKNOWLEDGED, EXPIRED_IN_DOUBT, FIRST_WAY
from notifier.store.runs import Run

CHUNK = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """A step of a run as its row says."""

    run_id: int
    step: str
    state: str
    cursor: int
    survey_id: int | None
    purpose: str
    lane: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """Who a step is for and by which channels; `where` is over `c`, its params follow $8."""

    channels: tuple[str, ...]
    pick_first: bool  # the first channel the contact can get, instead of every one
    where: str = "true"
    params: list[Any] = field(default_factory=list)
    sample_pct: float = 100.0
    condition: str = ""
    survey_key: str = ""
    zone: str = "UTC"  # of contacts without one


async def lock_step(tx: Tx, run_id: int, step: str) -> StepRow | None:
    """The step, locked until the transaction ends; None where another planner works on it."""
    row = await tx.fetchrow(
        """
        SELECT run_id, step, state, cursor, survey_id, purpose, lane FROM notifier.run_steps
        WHERE run_id = $1 AND step = $2 FOR UPDATE SKIP LOCKED
        """,
        run_id,
        step,
    )
    return StepRow(**dict(row)) if row else None


async def finish_step(tx: Tx, run_id: int, step: str) -> None:
    """All messages of the step are planned."""
    await tx.execute(
        "UPDATE notifier.run_steps SET state = 'planned', planned_at = (SELECT notifier.now()) WHERE run_id = $1 AND step = $2",
        run_id,
        step,
    )


_CONDITIONS = {
    "": "true",
    "not-delivered": f"""EXISTS (SELECT 1 FROM notifier.messages m WHERE m.run_id = $1 AND m.recipient_id = k.id)
        AND NOT EXISTS (SELECT 1 FROM notifier.messages m WHERE m.run_id = $1 AND m.recipient_id = k.id
        AND (m.state NOT IN ('bounced', 'failed', 'expired', 'refused', 'cancelled') OR {EXPIRED_IN_DOUBT}))""",
    "not-acknowledged": f"""NOT EXISTS (SELECT 1 FROM notifier.messages e JOIN notifier.events v
        ON v.run_id = e.run_id AND v.message_id = e.id AND {ACKNOWLEDGED}
        WHERE e.run_id = $1 AND e.recipient_id = k.id)""",
    "not-answered": """EXISTS (SELECT 1 FROM notifier.invitations i
        WHERE i.run_id = $1 AND i.contact_id = k.contact_id AND i.answered_at IS NULL)""",
}

_EVERY = """
    CROSS JOIN unnest($4::text[]) AS way(channel)
    LEFT JOIN notifier.addresses a ON a.contact_id = c.id AND a.channel = way.channel
"""
_FIRST = FIRST_WAY.format(channels="$4", team="$7")

# Wall time becomes UTC once per zone, not once per contact: half the time of a chunk otherwise.
_CHUNK_SQL = """
WITH step AS (SELECT * FROM notifier.run_steps WHERE run_id = $1 AND step = $2),
chunk AS MATERIALIZED (
    SELECT id, contact_id FROM notifier.recipients
    WHERE run_id = $1 AND id > $3 AND contact_id IS NOT NULL AND outcome = 'included'
    ORDER BY id LIMIT {chunk}),
people AS MATERIALIZED (
    SELECT k.id AS recipient_id, c.id, coalesce(nullif(c.zone, ''), $5) AS zone
    FROM chunk k JOIN notifier.contacts c ON c.id = k.contact_id
    WHERE ({where}) AND {condition}
        AND ($6::float8 >= 100 OR (hashtextextended($2 || k.contact_id, $1) & 1048575) < $6::float8 * 10485.76)),
zones AS MATERIALIZED (
    SELECT z.zone, coalesce(step.due_at, notifier.local_to_utc(step.due_local, notifier.zone_or(z.zone, $5))) AS due_at
    FROM step, (SELECT DISTINCT zone FROM people) AS z),
meant AS (
    SELECT c.recipient_id, c.id AS contact_id, way.channel, a.address IS NOT NULL AS reachable, z.due_at,
        step.expires, step.lane
    FROM step, people c JOIN zones z USING (zone)
    {ways}),
planned AS (
    INSERT INTO notifier.messages (run_id, recipient_id, contact_id, due_at, expires_at, team_id, lane, step, channel,
        state, reason, planned_at)
    SELECT $1, recipient_id, contact_id, due_at, due_at + expires, $7, lane, $2, channel,
        CASE WHEN reachable THEN 'queued' ELSE 'refused' END, CASE WHEN reachable THEN '' ELSE 'no-address' END,
        (SELECT notifier.now())
    FROM meant RETURNING id, contact_id, channel, state, reason, due_at),
invited AS (
    INSERT INTO notifier.invitations (team_id, run_id, step, message_id, contact_id, survey_id, survey_key, month,
        closes_at)
    SELECT $7, $1, $2, p.id, p.contact_id, step.survey_id, $8, extract(month FROM r.nominal_at AT TIME ZONE $5),
        p.due_at + coalesce(step.closes, interval '14 days')
    FROM planned p, step, notifier.runs r
    WHERE r.id = $1 AND step.survey_id IS NOT NULL AND p.state = 'queued' RETURNING 1),
counted AS (
    INSERT INTO notifier.tallies (run_id, step, channel, state, reason, delta)
    SELECT $1, $2, channel, state, reason, count(*) FROM planned GROUP BY channel, state, reason RETURNING delta)
SELECT max(id) AS last, count(*) AS seen, (SELECT coalesce(sum(delta), 0) FROM counted)::bigint AS planned FROM chunk
"""


async def plan_chunk(tx: Tx, run: Run, row: StepRow, plan: StepPlan, *, chunk: int = CHUNK) -> tuple[int, bool]:
    """Plan the step's messages for the next `chunk` recipients; returns (messages, whether more remain)."""
    sql = _CHUNK_SQL.format(
        chunk=chunk,
        ways=_FIRST if plan.pick_first else _EVERY,
        where=plan.where,
        condition=_CONDITIONS[plan.condition],
    )
    # A partition just filled has no statistics yet: without this every chunk would read and sort all that are left.
    await tx.execute("SET LOCAL enable_sort = off")
    found = await tx.fetchrow(
        sql,
        run.id,
        row.step,
        row.cursor,
        list(plan.channels),
        plan.zone,
        plan.sample_pct,
        run.team_id,
        plan.survey_key,
        *plan.params,
    )
    if found["last"] is not None:
        await tx.execute(
            "UPDATE notifier.run_steps SET state = 'planning', cursor = $3 WHERE run_id = $1 AND step = $2",
            run.id,
            row.step,
            found["last"],
        )
    return found["planned"], found["seen"] == chunk


async def plan_posts(tx: Tx, run: Run, step: str, accounts: list[str]) -> int:
    """One message per account of a post; those of an exercise are refused, for a post is public."""
    count: int = await tx.fetchval(
        """
        WITH step AS (SELECT * FROM notifier.run_steps WHERE run_id = $1 AND step = $2),
        planned AS (
            INSERT INTO notifier.messages (run_id, recipient_id, due_at, expires_at, team_id, lane, step, channel, state,
                reason, account)
            SELECT $1, k.id, step.due_at, step.due_at + step.expires, k.team_id, step.lane, $2, 'social',
                CASE WHEN $4 THEN 'refused' ELSE 'queued' END, CASE WHEN $4 THEN 'drill' ELSE '' END, k.account
            FROM step, notifier.recipients k WHERE k.run_id = $1 AND k.account = ANY($3) RETURNING state, reason),
        counted AS (
            INSERT INTO notifier.tallies (run_id, step, channel, state, reason, delta)
            SELECT $1, $2, 'social', state, reason, count(*) FROM planned GROUP BY state, reason RETURNING delta)
        SELECT coalesce(sum(delta), 0)::bigint FROM counted
        """,
        run.id,
        step,
        accounts,
        run.drill,
    )
    return count
