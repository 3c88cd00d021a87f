"""What came of running runs so far, by channel: the figures by which a run is paused."""

from dataclasses import dataclass

from notifier.domain.message import RunId
from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Messages of a running run in one channel that ended alike."""

    run_id: RunId
    channel: str
    state: str
    reason: str
    count: int


async def list_outcomes(tx: Tx) -> list[Outcome]:
    """Of the running runs of which something came back or was called spam; from tallies and one small index.

    Complaints are outcomes of the state `complained`, besides what else became of these messages.
    """
    rows = await tx.fetch(
        """
        WITH told AS (
            SELECT t.run_id, t.channel, t.state, t.reason, sum(t.delta)::bigint AS count
            FROM notifier.runs r JOIN notifier.tallies t ON t.run_id = r.id
            WHERE r.state = 'running' AND t.channel <> 'social' AND t.state IN ('accepted', 'delivered', 'bounced', 'failed')
            GROUP BY 1, 2, 3, 4 HAVING sum(t.delta) > 0
            UNION ALL
            SELECT m.run_id, m.channel, 'complained', '', count(DISTINCT m.id)
            FROM notifier.runs r JOIN notifier.events e ON e.run_id = r.id AND e.kind = 'complained'
            JOIN notifier.messages m ON m.run_id = e.run_id AND m.id = e.message_id
            WHERE r.state = 'running' GROUP BY 1, 2)
        SELECT * FROM told WHERE run_id IN (
            SELECT run_id FROM told WHERE state IN ('bounced', 'failed', 'complained'))
        """
    )
    return [Outcome(**dict(row)) for row in rows]


async def get_marks(tx: Tx, run_id: int) -> tuple[float, float]:
    """The rates of bounces and complaints for which the run was paused last, in percent; 0 = it never was."""
    row = await tx.fetchrow("SELECT bounces_pct, complaints_pct FROM notifier.runs WHERE id = $1", run_id)
    return row["bounces_pct"], row["complaints_pct"]


async def set_marks(tx: Tx, run_id: int, *, bounces_pct: float, complaints_pct: float) -> None:
    """Keep the rates for which it is paused now."""
    await tx.execute(
        """
        UPDATE notifier.runs SET bounces_pct = greatest(bounces_pct, $2), complaints_pct = greatest(complaints_pct, $3)
        WHERE id = $1
        """,
        run_id,
        bounces_pct,
        complaints_pct,
    )
