"""Users, keys and the audit trail over the API: whose key opens what."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
import pytest

from notifier.domain.person import Role
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.web.access.passwords import find_person
from tests.builders import fetch
from tests.web.rooms import add_user, browser, key_headers, running_app

API = "/api/v1"
ROUTES = {
    "/users": {"admin", "auditor"},
    "/keys": {"admin", "auditor"},
    "/audit": {"admin", "auditor", "approver"},
    "/me": {role.value for role in Role},
}
WRITES = [
    ("POST", "/users", {"login": "new"}),
    ("PATCH", "/users/lin", {"role": "viewer"}),
    ("POST", "/users/lin/password", None),
    ("POST", "/keys", {"name": "x", "scopes": ["read"]}),
    ("DELETE", "/keys/1", None),
]


@asynccontextmanager
async def caller(
    database: Database, settings: Settings, role: str, *scopes: str
) -> AsyncIterator[tuple[httpx.AsyncClient, Mapping[str, str]]]:
    """A client, and the headers of a key that stands for lin in this role."""
    await add_user(database, "lin", role)
    headers = await key_headers(database, *(scopes or ("read",)), login="lin")
    async with running_app(settings, database) as app, browser(app, **headers) as client:
        yield client, headers


@pytest.mark.parametrize("role", [role.value for role in Role])
async def test_a_key_reads_what_its_users_role_may(database: Database, settings: Settings, role: str) -> None:
    async with caller(database, settings, role) as (client, _):
        opened = {path for path in ROUTES if (await client.get(f"{API}{path}")).status_code == 200}
    assert opened == {path for path, roles in ROUTES.items() if role in roles}


async def test_a_systems_key_reads_nothing_about_people(database: Database, settings: Settings) -> None:
    headers = await key_headers(database, "read", "write", "send")
    async with running_app(settings, database) as app, browser(app, **headers) as client:
        answers = [(await client.get(f"{API}{path}")).status_code for path in ROUTES]
    assert answers == [403, 403, 403, 404]


@pytest.mark.parametrize(("role", "scopes"), [("approver", ("read", "write", "send")), ("admin", ("read", "send"))])
@pytest.mark.parametrize(("method", "path", "body"), WRITES, ids=str)
async def test_only_an_admins_key_that_may_write_changes_people(
    database: Database,
    settings: Settings,
    role: str,
    scopes: tuple[str, ...],
    method: str,
    path: str,
    body: dict[str, object] | None,
) -> None:
    async with caller(database, settings, role, *scopes) as (client, _):
        assert (await client.request(method, f"{API}{path}", json=body)).status_code == 403
    assert await fetch(database, "SELECT login, role FROM notifier.users") == [("lin", role)]
    assert await fetch(database, "SELECT revoked_at FROM notifier.api_keys") == [(None,)]


async def test_a_user_is_added_changed_disabled_and_given_a_password(database: Database, settings: Settings) -> None:
    async with caller(database, settings, "admin", "read", "write") as (client, _):
        made = await client.post(f"{API}/users", json={"login": "Wang", "role": "author", "phone": "+12125550123"})
        assert (made.status_code, made.json()["login"]) == (201, "wang")
        assert await find_person(database, login="wang", password=made.json()["password"])
        again = await client.post(f"{API}/users", json={"login": "wang"})
        assert again.status_code == 409
        changed = await client.patch(f"{API}/users/wang", json={"email": "wang@example.com", "role": "approver"})
        assert (changed.json()["email"], changed.json()["phone"], changed.json()["role"]) == (
            "wang@example.com",
            "+12125550123",
            "approver",
        )
        told = (await client.post(f"{API}/users/wang/password")).json()["password"]
        assert await find_person(database, login="wang", password=told)
        assert (await client.patch(f"{API}/users/wang", json={"is_disabled": True})).json()["is_disabled"]
        assert not await find_person(database, login="wang", password=told)
        assert not (await client.patch(f"{API}/users/wang", json={"is_disabled": False})).json()["is_disabled"]
        assert [user["login"] for user in (await client.get(f"{API}/users")).json()["items"]] == ["lin", "wang"]
    actors = await fetch(database, "SELECT DISTINCT actor FROM notifier.audit WHERE subject = 'user:wang'")
    assert actors == [("api-key:1",)]


@pytest.mark.parametrize("body", [{"role": "viewer"}, {"is_disabled": True}])
async def test_the_last_admin_stays(database: Database, settings: Settings, body: dict[str, object]) -> None:
    async with caller(database, settings, "admin", "read", "write") as (client, _):
        assert (await client.patch(f"{API}/users/lin", json=body)).status_code == 409


async def test_a_wrong_address_is_named(database: Database, settings: Settings) -> None:
    async with caller(database, settings, "admin", "read", "write") as (client, _):
        answer = await client.post(f"{API}/users", json={"login": "wang", "email": "nowhere"})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "email")
        assert (await client.patch(f"{API}/users/nobody", json={})).status_code == 404


async def test_a_key_gives_no_scope_it_lacks_itself(database: Database, settings: Settings) -> None:
    async with caller(database, settings, "admin", "read", "write") as (client, _):
        more = await client.post(f"{API}/keys", json={"name": "x", "user": "lin", "scopes": ["release"]})
        assert (more.status_code, "release" in more.json()["detail"]) == (403, True)
        made = await client.post(f"{API}/keys", json={"name": "x", "scopes": ["read"], "days": 7})
        assert made.status_code == 201
        assert made.json()["key"].startswith("nk_2_")
        listed = (await client.get(f"{API}/keys")).json()["items"]
        assert [(one["id"], one["user"], one["is_live"]) for one in listed] == [(1, "lin", True), (2, None, True)]
        assert (await client.delete(f"{API}/keys/2")).status_code == 204
        assert (await client.delete(f"{API}/keys/9")).status_code == 404
        listed = (await client.get(f"{API}/keys")).json()["items"]
        assert [one["is_live"] for one in listed] == [True, False]


async def test_an_authors_key_changes_their_own_profile_only(database: Database, settings: Settings) -> None:
    async with caller(database, settings, "author", "read", "write") as (client, _):
        changed = await client.patch(f"{API}/me", json={"name": "林晓", "locale": "zh-CN"})
        assert (changed.json()["name"], changed.json()["role"]) == ("林晓", "author")
        assert (await client.patch(f"{API}/me", json={"role": "admin"})).status_code == 422
        assert (await client.post(f"{API}/me/sessions/end")).json() == {"sessions": 0}
        assert (await client.get(f"{API}/me")).json()["name"] == "林晓"


async def test_the_trail_is_read_page_by_page_and_filtered(database: Database, settings: Settings) -> None:
    await add_user(database, "chen", "author")
    async with caller(database, settings, "auditor") as (client, _):
        first = (await client.get(f"{API}/audit", params={"limit": 2})).json()
        rest = (await client.get(f"{API}/audit", params={"limit": 2, "cursor": first["next_cursor"]})).json()
        acts = [line["act"] for line in [*first["items"], *rest["items"]]]
        assert (acts, rest["next_cursor"]) == (["key.created", "user.created", "user.created"], None)
        mine = (await client.get(f"{API}/audit", params={"act": "user", "subject": "user:chen"})).json()["items"]
        assert [(line["actor"], line["detail"]) for line in mine] == [("test", {"role": "author"})]
        assert (await client.get(f"{API}/audit", params={"since": "2999-01-01T00:00:00Z"})).json()["items"] == []
