"""Migrations: they may run again, and by several processes at once."""

import asyncio
import re

import asyncpg

from notifier.settings import Settings
from notifier.store.database import migrate, open_database


async def test_several_processes_migrate_an_empty_database_at_once(settings: Settings) -> None:
    plain = settings.database_url.replace("postgresql+asyncpg://", "postgresql://", 1)
    connection = await asyncpg.connect(plain)
    name = "migrated_at_once"
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        current = await connection.fetchval("SELECT current_database()")
        url = re.sub(rf"/{current}(?=\?|$)", f"/{name}", settings.database_url)
        await asyncio.gather(*(migrate(url) for _ in range(3)))
        await migrate(url)
        async with open_database(url, max_connections=2) as database, database.transaction() as tx:
            assert await tx.fetchval("SELECT count(*) FROM notifier.teams") == 1
            assert await tx.fetchval("SELECT notifier.now() - now()") is not None
    finally:
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await connection.close()
