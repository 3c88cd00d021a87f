"""Commands for users and keys, on real servers."""

import asyncio
import getpass
from typing import Any

from notifier.embedded import Services
from notifier.store import access
from notifier.store.access import User
from notifier.store.database import open_database
from notifier.web.access.passwords import verify_password
from tests.builders import fetch
from tests.cli.conftest import Run

NUMBER = "+12125550123"


def _user(services: Services, login: str) -> User:
    async def main() -> User | None:
        async with open_database(services.database_url, max_connections=1) as database, database.transaction() as tx:
            return await access.find_user(tx, login)

    found = asyncio.run(main())
    assert found is not None
    return found


def _opens(services: Services, login: str, password: str) -> bool:
    return asyncio.run(verify_password(_user(services, login).password_hash, password))


def _acts(services: Services) -> list[tuple[Any, ...]]:
    async def main() -> list[tuple[Any, ...]]:
        async with open_database(services.database_url, max_connections=1) as database:
            return await fetch(database, "SELECT actor, act, subject FROM notifier.audit ORDER BY id")

    return asyncio.run(main())


def test_who_made_a_user_is_written_down_with_where_it_was_done(run_on_servers: Run, services: Services) -> None:
    said = run_on_servers(
        "user", "add", "Wang", "--email", "wang@example.com", "--phone", NUMBER, given="a good password\n"
    )
    assert said.code == 0, said.err
    (listed,) = run_on_servers("user", "list", "--json").json
    assert (listed["login"], listed["email"], listed["phone"]) == ("wang", "wang@example.com", NUMBER)
    assert "wang@example.com" in run_on_servers("user", "list").out
    assert _acts(services) == [(f"cli:{getpass.getuser()}", "user.created", "user:wang")]


def test_a_wrong_address_says_what_to_write(run_on_servers: Run) -> None:
    said = run_on_servers("user", "add", "wang", "--email", "nowhere", "--generate")
    assert said.code == 2
    assert "Write one address such as" in said.err


def test_the_whole_life_of_a_user(run_on_servers: Run, services: Services) -> None:
    for login, role in (("gao", "admin"), ("wang", "author")):
        assert run_on_servers("user", "add", login, "--role", role, "--generate").code == 0
    assert run_on_servers("user", "role", "Wang", "approver").code == 0
    password = run_on_servers("user", "passwd", "wang", "--generate").out.strip()
    assert _opens(services, "wang", password)
    assert run_on_servers("user", "passwd", "wang", given="quite another one\n").code == 0
    assert _opens(services, "wang", "quite another one")
    assert run_on_servers("user", "disable", "wang").code == 0
    assert "disabled" in run_on_servers("user", "list").out
    assert run_on_servers("user", "enable", "wang").code == 0
    user = _user(services, "wang")
    assert (user.role, user.is_disabled) == ("approver", False)
    assert [act for _, act, subject in _acts(services) if subject == "user:wang"] == [
        "user.created",
        "user.role_changed",
        "user.password_reset",
        "user.password_reset",
        "user.disabled",
        "user.enabled",
    ]


def test_the_last_admin_stays_and_the_text_says_what_to_do(run_on_servers: Run) -> None:
    run_on_servers("user", "add", "gao", "--role", "admin", "--generate")
    for words in (("role", "gao", "author"), ("disable", "gao")):
        said = run_on_servers("user", *words)
        assert said.code == 1
        assert "Make somebody else an admin first" in said.err


def test_a_wrong_name_is_told_from_a_wrong_role(run_on_servers: Run) -> None:
    run_on_servers("user", "add", "gao", "--generate")
    assert run_on_servers("user", "role", "nobody", "author").code == 1
    assert run_on_servers("user", "role", "gao", "king").code == 2
    assert run_on_servers("user", "passwd", "gao", given="short\n").code == 2
    assert run_on_servers("user", "passwd", "gao", given="").code == 2
    assert "no user 'nobody'" in run_on_servers("user", "disable", "nobody").err


def test_a_key_of_a_user_is_listed_with_them_and_dies_with_them(run_on_servers: Run) -> None:
    run_on_servers("user", "add", "chen", "--role", "approver", "--generate")
    said = run_on_servers("key", "add", "laptop", "--user", "chen", "--scope", "read", "--scope", "release", "--json")
    assert said.json["user"] == "chen"
    assert run_on_servers("key", "list", "--json").json[0]["login"] == "chen"
    run_on_servers("user", "disable", "chen")
    assert "user disabled" in run_on_servers("key", "list").out


def test_only_a_releasing_users_key_releases(run_on_servers: Run) -> None:
    run_on_servers("user", "add", "lin", "--generate")
    for words in ((), ("--user", "lin")):
        said = run_on_servers("key", "add", "x", *words, "--scope", "release")
        assert said.code == 2
        assert "stands for an approver or admin" in said.err
    assert run_on_servers("key", "add", "x", "--user", "nobody").code == 2
    assert run_on_servers("key", "list", "--json").json == []


def test_a_key_is_revoked_once(run_on_servers: Run, services: Services) -> None:
    run_on_servers("key", "add", "core")
    assert run_on_servers("key", "revoke", "1").code == run_on_servers("key", "revoke", "1").code == 0
    assert [act for _, act, _ in _acts(services)] == ["key.created", "key.revoked"]
    assert run_on_servers("key", "revoke", "9").code == 1
