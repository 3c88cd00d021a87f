"""Doubts at the doors: listed, decided for all of a run, and what was set aside sent again."""

from pathlib import Path

import pytest

from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.messages.doubts import sweep_dead_claims
from tests.builders import add_contact, campaign, claim, define, execute, fetch, launch_and_plan, set_now, state_counts
from tests.web.rooms import add_user, browser, form_token, key_headers, log_in, running_app

ASIDE = "set aside: three workers died holding it"


async def _scene(database: Database, settings: Settings, folder: Path) -> int:
    """Two messages set aside, two in doubt."""
    await set_now(database)
    await define(database, folder, campaign(purpose="transactional"))
    for number in range(4):
        await add_contact(database, settings, f"c{number}")
    run = await launch_and_plan(database)
    poison = await claim(database, run.id, 2, limit=2)
    await claim(database, run.id, 2)
    await execute(database, "UPDATE notifier.messages SET crashes = 2 WHERE claim_id = $1", poison.claim_id)
    await execute(database, "UPDATE notifier.claims SET alive_until = now() - interval '1 s'")
    async with database.transaction() as tx:
        await sweep_dead_claims(tx)
    assert await state_counts(database) == {"failed": 2, "uncertain": 2}
    return run.id


@pytest.mark.parametrize(("locale", "title"), [("en", "Set aside"), ("zh-CN", "已搁置")])
async def test_the_page_lists_doubts_and_what_was_set_aside(
    database: Database, settings: Settings, tmp_path: Path, locale: str, title: str
) -> None:
    run_id = await _scene(database, settings, tmp_path)
    await add_user(database, locale=locale)
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client)
        page = (await client.get("/doubts")).text
        assert title in page
        assert page.count(f"/doubts/{run_id}/settle") == 1
        assert page.count(f"/doubts/{run_id}/replay") == 1
        assert title in (await client.get("/")).text
        token = await form_token(client)
        for act, fields in (("settle", {"outcome": "sent"}), ("replay", {"reason": ASIDE})):
            done = await client.post(f"/doubts/{run_id}/{act}", data={"form_token": token, **fields})
            assert done.status_code == 303
            assert (
                await client.post(f"/doubts/{run_id}/{act}", data={"form_token": token, **fields})
            ).status_code == 409
        page = (await client.get("/doubts")).text
    assert f"/doubts/{run_id}/" not in page
    assert await state_counts(database) == {"accepted": 2, "queued": 2}
    acts = await fetch(
        database, "SELECT actor, act FROM notifier.audit WHERE act LIKE 'run.%' ORDER BY id DESC LIMIT 2"
    )
    assert acts == [("lin", "run.replayed"), ("lin", "run.decided_accepted")]


async def test_one_message_set_aside_is_sent_again_from_its_page(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run_id = await _scene(database, settings, tmp_path)
    ((message_id,),) = await fetch(database, "SELECT min(id) FROM notifier.messages WHERE state = 'failed'")
    await add_user(database)
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client)
        place = f"/messages/{run_id}/{message_id}/replay"
        assert f'action="{place}"' in (await client.get(f"/messages/{run_id}/{message_id}")).text
        assert (await client.post(place, data={"form_token": await form_token(client)})).status_code == 303
    assert await state_counts(database) == {"failed": 1, "queued": 1, "uncertain": 2}


async def test_who_only_looks_decides_nothing(database: Database, settings: Settings, tmp_path: Path) -> None:
    run_id = await _scene(database, settings, tmp_path)
    await add_user(database, role="viewer")
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client)
        page = (await client.get("/doubts")).text
        assert f"/doubts/{run_id}/" not in page
        token = await form_token(client, "/me")
        answer = await client.post(f"/doubts/{run_id}/replay", data={"form_token": token})
    assert answer.status_code == 403
    assert await state_counts(database) == {"failed": 2, "uncertain": 2}


async def test_the_api_lists_settles_and_replays(database: Database, settings: Settings, tmp_path: Path) -> None:
    run_id = await _scene(database, settings, tmp_path)
    headers = await key_headers(database, "read", "send")
    async with running_app(settings, database) as app, browser(app, **headers) as caller:
        (doubt,) = (await caller.get("/api/v1/doubts")).json()["items"]
        assert (doubt["run_id"], doubt["count"], doubt["fresh"], doubt["asks"]) == (run_id, 2, 2, True)
        (aside,) = (await caller.get("/api/v1/set-aside")).json()["items"]
        assert (aside["count"], aside["reason"], aside["crashes"], aside["in_doubt"]) == (2, ASIDE, 3, 2)
        listed = (await caller.get("/api/v1/messages", params={"run_id": run_id, "state": "failed"})).json()["items"]
        replayed = await caller.post(f"/api/v1/messages/{listed[0]['id']}/replay")
        assert (replayed.status_code, replayed.json()["state"]) == (200, "queued")
        settled = await caller.post(f"/api/v1/runs/{run_id}/settle", json={"outcome": "send-again"})
        assert settled.json() == {"messages": 2}
        assert (await caller.post(f"/api/v1/runs/{run_id}/replay", json={})).json() == {"messages": 1}
        assert (await caller.post(f"/api/v1/runs/{run_id}/replay", json={})).status_code == 409
        assert (await caller.post("/api/v1/runs/1/replay", json={})).status_code == 404
    assert await state_counts(database) == {"queued": 4}
