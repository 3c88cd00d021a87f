"""Templates over the API: all that the editor can do, with the same checks."""

import io
import zipfile
from collections.abc import AsyncIterator

import httpx
import pytest

from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import execute, fetch
from tests.web.rooms import add_contacts, add_user, apply_pack, browser, key_headers, running_app

PATH = "/api/v1/templates/measures-notice"


@pytest.fixture
async def caller(database: Database, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A caller with every scope over the starter pack, the weekly notice taken over in version 2."""
    await apply_pack(database)
    await add_contacts(database, settings)
    async with running_app(settings, database) as app, browser(app) as client:
        client.headers.update(await key_headers(database))
        assert (await client.post(f"{PATH}/take-over")).json() == {"version": 2, "is_new": True, "remarks": []}
        yield client


async def _body(caller: httpx.AsyncClient, **files: str) -> dict[str, object]:
    found = (await caller.get(PATH)).json()
    named = {name.replace("__", "."): text for name, text in files.items()}
    return {name: found[name] for name in ("title", "subject", "meta")} | {"files": {**found["files"], **named}}


async def test_a_template_is_listed_and_read_with_its_words(caller: httpx.AsyncClient) -> None:
    lines = (await caller.get("/api/v1/templates")).json()["items"]
    (line,) = [one for one in lines if one["key"] == "measures-notice"]
    assert (line["version"], line["file"], line["campaigns"]) == (2, "", ["measures-notice"])
    assert line["channels"]["sms"] == ["en", "zh-CN"]
    one = (await caller.get(PATH)).json()
    assert one["files"]["sms.en.txt"].startswith("{{ inputs.closed_branches }}")
    assert "_layouts/email.html" in one["layouts"]
    assert one["definition"]["purpose"] == "service"
    assert (await caller.get("/api/v1/templates/nothing")).status_code == 404


async def test_a_save_is_checked_and_never_over_somebody_elses(caller: httpx.AsyncClient) -> None:
    body = await _body(caller, sms__en__txt="Closed: {{ inputs.closed_branches }}")
    saved = await caller.put(PATH, json={**body, "base": 2})
    assert saved.json() == {"version": 3, "is_new": True, "remarks": []}
    again = await caller.put(PATH, json={**body, "base": 3})
    assert again.json() == {"version": 3, "is_new": False, "remarks": []}
    other = await _body(caller, sms__en__txt="Mine")
    assert (await caller.put(PATH, json={**other, "base": 2})).status_code == 409
    wrong = await caller.put(PATH, json={**await _body(caller, sms__en__txt="a\n{{ inputs.wrod }}"), "base": 3})
    assert wrong.status_code == 422
    assert "sms.en.txt:2" in [error["field"] for error in wrong.json()["errors"]]


async def test_what_a_file_manages_is_not_saved(caller: httpx.AsyncClient) -> None:
    found = (await caller.get("/api/v1/templates/lecture")).json()
    body = {name: found[name] for name in ("title", "subject", "meta", "files")} | {"base": 1}
    answer = await caller.put("/api/v1/templates/lecture", json=body)
    assert (answer.status_code, "manages this template" in answer.json()["detail"]) == (409, True)


async def test_a_draft_is_shown_with_the_values_asked_for(caller: httpx.AsyncClient) -> None:
    body = await _body(caller, sms__en__txt="Now {{ inputs.closed_branches }}")
    sms = (await caller.post(f"{PATH}/preview", json={**body, "file": "sms.en.txt"})).json()
    assert sms["text"] == "Riverside Bank: Now Bund and Lujiazui branches"
    assert (sms["parts"], sms["encoding"], sms["units_left"]) == (1, "GSM-7", 160 - 46)
    mail = (await caller.post(f"{PATH}/preview", json={**body, "file": "email.en.html", "contact": "c1"})).json()
    assert "Dear Contact 1," in mail["html"]
    nobody = await caller.post(f"{PATH}/preview", json={**body, "file": "email.en.html", "contact": "x"})
    assert nobody.status_code == 404
    body = await _body(caller, sms__en__txt="{{ ''.__class__ }}")
    refused = (await caller.post(f"{PATH}/preview", json={**body, "file": "sms.en.txt"})).json()
    assert refused["text"] == ""
    assert refused["errors"][0]["file"] == "sms.en.txt"


async def test_versions_are_listed_compared_and_restored(caller: httpx.AsyncClient) -> None:
    await caller.put(PATH, json={**await _body(caller, sms__en__txt="A slip"), "base": 2})
    found = (await caller.get(f"{PATH}/versions")).json()["items"]
    assert [one["version"] for one in found] == [3, 2, 1]
    assert "+A slip" in (await caller.get(f"{PATH}/versions/3")).json()["difference"]
    restored = await caller.post(f"{PATH}/versions/2/restore", json={"base": 3})
    assert restored.json()["version"] == 4
    assert (await caller.post(f"{PATH}/versions/2/restore", json={"base": 3})).status_code == 409
    assert (await caller.get(f"{PATH}/versions/99")).status_code == 404


async def test_a_copy_and_an_export(caller: httpx.AsyncClient) -> None:
    assert (await caller.post(f"{PATH}/copy", json={"to": "my-own"})).status_code == 201
    assert (await caller.post(f"{PATH}/copy", json={"to": "my-own"})).status_code == 422
    packed = await caller.get("/api/v1/templates/my-own/export")
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert b"template: my-own" in archive.read("my-own/template.yaml")


async def test_a_test_goes_to_the_keys_own_user_once(caller: httpx.AsyncClient, database: Database) -> None:
    body = {**await _body(caller), "file": "email.en.html"}
    headers = {"idempotency-key": "t1"}
    assert (await caller.post(f"{PATH}/test", json=body, headers=headers)).status_code == 422
    await add_user(database)
    await execute(database, "UPDATE notifier.users SET email = 'lin@example.com'")
    await execute(database, "UPDATE notifier.api_keys SET user_id = (SELECT id FROM notifier.users)")
    for _ in range(2):
        answer = await caller.post(f"{PATH}/test", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
    assert await fetch(database, "SELECT address FROM notifier.notes") == [("lin@example.com",)]
    post = await caller.post(f"{PATH}/test", json={**body, "file": "social.en.txt"}, headers={"idempotency-key": "t2"})
    assert post.status_code == 422


async def test_reading_needs_read_and_saving_needs_write(caller: httpx.AsyncClient, database: Database) -> None:
    body = {**await _body(caller), "base": 2}
    caller.headers.update(await key_headers(database, "read"))
    assert (await caller.get(PATH)).status_code == 200
    assert (await caller.put(PATH, json=body)).status_code == 403
    for act in ("take-over", "copy", "versions/1/restore"):
        assert (await caller.post(f"{PATH}/{act}", json={"to": "x", "base": 1})).status_code == 403, act
