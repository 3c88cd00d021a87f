"""Plan: rows for the messages of one step, in resumable chunks that several planners share."""

from dataclasses import dataclass, field
from typing import Any

from notifier.store.database import Tx
from notifier.store.messages.fragments import ACKNOWLEDGED, EXPIRED_IN_DOUBT, FIRST_WAY
from notifier.store.runs import Run

CHUNK = 25_000


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
    """Who a step is for and by which channels; `where` is over `c`, its params follow $9."""

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


_END = 2**63 - 1
_HAND_OUT = """
WITH next AS (
    SELECT s.cursor AS after, CASE WHEN $3::bigint IS NULL THEN NULL ELSE (
        SELECT k.id FROM notifier.recipients k WHERE k.run_id = $1 AND k.id > s.cursor ORDER BY k.id OFFSET $3 - 1 LIMIT 1)
        END AS upto
    FROM notifier.run_steps s WHERE s.run_id = $1 AND s.step = $2 AND s.cursor < $4::bigint),
given AS (
    INSERT INTO notifier.step_parts (run_id, step, after, upto) SELECT $1, $2, after, coalesce(upto, $4) FROM next
    RETURNING upto)
UPDATE notifier.run_steps s SET state = 'planning', cursor = given.upto FROM given WHERE s.run_id = $1 AND s.step = $2
"""
_FINISH = """
UPDATE notifier.run_steps SET state = 'planned', planned_at = (SELECT notifier.now())
WHERE run_id = $1 AND step = $2 AND cursor = $3
    AND NOT EXISTS (SELECT 1 FROM notifier.step_parts WHERE run_id = $1 AND step = $2)
"""


async def hand_out(tx: Tx, run_id: int, step: str, *, chunk: int | None) -> bool:
    """Give the planners the next `chunk` recipients of a locked step, None: all of them; False where it is planned.

    Who was given a part and died leaves it behind: `take_part` finds it.
    """
    if await tx.execute(_HAND_OUT, run_id, step, chunk, _END) != "UPDATE 0":
        return True
    return bool(await tx.execute(_FINISH, run_id, step, _END) == "UPDATE 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Recipients of a step that one planner works on: ids above `after`, up to `upto`."""

    after: int
    upto: int


async def take_part(tx: Tx, run_id: int, step: str) -> Part | None:
    """A part nobody works on; it is done, and gone, when this transaction commits."""
    row = await tx.fetchrow(
        """
        DELETE FROM notifier.step_parts WHERE run_id = $1 AND step = $2 AND after = (
            SELECT after FROM notifier.step_parts WHERE run_id = $1 AND step = $2
            ORDER BY after LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING after, upto
        """,
        run_id,
        step,
    )
    return Part(**dict(row)) if row else None


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
        AND a.contact_id > $3 AND a.contact_id <= $9
"""
_FIRST = FIRST_WAY.format(channels="$4", team="$7")

# Wall time becomes UTC once per zone, not once per contact: half the time of a chunk otherwise.
_CHUNK_SQL = """
WITH step AS (SELECT * FROM notifier.run_steps WHERE run_id = $1 AND step = $2),
people AS MATERIALIZED (
    SELECT k.id AS recipient_id, c.id, coalesce(nullif(c.zone, ''), $5) AS zone
    FROM notifier.recipients k JOIN notifier.contacts c ON c.id = k.contact_id AND c.id > $3 AND c.id <= $9
    WHERE k.run_id = $1 AND k.id > $3 AND k.id <= $9 AND k.outcome = 'included' AND ({where}) AND {condition}
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
SELECT coalesce(sum(delta), 0)::bigint FROM counted
"""


async def plan_chunk(tx: Tx, run: Run, row: StepRow, part: Part, plan: StepPlan) -> int:
    """Write the step's messages to the recipients of a part; returns how many."""
    sql = _CHUNK_SQL.format(
        ways=_FIRST if plan.pick_first else _EVERY, where=plan.where, condition=_CONDITIONS[plan.condition]
    )
    await tx.execute("SET LOCAL plan_cache_mode = force_custom_plan")  # how many the part has is in its parameters
    count: int = await tx.fetchval(
        sql,
        run.id,
        row.step,
        part.after,
        list(plan.channels),
        plan.zone,
        plan.sample_pct,
        run.team_id,
        plan.survey_key,
        part.upto,
        *plan.params,
    )
    await _refresh_statistics(tx, f"notifier.messages_{run.id // 1_000_000}")
    return count


async def _refresh_statistics(tx: Tx, table: str) -> None:
    """Tell the server how large a partition has become, or it goes on with plans made when that was empty.

    These find a message by reading its whole run. The server would notice by itself, a minute later.
    """
    grown = "SELECT pg_relation_size(oid) / 8192 > 4 * relpages + 32 FROM pg_class WHERE oid = to_regclass($1)"
    if await tx.fetchval(grown, table):
        await tx.execute("SET LOCAL default_statistics_target = 10")  # a sample of 3,000 rows
        await tx.execute(f"ANALYZE (SKIP_LOCKED) {table}")


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
