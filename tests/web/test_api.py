"""The API: keys and scopes, paging, problems, and requests that act once."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from notifier.domain.links import LinkKind, derive_key, read_link
from notifier.planning.plan import plan_due
from notifier.settings import Settings
from notifier.store import access
from notifier.store.database import Database
from notifier.store.queue import JOBS, open_redis, queue_name
from tests.builders import execute, fetch, release_by_another, release_singles
from tests.web.rooms import ALERT_INPUTS, add_contacts, add_user, apply_pack, browser, key_headers, running_app

LAUNCH = {"campaign": "branch-closure-alert", "inputs": ALERT_INPUTS}


@pytest.fixture
async def caller(database: Database, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A caller with every scope over the starter pack and three contacts."""
    await apply_pack(database)
    await add_contacts(database, settings)
    async with running_app(settings, database) as app, browser(app) as client:
        client.headers.update(await key_headers(database))
        yield client


async def _launch(caller: httpx.AsyncClient, key: str = "k1", **changes: object) -> httpx.Response:
    return await caller.post("/api/v1/runs", json={**LAUNCH, **changes}, headers={"idempotency-key": key})


async def _count(database: Database, table: str) -> int:
    async with database.transaction() as tx:
        count: int = await tx.fetchval(f"SELECT count(*) FROM notifier.{table}")
    return count


async def test_without_a_key_nothing_answers(database: Database, settings: Settings) -> None:
    async with running_app(settings, database) as app, browser(app) as client:
        answer = await client.get("/api/v1/contacts")
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"
        wrong = await client.get("/api/v1/contacts", headers={"authorization": "Bearer nk_1_wrong"})
        assert wrong.status_code == 401


@pytest.mark.parametrize(
    ("scopes", "method", "path", "body"),
    [
        (("write", "send"), "GET", "/api/v1/contacts", None),
        (("read", "send"), "PUT", "/api/v1/contacts/c9", {}),
        (("read", "write"), "POST", "/api/v1/runs", LAUNCH),
        (("read", "write"), "POST", "/api/v1/messages", {"campaign": "x", "contact": "c0"}),
        (("read", "write"), "POST", "/api/v1/runs/1/stop", None),
    ],
)
async def test_key_opens_only_what_its_scopes_name(
    database: Database, settings: Settings, scopes: tuple[str, ...], method: str, path: str, body: object
) -> None:
    async with running_app(settings, database) as app, browser(app) as client:
        headers = await key_headers(database, *scopes)
        answer = await client.request(method, path, json=body, headers={**headers, "idempotency-key": "k"})
        assert answer.status_code == 403
        assert "scope" in answer.json()["detail"]


async def test_contact_is_added_then_changed(caller: httpx.AsyncClient) -> None:
    body = {
        "name": "王芳",
        "email": "Fang@Example.COM",
        "phone": "+1 212 555 0123",
        "consents": [{"channel": "email", "act": "opt-in", "source": "branch", "at": "2026-01-02T03:04:05Z"}],
    }
    added = await caller.put("/api/v1/contacts/c9", json=body)
    assert (added.status_code, added.json()["email"], added.json()["phone"]) == (
        201,
        "Fang@example.com",
        "+12125550123",
    )
    again = await caller.put("/api/v1/contacts/c9", json={**body, "name": "王芳芳"})
    assert (again.status_code, again.json()["name"]) == (200, "王芳芳")
    found = (await caller.get("/api/v1/contacts/c9")).json()
    assert [consent["act"] for consent in found["consents"]] == ["opt-in"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"phone": "12"}, "phone"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"colour": "red"}, "colour"),
        ({"name": "a\x00b"}, "name"),
        (
            {"consents": [{"channel": "email", "act": "maybe", "source": "x", "at": "2026-01-01T00:00:00Z"}]},
            "consents.0.act",
        ),
        (
            {"consents": [{"channel": "email", "act": "opt-in", "source": "x", "at": "2099-01-01T00:00:00Z"}]},
            "consents.0.at",
        ),
    ],
)
async def test_wrong_contact_is_refused_with_the_field(
    caller: httpx.AsyncClient, body: dict[str, object], field: str
) -> None:
    answer = await caller.put("/api/v1/contacts/c9", json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert (await caller.get("/api/v1/contacts/c9")).status_code == 404


async def test_pages_of_contacts_meet_without_gap_or_overlap(caller: httpx.AsyncClient) -> None:
    first = (await caller.get("/api/v1/contacts?limit=2")).json()
    second = (await caller.get("/api/v1/contacts", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [one["external_id"] for one in first["items"] + second["items"]] == ["c0", "c1", "c2"]
    assert second["next_cursor"] is None


@pytest.mark.parametrize("cursor", ["x", "!!!!", "aWQ6eA", "5pel"])
async def test_foreign_cursor_is_a_problem(caller: httpx.AsyncClient, cursor: str) -> None:
    answer = await caller.get("/api/v1/contacts", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor")


async def test_campaign_says_which_inputs_a_launch_needs(caller: httpx.AsyncClient) -> None:
    listed = {one["key"] for one in (await caller.get("/api/v1/campaigns")).json()["items"]}
    assert {"measures-notice", "branch-closure-alert", "lecture"} <= listed
    found = (await caller.get("/api/v1/campaigns/branch-closure-alert")).json()
    assert [one["name"] for one in found["inputs"]] == list(ALERT_INPUTS)
    assert (await caller.get("/api/v1/campaigns/none")).status_code == 404


async def test_launch_wants_an_idempotency_key(caller: httpx.AsyncClient, database: Database) -> None:
    assert (await caller.post("/api/v1/runs", json=LAUNCH)).status_code == 400
    assert await _count(database, "runs") == 0


async def test_same_key_is_answered_as_the_first_time(caller: httpx.AsyncClient, database: Database) -> None:
    first, second = await _launch(caller), await _launch(caller)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.content == second.content
    assert second.headers["idempotent-replayed"] == "true"
    assert await _count(database, "runs") == 1


async def test_same_key_with_another_body_is_refused(caller: httpx.AsyncClient, database: Database) -> None:
    await _launch(caller)
    answer = await _launch(caller, audience_list="visitors")
    assert answer.status_code == 422
    assert await _count(database, "runs") == 1


async def test_request_in_flight_is_a_conflict(caller: httpx.AsyncClient, database: Database) -> None:
    async with database.transaction() as tx:
        assert await access.hold_request(tx, 1, "POST /api/v1/runs", "k1")
        assert (await _launch(caller)).status_code == 409
    assert (await _launch(caller)).status_code == 202


async def test_ten_requests_at_once_launch_one_run(caller: httpx.AsyncClient, database: Database) -> None:
    answers = await asyncio.gather(*(_launch(caller) for _ in range(10)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert await _count(database, "runs") == 1


async def test_refused_launch_leaves_the_key_free(caller: httpx.AsyncClient, database: Database) -> None:
    wrong = await _launch(caller, inputs={**ALERT_INPUTS, "closes_at": "tomorrow"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "closes_at")
    assert await _count(database, "idempotency") == 0
    assert (await _launch(caller)).status_code == 202


async def test_run_is_listed_stopped_and_resumed(caller: httpx.AsyncClient, database: Database) -> None:
    run_id = (await _launch(caller)).json()["id"]
    await release_by_another(database, run_id)
    await plan_due(database)
    run = (await caller.get(f"/api/v1/runs/{run_id}")).json()
    assert run["counts"] == {"queued": 8}
    assert sum(tally["count"] for tally in run["tallies"]) == 8
    assert (await caller.post(f"/api/v1/runs/{run_id}/stop")).json()["state"] == "stopped"
    assert (await caller.post(f"/api/v1/runs/{run_id}/stop")).status_code == 409
    assert (await caller.post(f"/api/v1/runs/{run_id}/resume")).json()["state"] == "running"
    listed = (await caller.get("/api/v1/runs?state=running")).json()["items"]
    assert [one["id"] for one in listed] == [run_id]
    assert (await caller.get("/api/v1/runs?state=flying")).status_code == 422
    assert (await caller.get("/api/v1/runs/1")).status_code == 404


async def test_what_the_service_stopped_no_system_resumes(caller: httpx.AsyncClient, database: Database) -> None:
    run_id = (await _launch(caller)).json()["id"]
    await release_by_another(database, run_id)
    await execute(database, "UPDATE notifier.runs SET state = 'stopped', problem = 'too much came back'")
    await add_user(database, "op", "operator")
    operator = await key_headers(database, "read", "send", login="op")
    assert (await caller.post(f"/api/v1/runs/{run_id}/resume")).status_code == 403
    assert (await caller.post(f"/api/v1/runs/{run_id}/resume", headers=operator)).json()["state"] == "scheduled"


async def test_messages_of_a_run_are_paged_and_filtered(caller: httpx.AsyncClient, database: Database) -> None:
    run_id = (await _launch(caller)).json()["id"]
    await release_by_another(database, run_id)
    await plan_due(database)
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await caller.get("/api/v1/messages", params={"run_id": run_id, "limit": 3, "cursor": cursor})).json()
        seen += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    assert len(seen) == len(set(seen)) == 8
    failed = (await caller.get("/api/v1/messages", params={"run_id": run_id, "state": "failed"})).json()
    assert failed["items"] == []
    found = (await caller.get(f"/api/v1/messages/{seen[0]}")).json()
    assert (found["template"], found["state"]) == ("branch-closure-alert", "queued")
    assert (await caller.get(f"/api/v1/messages/{seen[0]}x")).status_code == 404


async def test_one_message_is_taken_once(caller: httpx.AsyncClient, database: Database, settings: Settings) -> None:
    body = {"campaign": "branch-closure-alert", "contact": "c0", "inputs": ALERT_INPUTS}
    assert (await caller.post("/api/v1/messages", json=body)).status_code == 400
    early = await caller.post("/api/v1/messages", json=body, headers={"idempotency-key": "m"})
    assert (early.status_code, "to be released by a person" in early.json()["detail"]) == (409, True)
    ((waiting,),) = await fetch(database, "SELECT id FROM notifier.runs WHERE state = 'submitted'")
    await release_by_another(database, waiting)
    answers = [await caller.post("/api/v1/messages", json=body, headers={"idempotency-key": "m"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].content == answers[1].content
    assert await _count(database, "messages") == 1
    taken = answers[0].json()
    assert taken["state"] == "queued"
    assert read_link(derive_key(settings.secret, "links"), LinkKind.MESSAGE, taken["id"]) is not None
    assert (await caller.get(f"/api/v1/messages/{taken['id']}")).json()["contact"] == "c0"


async def test_a_single_message_rings_its_own_lane_at_once(
    caller: httpx.AsyncClient, database: Database, redis_url: str
) -> None:
    await release_singles(database, "branch-closure-alert")
    body = {"campaign": "branch-closure-alert", "contact": "c0", "inputs": ALERT_INPUTS}
    assert (await caller.post("/api/v1/messages", json=body, headers={"idempotency-key": "m"})).status_code == 202
    redis = open_redis(redis_url)
    assert await redis.zcard(queue_name(JOBS["drain-1"])) == 1
    await redis.aclose()


async def test_message_to_nobody_is_not_found(caller: httpx.AsyncClient, database: Database) -> None:
    await release_singles(database, "branch-closure-alert")
    body = {"campaign": "branch-closure-alert", "contact": "nobody", "inputs": ALERT_INPUTS}
    answer = await caller.post("/api/v1/messages", json=body, headers={"idempotency-key": "m"})
    assert answer.status_code == 404


async def test_score_comes_with_its_uncertainty(caller: httpx.AsyncClient, database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            """
            WITH new AS (
                INSERT INTO notifier.responses (team_id, survey_id, survey_key, source, external_key, simulated)
                SELECT 1, d.id, d.key, 'test', n::text, true FROM notifier.definitions d, generate_series(1, 10) AS n
                WHERE d.kind = 'survey' AND d.key = 'monthly-satisfaction' RETURNING id)
            INSERT INTO notifier.answers (response_id, question, number) SELECT id, 'rating', 5 FROM new
            """
        )
    score = (await caller.get("/api/v1/surveys/monthly-satisfaction/score")).json()
    assert (score["value_pct"], score["n"], score["simulated"]) == (100.0, 10, True)
    assert score["low_pct"] == pytest.approx(72.25, abs=0.01)
    assert (score["target_pct"], score["verdict"]) == (85.0, "too-close-to-say")
    page = (await caller.get("/api/v1/surveys/monthly-satisfaction/responses?limit=4")).json()
    assert [one["answers"] for one in page["items"]] == [{"rating": 5}] * 4
    assert page["next_cursor"]
    none = await caller.get("/api/v1/surveys/monthly-satisfaction/score?received_until=2020-01-01T00:00:00Z")
    assert (none.json()["value_pct"], none.json()["n"]) == (None, 0)


async def test_survey_without_a_score_says_so(caller: httpx.AsyncClient) -> None:
    keys = {one["key"]: one["scored_question"] for one in (await caller.get("/api/v1/surveys")).json()["items"]}
    without = next(key for key, scored in keys.items() if scored is None)
    assert (await caller.get(f"/api/v1/surveys/{without}/score")).status_code == 404
    assert (await caller.get("/api/v1/surveys/none/responses")).status_code == 404


async def test_broken_json_is_a_problem_not_a_trace(caller: httpx.AsyncClient) -> None:
    answer = await caller.put("/api/v1/contacts/c9", content=b"{", headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_broken_definition_in_the_store_shows_no_trace(caller: httpx.AsyncClient, database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO notifier.definitions (team_id, kind, key, version, hash, spec) VALUES (1, 'survey', 'bad', 1, '', '[]')"
        )
    answer = await caller.get("/api/v1/surveys")
    assert answer.status_code in {422, 500}
    assert "Traceback" not in answer.text


async def test_openapi_describes_every_door(caller: httpx.AsyncClient) -> None:
    described = (await caller.get("/api/v1/openapi.json")).json()
    assert all(path.startswith("/api/v1/") for path in described["paths"])
    for path, methods in described["paths"].items():
        for method, told in methods.items():
            assert told.get("description"), (path, method)


async def test_message_in_doubt_is_settled_once(caller: httpx.AsyncClient, database: Database) -> None:
    await release_singles(database, "branch-closure-alert")
    body = {"campaign": "branch-closure-alert", "contact": "c0", "inputs": ALERT_INPUTS}
    sent = (await caller.post("/api/v1/messages", json=body, headers={"idempotency-key": "k"})).json()
    path = f"/api/v1/messages/{sent['id']}/settle"
    assert (await caller.post(path, json={"outcome": "sent"})).status_code == 409
    async with database.transaction() as tx:
        await tx.execute("UPDATE notifier.messages SET state = 'uncertain', attempts = 1")
    assert (await caller.post(path, json={"outcome": "perhaps"})).status_code == 422
    settled = await caller.post(path, json={"outcome": "not-sent"})
    assert (settled.status_code, settled.json()["state"]) == (200, "failed")
    assert (await caller.post("/api/v1/messages/m.1.1.x/settle", json={"outcome": "sent"})).status_code == 404


async def test_responses_are_exported_with_what_is_simulated(caller: httpx.AsyncClient) -> None:
    answer = await caller.get("/api/v1/surveys/monthly-satisfaction/responses.csv")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert "simulated,rating" in answer.text
    assert (await caller.get("/api/v1/surveys/nothing/responses.csv")).status_code == 404
