"""Counts per run, step, channel and state, without counting messages."""

from dataclasses import dataclass

from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many messages of a step and channel are in a state; `reason` only for refusals and failures."""

    step: str
    channel: str
    state: str
    reason: str
    count: int


async def read_tallies(tx: Tx, run_id: int) -> list[Tally]:
    """The run's counts, none of them zero."""
    rows = await tx.fetch(
        """
        SELECT step, channel, state, reason, sum(delta)::bigint AS count FROM notifier.tallies
        WHERE run_id = $1 GROUP BY step, channel, state, reason HAVING sum(delta) <> 0
        ORDER BY step, channel, state, reason
        """,
        run_id,
    )
    return [Tally(**dict(row)) for row in rows]


async def fold_tallies(tx: Tx) -> int:
    """Make one row of each count that has new deltas, and add these to `passages`; returns the rows left.

    One folder at a time: another leaves it for the next time.
    """
    if not await tx.fetchval("SELECT pg_try_advisory_xact_lock(7320500)"):
        return 0
    status: str = await tx.execute(
        """
        WITH gone AS (
            DELETE FROM notifier.tallies AS t
            WHERE t.run_id IN (SELECT DISTINCT n.run_id FROM notifier.tallies AS n WHERE NOT n.folded)
            RETURNING t.run_id, t.step, t.channel, t.state, t.reason, t.delta, t.folded),
        passed AS (
            INSERT INTO notifier.passages AS p (lane, channel, state, entered, departed)
            SELECT coalesce(s.lane, 0), g.channel, g.state, sum(greatest(g.delta, 0)), sum(greatest(-g.delta, 0))
            FROM gone g LEFT JOIN notifier.run_steps s ON s.run_id = g.run_id AND s.step = g.step
            WHERE NOT g.folded GROUP BY 1, 2, 3
            ON CONFLICT ON CONSTRAINT passages_pk DO UPDATE
                SET entered = p.entered + excluded.entered, departed = p.departed + excluded.departed)
        INSERT INTO notifier.tallies (run_id, step, channel, state, reason, delta, folded)
        SELECT run_id, step, channel, state, reason, sum(delta), true FROM gone
        GROUP BY run_id, step, channel, state, reason HAVING sum(delta) <> 0
        """
    )
    return int(status.rpartition(" ")[2])
