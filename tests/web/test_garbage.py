"""Whatever strangers send, the answer is theirs to mend: never a 5xx, never a body without end."""

from collections.abc import AsyncIterator

import httpx
import pytest

from notifier.settings import Settings
from notifier.store.database import Database
from notifier.web.api.paging import write_cursor
from tests.web.rooms import add_contacts, add_user, apply_pack, browser, form_token, key_headers, log_in, running_app

HUGE = "99999999999999999999"
TOO_LONG = b"x" * (1_048_576 + 1)


@pytest.fixture
async def caller(database: Database, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody with a key and a session, over the starter pack."""
    await apply_pack(database)
    await add_contacts(database, settings, 1)
    await add_user(database)
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client)
        client.headers.update(await key_headers(database))
        yield client


@pytest.mark.parametrize(
    "path",
    [
        f"/api/v1/runs/{HUGE}",
        "/api/v1/runs/-1",
        f"/api/v1/messages?run_id={HUGE}",
        f"/api/v1/runs?cursor={write_cursor(2**63)}",
        f"/api/v1/contacts?cursor={write_cursor(-5)}",
        f"/api/v1/surveys/monthly-satisfaction/score?run_id={HUGE}",
        "/api/v1/surveys/monthly-satisfaction/score?received_from=0001-01-01T00:00:00%2B14:00",
        "/api/v1/campaigns/a%00b",
        "/api/v1/runs?campaign=a%00b",
        "/api/v1/surveys/a%00/score",
        "/api/v1/surveys/a%00/responses",
        "/api/v1/contacts/a%00",
        f"/runs/{HUGE}",
        f"/runs/{HUGE}/events",
        f"/runs?before={HUGE}",
        "/runs?state=a%00",
        f"/messages/{HUGE}/1",
        f"/messages/1/{HUGE}/mail",
        "/campaigns/a%00",
        "/surveys/a%00",
        "/sandbox/phone?to=a%00",
        f"/sandbox/phone?before={HUGE}",
        f"/sandbox/items/{HUGE}/mail",
        "/assets/a%00.css",
        "/assets/" + "a" * 5000 + ".css",
        "/s/a%00",
        "/u/a%00",
    ],
)
async def test_address_that_can_name_nothing_is_the_callers_mistake(caller: httpx.AsyncClient, path: str) -> None:
    answer = await caller.get(path)
    assert 400 <= answer.status_code < 500, answer.text


@pytest.mark.parametrize(
    "value", ["1" + "0" * 30, "NaN", "Infinity", "1e999", r'"a\u0000b"', r'"\ud800"'], ids=lambda value: value[:12]
)
async def test_value_the_database_cannot_hold_is_refused(caller: httpx.AsyncClient, value: str) -> None:
    headers = {"content-type": "application/json", "idempotency-key": "k"}
    put = await caller.put("/api/v1/contacts/c0", content=f'{{"attributes": {{"a": {value}}}}}', headers=headers)
    assert put.status_code == 422, put.text
    body = f'{{"campaign": "branch-closure-alert", "inputs": {{"branch": [{value}]}}}}'
    assert (await caller.post("/api/v1/runs", content=body, headers=headers)).status_code == 422


async def test_nest_without_end_is_refused(caller: httpx.AsyncClient) -> None:
    body = '{"campaign": "branch-closure-alert", "inputs": {"branch": ' + "[" * 500 + "]" * 500 + "}}"
    headers = {"content-type": "application/json", "idempotency-key": "k"}
    assert (await caller.post("/api/v1/runs", content=body, headers=headers)).status_code in {400, 422}


async def test_nul_in_a_form_is_refused(caller: httpx.AsyncClient) -> None:
    answer = await caller.post("/login", data={"login": "a\x00b", "password": "x"})
    assert 400 <= answer.status_code < 500
    fields = {"form_token": await form_token(caller), "input.branch": "a\x00", "audience_list": "b\x00"}
    answer = await caller.post("/campaigns/branch-closure-alert/launch", data=fields)
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("path", ["/api/v1/runs", "/login", "/language", "/logout", "/u/x"])
async def test_too_long_a_body_is_refused_before_it_is_read(database: Database, settings: Settings, path: str) -> None:
    async with running_app(settings, database) as app, browser(app) as client:
        assert (await client.post(path, content=TOO_LONG)).status_code == 413


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/api/v1/runs", "application/json"), ("/login", "multipart/form-data; boundary=b"), ("/login", "text/plain")],
)
async def test_body_that_hides_its_length_is_counted(
    database: Database, settings: Settings, path: str, kind: str
) -> None:
    sent = 0

    async def drip() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="login"\r\n\r\n'
        for _ in range(200):
            sent += 1
            yield b"x" * 65_536

    async with running_app(settings, database) as app, browser(app) as client:
        answer = await client.post(path, content=drip(), headers={"content-type": kind})
        assert answer.status_code in {413, 401}  # a body that is no form is not read
    assert sent < 40


async def test_login_takes_a_form_of_sixty_four_kilobytes_at_most(database: Database, settings: Settings) -> None:
    async with running_app(settings, database) as app, browser(app) as client:
        answer = await client.post("/login", data={"login": "a", "password": "x" * 70_000})
        assert answer.status_code == 413
