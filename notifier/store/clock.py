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
