"""Users, sessions, keys and answered requests as rows."""

from datetime import timedelta

import pytest

from notifier.domain.errors import Conflict
from notifier.store import access
from notifier.store.database import Database, Tx


async def _add(tx: Tx, login: str = "lin") -> int:
    return await access.add_user(tx, 1, login=login, name="Lin", role="author", password_hash="h", locale="en")


async def test_login_is_unique(database: Database) -> None:
    async with database.transaction() as tx:
        await _add(tx)
        with pytest.raises(Conflict):
            await _add(tx)


async def test_new_password_ends_every_session(database: Database) -> None:
    async with database.transaction() as tx:
        user = await _add(tx)
        await access.add_session(tx, user, b"t" * 32, timedelta(hours=1))
        assert await access.find_session_user(tx, b"t" * 32) is not None
        await access.set_password(tx, user, "other")
        assert await access.find_session_user(tx, b"t" * 32) is None


async def test_old_sessions_go_when_a_new_one_comes(database: Database) -> None:
    async with database.transaction() as tx:
        user = await _add(tx)
        await access.add_session(tx, user, b"a" * 32, timedelta(seconds=-1))
        await access.add_session(tx, user, b"b" * 32, timedelta(hours=1))
        assert await tx.fetchval("SELECT count(*) FROM notifier.sessions") == 1


async def test_session_lives_by_the_servers_clock_not_business_time(database: Database) -> None:
    async with database.transaction() as tx:
        user = await _add(tx)
        await access.add_session(tx, user, b"a" * 32, timedelta(hours=1))
        await tx.execute("UPDATE notifier.clock SET shift = '40 days'")
        assert await access.find_session_user(tx, b"a" * 32) is not None


async def test_request_is_reserved_once_and_its_answer_kept_byte_for_byte(database: Database) -> None:
    answer = '{"b": 1,  "a": "静安"}'
    async with database.transaction() as tx:
        assert await access.reserve_request(tx, 1, "POST /x", "k", b"h") is None
        await access.keep_answer(tx, 1, "POST /x", "k", status=202, body=answer)
    async with database.transaction() as tx:
        earlier = await access.reserve_request(tx, 1, "POST /x", "k", b"h")
        assert earlier == access.Answered(request_hash=b"h", status=202, body=answer)
        assert await access.reserve_request(tx, 1, "POST /y", "k", b"h") is None


async def test_held_request_is_held_until_the_transaction_ends(database: Database) -> None:
    async with database.transaction() as first:
        assert await access.hold_request(first, 1, "s", "k")
        async with database.transaction() as second:
            assert not await access.hold_request(second, 1, "s", "k")
            assert await access.hold_request(second, 1, "s", "other")
    async with database.transaction() as third:
        assert await access.hold_request(third, 1, "s", "k")


async def test_use_of_a_key_is_noted(database: Database) -> None:
    async with database.transaction() as tx:
        key = await access.add_api_key(tx, 1, name="a", secret_hash=b"s", scopes=["read"], expires_at=None)
        await access.note_key_used(tx, key)
        first = await tx.fetchval("SELECT used_at FROM notifier.api_keys")
        assert first is not None
        await access.note_key_used(tx, key)
        assert await tx.fetchval("SELECT used_at FROM notifier.api_keys") == first


async def test_act_is_written_down(database: Database) -> None:
    async with database.transaction() as tx:
        await access.add_audit(tx, 1, actor="lin", act="run.stopped", subject="run:1", detail={"why": "mistake"})
        row = await tx.fetchrow("SELECT actor, act, subject, detail FROM notifier.audit")
    assert tuple(row) == ("lin", "run.stopped", "run:1", {"why": "mistake"})


async def test_a_new_password_may_leave_one_session(database: Database) -> None:
    async with database.transaction() as tx:
        user = await _add(tx)
        for token in (b"a" * 32, b"b" * 32):
            await access.add_session(tx, user, token, timedelta(hours=1))
        await access.set_password(tx, user, "other", but=b"b" * 32)
        assert [one.token_hash for one in await access.list_sessions(tx, user)] == [b"b" * 32]


async def test_use_of_a_session_is_noted_to_the_minute(database: Database) -> None:
    async with database.transaction() as tx:
        user = await _add(tx)
        await access.add_session(tx, user, b"a" * 32, timedelta(hours=1))
        await tx.execute("UPDATE notifier.sessions SET seen_at = now() - interval '2 minutes'")
        (before,) = await access.list_sessions(tx, user)
        await access.note_session_seen(tx, b"a" * 32)
        (after,) = await access.list_sessions(tx, user)
        await access.note_session_seen(tx, b"a" * 32)
        (again,) = await access.list_sessions(tx, user)
    assert before.seen_at < after.seen_at == again.seen_at


async def test_only_the_last_live_admin_is_the_last(database: Database) -> None:
    async with database.transaction() as tx:
        first, second = await _add(tx), await _add(tx, "chen")
        await access.set_role(tx, first, "admin")
        assert (await access.lock_user(tx, 1, "lin"))[1]
        assert not (await access.lock_user(tx, 1, "chen"))[1]
        await access.set_role(tx, second, "admin")
        assert not (await access.lock_user(tx, 1, "lin"))[1]
        await access.disable_user(tx, second)
        assert (await access.lock_user(tx, 1, "lin"))[1]
        await access.enable_user(tx, second)
        assert not (await access.lock_user(tx, 1, "lin"))[1]
