"""Business time: the database's clock plus the stored shift, which only demo and tests move."""

from datetime import datetime, timedelta

from notifier.store.database import Tx


async def now(tx: Tx) -> datetime:
    """Business time, UTC."""
    moment: datetime = await tx.fetchval("SELECT notifier.now()")
    return moment


async def set_shift(tx: Tx, shift: timedelta) -> None:
    """Move business time away from the server's clock."""
    await tx.execute("UPDATE notifier.clock SET shift = $1", shift)


async def advance_to(tx: Tx, moment: datetime) -> None:
    """Move business time forward to `moment`; never back."""
    await tx.execute("UPDATE notifier.clock SET shift = greatest(shift, $1 - now())", moment)


async def make_partitions(tx: Tx, months_ahead: int = 3) -> None:
    """Partitions for this business month and the next; callbacks for this day and the next three."""
    await tx.execute(
        """
        SELECT notifier.make_month(to_char(notifier.now() + n * interval '1 month', 'YYYYMM')::int)
        FROM generate_series(0, $1::int) AS n
        """,
        months_ahead,
    )
    await tx.execute("SELECT notifier.make_day(current_date + n) FROM generate_series(0, 3) AS n")


async def drop_old(tx: Tx, days: int = 30) -> list[str]:
    """Drop what nobody asks for any more; returns the partitions that went.

    Days of callbacks older than `days` where every one was applied, and after twice as long in any case;
    idempotency keys after a week: a client that repeats a request does so within a day.
    """
    # A writer of callbacks holds the table for a moment only; whoever waits longer tries again at the next housekeeping.
    await tx.execute("SET LOCAL lock_timeout = '2s'")
    await tx.execute("DELETE FROM notifier.idempotency WHERE created_at < now() - interval '7 days'")
    if not await tx.fetchval("SELECT pg_try_advisory_xact_lock(7320400)"):
        return []  # another worker is at it
    dropped = []
    for name, is_due in await _list_old_days(tx, days):
        waiting = f"SELECT EXISTS (SELECT FROM notifier.{name} WHERE applied_at IS NULL)"
        if is_due or not await tx.fetchval(waiting):
            await tx.execute(f"DROP TABLE notifier.{name}")
            dropped.append(name)
    return dropped


async def _list_old_days(tx: Tx, days: int) -> list[tuple[str, bool]]:
    """Partitions of callbacks older than `days`, oldest first, and whether they are twice as old."""
    rows = await tx.fetch(
        r"""
        SELECT name, day < current_date - 2 * $1::int AS is_due FROM (
            SELECT c.relname::text AS name, to_date(right(c.relname, 8), 'YYYYMMDD') AS day
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = 'notifier.callbacks'::regclass AND c.relname ~ '^callbacks_\d{8}$') AS parts
        WHERE day < current_date - $1::int ORDER BY day
        """,
        days,
    )
    return [(row["name"], row["is_due"]) for row in rows]
