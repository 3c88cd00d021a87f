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


async def fold_tallies(tx: Tx, *, least_rows: int = 200) -> int:
    """Fold the deltas of runs that have many into one row each; returns the runs folded."""
    runs = [
        row["run_id"]
        for row in await tx.fetch(
            "SELECT run_id FROM notifier.tallies GROUP BY run_id HAVING count(*) > $1 ORDER BY run_id", least_rows
        )
    ]
    for run_id in runs:
        await tx.execute(
            """
            WITH gone AS (DELETE FROM notifier.tallies WHERE run_id = $1 RETURNING step, channel, state, reason, delta)
            INSERT INTO notifier.tallies (run_id, step, channel, state, reason, delta)
            SELECT $1, step, channel, state, reason, sum(delta) FROM gone
            GROUP BY step, channel, state, reason HAVING sum(delta) <> 0
            """,
            run_id,
        )
    return len(runs)
