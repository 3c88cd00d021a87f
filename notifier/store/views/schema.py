"""Whether the tables are there at all."""

from notifier.store.database import Tx


async def is_migrated(tx: Tx) -> bool:
    """False before the newest migration."""
    found: bool = await tx.fetchval("SELECT to_regclass('notifier.notes') IS NOT NULL")
    return found
