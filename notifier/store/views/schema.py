"""Whether the tables are those this version needs."""

from functools import cache
from pathlib import Path

from alembic.script import ScriptDirectory

from notifier.store.database import Tx


async def has_tables(tx: Tx) -> bool:
    """Whether there are tables of ours, of whatever version."""
    found: bool = await tx.fetchval("SELECT to_regclass('notifier.teams') IS NOT NULL")
    return found


async def is_migrated(tx: Tx) -> bool:
    """False before the newest migration of this version; a schema newer than this process is fine."""
    # Where the role had no schema of its own name yet, Alembic put its table into `public`.
    table = await tx.fetchval(
        "SELECT coalesce(to_regclass('public.migrations'), to_regclass('notifier.migrations'))::text"
    )
    if table is None:
        return False
    found: str | None = await tx.fetchval(f"SELECT version_num FROM {table}")
    return found is not None and found not in _older_versions()


@cache
def _older_versions() -> frozenset[str]:
    scripts = ScriptDirectory(str(Path(__file__).parents[1] / "migrations"))
    return frozenset(one.revision for one in scripts.walk_revisions()) - {scripts.get_current_head()}
