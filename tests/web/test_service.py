"""What machines ask of a web server: health, readiness, figures."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from notifier.delivery.callbacks import apply_callbacks, keep_callback
from notifier.providers.base import CallbackRequest
from notifier.settings import Settings
from notifier.store.attempts import Attempts
from notifier.store.database import Database, open_database
from notifier.store.queue import open_redis
from notifier.store.tallies import fold_tallies
from notifier.store.workers import note_worker
from tests.builders import (
    add_contact,
    campaign,
    claim,
    define,
    drain,
    execute,
    launch,
    launch_and_plan,
    pass_time,
    set_now,
)
from tests.web.rooms import browser, running_app

TOKEN = "a-token-for-prometheus-of-this-length"
_LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


def _watched(settings: Settings) -> Settings:
    return settings.model_copy(update={"metrics_token": SecretStr(TOKEN)})


async def _scrape(settings: Settings, database: Database) -> Mapping[str, float]:
    async with running_app(_watched(settings), database) as app, browser(app) as client:
        answer = await client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "@" not in answer.text
    return {
        f"{name}{{{labels}}}" if labels else name: float(value) for name, labels, value in _LINE.findall(answer.text)
    }


async def test_health_says_the_process_lives_and_readiness_that_requests_may_come(
    database: Database, settings: Settings
) -> None:
    async with running_app(settings, database) as app, browser(app) as client:
        assert (await client.get("/healthz")).text == "ok"
        ready = {"database": "ok", "schema": "ok", "redis": "ok", "process": "ok"}
        assert (await client.get("/readyz")).json() == ready
        app.state.attempts = Attempts(open_redis("redis://127.0.0.1:1"))
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()) == (200, ready | {"redis": "down"})
        app.state.is_leaving = True
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["process"]) == (503, "leaving")
        assert (await client.get("/healthz")).status_code == 200


async def test_readiness_is_down_on_any_error_of_the_database(database: Database, settings: Settings) -> None:
    async with running_app(settings, database) as app, browser(app) as client:
        async with open_database(settings.database_url, max_connections=1) as closed:
            app.state.database = closed
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["database"]) == (503, "down")


async def test_an_old_schema_is_not_ready_and_a_newer_one_is(database: Database, settings: Settings) -> None:
    table = "(SELECT coalesce(to_regclass('public.migrations'), to_regclass('notifier.migrations')))"
    async with running_app(settings, database) as app, browser(app) as client:
        async with database.transaction() as tx:
            name = await tx.fetchval(f"SELECT {table}::text")
            newest = await tx.fetchval(f"SELECT version_num FROM {name}")
        try:
            for version, status in (("2026_11_23_first", 503), ("2099_01_01_later", 200)):
                await execute(database, f"UPDATE {name} SET version_num = $1", version)
                assert (await client.get("/readyz")).status_code == status
        finally:
            await execute(database, f"UPDATE {name} SET version_num = $1", newest)


async def test_figures_are_for_who_shows_the_token_and_nobody_where_none_is_set(
    database: Database, settings: Settings
) -> None:
    async with running_app(settings, database) as app, browser(app) as client:
        assert (await client.get("/metrics")).status_code == 404
        assert (await client.get("/metrics", headers={"authorization": "Bearer "})).status_code == 404
    async with running_app(_watched(settings), database) as app, browser(app) as client:
        for shown in ("", "Bearer", f"Bearer {TOKEN}x", TOKEN):
            assert (await client.get("/metrics", headers={"authorization": shown})).status_code == 401


async def test_counts_of_states_and_counters_that_only_grow_come_from_the_ledger(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    for number in range(5):
        await add_contact(database, settings, f"c{number}")
    run = await launch_and_plan(database)
    await claim(database, run.id, limit=2)
    seen: list[Mapping[str, float]] = []
    for _ in range(2):
        seen.append(await _scrape(settings, database))
        async with database.transaction() as tx:
            await fold_tallies(tx)
    assert seen[0] == {**seen[1], 'notifier_lane_lag_seconds{lane="3"}': seen[0]['notifier_lane_lag_seconds{lane="3"}']}
    await execute(database, "UPDATE notifier.claims SET alive_until = now() - interval '1 s'")
    place = 'channel="email",lane="3"'
    assert seen[0][f'notifier_messages{{{place},state="queued"}}'] == 3
    assert seen[0][f'notifier_messages{{{place},state="sending"}}'] == 2
    assert seen[0]["notifier_leases"] == 1
    assert seen[0]["notifier_leases_expired"] == 0
    assert (await _scrape(settings, database))["notifier_leases_expired"] == 1
    await drain(settings, database)
    after = await _scrape(settings, database)
    assert after[f'notifier_messages{{{place},state="accepted"}}'] == 3
    assert after[f'notifier_messages_entered_total{{{place},state="accepted"}}'] == 3
    assert after[f'notifier_messages_entered_total{{{place},state="queued"}}'] == 5
    assert after[f"notifier_messages_retried_total{{{place}}}"] == 0


async def test_a_message_that_went_back_to_the_queue_is_a_retry(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign("alarm", purpose="emergency"))
    await add_contact(database, settings, "c1")
    run = await launch_and_plan(database, "alarm")
    await claim(database, run.id, lane=1)
    for state, delta in (("sending", -1), ("queued", 1)):  # as a record writes it
        await execute(
            database,
            "INSERT INTO notifier.tallies (run_id, step, channel, state, delta) "
            "SELECT run_id, step, 'email', $1, $2 FROM notifier.run_steps",
            state,
            delta,
        )
    assert (await _scrape(settings, database))['notifier_messages_retried_total{channel="email",lane="1"}'] == 1


async def test_the_oldest_due_message_is_the_lag_of_its_lane_alone(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    await pass_time(database, timedelta(minutes=2))
    found = await _scrape(settings, database)
    assert 120 <= found['notifier_lane_lag_seconds{lane="3"}'] < 240
    assert found['notifier_lane_lag_seconds{lane="1"}'] == 0


async def test_workers_that_live_are_counted_by_lane(database: Database, settings: Settings) -> None:
    async with database.transaction() as tx:
        await note_worker(tx, "a:1", (1, 2))
        await note_worker(tx, "b:1", (1, 2, 3, 4))
        await note_worker(tx, "dead:1", (3, 4))
        await tx.execute("UPDATE notifier.workers SET seen_at = now() - interval '1 minute' WHERE name = 'dead:1'")
    found = await _scrape(settings, database)
    assert [found[f'notifier_workers{{lane="{lane}"}}'] for lane in (1, 2, 3, 4)] == [2, 2, 1, 1]


async def test_what_waits_to_be_planned_and_what_waits_to_be_applied_is_told(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    await add_contact(database, settings, "c1")
    await launch(database)
    await pass_time(database, timedelta(minutes=1))
    for number in range(2):
        request = CallbackRequest(url="https://x.example", headers={}, body=b"%d" % number)
        assert await keep_callback(database, provider="sandbox", account="gone", request=request)
    await execute(database, "UPDATE notifier.callbacks SET try_at = now() - interval '90 s'")
    found = await _scrape(settings, database)
    assert found["notifier_steps_waiting"] == 1
    assert found["notifier_steps_age_seconds"] >= 60
    assert 90 <= found["notifier_callbacks_age_seconds"] < 200
    await apply_callbacks(database, providers={}, key=settings.secret)
    found = await _scrape(settings, database)
    assert (found["notifier_callbacks_age_seconds"], found["notifier_callbacks_stuck"]) == (0, 2)
    assert found["notifier_callbacks_applied_total"] == 0


@pytest.mark.parametrize("is_gone", ["database", "redis"])
async def test_servers_that_are_gone_are_told_not_failed(database: Database, settings: Settings, is_gone: str) -> None:
    async with running_app(_watched(settings), database) as app, browser(app) as client:
        if is_gone == "redis":
            app.state.attempts = Attempts(open_redis("redis://127.0.0.1:1"))
        else:
            async with open_database(settings.database_url, max_connections=1) as closed:
                app.state.database = closed
        answer = await client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert f"notifier_{is_gone}_up 0.0" in answer.text
    assert ("notifier_workers" in answer.text) == (is_gone == "redis")


async def test_accounts_that_pause_and_stops_in_force_are_told(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    await pass_time(database, timedelta(minutes=2))
    await execute(
        database,
        "INSERT INTO notifier.paused_accounts (team_id, account, cause, reason, probe_at) "
        "VALUES (1, 'email', 'sender', '535', now())",
    )
    await execute(
        database,
        "INSERT INTO notifier.stops (team_id, scope, which, reason, stopped_by) VALUES (1, 'channel', 'email', 'x', 'y')",
    )
    found = await _scrape(settings, database)
    assert found['notifier_account_state{account="email",state="sender"}'] == 1
    assert found['notifier_account_state{account="email",state="open"}'] == 0
    assert found['notifier_account_state{account="sms",state="open"}'] == 1
    assert found['notifier_stops{scope="channel"}'] == 1
    assert found['notifier_lane_lag_seconds{lane="3"}'] == 0
    assert found["notifier_messages_set_aside"] == 0
    await execute(database, "UPDATE notifier.messages SET state = 'failed', reason = 'set aside: x', crashes = 3")
    assert (await _scrape(settings, database))["notifier_messages_set_aside"] == 1
