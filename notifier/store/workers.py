"""The workers that live: each says so every few seconds, by the database's own clock."""

from collections.abc import Sequence

from notifier.store.database import Tx


async def note_worker(tx: Tx, name: str, lanes: Sequence[int]) -> None:
    """This worker lives and serves these lanes."""
    await tx.execute(
        """
        INSERT INTO notifier.workers (name, lanes) VALUES ($1, $2)
        ON CONFLICT ON CONSTRAINT workers_pk DO UPDATE SET lanes = excluded.lanes, seen_at = now()
        """,
        name,
        lanes,
    )


async def drop_worker(tx: Tx, name: str) -> None:
    """It leaves, or was killed."""
    await tx.execute("DELETE FROM notifier.workers WHERE name = $1", name)


async def forget_dead_workers(tx: Tx) -> None:
    """Those that were killed long ago."""
    await tx.execute("DELETE FROM notifier.workers WHERE seen_at < now() - interval '1 hour'")


async def count_workers(tx: Tx, *, within_s: float = 15.0) -> int:
    """How many live."""
    count: int = await tx.fetchval(
        "SELECT count(*) FROM notifier.workers WHERE seen_at > now() - make_interval(secs => $1)", within_s
    )
    return count
