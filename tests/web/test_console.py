"""The console's pages: what they say, what their forms do."""

import re
from datetime import timedelta

import httpx
import pytest

from notifier.domain.campaign import Schedule
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.sandbox import Kept, keep_items
from notifier.store.tallies import Tally
from notifier.store.views.runs import StepLine
from notifier.web.console.messages import mask_address
from notifier.web.console.runs import make_progress
from tests.builders import execute
from tests.web.rooms import ALERT, add_user, alert_fields, browser, form_token, launch_alert, log_in, running_app

EVERY_PAGE = (
    "/",
    "/campaigns",
    ALERT,
    "/runs",
    "/surveys",
    "/surveys/monthly-satisfaction",
    "/posts",
    "/sandbox/phone",
)


async def test_every_page_wants_a_login(database: Database, settings: Settings) -> None:
    async with running_app(settings, database) as app, browser(app) as client:
        for path in EVERY_PAGE:
            answer = await client.get(path)
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/login")
        answer = await client.get("/runs/1/events", headers={"accept": "text/event-stream"})
        assert answer.status_code == 401


@pytest.mark.parametrize("locale", ["zh-CN", "en"])
async def test_every_page_opens_in_both_languages_before_and_after_a_run(
    visitor: httpx.AsyncClient, database: Database, locale: str
) -> None:
    visitor.cookies.set("notifier_language", locale)
    for path in EVERY_PAGE:
        assert (await visitor.get(path)).status_code == 200, path
    run_id = await launch_alert(database)
    for path in (*EVERY_PAGE, f"/runs/{run_id}", "/sandbox/mailbox", "/sandbox/wall"):
        page = await visitor.get(path)
        assert page.status_code == 200, path
        assert f'<html lang="{locale}"' in page.text
        assert not re.search(r"<[^>]+ style=|<script(?! src)|<style", page.text), path


async def test_installation_without_definitions_says_what_to_do(database: Database, settings: Settings) -> None:
    await add_user(database)
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client)
        assert "notifier apply" in (await client.get("/campaigns")).text
        assert "No score yet" in (await client.get("/")).text
        assert (await client.get("/surveys")).status_code == 200


async def test_campaign_page_reads_like_a_sentence(visitor: httpx.AsyncClient) -> None:
    page = (await visitor.get("/campaigns/lecture")).text
    assert "customers; and either consented to e-mail about education" in page
    assert "every 3 months on the first Monday at 09:00" in page
    assert "2 weeks before date, 10:00" in page
    weekly = (await visitor.get("/campaigns/measures-notice")).text
    assert "every Monday at 09:00, in each contact&#39;s time zone" in weekly
    assert Schedule().start is None
    assert "on demand" in (await visitor.get(ALERT)).text


async def test_the_form_drafts_a_run_and_sends_nothing(visitor: httpx.AsyncClient, database: Database) -> None:
    answer = await visitor.post(f"{ALERT}/draft", data=await alert_fields(visitor))
    assert answer.status_code == 303
    assert answer.headers["location"].endswith("/review")
    async with database.transaction() as tx:
        assert await tx.fetchval("SELECT count(*) FROM notifier.audit WHERE act = 'run.drafted'") == 1
        assert await tx.fetchval("SELECT state FROM notifier.runs") == "draft"


async def test_wrong_input_shows_the_form_again_with_what_was_typed(visitor: httpx.AsyncClient) -> None:
    fields = await alert_fields(visitor) | {"input.reopens.en": "x" * 60}
    answer = await visitor.post(f"{ALERT}/draft", data=fields)
    assert answer.status_code == 422
    assert "x" * 60 in answer.text
    assert "is 60 characters long" in answer.text
    past = await visitor.post(f"{ALERT}/draft", data=await alert_fields(visitor) | {"at": "2001-01-01T00:00"})
    assert (past.status_code, "lies in the past" in past.text) == (422, True)


async def test_stop_and_resume_from_the_page(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id, token = await launch_alert(database), {"form_token": await form_token(visitor)}
    assert (await visitor.post(f"/runs/{run_id}/stop", data=token)).status_code == 303
    assert ">Resume<" in re.sub(r"<svg.*?</svg>\s*", "", (await visitor.get(f"/runs/{run_id}")).text, flags=re.S)
    assert (await visitor.post(f"/runs/{run_id}/stop", data=token)).status_code == 409
    assert (await visitor.post(f"/runs/{run_id}/resume", data=token)).status_code == 303
    assert (await visitor.post(f"/runs/{run_id}/explode", data=token)).status_code == 404
    assert (await visitor.post(f"/runs/{run_id}/stop")).status_code == 403


async def test_an_author_is_not_offered_to_resume_what_paused_by_itself(
    visitor: httpx.AsyncClient, database: Database
) -> None:
    run_id, token = await launch_alert(database), {"form_token": await form_token(visitor)}
    await execute(database, "UPDATE notifier.runs SET state = 'stopped', problem = 'too much came back'")
    assert f"/runs/{run_id}/resume" not in (await visitor.get(f"/runs/{run_id}")).text
    assert (await visitor.post(f"/runs/{run_id}/resume", data=token)).status_code == 403


async def test_waiting_run_is_told_and_filled_in(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id = await launch_alert(database)
    async with database.transaction() as tx:
        await tx.execute("DELETE FROM notifier.run_steps")
        await tx.execute("UPDATE notifier.runs SET state = 'waiting', inputs = '{}'")
    assert "still lacks: Affected branch" in (await visitor.get("/")).text
    incomplete = {"form_token": await form_token(visitor), "input.branch": "all"}
    answer = await visitor.post(f"/runs/{run_id}/inputs", data=incomplete)
    assert (answer.status_code, "is required" in answer.text) == (422, True)
    assert (await visitor.post(f"/runs/{run_id}/inputs", data=await alert_fields(visitor))).status_code == 303
    async with database.transaction() as tx:
        assert await tx.fetchval("SELECT state FROM notifier.runs") == "submitted"


async def test_progress_streams_until_the_run_ends(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id = await launch_alert(database)
    async with database.transaction() as tx:
        await tx.execute("UPDATE notifier.runs SET state = 'ended'")
    answer = await visitor.get(f"/runs/{run_id}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "event: progress\ndata: " in answer.text
    assert answer.text.endswith("event: ended\ndata: ended\n\n")
    assert (await visitor.get("/runs/7/events")).status_code == 404


def test_planned_is_sent_and_not_sent_and_on_the_way() -> None:
    tallies = [
        Tally(step="warn", channel="sms", state=state, reason=reason, count=count)
        for state, reason, count in [
            ("delivered", "", 5),
            ("accepted", "", 4),
            ("bounced", "", 3),
            ("queued", "", 2),
            ("refused", "opted-out", 6),
            ("refused", "no-address", 7),
            ("expired", "", 1),
        ]
    ]
    sums = make_progress([], tallies).sums
    assert (sums.planned, sums.sent, sums.not_sent, sums.waiting) == (28, 12, 14, 2)


def test_states_of_a_step_add_up_whatever_the_reason() -> None:
    step = StepLine(
        step="warn",
        position=1,
        state="planned",
        template_id=1,
        template_key="t",
        template_version=1,
        survey_key="",
        purpose="service",
        plan_at=None,  # type: ignore[arg-type]
        due_at=None,
        due_local=None,
    )
    reasons = [Tally(step="warn", channel="sms", state="refused", reason=reason, count=2) for reason in ("a", "b")]
    assert make_progress([step], reasons).rows == [(step, [("sms", {"refused": 4})])]


async def test_message_page_shows_what_it_says_and_hides_the_address(
    visitor: httpx.AsyncClient, database: Database
) -> None:
    run_id = await launch_alert(database)
    async with database.transaction() as tx:
        message_id = await tx.fetchval("SELECT min(id) FROM notifier.messages WHERE channel = 'email'")
    page = await visitor.get(f"/messages/{run_id}/{message_id}")
    assert page.status_code == 200
    assert "c•••@example.com" in page.text
    assert "c0@example.com" not in page.text
    mail = await visitor.get(f"/messages/{run_id}/{message_id}/mail")
    assert "sandbox" in mail.headers["content-security-policy"]
    assert "frame-ancestors 'self'" in mail.headers["content-security-policy"]
    assert mail.headers["x-frame-options"] == "SAMEORIGIN"
    assert "<html" in mail.text
    assert (await visitor.get(f"/messages/{run_id}/1")).status_code in {200, 404}
    assert (await visitor.get("/messages/1/1/mail")).status_code == 404


@pytest.mark.parametrize(
    ("address", "masked"),
    [("anna@example.com", "a•••@example.com"), ("+12125550123", "+121•••23"), ("wechat", "wechat"), ("", "")],
)
def test_address_is_masked(address: str, masked: str) -> None:
    assert mask_address(address) == masked


async def test_manual_post_is_a_task_until_somebody_posted_it(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id = await launch_alert(database)
    async with database.transaction() as tx:
        message_id = await tx.fetchval(
            """
            UPDATE notifier.messages m SET state = 'to-post' FROM notifier.recipients k
            WHERE k.run_id = m.run_id AND k.id = m.recipient_id AND k.account = 'wechat' RETURNING m.id
            """
        )
    page = (await visitor.get("/posts")).text
    assert "data-copy" in page
    assert "静安支行" in page
    data = {"form_token": await form_token(visitor), "url": "javascript:alert(1)"}
    assert (await visitor.post(f"/posts/{run_id}/{message_id}", data=data)).status_code == 422
    data["url"] = "https://mp.weixin.example/s/1"
    assert "Not published yet" in (await visitor.get(f"/messages/{run_id}/{message_id}")).text
    assert (await visitor.post(f"/posts/{run_id}/{message_id}", data=data)).status_code == 303
    assert "Not published yet" not in (await visitor.get(f"/messages/{run_id}/{message_id}")).text
    assert (await visitor.post(f"/posts/{run_id}/{message_id}", data=data)).status_code == 409
    assert "No post waits for you" in (await visitor.get("/posts")).text
    assert data["url"] in (await visitor.get(f"/messages/{run_id}/{message_id}")).text


async def test_sandbox_shows_phone_mailbox_and_wall(visitor: httpx.AsyncClient, database: Database) -> None:
    async with database.transaction() as tx:
        await keep_items(
            tx,
            [
                Kept(
                    team_id=1,
                    account=channel,
                    channel=channel,
                    public_id=f"m.{channel}",
                    recipient=recipient,
                    sender="bank",
                    headline="Branch closed",
                    content={"subject": "Branch closed", "html": "<p>Hello</p>", "text": f"Hello <{channel}>"},
                    fate="none",
                    delay_s=timedelta(0).total_seconds(),
                )
                for channel, recipient in [("sms", "+12125550100"), ("email", "c0@example.com"), ("social", "mastodon")]
            ],
        )
        item = await tx.fetchval("SELECT id FROM notifier.sandbox_items WHERE channel = 'email'")
    assert "Hello &lt;sms&gt;" in (await visitor.get("/sandbox/phone")).text
    assert "Branch closed" in (await visitor.get("/sandbox/mailbox", params={"to": "c0@example.com"})).text
    assert "Hello &lt;social&gt;" in (await visitor.get("/sandbox/wall")).text
    mail = await visitor.get(f"/sandbox/items/{item}/mail")
    assert (mail.text, "sandbox" in mail.headers["content-security-policy"]) == ("<p>Hello</p>", True)
    assert (await visitor.get("/sandbox/fax")).status_code == 404
    assert (await visitor.get("/sandbox/items/999/mail")).status_code == 404


async def test_survey_page_marks_what_was_simulated(visitor: httpx.AsyncClient, database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            """
            WITH new AS (
                INSERT INTO notifier.responses (team_id, survey_id, survey_key, source, external_key, simulated)
                SELECT 1, d.id, d.key, 'test', n::text, true FROM notifier.definitions d, generate_series(1, 40) AS n
                WHERE d.kind = 'survey' AND d.key = 'monthly-satisfaction' RETURNING id)
            INSERT INTO notifier.answers (response_id, question, number) SELECT id, 'rating', 5 FROM new
            """
        )
    page = (await visitor.get("/surveys/monthly-satisfaction")).text
    assert "40 of 40 responses were played by the demo" in page
    assert "The target is met: were everybody asked, at least 93.7%" in page
    assert "100.0%" in page
    assert "simulated" in (await visitor.get("/")).text


async def test_language_is_remembered_with_the_user(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    answer = await visitor.post("/language", data={"locale": "zh-CN", "next": "/runs"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs")
    assert "执行记录" in (await visitor.get("/runs")).text
    async with database.transaction() as tx:
        assert await tx.fetchval("SELECT locale FROM notifier.users") == "zh-CN"
    await visitor.post("/language", data={"locale": "tlh"})
    assert "执行记录" in (await visitor.get("/runs")).text


async def test_unknown_page_is_a_page_in_the_readers_language(database: Database, settings: Settings) -> None:
    async with running_app(settings, database) as app, browser(app) as client:
        page = await client.get("/nothing/here")
        assert (page.status_code, "There is no such page" in page.text) == (404, True)
        chinese = await client.get("/nothing/here", headers={"accept-language": "zh-CN"})
        assert "没有这个页面" in chinese.text


async def test_broken_server_is_a_page_without_a_trace(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    async with running_app(settings, database) as app, browser(app) as client:
        app.state.database = None
        page = await client.get("/login")
        assert page.status_code == 500
        assert "That did not work" in page.text
        assert "Traceback" not in page.text


async def test_demo_shows_its_logins_and_nobody_else_does(database: Database, settings: Settings) -> None:
    for is_demo in (True, False):
        async with running_app(settings.model_copy(update={"demo": is_demo}), database) as app, browser(app) as client:
            assert ("Demo logins" in (await client.get("/login")).text) is is_demo
