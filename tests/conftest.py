"""Real PostgreSQL and Redis for every test: started once, migrated once, emptied after each test."""

import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from notifier.embedded import Services, embedded_services
from notifier.settings import Settings, load_settings
from notifier.store.database import Database, migrate, open_database
from notifier.store.queue import open_redis

PUBLIC_URL = "https://notify.riverside-bank.example"
_KEPT = "('teams', 'clock', 'migrations')"


@pytest.fixture(scope="session")
async def services() -> AsyncIterator[Services]:
    """The servers of `DATABASE_URL` and `REDIS_URL`, else embedded ones."""
    with tempfile.TemporaryDirectory(prefix="notifier-tests-") as name:
        os.chmod(name, 0o755)  # noqa: PTH101 - else root's servers keep their data elsewhere, and it stays
        own = load_settings(data_dir=Path(name) / "data", log_level="error")
        async with embedded_services(own, durable=False) as running:
            await migrate(running.database_url)
            yield running


@pytest.fixture(scope="session")
def redis_url(services: Services) -> str:
    """Address of a real Redis."""
    return services.redis_url


@pytest.fixture(scope="session")
async def pool(services: Services) -> AsyncIterator[Database]:
    """One pool for all tests."""
    async with open_database(services.database_url, max_connections=20) as opened:
        yield opened


@pytest.fixture
async def database(pool: Database, redis_url: str) -> AsyncIterator[Database]:
    """A migrated, empty database; Redis is emptied too."""
    yield pool
    async with pool.transaction() as tx:
        names = [
            row["name"]
            for row in await tx.fetch(
                f"""
                SELECT format('notifier.%I', c.relname) AS name FROM pg_class c
                WHERE c.relnamespace = 'notifier'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                    AND c.relname NOT IN {_KEPT}
                """
            )
        ]
        await tx.execute(f"TRUNCATE {', '.join(names)} RESTART IDENTITY CASCADE")
        await tx.execute("UPDATE notifier.clock SET shift = '0'")
    redis = open_redis(redis_url)
    await redis.flushdb()
    await redis.aclose()


@pytest.fixture
def settings(services: Services, tmp_path: Path) -> Settings:
    """Settings of a door on the test servers."""
    return load_settings(
        database_url=services.database_url,
        redis_url=services.redis_url,
        data_dir=tmp_path / "data",
        public_url=PUBLIC_URL,
        secret_key="test-secret-key-test-secret-key-test",
        log_level="error",
    )
