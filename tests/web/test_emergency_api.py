"""Nothing the emergency page shows is out of reach of the API."""

from collections.abc import AsyncIterator

import httpx
import pytest

from notifier.domain.contact import ContactKind
from notifier.planning.plan import plan_due
from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import add_contact, drain, fetch, kept, set_now
from tests.web.rooms import ALERT_INPUTS, apply_pack, browser, key_headers, launch_alert, running_app

CLOSURE = "branch-closure-alert"


@pytest.fixture
async def caller(database: Database, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A system with a key, over the starter pack, two customers and an employee."""
    await set_now(database)
    await apply_pack(database)
    await add_contact(database, settings, "c1", phone="+12125550101", attributes={"branch": "静安支行"})
    await add_contact(database, settings, "c2", email="", attributes={"branch": "静安支行"})
    await add_contact(database, settings, "e1", kind=ContactKind.EMPLOYEE)
    async with running_app(settings, database) as app, browser(app, **await key_headers(database)) as client:
        yield client


async def test_what_is_prepared_is_listed_with_its_groups(caller: httpx.AsyncClient) -> None:
    (found,) = (await caller.get("/api/v1/emergencies")).json()
    assert (found["campaign"], found["choice"], found["everybody"], found["contacts"]) == (CLOSURE, "branch", "all", 2)
    assert found["groups"] == [{"value": "静安支行", "contacts": 2}]


async def test_a_preview_says_whom_and_what_and_writes_nothing(caller: httpx.AsyncClient, database: Database) -> None:
    inputs = {"branch": "静安支行", "closes_at": "2030-06-12T15:00"}
    found = (await caller.post(f"/api/v1/emergencies/{CLOSURE}/preview", json={"inputs": inputs})).json()
    assert found["inputs"]["branch_name"] == {"zh-CN": "静安支行", "en": "Jing'an branch"}
    assert (found["outlook"]["contacts"], found["outlook"]["unreachable"]) == (2, 1)
    assert {(one["channel"], one["locale"]) for one in found["messages"]} == {
        (channel, locale) for channel in ("sms", "email", "social") for locale in ("zh-CN", "en")
    }
    empty = (await caller.post(f"/api/v1/emergencies/{CLOSURE}/preview", json={})).json()
    assert empty["outlook"] is None
    drill = (await caller.post(f"/api/v1/emergencies/{CLOSURE}/preview", json={"inputs": inputs, "drill": True})).json()
    assert drill["outlook"]["contacts"] == 1
    assert all("演练" in str(one["content"]) or "EXERCISE" in str(one["content"]) for one in drill["messages"])
    assert await fetch(database, "SELECT 1 FROM notifier.runs") == []
    assert (await caller.post("/api/v1/emergencies/financial-tips/preview", json={})).status_code == 404


async def test_who_was_reached_and_who_has_to_be_called(
    caller: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    run = await launch_alert(database)
    await drain(settings, database, 1)
    people = (await caller.get(f"/api/v1/runs/{run}/people")).json()
    assert people == {"meant": 2, "delivered": 0, "handed_over": 1, "on_the_way": 0, "not_reached": 1}
    lost = (await caller.get(f"/api/v1/runs/{run}/not-reached")).json()
    assert [(one["contact"], [way["reason"] for way in one["tried"]]) for one in lost["items"]] == [
        ("c2", ["no-address", "no-address"])
    ]
    assert (await caller.get("/api/v1/runs/1/people")).status_code == 404


async def test_an_exercise_asked_for_by_the_api_reaches_no_customer(
    caller: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    body = {"campaign": CLOSURE, "inputs": ALERT_INPUTS, "drill": True}
    answer = await caller.post("/api/v1/runs", json=body, headers={"idempotency-key": "one"})
    assert (answer.status_code, answer.json()["drill"]) == (202, True)
    await plan_due(database)
    await drain(settings, database, 1)
    assert [to for to, _ in await kept(database)] == ["e1@example.com"]
    assert await fetch(database, "SELECT drill FROM notifier.runs") == [(True,)]


async def test_a_single_message_is_never_an_exercise(caller: httpx.AsyncClient) -> None:
    body = {"campaign": CLOSURE, "contact": "c1", "inputs": ALERT_INPUTS, "drill": True}
    answer = await caller.post("/api/v1/messages", json=body, headers={"idempotency-key": "one"})
    assert answer.status_code == 422
