"""What people do on the console's pages, and what the pages hand out."""

import asyncio
import csv
import io
import re
from dataclasses import replace

import httpx

from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.sandbox import Kept, keep_items
from tests.web.rooms import (
    ALERT,
    add_user,
    alert_fields,
    apply_pack,
    browser,
    form_token,
    launch_alert,
    log_in,
    running_app,
)


async def test_double_click_on_a_draft_makes_one_run(visitor: httpx.AsyncClient, database: Database) -> None:
    page = (await visitor.get(ALERT)).text
    found = re.search(r'name="launch_key" value="([^"]{16,})"', page)
    assert found
    assert found[1] not in (await visitor.get(ALERT)).text
    fields = await alert_fields(visitor) | {"launch_key": found[1]}
    answers = await asyncio.gather(*(visitor.post(f"{ALERT}/draft", data=fields) for _ in range(3)))
    assert [answer.status_code for answer in answers] == [303, 303, 303]
    assert len({answer.headers["location"] for answer in answers}) == 1
    async with database.transaction() as tx:
        assert await tx.fetchval("SELECT count(*) FROM notifier.runs") == 1


async def test_form_sent_again_with_other_values_is_no_repetition(
    visitor: httpx.AsyncClient, database: Database
) -> None:
    fields = await alert_fields(visitor) | {"launch_key": "k" * 20}
    assert (await visitor.post(f"{ALERT}/draft", data=fields)).status_code == 303
    changed = await visitor.post(f"{ALERT}/draft", data=fields | {"input.branch_name.en": "Another branch"})
    assert (changed.status_code, "Another branch" in changed.text) == (409, True)
    found = re.search(r'name="launch_key" value="([^"]+)"', changed.text)
    assert found
    assert found[1] != "k" * 20
    async with database.transaction() as tx:
        assert await tx.fetchval("SELECT count(*) FROM notifier.runs") == 1


async def test_refused_draft_leaves_its_key_free(visitor: httpx.AsyncClient) -> None:
    fields = await alert_fields(visitor) | {"launch_key": "k" * 20}
    refused = await visitor.post(f"{ALERT}/draft", data=fields | {"input.reopens.en": "x" * 60})
    assert refused.status_code == 422
    assert (await visitor.post(f"{ALERT}/draft", data=fields)).status_code == 303


async def test_stream_ends_with_the_session(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id = await launch_alert(database)
    streaming = asyncio.create_task(visitor.get(f"/runs/{run_id}/events"))
    await asyncio.sleep(0.5)
    assert not streaming.done()
    async with database.transaction() as tx:
        await tx.execute("DELETE FROM notifier.sessions")
    answer = await asyncio.wait_for(streaming, 5)
    assert "event: ended" not in answer.text


async def test_streams_of_one_user_are_capped(database: Database, settings: Settings) -> None:
    await apply_pack(database)
    await add_user(database)
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client)
        run_id = await launch_alert(database)
        open_streams = [
            asyncio.create_task(client.get(f"/runs/{run_id}/events")) for _ in range(app.state.streams.most)
        ]
        await asyncio.sleep(1)
        assert (await client.get(f"/runs/{run_id}/events")).status_code == 429
        async with database.transaction() as tx:
            await tx.execute("UPDATE notifier.runs SET state = 'ended'")
        await asyncio.wait_for(asyncio.gather(*open_streams), 10)
        assert (await client.get(f"/runs/{run_id}/events")).status_code == 200


async def test_sandbox_shows_each_team_its_own(visitor: httpx.AsyncClient, database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO notifier.teams VALUES (2, 'other') ON CONFLICT DO NOTHING")
        kept = Kept(
            team_id=2,
            account="sms",
            channel="sms",
            public_id="m.1",
            recipient="+12125550199",
            sender="bank",
            headline="",
            content={"text": "not yours"},
            fate="none",
            delay_s=0,
        )
        await keep_items(tx, [kept, replace(kept, channel="email", public_id="m.2")])
        item = await tx.fetchval("SELECT id FROM notifier.sandbox_items WHERE channel = 'email'")
    for path in ("/sandbox/phone", "/sandbox/phone?to=%2B12125550199", "/sandbox/mailbox"):
        page = (await visitor.get(path)).text
        assert ("not yours" in page, "m.1" in page) == (False, False)
    assert (await visitor.get(f"/sandbox/items/{item}/mail")).status_code == 404


async def test_doubt_is_settled_by_a_person(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id = await launch_alert(database)
    async with database.transaction() as tx:
        first, second = [
            row["id"]
            for row in await tx.fetch(
                """
                UPDATE notifier.messages SET state = 'uncertain', attempts = 1, account = 'sms' WHERE id IN (
                    SELECT id FROM notifier.messages WHERE channel = 'sms' ORDER BY id LIMIT 2) RETURNING id
                """
            )
        ]
        await tx.execute(
            """
            INSERT INTO notifier.tallies (run_id, step, channel, state, reason, delta)
            SELECT run_id, step, channel, s.state, '', s.delta FROM notifier.messages,
                (VALUES ('queued', -1), ('uncertain', 1)) AS s (state, delta) WHERE id IN ($1, $2)
            """,
            first,
            second,
        )
    assert "In doubt" not in (await visitor.get("/")).text  # an emergency goes again by itself
    async with database.transaction() as tx:
        await tx.execute("UPDATE notifier.run_steps SET in_doubt = 'ask'")
    overview = (await visitor.get("/")).text
    assert "In doubt: 2." in overview
    assert 'href="/doubts"' in overview
    page = (await visitor.get(f"/messages/{run_id}/{first}")).text
    assert page.count(f'action="/messages/{run_id}/{first}/settle"') == 3
    token = {"form_token": await form_token(visitor)}
    for message_id, outcome, state in ((first, "sent", "accepted"), (second, "not-sent", "queued")):
        path = f"/messages/{run_id}/{message_id}/settle"
        assert (await visitor.post(path, data=token | {"outcome": "perhaps"})).status_code == 422
        assert (await visitor.post(path, data=token | {"outcome": outcome})).status_code == 303
        assert (await visitor.post(path, data=token | {"outcome": outcome})).status_code == 409
        async with database.transaction() as tx:
            found = await tx.fetchval("SELECT state FROM notifier.messages WHERE id = $1", message_id)
        assert found != "uncertain", state
    assert "In doubt" not in (await visitor.get("/")).text


async def test_responses_are_exported_for_a_spreadsheet(visitor: httpx.AsyncClient, database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            """
            WITH new AS (
                INSERT INTO notifier.responses (team_id, survey_id, survey_key, source, external_key, simulated)
                SELECT 1, d.id, d.key, 'test', 'e1', true FROM notifier.definitions d
                WHERE d.kind = 'survey' AND d.key = 'monthly-satisfaction' RETURNING id)
            INSERT INTO notifier.answers (response_id, question, number, text)
                SELECT id, 'rating', 5, NULL FROM new UNION ALL SELECT id, 'comment', NULL, '=1+1' FROM new
            """
        )
    link = "/surveys/monthly-satisfaction/responses.csv"
    assert f'href="{link}"' in (await visitor.get("/surveys/monthly-satisfaction")).text
    answer = await visitor.get(link)
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    (row,) = csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff")))
    assert (row["simulated"], row["rating"], row["comment"]) == ("yes", "5", "'=1+1")
    assert (await visitor.get("/surveys/nothing/responses.csv")).status_code == 404
