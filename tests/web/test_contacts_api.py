"""Contacts over the API: whatever the pages do with them."""

from collections.abc import AsyncIterator

import httpx
import pytest

from notifier.domain.keys import derive_keys
from notifier.planning.contact_import.work import read_waiting_imports
from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import add_contact, fetch, suppress
from tests.web.rooms import add_user, apply_pack, browser, key_headers, launch_alert, running_app

PEOPLE = "nr,who,mail\n7,Bob,bob@example.com\n8,Eve,wrong\n"
MAPPED = {"mapping": {"nr": "external_id", "who": "name", "mail": "email"}, "list_key": "guests"}


@pytest.fixture
async def caller(database: Database, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A system that may read and write."""
    await apply_pack(database)
    async with running_app(settings, database) as app, browser(app) as client:
        client.headers.update(await key_headers(database, "read", "write"))
        yield client


async def test_an_import_from_file_to_errors(caller: httpx.AsyncClient, database: Database, settings: Settings) -> None:
    sent = await caller.post("/api/v1/imports", files={"file": ("people.csv", PEOPLE.encode(), "text/csv")})
    assert (sent.status_code, sent.json()["state"]) == (201, "uploaded")
    path = f"/api/v1/imports/{sent.json()['id']}"
    unmapped = (await caller.post(f"{path}/preview", json={})).json()
    assert "no column says who" in unmapped["problem"]
    assert (await caller.post(f"{path}/start", json={})).status_code == 422
    shown = (await caller.post(f"{path}/preview", json=MAPPED)).json()
    assert [column["target"] for column in shown["columns"]] == ["external_id", "name", "email"]
    assert [row["name"] for row in shown["rows"]] == ["Bob", None]
    assert shown["rows"][1]["problems"][0]["column"] == "mail"
    for _ in range(2):
        started = await caller.post(f"{path}/start", json=MAPPED)
        assert (started.status_code, started.json()["state"]) == (202, "queued")
    await read_waiting_imports(database, address_hash_key=derive_keys(settings.secret).addresses)
    done = (await caller.get(path)).json()
    assert (done["state"], done["read_rows"], done["added"], done["rejected"]) == ("done", 2, 1, 1)
    assert b"mail" in (await caller.get(f"{path}/errors.csv")).content
    assert [one["id"] for one in (await caller.get("/api/v1/imports")).json()["items"]] == [done["id"]]
    assert (await caller.post(f"{path}/cancel", json={})).status_code == 409
    assert (await caller.post(f"{path}/preview", json={})).status_code == 409
    found = (await caller.get("/api/v1/contacts", params={"search": "bob", "list_key": "guests"})).json()
    assert [one["external_id"] for one in found["items"]] == ["7"]
    lists = (await caller.get("/api/v1/lists")).json()["items"]
    assert [(one["key"], one["members"]) for one in lists] == [("guests", 1)]


async def test_a_file_given_up_is_not_started(caller: httpx.AsyncClient) -> None:
    sent = await caller.post("/api/v1/imports", files={"file": ("a.csv", b"id\nA\n", "text/csv")})
    path = f"/api/v1/imports/{sent.json()['id']}"
    assert (await caller.post(f"{path}/cancel")).json()["state"] == "cancelled"
    assert (await caller.post(f"{path}/start", json={})).status_code == 409


async def test_garbage_and_missing_files_are_problems_in_words(caller: httpx.AsyncClient) -> None:
    for files in ({"file": ("a.csv", b"", "text/csv")}, {"other": ("a.csv", b"id\nA\n", "text/csv")}):
        answer = await caller.post("/api/v1/imports", files=files)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["problem"]
    assert (await caller.get("/api/v1/imports/99")).status_code == 404
    assert (await caller.get("/api/v1/imports/99/errors.csv")).status_code == 404


async def test_a_key_that_only_reads_changes_nothing(
    caller: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    await add_contact(database, settings, "C1")
    reader = await key_headers(database, "read")
    for path in (
        "/api/v1/imports",
        "/api/v1/imports/1/start",
        "/api/v1/imports/1/cancel",
        "/api/v1/contacts/C1/opt-outs",
        "/api/v1/contacts/C1/lift",
    ):
        answer = await caller.post(path, json={}, headers=dict(reader))
        assert answer.status_code == 403, path
    assert (await caller.get("/api/v1/contacts/C1/story", headers=dict(reader))).status_code == 200


async def test_search_is_that_of_the_page(caller: httpx.AsyncClient, database: Database, settings: Settings) -> None:
    await add_contact(database, settings, "C1", name="王芳", email="c1@example.com")
    await add_contact(database, settings, "C2", name="王小芳", email="c2@example.com")

    async def found(**params: str) -> list[str]:
        answer = await caller.get("/api/v1/contacts", params=params)
        return [one["external_id"] for one in answer.json()["items"]]

    assert await found(search="王芳") == ["C1"]
    assert await found(search="c2@example.com") == ["C2"]
    assert await found(search="王", has="email") == ["C1", "C2"]
    assert await found(search="王", has="sms") == await found(search="王", suppressed="true") == []
    first = (await caller.get("/api/v1/contacts", params={"search": "王", "limit": "1"})).json()
    assert await found(search="王", limit="1", cursor=first["next_cursor"]) == ["C2"]


async def test_the_story_and_what_is_done_for_a_contact(
    caller: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    await add_contact(database, settings, "c1", email="c1@example.com", locale="en")
    run_id = await launch_alert(database)
    told = (await caller.get("/api/v1/contacts/c1/story")).json()
    assert {message["run_id"] for message in told["messages"]} == {run_id}
    assert (await caller.get(f"/api/v1/messages/{told['messages'][0]['id']}")).status_code == 200
    body = {"channel": "email", "source": "phone", "note": "rang"}
    told = (await caller.post("/api/v1/contacts/c1/opt-outs", json=body)).json()
    assert [(one["act"], one["source"]) for one in told["consents"]] == [("opt-out", "phone")]
    lift = {"channel": "email", "because": "typo"}
    assert (await caller.post("/api/v1/contacts/c1/lift", json=lift)).status_code == 409
    await fetch(database, "DELETE FROM notifier.suppressions RETURNING 1")
    await fetch(database, "DELETE FROM notifier.consent_states RETURNING 1")
    assert (await caller.post("/api/v1/contacts/c1/lift", json=lift)).status_code == 404
    await suppress(database, settings, "c1@example.com", "invalid")
    told = (await caller.post("/api/v1/contacts/c1/lift", json=lift)).json()
    assert (told["suppressions"], told["acts"][0]["act"]) == ([], "contact.suppression-lifted")
    assert (await caller.get("/api/v1/contacts/nobody/story")).status_code == 404
    assert (await caller.post("/api/v1/contacts/nobody/opt-outs", json=body)).status_code == 404


async def test_a_users_key_makes_no_staff_of_a_customer(
    caller: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    await add_contact(database, settings, "c0")
    await add_user(database, "ann")
    body = {"kind": "employee", "email": "c0@example.com"}
    own = await key_headers(database, "read", "write", login="ann")
    for who in ("c0", "e0"):
        answer = await caller.put(f"/api/v1/contacts/{who}", json=body, headers=own)
        assert answer.status_code == 403
        assert "only an administrator" in answer.json()["detail"]
    assert (await caller.get("/api/v1/contacts/c0")).json()["kind"] == "customer"
    assert (await caller.put("/api/v1/contacts/c0", json=body)).json()["kind"] == "employee"
    told = await fetch(database, "SELECT detail FROM notifier.audit WHERE subject = 'contact:c0'")
    assert len(told) == 1
    assert "kind" in told[0][0]["fields"]
