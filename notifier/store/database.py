"""The pool of PostgreSQL connections and `transaction()`, the only commit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import orjson
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from notifier.domain.errors import ServiceError

Tx: TypeAlias = Any
"""A connection inside a transaction (asyncpg); store functions receive it, stages open it."""

TRANSIENT: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg makes of a connection that breaks while it waits for an answer
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)
"""What the server or the way to it may raise at any time; the same statement may succeed later."""

CANNOT_STORE: tuple[type[Exception], ...] = (
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.PostgresSystemError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
"""The server is there, and nothing can be stored: a replica, a full or broken disk, a log-in that no longer holds."""

_STATEMENT_TIMEOUT_MS = 120_000
_ASLEEP_S = 30


class Database:
    """One pool per process; opened and closed by a door."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """Commits on leaving, rolls back on an error. No network call belongs inside."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection

    async def close(self) -> None:
        """Give the connections back to the server."""
        await self._pool.close()


@asynccontextmanager
async def open_database(url: str, *, max_connections: int = 10) -> AsyncIterator[Database]:
    """A pool on `postgresql[+asyncpg]://…`; `ServiceError` where the server cannot be reached."""
    try:
        pool = await asyncpg.create_pool(
            _plain(url),
            min_size=1,
            max_size=max_connections,
            init=_prepare,
            reset=_keep,
            timeout=10,
            command_timeout=_STATEMENT_TIMEOUT_MS / 1000,
            server_settings={
                "search_path": "pg_catalog",
                "timezone": "UTC",
                "application_name": "notifier",
                # Of a process that fell asleep: its locks would hold up the sweep, and a stop.
                "idle_in_transaction_session_timeout": f"{_ASLEEP_S}s",
            },
        )
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise ServiceError(f"PostgreSQL cannot be reached: {error}. Check DATABASE_URL") from error
    database = Database(pool)
    try:
        yield database
    finally:
        await database.close()


async def migrate(url: str) -> None:
    """Bring the schema to the newest version; harmless when it is."""
    scheme = url.replace("postgresql://", "postgresql+asyncpg://", 1)
    engine = create_async_engine(scheme, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7320100)")
            await connection.run_sync(_upgrade)
    except OSError as error:
        raise ServiceError(f"PostgreSQL cannot be reached: {error}. Check DATABASE_URL") from error
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def _prepare(connection: Any) -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_encode, decoder=orjson.loads, format="text")


async def _keep(_connection: Any) -> None:
    """Nothing is set on a session, so nothing is reset: a round trip less for every transaction."""


def _encode(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def _plain(url: str) -> str:
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)
