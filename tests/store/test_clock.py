"""The clock and the hours that do not exist; partitions stand before they are needed."""

import asyncio
from datetime import UTC, datetime, time, timedelta

import pytest

from notifier.store import clock
from notifier.store.database import Database
from tests.builders import execute, fetch


async def test_business_time_moves_forward_and_never_back(database: Database) -> None:
    async with database.transaction() as tx:
        start = await clock.now(tx)
        await clock.advance_to(tx, start + timedelta(days=3))
        assert await clock.now(tx) == start + timedelta(days=3)
        await clock.advance_to(tx, start)
        assert await clock.now(tx) == start + timedelta(days=3)


@pytest.mark.parametrize(
    ("local", "zone", "at"),
    [
        ("2026-03-08T02:30", "America/New_York", datetime(2026, 3, 8, 7, 30, tzinfo=UTC)),  # gap: forward
        ("2026-11-01T01:30", "America/New_York", datetime(2026, 11, 1, 5, 30, tzinfo=UTC)),  # the first
        ("2026-11-01T02:30", "America/New_York", datetime(2026, 11, 1, 7, 30, tzinfo=UTC)),
        ("2026-06-01T09:00", "Asia/Kathmandu", datetime(2026, 6, 1, 3, 15, tzinfo=UTC)),
        ("2026-06-01T09:00", "Asia/Shanghai", datetime(2026, 6, 1, 1, 0, tzinfo=UTC)),
    ],
)
async def test_local_time_becomes_utc(database: Database, local: str, zone: str, at: datetime) -> None:
    assert await fetch(database, "SELECT notifier.local_to_utc($1::text::timestamp, $2)", local, zone) == [(at,)]


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        (datetime(2026, 6, 1, 7, 59, tzinfo=UTC), datetime(2026, 6, 1, 8, 0, tzinfo=UTC)),
        (datetime(2026, 6, 1, 8, 0, tzinfo=UTC), datetime(2026, 6, 1, 8, 0, tzinfo=UTC)),
        (datetime(2026, 6, 1, 20, 59, tzinfo=UTC), datetime(2026, 6, 1, 20, 59, tzinfo=UTC)),
        (datetime(2026, 6, 1, 21, 0, tzinfo=UTC), datetime(2026, 6, 2, 8, 0, tzinfo=UTC)),
    ],
)
async def test_a_window_opens_at_its_hour(database: Database, at: datetime, opens: datetime) -> None:
    found = await fetch(database, "SELECT notifier.next_open($1, 'UTC', $2, $3)", at, time(8), time(21))
    assert found == [(opens,)]


@pytest.mark.parametrize(
    ("zone", "found"), [("", "UTC"), ("No/Such", "UTC"), ("Asia/Tokyo", "Asia/Tokyo"), (None, "UTC")]
)
async def test_a_zone_the_server_does_not_know_is_replaced(database: Database, zone: str | None, found: str) -> None:
    assert await fetch(database, "SELECT notifier.zone_or($1, 'UTC')", zone) == [(found,)]


async def test_partitions_may_be_made_by_several_at_once(database: Database) -> None:
    async def make() -> None:
        async with database.transaction() as tx:
            await clock.make_partitions(tx, months_ahead=5)

    await execute(database, "UPDATE notifier.clock SET shift = interval '20 years'")
    await asyncio.gather(*(make() for _ in range(3)))
    async with database.transaction() as tx:
        month = (await clock.now(tx)).strftime("%Y%m")
    assert await fetch(database, "SELECT to_regclass('notifier.messages_' || $1) IS NOT NULL", month) == [(True,)]


async def _add_callback(database: Database, days_ago: int, *, applied: bool) -> str:
    """The name of its partition."""
    await execute(database, "SELECT notifier.make_day(current_date - $1::int)", days_ago)
    await execute(
        database,
        """
        INSERT INTO notifier.callbacks (day, dedupe_key, provider, account, url, content_type, body, applied_at)
        VALUES (current_date - $1::int, 'k', 'twilio', 'sms', '', '', '', CASE WHEN $2 THEN now() END)
        """,
        days_ago,
        applied,
    )
    ((name,),) = await fetch(database, "SELECT 'callbacks_' || to_char(current_date - $1::int, 'YYYYMMDD')", days_ago)
    return str(name)


async def test_days_of_callbacks_go_when_all_are_applied_and_in_the_end_in_any_case(database: Database) -> None:
    done, waiting = [await _add_callback(database, days, applied=days == 31) for days in (31, 32)]
    await _add_callback(database, 30, applied=True)
    forgotten = await _add_callback(database, 61, applied=False)
    async with database.transaction() as tx:
        assert await clock.drop_old(tx) == [forgotten, done]
        assert await clock.drop_old(tx) == []
        assert await tx.fetchval("SELECT count(*) FROM notifier.callbacks") == 2
        await tx.execute(f"UPDATE notifier.{waiting} SET applied_at = now()")
        assert await clock.drop_old(tx) == [waiting]


async def test_idempotency_keys_are_kept_for_a_week(database: Database) -> None:
    for key, days in (("old", 8), ("new", 6)):
        await execute(
            database,
            """
            INSERT INTO notifier.idempotency (team_id, scope, key, request_hash, created_at)
            VALUES (1, 'api', $1, '', now() - $2::int * interval '1 day')
            """,
            key,
            days,
        )
    async with database.transaction() as tx:
        await clock.drop_old(tx)
    assert await fetch(database, "SELECT key FROM notifier.idempotency") == [("new",)]


async def test_two_workers_do_not_drop_at_the_same_time(database: Database) -> None:
    await _add_callback(database, 40, applied=True)
    async with database.transaction() as first:
        assert await first.fetchval("SELECT pg_try_advisory_xact_lock(7320400)")
        async with database.transaction() as second:
            assert await clock.drop_old(second) == []
    async with database.transaction() as tx:
        assert len(await clock.drop_old(tx)) == 1
