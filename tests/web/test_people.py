"""What is changed about users: who stays in, who is put out, and what is written down about it."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from notifier.domain.errors import Conflict, InputError, NotFound
from notifier.store import access
from notifier.store.access import User
from notifier.store.database import Database
from notifier.web.access import people
from notifier.web.access.passwords import create_user, make_password, verify_password
from notifier.web.access.profile import Profile
from tests.builders import execute, fetch
from tests.web.rooms import PASSWORD, add_user, apply_pack

SESSION, OTHER = b"s" * 32, b"o" * 32


async def _user(database: Database, login: str) -> User:
    async with database.transaction() as tx:
        found = await access.find_user(tx, login)
    assert found is not None
    return found


async def _log_in(database: Database, login: str) -> None:
    user = await _user(database, login)
    async with database.transaction() as tx:
        for token in (SESSION, OTHER):
            await access.add_session(tx, user.id, token, timedelta(hours=1))


async def _sessions(database: Database) -> list[bytes]:
    return sorted(one for (one,) in await fetch(database, "SELECT token_hash FROM notifier.sessions"))


async def _acts(database: Database) -> list[tuple[Any, ...]]:
    return await fetch(
        database,
        "SELECT actor, act, subject, detail FROM notifier.audit WHERE actor NOT IN ('test', 'apply') ORDER BY id",
    )


async def test_addresses_are_written_one_way(database: Database) -> None:
    await apply_pack(database)
    async with database.transaction() as tx:
        await create_user(
            tx,
            login=" Wang ",
            password=PASSWORD,
            name=" 王芳 ",
            by="cli:root",
            email=" Wang@Example.COM",
            phone="138 0013 8000",
        )
    user = await _user(database, "wang")
    assert (user.name, user.email, user.phone) == ("王芳", "Wang@example.com", "+8613800138000")
    assert await _acts(database) == [("cli:root", "user.created", "user:wang", {"role": "author"})]


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("email", {"email": "no address"}),
        ("email", {"email": "a@example.com, b@example.com"}),
        ("phone", {"phone": "12"}),
        ("phone", {"phone": "13800138000"}),  # before the first apply nobody knows which country
        ("locale", {"locale": "tlh"}),
        ("name", {"name": "x" * 101}),
        ("name", {"name": "a\nb"}),
    ],
)
async def test_what_is_no_profile_is_refused_with_its_field(
    database: Database, field: str, more: dict[str, str]
) -> None:
    given = {"login": "wang", "password": PASSWORD, "name": "", "by": "test", **more}
    async with database.transaction() as tx:
        with pytest.raises(InputError) as error:
            await create_user(tx, **given)  # type: ignore[arg-type]  # none of them is the team
    assert error.value.field == field
    assert await fetch(database, "SELECT login FROM notifier.users") == []


async def test_another_role_ends_the_sessions_and_says_which_it_was(database: Database) -> None:
    await add_user(database, "lin", "author")
    await _log_in(database, "lin")
    async with database.transaction() as tx:
        await people.change_role(tx, 1, "lin", "approver", by="gao")
    assert ((await _user(database, "lin")).role, await _sessions(database)) == ("approver", [])
    assert await _acts(database) == [("gao", "user.role_changed", "user:lin", {"from": "author", "to": "approver"})]


async def test_the_same_role_again_changes_nothing(database: Database) -> None:
    await add_user(database, "lin", "author")
    await _log_in(database, "lin")
    async with database.transaction() as tx:
        await people.change_role(tx, 1, "lin", "author", by="gao")
    assert (len(await _sessions(database)), await _acts(database)) == (2, [])


async def test_a_disabled_user_is_put_out_and_comes_back_as_they_were(database: Database) -> None:
    await add_user(database, "lin", "author")
    await _log_in(database, "lin")
    for _ in range(2):
        async with database.transaction() as tx:
            await people.disable_user(tx, 1, "lin", by="gao")
    assert ((await _user(database, "lin")).is_disabled, await _sessions(database)) == (True, [])
    for _ in range(2):
        async with database.transaction() as tx:
            await people.enable_user(tx, 1, "lin", by="gao")
    assert not (await _user(database, "lin")).is_disabled
    assert [act for _, act, _, _ in await _acts(database)] == ["user.disabled", "user.enabled"]


@pytest.mark.parametrize("others", [(), ("author",), ("disabled admin",)], ids=str)
async def test_the_last_admin_who_may_log_in_stays(database: Database, others: tuple[str, ...]) -> None:
    await add_user(database, "gao", "admin")
    for role in others:
        await add_user(database, "other", role.removeprefix("disabled "))
        if role.startswith("disabled"):
            await execute(database, "UPDATE notifier.users SET disabled_at = now() WHERE login = 'other'")
    async with database.transaction() as tx:
        with pytest.raises(Conflict, match="last admin"):
            await people.disable_user(tx, 1, "gao", by="gao")
        with pytest.raises(Conflict, match="last admin"):
            await people.change_role(tx, 1, "gao", "author", by="gao")
    user = await _user(database, "gao")
    assert (user.role, user.is_disabled, await _acts(database)) == ("admin", False, [])


async def test_of_two_admins_one_may_go(database: Database) -> None:
    await add_user(database, "gao", "admin")
    await add_user(database, "sun", "admin")
    async with database.transaction() as tx:
        await people.disable_user(tx, 1, "gao", by="sun")
    async with database.transaction() as tx:
        with pytest.raises(Conflict):
            await people.change_role(tx, 1, "sun", "viewer", by="sun")


async def test_two_admins_who_demote_each_other_at_once_leave_one(database: Database) -> None:
    for login in ("gao", "sun"):
        await add_user(database, login, "admin")
    both_begun = asyncio.Barrier(2)

    async def demote(login: str, by: str) -> None:
        async with database.transaction() as tx:
            await tx.fetchval("SELECT 1")
            await both_begun.wait()
            await people.change_role(tx, 1, login, "author", by=by)

    ended = await asyncio.gather(demote("gao", "sun"), demote("sun", "gao"), return_exceptions=True)
    assert sorted(type(one).__name__ for one in ended) == ["Conflict", "NoneType"]
    assert await fetch(database, "SELECT count(*) FROM notifier.users WHERE role = 'admin'") == [(1,)]


async def test_the_audit_says_what_changed_and_keeps_no_address(database: Database) -> None:
    await add_user(database, "lin")
    async with database.transaction() as tx:
        given = Profile(name="Lin", locale="en", email="lin@example.com", phone="+12125550123")
        await people.change_profile(tx, 1, "lin", given, by="lin")
        await people.change_profile(tx, 1, "lin", given, by="lin")
    assert await _acts(database) == [("lin", "user.changed", "user:lin", {"fields": ["email", "phone"]})]
    assert (await _user(database, "lin")).phone == "+12125550123"


async def test_a_reset_password_opens_and_ends_every_session(database: Database) -> None:
    await add_user(database, "lin")
    await _log_in(database, "lin")
    new = make_password()
    async with database.transaction() as tx:
        await people.reset_password(tx, 1, "lin", new, by="cli:root")
    assert await verify_password((await _user(database, "lin")).password_hash, new)
    assert await _sessions(database) == []
    assert await _acts(database) == [("cli:root", "user.password_reset", "user:lin", {})]


async def test_ones_own_new_password_ends_the_other_sessions_only(database: Database) -> None:
    await add_user(database, "lin")
    await _log_in(database, "lin")
    user = await _user(database, "lin")
    async with database.transaction() as tx:
        await people.change_own_password(tx, user, current=PASSWORD, new="another long one", session=SESSION)
    assert await _sessions(database) == [SESSION]
    assert await verify_password((await _user(database, "lin")).password_hash, "another long one")
    assert [act for _, act, _, _ in await _acts(database)] == ["user.password_changed"]


@pytest.mark.parametrize(
    ("current", "new", "field"),
    [("wrong", "another long one", "current"), (PASSWORD, PASSWORD, "password"), (PASSWORD, "short", "password")],
)
async def test_a_password_changes_only_for_who_knows_it(database: Database, current: str, new: str, field: str) -> None:
    await add_user(database, "lin")
    await _log_in(database, "lin")
    user = await _user(database, "lin")
    with pytest.raises(InputError) as error:
        async with database.transaction() as tx:
            await people.change_own_password(tx, user, current=current, new=new, session=SESSION)
    assert error.value.field == field
    assert await verify_password((await _user(database, "lin")).password_hash, PASSWORD)
    assert (len(await _sessions(database)), await _acts(database)) == (2, [])


async def test_other_sessions_end_and_this_one_stays(database: Database) -> None:
    await add_user(database, "lin")
    await _log_in(database, "lin")
    user = await _user(database, "lin")
    async with database.transaction() as tx:
        assert await people.end_other_sessions(tx, user, session=SESSION) == 1
        assert await people.end_other_sessions(tx, user, session=SESSION) == 0
    assert await _sessions(database) == [SESSION]
    assert [(act, detail) for _, act, _, detail in await _acts(database)] == [("user.sessions_ended", {"count": 1})]


async def test_nobody_of_another_team_is_changed(database: Database) -> None:
    await add_user(database, "lin")
    async with database.transaction() as tx:
        with pytest.raises(NotFound):
            await people.disable_user(tx, 2, "lin", by="gao")
