"""From a draft to its release over the API, by the same rules as on the pages."""

from collections.abc import AsyncIterator, Mapping

import httpx
import pytest

from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import fetch
from tests.web.rooms import ALERT_INPUTS, add_contacts, add_user, apply_pack, browser, key_headers, running_app

RUNS = "/api/v1/runs"
DRAFT = {"campaign": "branch-closure-alert", "inputs": ALERT_INPUTS, "at": "2099-01-01T10:00:00+08:00"}
Keys = Mapping[str, Mapping[str, str]]


@pytest.fixture
async def caller(database: Database, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A caller without a key over the starter pack and three contacts."""
    await apply_pack(database)
    await add_contacts(database, settings)
    async with running_app(settings, database) as app, browser(app) as client:
        yield client


@pytest.fixture
async def keys(database: Database, caller: httpx.AsyncClient) -> Keys:
    """Keys of an author, of two approvers and of a system, each with all the scopes it may have."""
    found = {"system": await key_headers(database, "read", "write", "send")}
    for login, role, scopes in (
        ("lin", "author", ()),
        ("wang", "approver", ("release",)),
        ("zhao", "approver", ("release",)),
    ):
        await add_user(database, login, role)
        found[login] = await key_headers(database, "read", "write", "send", *scopes, login=login)
    return found


async def _draft(caller: httpx.AsyncClient, key: Mapping[str, str], **more: object) -> int:
    answer = await caller.post(f"{RUNS}/drafts", json=DRAFT | more, headers={**key, "idempotency-key": "d1"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["state"] == "draft"
    return int(answer.json()["id"])


async def _act(
    caller: httpx.AsyncClient, key: Mapping[str, str], run_id: int, act: str, **body: object
) -> httpx.Response:
    return await caller.post(f"{RUNS}/{run_id}/{act}", headers=key, json=body or None)


async def _hash(caller: httpx.AsyncClient, key: Mapping[str, str], run_id: int) -> str:
    return str((await caller.get(f"{RUNS}/{run_id}/review", headers=key)).json()["hash"])


async def test_a_review_holds_all_that_the_page_shows(caller: httpx.AsyncClient, keys: Keys) -> None:
    run_id = await _draft(caller, keys["lin"])
    found = (await caller.get(f"{RUNS}/{run_id}/review", headers=keys["lin"])).json()
    assert (found["contacts"], found["messages"], found["needs_second_person"]) == (3, 8, True)
    assert found["costs"].keys() == {"CNY"}
    assert [step["name"] for step in found["steps"]] == ["warn", "post"]
    samples = found["steps"][0]["samples"]
    assert {(one["channel"], one["locale"]) for one in samples} == {
        (channel, locale) for channel in ("sms", "email") for locale in ("zh-CN", "en")
    }
    assert any(one["contact"] == "c0" and "Jing'an branch" in one["text"] for one in samples)
    assert {link["to"] for step in found["steps"] for link in step["links"]} <= {"bank", "service"}
    assert any("wait for a person" in remark["text"] for remark in found["remarks"])
    assert len(bytes.fromhex(found["hash"])) == 32


async def test_nobody_releases_what_they_made(caller: httpx.AsyncClient, keys: Keys) -> None:
    run_id = await _draft(caller, keys["wang"])
    assert (await _act(caller, keys["wang"], run_id, "submit")).json()["state"] == "submitted"
    seen = await _hash(caller, keys["wang"], run_id)
    for refused in ("wang", "lin", "system"):
        answer = await _act(caller, keys[refused], run_id, "release", hash=seen)
        assert answer.status_code == 403, refused
    assert (await caller.get(f"{RUNS}/{run_id}", headers=keys["lin"])).json()["state"] == "submitted"


async def test_a_colleague_releases_exactly_what_was_seen(
    caller: httpx.AsyncClient, keys: Keys, database: Database, settings: Settings
) -> None:
    run_id = await _draft(caller, keys["lin"])
    await _act(caller, keys["lin"], run_id, "submit")
    seen = await _hash(caller, keys["wang"], run_id)
    await add_contacts(database, settings, 5)
    assert (await _act(caller, keys["wang"], run_id, "release", hash=seen)).status_code == 409
    again = await _hash(caller, keys["wang"], run_id)
    released = await _act(caller, keys["wang"], run_id, "release", hash=again)
    assert (released.status_code, released.json()["state"]) == (200, "scheduled")
    assert await fetch(database, "SELECT hash FROM notifier.releases") == [(bytes.fromhex(again),)]
    assert (await _act(caller, keys["wang"], run_id, "release", hash="x" * 64)).status_code == 422


async def test_a_change_keeps_the_rest_and_voids_the_release(
    caller: httpx.AsyncClient, keys: Keys, database: Database
) -> None:
    run_id = await _draft(caller, keys["lin"])
    await _act(caller, keys["lin"], run_id, "submit")
    await _act(caller, keys["wang"], run_id, "release", hash=await _hash(caller, keys["wang"], run_id))
    changed = await caller.patch(f"{RUNS}/{run_id}", headers=keys["lin"], json={"drill": True})
    assert (changed.status_code, changed.json()["state"]) == (200, "draft")
    assert changed.json()["inputs"]["branch_name"] == ALERT_INPUTS["branch_name"]
    assert changed.json()["nominal_at"] == "2099-01-01T02:00:00Z"
    ((voided, drill),) = await fetch(
        database,
        "SELECT l.voided_at IS NOT NULL, r.drill FROM notifier.releases l JOIN notifier.runs r ON r.id = l.run_id",
    )
    assert (voided, drill) == (True, True)
    wrong = await caller.patch(f"{RUNS}/{run_id}", headers=keys["lin"], json={"segment": "nobody"})
    assert wrong.status_code == 422
    await caller.patch(f"{RUNS}/{run_id}", headers=keys["lin"], json={"at": None})
    review = (await caller.get(f"{RUNS}/{run_id}/review", headers=keys["lin"])).json()
    assert (review["starts_at"], review["drill"]) == (None, True)


async def test_a_return_names_its_reason(caller: httpx.AsyncClient, keys: Keys) -> None:
    run_id = await _draft(caller, keys["lin"])
    assert (await _act(caller, keys["wang"], run_id, "return", reason="x")).status_code == 409
    await _act(caller, keys["lin"], run_id, "submit")
    assert (await _act(caller, keys["wang"], run_id, "return", reason="")).status_code == 422
    returned = (await _act(caller, keys["wang"], run_id, "return", reason="Wrong branch")).json()
    assert (returned["state"], returned["problem"]) == ("draft", "Wrong branch")


async def test_releasing_wants_its_scope_and_a_run_of_ones_own(
    caller: httpx.AsyncClient, keys: Keys, database: Database
) -> None:
    run_id = await _draft(caller, keys["lin"])
    poor = await key_headers(database, "read", "send", login="wang")
    assert (await _act(caller, poor, run_id, "release", hash="0" * 64)).status_code == 403
    assert (await caller.get(f"{RUNS}/1/review", headers=keys["lin"])).status_code == 404
    assert (await _act(caller, keys["lin"], 1, "submit")).status_code == 404
