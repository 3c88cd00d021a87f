"""What came of running runs so far, by channel: the figures by which a run is paused."""

from collections.abc import Mapping
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


async def get_paused_for(tx: Tx, run_id: int) -> Mapping[str, float]:
    """The figures, in percent, for which the run was paused before."""
    found: Mapping[str, float] = await tx.fetchval("SELECT paused_for FROM notifier.runs WHERE id = $1", run_id)
    return found


async def add_paused_for(tx: Tx, run_id: int, figure: Mapping[str, float]) -> None:
    """Keep for what it is paused now."""
    await tx.execute("UPDATE notifier.runs SET paused_for = paused_for || $2 WHERE id = $1", run_id, figure)
