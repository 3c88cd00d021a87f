"""The stop page: one click from everywhere, what it would hold, a banner while it holds, and who resumes."""

import asyncio
import re

import httpx
import pytest

from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import execute, fetch
from tests.web.rooms import add_contacts, add_user, apply_pack, browser, form_token, launch_alert, log_in, running_app

RAIL = 'href="/stops"'
BANNER = 'class="notice is-bad stopped"'


async def stop(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    token = await form_token(client)
    return await client.post("/stops", data={"form_token": token, "reason": "wrong list", **fields})


@pytest.mark.parametrize("path", ["/", "/runs", "/contacts", "/audit", "/me", "/stops"])
async def test_stopping_is_one_click_from_every_page_and_shown_on_it(
    visitor: httpx.AsyncClient, database: Database, path: str
) -> None:
    await execute(database, "UPDATE notifier.users SET role = 'approver'")
    before = (await visitor.get(path)).text
    assert (RAIL in before, BANNER in before) == (True, False)
    assert (await stop(visitor, scope="channel", which="sms")).status_code == 303
    page = (await visitor.get(path)).text
    assert BANNER in page
    assert "wrong list" in page


async def test_what_it_would_hold_is_shown_before(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id = await launch_alert(database)
    ((planned,),) = await fetch(database, "SELECT count(*)::int FROM notifier.messages WHERE state = 'queued'")
    page = (await visitor.get("/stops/ask?scope=everything")).text
    assert "Emergencies are held too" in page
    assert f"/runs/{run_id}" in page
    assert f"<td>{planned}</td></tr></tfoot>" in page
    spared = (await visitor.get("/stops/ask?scope=everything&spare=yes")).text
    assert "Emergencies are held too" not in spared
    assert f"/runs/{run_id}" not in spared  # an emergency
    assert await fetch(database, "SELECT count(*)::int FROM notifier.stops") == [(0,)]


@pytest.mark.parametrize("path", ["?scope=all", "?scope=channel&which=fax", "?scope=campaign&which=none", ""])
async def test_what_is_nothing_to_stop_is_not_there(visitor: httpx.AsyncClient, path: str) -> None:
    assert (await visitor.get(f"/stops/ask{path}")).status_code in {404, 422}


async def test_a_stop_needs_a_reason(visitor: httpx.AsyncClient, database: Database) -> None:
    answer = await stop(visitor, scope="everything", reason=" ")
    assert (answer.status_code, "Say why" in answer.text) == (422, True)
    assert await fetch(database, "SELECT count(*)::int FROM notifier.stops") == [(0,)]


async def test_the_account_is_live_until_the_last_hand_over_ended(
    visitor: httpx.AsyncClient, database: Database
) -> None:
    await launch_alert(database)
    await execute(
        database,
        """
        INSERT INTO notifier.tallies (run_id, step, channel, state, delta)
        SELECT run_id, step, channel, unnest(ARRAY['queued', 'sending']), unnest(ARRAY[-1, 1])
        FROM notifier.messages WHERE state = 'queued' LIMIT 2
        """,
    )
    address = (await stop(visitor, scope="everything")).headers["location"].partition("?")[0]
    streaming = asyncio.create_task(visitor.get(f"{address}/events"))
    await asyncio.sleep(0.3)
    assert not streaming.done()
    await execute(database, "UPDATE notifier.tallies SET state = 'accepted' WHERE state = 'sending'")
    told = (await asyncio.wait_for(streaming, 60)).text
    assert "Still being handed over: 1" in told
    assert "event: ended\ndata: settled" in told


async def test_an_operator_resumes_and_an_author_does_not(database: Database, settings: Settings) -> None:
    await apply_pack(database)
    await add_user(database, "lin", "author")
    await add_user(database, "op", "operator")
    await add_user(database, "eye", "viewer")
    async with running_app(settings, database) as app:
        async with browser(app) as author:
            await log_in(author, "lin")
            address = (await stop(author, scope="everything")).headers["location"].partition("?")[0]
            assert "/resume" not in (await author.get(address)).text
            token = await form_token(author)
            assert (await author.post(f"{address}/resume", data={"form_token": token})).status_code == 403
        async with browser(app) as viewer:
            await log_in(viewer, "eye")
            page = (await viewer.get("/")).text
            assert (RAIL in page, BANNER in page) == (False, True)
            assert 'action="/stops"' not in (await viewer.get("/stops/ask?scope=everything")).text
        async with browser(app) as operator:
            await log_in(operator, "op")
            assert f'action="{address}/resume"' in (await operator.get(address)).text
            token = await form_token(operator)
            assert (await operator.post(f"{address}/resume", data={"form_token": token})).status_code == 303
            assert BANNER not in (await operator.get("/")).text
            assert "resumed by" in (await operator.get("/stops")).text


async def test_a_release_is_undone_on_the_page_of_its_run(database: Database, settings: Settings) -> None:
    await apply_pack(database)
    await add_contacts(database, settings)
    await add_user(database, "lin", "author")
    run_id = await launch_alert(database)
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client)
        assert "/undo" not in (await client.get(f"/runs/{run_id}")).text
        await execute(
            database, "UPDATE notifier.runs SET state = 'scheduled', held_until = notifier.now() + interval '30 s'"
        )
        page = (await client.get(f"/runs/{run_id}")).text
        (seconds,) = re.findall(r"undone for another (\d+) seconds", page)
        assert 0 < int(seconds) <= 30
        answer = await client.post(f"/runs/{run_id}/undo", data={"form_token": await form_token(client)})
        assert answer.headers["location"] == f"/runs/{run_id}?done=undone"
        assert "The release is undone" in (await client.get(answer.headers["location"])).text
