"""Finish: a run whose every message is settled has ended."""

from notifier.store import runs
from notifier.store.database import Database
from notifier.store.progress import list_runs_to_end


async def end_finished_runs(database: Database) -> int:
    """End the runs that have nothing left to do; late callbacks still reach their messages."""
    async with database.transaction() as tx:
        done = await list_runs_to_end(tx)
        for run_id in done:
            await runs.set_run_state(tx, run_id, "ended")
    return len(done)
