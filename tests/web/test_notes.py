"""Tests to oneself and the proof list, by page and by API."""

import re

import httpx
import pytest

from notifier.delivery.accounts import Accounts
from notifier.delivery.notes import NoteSender
from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import execute, fetch
from tests.web.rooms import add_user, browser, form_token, key_headers, launch_alert, log_in, running_app

READER = {"name": "Proof", "email": "proof@example.com", "phone": "", "locale": "en"}


async def ask(visitor: httpx.AsyncClient, run_id: int, **fields: str) -> httpx.Response:
    """The form of a test."""
    token = await form_token(visitor, "/proof-readers")
    given = {"step": "inform", "channel": "email", "locale": "en", **fields}
    return await visitor.post(f"/runs/{run_id}/test", data={"form_token": token, **given})


async def give_address(database: Database, **columns: str) -> None:
    """The author's addresses."""
    for name, value in columns.items():
        await execute(database, f"UPDATE notifier.users SET {name} = $1 WHERE login = 'lin'", value)


async def first_step(database: Database, run_id: int) -> str:
    """A step that writes e-mails."""
    rows = await fetch(
        database, "SELECT DISTINCT step FROM notifier.messages WHERE run_id = $1 AND channel = 'email'", run_id
    )
    return str(sorted(rows)[0][0])


# ── the pages ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_test_is_queued_and_its_state_shown(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id = await launch_alert(database)
    await give_address(database, email="lin@example.com")
    answer = await ask(visitor, run_id, step=await first_step(database, run_id))
    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{run_id}/review?tested=1#tests")
    part = (await visitor.get(f"/runs/{run_id}/tests?tested=1")).text
    assert "on its way" in part
    assert "waiting" in part
    assert 'hx-trigger="every 2s"' in part
    await execute(database, "UPDATE notifier.notes SET state = 'failed', problem = 'no such mailbox'")
    part = (await visitor.get(f"/runs/{run_id}/tests")).text
    assert "no such mailbox" in part
    assert "hx-trigger" not in part


async def test_a_sent_test_is_linked_in_the_sandbox(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id = await launch_alert(database)
    await give_address(database, email="lin@example.com")
    await ask(visitor, run_id, step=await first_step(database, run_id))
    state = visitor._transport.app.state  # type: ignore[attr-defined]
    accounts = Accounts(state.settings, database)
    await NoteSender(database, accounts, public_url=state.settings.public_url, key=state.keys.links).drain()
    await accounts.aclose()
    part = (await visitor.get(f"/runs/{run_id}/tests")).text
    found = re.search(r'href="(/sandbox/mailbox[^"]+)"', part)
    assert found, part
    page = await visitor.get(found[1].replace("&amp;", "&"))
    assert page.status_code == 200
    assert "[TEST] " in page.text


@pytest.mark.parametrize(("channel", "code"), [("email", "no-email"), ("sms", "no-phone")])
async def test_who_has_no_address_is_led_to_their_profile(
    visitor: httpx.AsyncClient, database: Database, channel: str, code: str
) -> None:
    run_id = await launch_alert(database)
    answer = await ask(visitor, run_id, channel=channel, step=await first_step(database, run_id))
    assert answer.headers["location"] == f"/runs/{run_id}/review?tested={code}#tests"
    assert 'href="/me"' in (await visitor.get(f"/runs/{run_id}/tests?tested={code}")).text


async def test_the_twenty_first_test_is_refused(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id = await launch_alert(database)
    await give_address(database, email="lin@example.com")
    step = await first_step(database, run_id)
    for _ in range(20):
        assert (await ask(visitor, run_id, step=step)).headers["location"].endswith("tested=1#tests")
    assert "too-many" in (await ask(visitor, run_id, step=step)).headers["location"]
    assert await fetch(database, "SELECT count(*) FROM notifier.notes") == [(20,)]


@pytest.mark.parametrize("fields", [{"channel": "social"}, {"channel": "pigeon"}, {"step": "nothing"}])
async def test_nonsense_in_the_form_sends_nothing(
    visitor: httpx.AsyncClient, database: Database, fields: dict[str, str]
) -> None:
    run_id = await launch_alert(database)
    await give_address(database, email="lin@example.com")
    answer = await ask(visitor, run_id, **{"step": await first_step(database, run_id), **fields})
    assert answer.status_code in {404, 422}
    assert await fetch(database, "SELECT count(*) FROM notifier.notes") == [(0,)]


async def test_a_viewer_sends_no_tests_and_changes_no_list(database: Database, settings: Settings) -> None:
    await add_user(database, "vera", role="viewer")
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client, "vera")
        page = await client.get("/proof-readers")
        assert page.status_code == 200
        assert "Add a proof reader" not in page.text
        token = await form_token(client)
        data = {"form_token": token, **READER}
        assert (await client.post("/proof-readers", data=data)).status_code == 403
        assert (await client.post("/runs/1/test", data=data)).status_code == 403


async def test_without_the_forms_token_nothing_is_sent(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id = await launch_alert(database)
    answer = await visitor.post(f"/runs/{run_id}/test", data={"step": "inform", "channel": "email"})
    assert answer.status_code == 403


async def test_a_run_that_is_not_there_is_not_tested(visitor: httpx.AsyncClient) -> None:
    assert (await ask(visitor, 202603999999)).status_code == 404
    assert (await visitor.get("/runs/202603999999/tests")).status_code == 404


async def test_the_proof_list_is_kept_by_page(visitor: httpx.AsyncClient, database: Database) -> None:
    token = await form_token(visitor, "/proof-readers")
    answer = await visitor.post("/proof-readers", data={"form_token": token, **READER})
    assert answer.headers["location"] == "/proof-readers?done=added"
    assert "proof@example.com" in (await visitor.get("/proof-readers?done=added")).text
    changed = {**READER, "name": "Other", "phone": "+12125550199"}
    assert (await visitor.post("/proof-readers/1", data={"form_token": token, **changed})).status_code == 303
    assert await fetch(database, "SELECT name, phone FROM notifier.proof_readers") == [("Other", "+12125550199")]
    assert (await visitor.post("/proof-readers/1/remove", data={"form_token": token})).status_code == 303
    assert "Nobody reads proofs yet" in (await visitor.get("/proof-readers")).text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"email": "no address"}, "email"),
        ({"email": "a@example.com\r\nBcc: b@example.com"}, "email"),
        ({"email": "", "phone": ""}, "is empty"),
        ({"phone": "12"}, "phone"),
        ({"locale": "xx"}, "locale"),
        ({"name": "x" * 61}, "longer than 60"),
    ],
)
async def test_a_wrong_field_comes_back_with_what_was_typed(
    visitor: httpx.AsyncClient, database: Database, fields: dict[str, str], said: str
) -> None:
    token = await form_token(visitor, "/proof-readers")
    answer = await visitor.post("/proof-readers", data={"form_token": token, **READER, **fields})
    assert answer.status_code == 422
    assert said in answer.text
    assert 'role="alert"' in answer.text
    assert await fetch(database, "SELECT count(*) FROM notifier.proof_readers") == [(0,)]


async def test_a_name_that_is_taken_is_said_beside_it(visitor: httpx.AsyncClient) -> None:
    token = await form_token(visitor, "/proof-readers")
    await visitor.post("/proof-readers", data={"form_token": token, **READER})
    answer = await visitor.post("/proof-readers", data={"form_token": token, **READER})
    assert (answer.status_code, "already a proof reader" in answer.text) == (409, True)


async def test_a_readers_name_is_text(visitor: httpx.AsyncClient, database: Database) -> None:
    token = await form_token(visitor, "/proof-readers")
    name = "<script>alert(1)</script>\r\nBcc: x"
    await visitor.post("/proof-readers", data={"form_token": token, **READER, "name": name})
    page = (await visitor.get("/proof-readers")).text
    assert "<script>alert" not in page
    assert await fetch(database, "SELECT name ~ '[\\n\\r]' FROM notifier.proof_readers") == [(False,)]


# ── the API ───────────────────────────────────────────────────────────────────────────────────────


async def user_key(database: Database, *scopes: str) -> dict[str, str]:
    """Headers of a key that stands for the author."""
    headers = dict(await key_headers(database, *scopes))
    await execute(
        database, "UPDATE notifier.api_keys SET user_id = (SELECT id FROM notifier.users WHERE login = 'lin')"
    )
    return headers


async def test_the_api_does_what_the_pages_do(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id = await launch_alert(database)
    await give_address(database, email="lin@example.com")
    headers = await user_key(database)
    body = {"step": await first_step(database, run_id), "channel": "email", "locale": "en"}
    tests = f"/api/v1/runs/{run_id}/tests"
    first = await visitor.post(tests, json=body, headers={**headers, "idempotency-key": "1"})
    again = await visitor.post(tests, json=body, headers={**headers, "idempotency-key": "1"})
    assert (first.status_code, again.json()) == (202, first.json())
    listed = (await visitor.get(f"/api/v1/notes?run_id={run_id}&kind=test", headers=headers)).json()
    assert [note["state"] for note in listed["items"]] == ["queued"]
    assert "lin@example.com" not in str(listed)
    added = await visitor.post("/api/v1/proof-readers", json=READER, headers=headers)
    assert added.status_code == 201
    place = f"/api/v1/proof-readers/{added.json()['id']}"
    assert (await visitor.put(place, json={**READER, "name": "Other"}, headers=headers)).json()["name"] == "Other"
    assert len((await visitor.get("/api/v1/proof-readers", headers=headers)).json()["items"]) == 1
    assert (await visitor.delete(place, headers=headers)).status_code == 204
    assert (await visitor.delete(place, headers=headers)).status_code == 404


async def test_a_key_without_a_user_is_told_what_to_do(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id = await launch_alert(database)
    headers = {**await key_headers(database), "idempotency-key": "1"}
    body = {"step": await first_step(database, run_id), "channel": "email"}
    answer = await visitor.post(f"/api/v1/runs/{run_id}/tests", json=body, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "to")


async def test_too_many_tests_are_429_for_machines(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id = await launch_alert(database)
    await give_address(database, email="lin@example.com")
    step = await first_step(database, run_id)
    for _ in range(20):
        await ask(visitor, run_id, step=step)
    headers = {**await user_key(database), "idempotency-key": "1"}
    body = {"step": step, "channel": "email"}
    answer = await visitor.post(f"/api/v1/runs/{run_id}/tests", json=body, headers=headers)
    assert answer.status_code == 429
    assert answer.headers["retry-after"]


async def test_a_key_that_may_only_read_sends_no_test(visitor: httpx.AsyncClient, database: Database) -> None:
    headers = {**await user_key(database, "read"), "idempotency-key": "1"}
    body = {"step": "inform", "channel": "email"}
    assert (await visitor.post("/api/v1/runs/1/tests", json=body, headers=headers)).status_code == 403
    assert (await visitor.post("/api/v1/proof-readers", json=READER, headers=headers)).status_code == 403
