"""The API takes no more than can be sent in time, and nothing that cannot be stored."""

import signal
from collections.abc import Mapping

import httpx
import pytest

from notifier.settings import Settings
from notifier.store.database import Database, migrate, open_database
from tests.builders import execute, fetch, release_singles
from tests.faults.own_postgres import own_postgres
from tests.web.rooms import ALERT_INPUTS, add_contacts, apply_pack, browser, key_headers, running_app

BODY = {"campaign": "branch-closure-alert", "contact": "c0", "inputs": ALERT_INPUTS}


async def _send(caller: httpx.AsyncClient, key: str) -> httpx.Response:
    return await caller.post("/api/v1/messages", json=BODY, headers={"idempotency-key": key})


async def _prepare(database: Database, settings: Settings) -> Mapping[str, str]:
    await apply_pack(database)
    await add_contacts(database, settings)
    await release_singles(database, "branch-closure-alert")
    return await key_headers(database)


async def test_a_lane_that_is_late_takes_no_more(database: Database, settings: Settings) -> None:
    headers = await _prepare(database, settings)
    async with running_app(settings, database) as app, browser(app) as caller:
        caller.headers.update(headers)
        assert (await _send(caller, "a")).status_code == 202
        await execute(database, "UPDATE notifier.messages SET due_at = notifier.now() - (expires_at - due_at) * 0.6")
        late = await _send(caller, "b")
        assert late.status_code == 429
        assert late.headers["content-type"] == "application/problem+json"
        assert int(late.headers["retry-after"]) > 0
        assert (await _send(caller, "a")).status_code == 202  # what was taken is answered as it was
        assert await fetch(database, "SELECT count(*)::int FROM notifier.messages") == [(1,)]
        await execute(database, "UPDATE notifier.messages SET due_at = notifier.now()")
        assert (await _send(caller, "b")).status_code == 202


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ("due_at = notifier.now() - (expires_at - due_at) * 0.6", 202),
        ("due_at = notifier.now() + interval '5 s', expires_at = expires_at - (expires_at - due_at) * 0.6", 429),
        ("due_at = notifier.now(), attempts = 1, expires_at = expires_at - (expires_at - due_at) * 0.6", 202),
    ],
    ids=["held-by-a-stop", "sent-back-by-a-limit", "tried-again"],
)
async def test_only_what_could_have_left_waits(
    database: Database, settings: Settings, change: str, status: int, request: pytest.FixtureRequest
) -> None:
    headers = await _prepare(database, settings)
    async with running_app(settings, database) as app, browser(app) as caller:
        caller.headers.update(headers)
        assert (await _send(caller, "a")).status_code == 202
        await execute(database, f"UPDATE notifier.messages SET {change}")
        if "stop" in request.node.callspec.id:
            held = "SELECT DISTINCT 1, 'channel', channel, 'test', 'test' FROM notifier.messages"
            await execute(database, f"INSERT INTO notifier.stops (team_id, scope, which, reason, stopped_by) {held}")
        assert (await _send(caller, "b")).status_code == status


async def test_what_cannot_be_stored_is_not_accepted(database: Database, settings: Settings) -> None:
    headers = await _prepare(database, settings)
    only_read = f"{settings.database_url}{'&' if '?' in settings.database_url else '?'}default_transaction_read_only=on"
    async with open_database(only_read) as replica, running_app(settings, replica) as app, browser(app) as caller:
        answer = await caller.post("/api/v1/messages", json=BODY, headers={**headers, "idempotency-key": "a"})
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert await fetch(database, "SELECT count(*)::int FROM notifier.messages") == [(0,)]


@pytest.mark.parametrize("path", ["/api/v1/messages", "/login"])
async def test_without_postgresql_every_door_says_so(settings: Settings, path: str) -> None:
    async with own_postgres() as server:
        await migrate(server.url)
        own = settings.model_copy(update={"database_url": server.url})
        async with open_database(server.url) as database:
            headers = await _prepare(database, own)
            async with running_app(own, database) as app, browser(app) as caller:
                await server.stop(signal.SIGQUIT)
                for number in range(2):  # a connection that broke, then none at all
                    form = {"json": BODY} if path.startswith("/api") else {"data": {"login": "lin", "password": "x"}}
                    answer = await caller.post(path, headers={**headers, "idempotency-key": str(number)}, **form)
                    assert answer.status_code == 503
                    assert int(answer.headers["retry-after"]) > 0
                await server.start()
                if path.startswith("/api"):
                    caller.headers.update(headers)
                    assert (await _send(caller, "0")).status_code == 202
