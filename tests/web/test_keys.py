"""A key stands for a user: it never does what they may not do now."""

import pytest

from notifier.domain.errors import InputError
from notifier.domain.person import Role
from notifier.settings import Settings
from notifier.store import access
from notifier.store.access import ApiKey
from notifier.store.database import Database, Tx
from notifier.web.access.keys import SCOPES, create_api_key, find_key, scopes_of
from notifier.web.api.keyed import person
from tests.builders import execute, fetch
from tests.web.rooms import add_user, browser, key_headers, running_app


async def _key(tx: Tx, *scopes: str, login: str = "") -> str:
    return await create_api_key(tx, name="core", scopes=scopes, by="cli:root", login=login)


async def _found(database: Database, token: str) -> ApiKey | None:
    async with database.transaction() as tx:
        return await find_key(tx, token)


@pytest.mark.parametrize(
    ("role", "scopes"),
    [
        (None, {"read", "write", "send"}),
        ("viewer", {"read"}),
        ("auditor", {"read"}),
        ("author", {"read", "write", "send"}),
        ("operator", {"read", "write", "send"}),
        ("approver", set(SCOPES)),
        ("admin", set(SCOPES)),
    ],
)
def test_a_role_gives_its_scopes_and_a_system_never_releases(role: str | None, scopes: set[str]) -> None:
    assert scopes_of(role) == scopes


def test_every_role_has_a_word_about_its_keys() -> None:
    assert all("read" in scopes_of(role) for role in Role)


@pytest.mark.parametrize(("login", "scope"), [("", "release"), ("lin", "release"), ("vi", "send"), ("au", "write")])
async def test_no_key_is_made_with_more_than_its_users_role_allows(database: Database, login: str, scope: str) -> None:
    for name, role in (("lin", "author"), ("vi", "viewer"), ("au", "auditor")):
        await add_user(database, name, role)
    async with database.transaction() as tx:
        with pytest.raises(InputError, match="may not have"):
            await _key(tx, "read", scope, login=login)
    assert await fetch(database, "SELECT id FROM notifier.api_keys") == []


@pytest.mark.parametrize("login", ["nobody", "gone"])
async def test_no_key_is_made_for_who_may_not_log_in(database: Database, login: str) -> None:
    await add_user(database, "gone", "admin")
    await execute(database, "UPDATE notifier.users SET disabled_at = now()")
    async with database.transaction() as tx:
        with pytest.raises(InputError, match="there is no user"):
            await _key(tx, "read", login=login)


async def test_a_demoted_approvers_key_no_longer_releases_and_a_promoted_ones_does_again(database: Database) -> None:
    await add_user(database, "chen", "approver")
    async with database.transaction() as tx:
        token = await _key(tx, *SCOPES, login="chen")
    for role, scopes in (
        ("approver", SCOPES),
        ("author", ("read", "write", "send")),
        ("viewer", ("read",)),
        ("admin", SCOPES),
    ):
        await execute(database, "UPDATE notifier.users SET role = $1", role)
        found = await _found(database, token)
        assert found is not None
        assert (found.scopes, person(found).role) == (scopes, Role(role))


async def test_a_promoted_authors_key_gets_nothing_it_was_not_made_with(database: Database) -> None:
    await add_user(database, "lin", "author")
    async with database.transaction() as tx:
        token = await _key(tx, "read", "send", login="lin")
    await execute(database, "UPDATE notifier.users SET role = 'admin'")
    found = await _found(database, token)
    assert found is not None
    assert found.scopes == ("read", "send")


async def test_a_disabled_users_keys_are_dead_until_they_are_enabled(database: Database) -> None:
    await add_user(database, "chen", "approver")
    async with database.transaction() as tx:
        token = await _key(tx, "read", login="chen")
    await execute(database, "UPDATE notifier.users SET disabled_at = now()")
    assert await _found(database, token) is None
    await execute(database, "UPDATE notifier.users SET disabled_at = NULL")
    assert await _found(database, token) is not None


async def test_a_key_acts_as_its_user_and_a_systems_key_as_nobody(database: Database) -> None:
    await add_user(database, "chen", "approver")
    async with database.transaction() as tx:
        tokens = [await _key(tx, "read", login="CHEN "), await _key(tx, "read")]
        keys = [await find_key(tx, token) for token in tokens]
        user = await access.find_user(tx, "chen")
    assert user is not None
    people = [person(key) for key in keys if key]
    assert [(one.name, one.user_id, one.role) for one in people] == [
        ("api-key:1", user.id, Role.APPROVER),
        ("api-key:2", None, None),
    ]


async def test_who_made_a_key_and_for_whom_is_written_down(database: Database) -> None:
    await add_user(database, "chen", "approver")
    async with database.transaction() as tx:
        await _key(tx, "release", "read", login="chen")
    rows = await fetch(database, "SELECT actor, subject, detail FROM notifier.audit WHERE act = 'key.created'")
    assert rows == [("cli:root", "key:1", {"name": "core", "scopes": ["read", "release"], "user": "chen"})]


@pytest.mark.parametrize("name", ["", "  ", "x" * 201])
async def test_a_key_wants_a_name(database: Database, name: str) -> None:
    async with database.transaction() as tx:
        with pytest.raises(InputError) as error:
            await create_api_key(tx, name=name, scopes=["read"], by="test")
    assert error.value.field == "name"


async def test_a_viewers_key_may_not_stop_a_run(database: Database, settings: Settings) -> None:
    await add_user(database, "chen", "approver")
    headers = await key_headers(database, "read", "send", login="chen")
    await execute(database, "UPDATE notifier.users SET role = 'viewer'")
    async with running_app(settings, database) as app, browser(app) as client:
        assert (await client.get("/api/v1/runs", headers=headers)).status_code == 200
        assert (await client.post("/api/v1/runs/1/stop", headers=headers)).status_code == 403
