"""Now, next and what needs somebody: overview, runs, posts by hand and the calendar as people use them."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from notifier.domain.causes import Cause
from notifier.domain.person import Person, Role
from notifier.planning.draft import Draft
from notifier.planning.launch import launch_campaign
from notifier.planning.release import return_run
from notifier.settings import Settings
from notifier.store import access, clock
from notifier.store.database import Database
from notifier.store.tallies import Tally
from notifier.store.views.audit import AuditLine
from notifier.web.console.audit import tell_act
from notifier.web.console.calendar import month_before, month_weeks, next_month, weekday_names
from notifier.web.console.causes import SAID, group_causes
from notifier.web.console.names import tell_actor
from notifier.web.console.posts import domain_of
from notifier.web.console.run_page import tell_halt
from notifier.web.console.words import Words
from tests.builders import drain, execute, fetch, release_by_another, set_now
from tests.web.rooms import (
    ALERT_INPUTS,
    add_contacts,
    add_user,
    apply_pack,
    browser,
    form_token,
    key_headers,
    launch_alert,
    log_in,
    running_app,
)

EN, ZH = (Words(locale, UTC) for locale in ("en", "zh-CN"))
NOON = datetime(2026, 3, 11, 4, 0, tzinfo=UTC)
"""A Wednesday, 12:00 in Shanghai."""


@pytest.fixture
async def approver(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who may release what others made, beside the author `lin`."""
    await add_user(database, "wang", "approver")
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client, "wang")
        yield client


async def _person(database: Database, login: str, role: Role) -> Person:
    async with database.transaction() as tx:
        user = await access.find_user(tx, login)
    assert user
    return Person(name=login, user_id=user.id, role=role)


async def _submit(database: Database, by: Person, *, at: datetime | None = None) -> int:
    async with database.transaction() as tx:
        draft = Draft(campaign_key="branch-closure-alert", inputs=ALERT_INPUTS, at=at)
        return (await launch_campaign(tx, team_id=1, draft=draft, by=by)).id


def _plain(page: str) -> str:
    """What a page says, without its marks."""
    return " ".join(re.sub(r"<svg.*?</svg>|<[^>]+>", " ", page, flags=re.S).split())


# ── what needs whom ──────────────────────────────────────────────────────────────────────────────


async def test_a_run_to_release_needs_the_approver_and_not_its_author(
    visitor: httpx.AsyncClient, approver: httpx.AsyncClient, database: Database
) -> None:
    run_id = await _submit(database, await _person(database, "lin", Role.AUTHOR))
    theirs = (await approver.get("/")).text
    assert "Lin asks you to release it · starts: as soon as it is released" in theirs
    assert f'href="/emergency/runs/{run_id}"' in theirs
    assert "<title>(1) Overview" in theirs
    mine = (await visitor.get("/")).text
    assert "Yours; a colleague has to release it" in mine
    assert "<title>Overview" in mine


async def test_what_needs_me_begins_with_what_comes_soonest(approver: httpx.AsyncClient, database: Database) -> None:
    lin = await _person(database, "lin", Role.AUTHOR)
    async with database.transaction() as tx:
        now = await clock.now(tx)
    far, near, past, soon = [await _submit(database, lin, at=now + timedelta(days=days)) for days in (9, 3, -0.01, 1)]
    at_once = await _submit(database, lin)
    page = (await approver.get("/")).text
    shown = dict.fromkeys(map(int, re.findall(r'href="/emergency/runs/(\d+)"', page)))
    assert list(shown) == [at_once, soon, near, far, past]


async def test_emergencies_to_release_stand_first_and_exercises_are_marked(
    approver: httpx.AsyncClient, database: Database
) -> None:
    lin = await _person(database, "lin", Role.AUTHOR)
    usual, exercise, emergency = [await _submit(database, lin) for _ in range(3)]
    await execute(database, "UPDATE notifier.runs SET purpose = 'service' WHERE id = $1", usual)
    await execute(database, "UPDATE notifier.runs SET drill = true WHERE id = $1", exercise)
    tasks = re.findall(r"<li.*?</li>", (await approver.get("/")).text.partition('class="tasks"')[2], flags=re.S)[:3]
    assert f"/runs/{emergency}" in tasks[0]
    assert ["is-urgent" in task for task in tasks] == [True, False, False]
    assert ["Emergency" in _plain(task) for task in tasks] == [True, False, False]
    assert ["Exercise" in _plain(task) for task in tasks if f"/runs/{exercise}" in task] == [True]


async def test_a_stopped_run_with_waiting_messages_needs_a_decision(
    visitor: httpx.AsyncClient, database: Database
) -> None:
    run_id = await launch_alert(database)
    waits = "messages wait for your decision"
    assert waits not in (await visitor.get("/")).text
    await visitor.post(f"/runs/{run_id}/stop", data={"form_token": await form_token(visitor)})
    assert waits in (await visitor.get("/")).text


async def test_who_made_a_run_is_not_asked_to_release_it(approver: httpx.AsyncClient, database: Database) -> None:
    await _submit(database, await _person(database, "wang", Role.APPROVER))
    page = (await approver.get("/")).text
    assert "asks you to release it" not in page
    assert "Another person&#39;s turn: 1" in page


async def test_a_returned_run_needs_its_author_with_the_reason(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id = await _submit(database, await _person(database, "lin", Role.AUTHOR))
    async with database.transaction() as tx:
        await return_run(tx, run_id, Person(name="wang"), "The date is wrong")
    page = (await visitor.get("/")).text
    assert "Returned to you: “The date is wrong”" in page
    assert "Returned to its author: “The date is wrong”" in (await visitor.get(f"/runs/{run_id}")).text


async def test_an_emergency_released_alone_needs_another_approver(
    approver: httpx.AsyncClient, visitor: httpx.AsyncClient, database: Database
) -> None:
    run_id = await launch_alert(database)
    await execute(
        database,
        """
        UPDATE notifier.releases SET break_glass = 'the lobby is flooded', user_id = u.id
        FROM notifier.users u WHERE u.login = 'lin'
        """,
    )
    told = "Lin released this emergency alone"
    assert "“the lobby is flooded”. Look at it" in (await approver.get("/")).text
    assert told in (await approver.get("/")).text
    assert "Look at it and write down" not in (await visitor.get("/")).text
    assert "Another approver has to review it" in (await visitor.get(f"/runs/{run_id}")).text


async def test_an_account_that_cannot_be_opened_needs_somebody(visitor: httpx.AsyncClient, database: Database) -> None:
    await execute(
        database,
        """
        UPDATE notifier.definitions SET spec = jsonb_set(jsonb_set(spec, '{provider}', '"mastodon"'), '{secrets}',
            '{"access_token": {"env": "NOTIFIER_NOWHERE"}}') || '{"settings": {"server": "https://social.example"}}'
        WHERE kind = 'account' AND key = 'mastodon'
        """,
    )
    page = _plain((await visitor.get("/")).text)
    assert "Mastodon account: account in trouble" in page
    assert "Ask the operator" in page


async def test_a_provider_that_puts_messages_off_is_named(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    run_id = await launch_alert(database)
    await execute(
        database,
        """
        WITH put_off AS (
            UPDATE notifier.messages SET attempts = 1, account = 'sms', changed_at = notifier.now(),
                due_at = notifier.now() + interval '5 minutes' WHERE channel = 'sms' RETURNING run_id, id)
        INSERT INTO notifier.events (run_id, message_id, event_key, kind, code, reason)
            SELECT run_id, id, 'queued:1', 'deferred', '20003', 'log-in refused' FROM put_off
        """,
    )
    page = _plain((await visitor.get("/")).text)
    assert "Bank SMS: account in trouble" in page
    assert "log-in refused · messages waiting for it: 3 or more Ask the operator to renew the account" in page
    assert f'href="/runs/{run_id}"' in (await visitor.get("/")).text


async def test_an_import_with_rows_not_taken_is_told(visitor: httpx.AsyncClient, database: Database) -> None:
    await execute(
        database,
        """
        INSERT INTO notifier.imports (team_id, file, state, read_rows, added, rejected, ended_at)
        VALUES (1, 'branch.csv', 'done', 10, 7, 3, notifier.now())
        """,
    )
    assert "Rows not taken: 3" in (await visitor.get("/")).text
    await execute(database, "UPDATE notifier.imports SET ended_at = notifier.now() - interval '8 days'")
    assert "Rows not taken" not in (await visitor.get("/")).text


async def test_nothing_to_do_is_said(visitor: httpx.AsyncClient) -> None:
    assert "Nothing needs you at the moment." in (await visitor.get("/")).text


# ── now and next ─────────────────────────────────────────────────────────────────────────────────


async def test_what_goes_out_is_told_with_its_sums_and_until_when_it_waits(
    visitor: httpx.AsyncClient, database: Database
) -> None:
    await launch_alert(database)
    page = _plain((await visitor.get("/")).text)
    assert "0 of 8 sent · 8 waiting" in page
    assert "waits until" not in page
    await execute(database, "UPDATE notifier.messages SET due_at = '2035-01-02T01:00Z'")
    assert "waits until 2 Jan 2035, 09:00" in _plain((await visitor.get("/")).text)


async def test_quiet_hours_are_named_on_the_run_and_in_the_api(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id = await launch_alert(database)
    await execute(
        database,
        """
        WITH put_off AS (UPDATE notifier.messages SET due_at = CASE WHEN channel = 'sms' THEN timestamptz '2035-01-02T01:00Z'
            ELSE '2035-01-02T03:00Z' END RETURNING run_id, id)
        INSERT INTO notifier.events (run_id, message_id, event_key, kind, reason)
            SELECT run_id, id, 'deferred:x', 'deferred', 'quiet-hours' FROM put_off
        """,
    )
    page = _plain((await visitor.get(f"/runs/{run_id}")).text)
    assert (
        "waits until 2 Jan 2035, 09:00, the last until 2 Jan 2035, 11:00: quiet hours in the contacts&#39; zones"
        in page
    )
    answer = (await visitor.get(f"/api/v1/runs/{run_id}", headers=dict(await key_headers(database)))).json()
    assert (answer["waits_until"], answer["waits_for"]) == ("2035-01-02T01:00:00Z", "quiet-hours")
    assert (answer["planned"], answer["sent"], answer["not_sent"], answer["waiting"]) == (8, 0, 0, 8)


async def test_next_tells_the_wall_time_of_each_contact(visitor: httpx.AsyncClient, database: Database) -> None:
    await set_now(database, NOON)
    inputs = {
        "closed_branches": {"zh-CN": "外滩支行", "en": "Bund"},
        "from_date": "2026-03-16",
        "until_date": "2026-03-22",
        "open_branches": {"zh-CN": "静安支行", "en": "Jing'an"},
    }
    async with database.transaction() as tx:
        draft = Draft(campaign_key="measures-notice", inputs=inputs, at=datetime(2026, 3, 16, 1, 0, tzinfo=UTC))
        run = await launch_campaign(tx, team_id=1, draft=draft, by=Person(name="lin"))
    await release_by_another(database, run.id)
    page = _plain((await visitor.get("/")).text)
    assert "16 Mar 2026, 09:00, local time of each contact Branches and services this week Tell customers" in page
    assert "16 Mar 2026, 09:00 Branches and services this week Public post" in page


async def test_the_overview_streams_what_goes_out(visitor: httpx.AsyncClient, database: Database) -> None:
    await launch_alert(database)
    await execute(database, "DELETE FROM notifier.sessions")
    assert (await visitor.get("/overview/events", headers={"accept": "text/event-stream"})).status_code == 401


# ── runs ─────────────────────────────────────────────────────────────────────────────────────────


async def test_runs_are_filtered_by_what_there_is(visitor: httpx.AsyncClient, database: Database) -> None:
    assert "No runs yet." in (await visitor.get("/runs")).text
    run_id = await launch_alert(database)
    page = _plain((await visitor.get("/runs")).text)
    assert "all 1 running 1" in page
    assert "cancelled" not in page
    assert "No run fits" in (await visitor.get("/runs?state=ended")).text
    month, number = divmod(run_id, 1_000_000)
    readable = f"{month // 100}-{month % 100:02} #{number}"
    for search in (readable, f"#{number}", str(run_id), "closes at short"):
        assert f"/runs/{run_id}" in (await visitor.get("/runs", params={"search": search})).text, search
    for search in ("#999", "satisfaction"):
        assert f"/runs/{run_id}" not in (await visitor.get("/runs", params={"search": search})).text, search
    assert f"/runs/{run_id}" not in (await visitor.get("/runs?campaign=lecture")).text


async def test_single_messages_are_dated_by_their_month(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id = await launch_alert(database)
    await execute(database, "UPDATE notifier.runs SET kind = 'standing', nominal_at = '2026-03-01T00:00Z'")
    page = _plain((await visitor.get("/runs")).text)
    assert "Branch closes at short notice: single messages by API, March 2026" in page
    assert (await visitor.get(f"/runs/{run_id}")).status_code == 200


async def test_a_stop_is_one_click_and_then_an_account(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id, token = await launch_alert(database), {"form_token": await form_token(visitor)}
    stopped = await visitor.post(f"/runs/{run_id}/stop", data=token)
    assert stopped.headers["location"] == f"/runs/{run_id}?done=stopped"
    page = _plain((await visitor.get(stopped.headers["location"])).text)
    assert "Undo: go on" in page
    assert "The account after the stop arrived 0" in page
    assert "still here, waits for your word 8" in page
    assert "Lin" in page


async def test_an_end_for_good_asks_first_and_says_what_will_not_be_sent(
    visitor: httpx.AsyncClient, database: Database
) -> None:
    run_id, token = await launch_alert(database), {"form_token": await form_token(visitor)}
    await visitor.post(f"/runs/{run_id}/stop", data=token)
    assert "Will not be sent: 8" in _plain((await visitor.get(f"/runs/{run_id}/cancel")).text)
    assert (await visitor.post(f"/runs/{run_id}/cancel", data=token)).status_code == 303
    assert (await visitor.get(f"/runs/{run_id}/cancel")).status_code == 409
    page = (await visitor.get(f"/runs/{run_id}")).text
    assert f"/campaigns/branch-closure-alert?like={run_id}" in page
    assert "cancelled, never left 8" in _plain(page)


async def test_another_time_wants_another_release(visitor: httpx.AsyncClient, database: Database) -> None:
    await set_now(database, NOON)
    run_id = await _submit(
        database, await _person(database, "lin", Role.AUTHOR), at=datetime(2026, 3, 12, 1, 0, tzinfo=UTC)
    )
    await release_by_another(database, run_id)
    form = (await visitor.get(f"/runs/{run_id}/reschedule")).text
    assert 'value="2026-03-12T09:00"' in form
    assert "a colleague has to release it anew" in form
    data = {"form_token": await form_token(visitor), "at": "2026-03-13T10:30"}
    past = await visitor.post(f"/runs/{run_id}/reschedule", data=data | {"at": "2026-03-01T10:30"})
    assert (past.status_code, ">lies in the past" in past.text) == (422, True)  # without the field's raw name
    empty = await visitor.post(f"/runs/{run_id}/reschedule", data=data | {"start": "at", "at": ""})
    assert (empty.status_code, "Choose a day and a time" in empty.text) == (422, True)  # never silently at once
    assert (await visitor.post(f"/runs/{run_id}/reschedule", data=data)).status_code == 303
    assert await fetch(database, "SELECT state, nominal_at FROM notifier.runs") == [
        ("submitted", datetime(2026, 3, 13, 2, 30, tzinfo=UTC))
    ]
    assert await fetch(database, "SELECT count(*)::int FROM notifier.releases WHERE voided_at IS NULL") == [(0,)]


async def test_the_notice_of_a_wrong_field_leads_to_it(visitor: httpx.AsyncClient) -> None:
    data = {"form_token": await form_token(visitor), "start": "at", "at": "soon"}
    page = (await visitor.post("/campaigns/branch-closure-alert/draft", data=data)).text
    assert (page.count('href="#wrong"'), page.count('id="wrong"')) == (1, 1)


async def test_at_once_is_a_choice_of_its_own(visitor: httpx.AsyncClient, database: Database) -> None:
    await set_now(database, NOON)
    by = await _person(database, "lin", Role.AUTHOR)
    run_id = await _submit(database, by, at=NOON + timedelta(days=1))
    assert 'value="at" checked' in (await visitor.get(f"/runs/{run_id}/reschedule")).text
    data = {"form_token": await form_token(visitor), "start": "now", "at": ""}
    assert (await visitor.post(f"/runs/{run_id}/reschedule", data=data)).status_code == 303
    assert await fetch(database, "SELECT at_once FROM notifier.runs") == [(True,)]


async def test_a_run_not_released_in_time_says_that_it_is_late(
    visitor: httpx.AsyncClient, approver: httpx.AsyncClient, database: Database
) -> None:
    await set_now(database, NOON)
    run_id = await _submit(database, await _person(database, "lin", Role.AUTHOR), at=NOON + timedelta(minutes=5))
    pages = ("/", f"/runs/{run_id}/review")
    assert not any(["late: starts when it is released" in (await approver.get(path)).text for path in pages])
    await set_now(database, NOON + timedelta(minutes=10))
    assert all(["late: starts when it is released" in (await approver.get(path)).text for path in pages])


async def test_a_run_that_began_keeps_its_time(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id = await launch_alert(database)
    assert (await visitor.get(f"/runs/{run_id}/reschedule")).status_code == 409


async def test_the_run_says_why_and_what_to_do(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id = await launch_alert(database)
    await execute(
        database,
        """
        INSERT INTO notifier.tallies (run_id, step, channel, state, reason, delta) VALUES
            ($1, 'warn', 'sms', 'refused', 'suppressed: hard-bounce', 4), ($1, 'warn', 'email', 'failed', '552 5.2.2 full', 1)
        """,
        run_id,
    )
    page = _plain((await visitor.get(f"/runs/{run_id}")).text)
    assert "4 The address is blocked because it came back before SMS Ask for a new address" in page
    assert "1 The mailbox is full e-mail" in page
    assert "Warn customers" in page


async def test_a_run_is_compared_with_earlier_ones(visitor: httpx.AsyncClient, database: Database) -> None:
    first, second = await launch_alert(database), await launch_alert(database)
    for run_id, delivered in ((first, 3), (second, 1)):
        await execute(
            database,
            """
            INSERT INTO notifier.tallies (run_id, step, channel, state, delta) VALUES
                ($1, 'warn', 'sms', 'delivered', $2), ($1, 'warn', 'sms', 'bounced', 4 - $2), ($1, 'warn', 'sms', 'queued', -4)
            """,
            run_id,
            delivered,
        )
    page = _plain((await visitor.get(f"/runs/{second}")).text)
    assert "Compared with earlier runs" in page
    assert ("25.0%" in page, "75.0%" in page) == (True, True)
    assert "Compared with earlier runs" not in (await visitor.get(f"/runs/{first}")).text


async def test_viewers_see_everything_and_can_do_nothing(database: Database, settings: Settings) -> None:
    await apply_pack(database)
    await add_contacts(database, settings)
    await add_user(database, "eye", "viewer")
    run_id = await launch_alert(database)
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client, "eye")
        for path in ("/", "/runs", f"/runs/{run_id}", "/posts", "/calendar"):
            page = await client.get(path)
            assert page.status_code == 200
            assert f'action="/runs/{run_id}' not in page.text
        token = {"form_token": await form_token(client)}
        assert (await client.post(f"/runs/{run_id}/stop", data=token)).status_code == 403


def test_the_account_after_a_stop_adds_up() -> None:
    states = {
        "delivered": 1,
        "accepted": 2,
        "sending": 3,
        "uncertain": 4,
        "bounced": 5,
        "failed": 6,
        "expired": 7,
        "refused": 8,
        "queued": 9,
        "to-post": 10,
        "cancelled": 11,
    }
    halt = tell_halt(states)
    assert (halt.arrived, halt.with_provider, halt.not_sent, halt.still_here) == (1, 9, 26, 30)
    assert halt.arrived + halt.with_provider + halt.not_sent + halt.still_here == sum(states.values())


def test_every_cause_has_words_and_advice_in_both_languages() -> None:
    assert set(SAID) == set(Cause)
    for title, advice in SAID.values():
        assert (ZH(title) != title, ZH(advice) != advice) == (True, True), title


def test_causes_are_grouped_with_the_most_frequent_first() -> None:
    tallies = [
        Tally(step="a", channel="sms", state="failed", reason="odd thing", count=2),
        Tally(step="b", channel="email", state="failed", reason="another odd thing", count=1),
        Tally(step="a", channel="sms", state="refused", reason="opted-out", count=5),
        Tally(step="a", channel="sms", state="delivered", reason="", count=90),
    ]
    lines = group_causes(tallies, EN)
    assert [(line.cause, line.count, list(line.words)) for line in lines] == [
        (Cause.OPTED_OUT, 5, []),
        (Cause.PROVIDER, 3, ["odd thing", "another odd thing"]),
    ]


@pytest.mark.parametrize(
    ("actor", "told"),
    [
        ("lin", "Lin Yue"),
        ("schedule", "Schedule"),
        ("api-key:3", "API key 3 · core banking"),
        ("api-key:4", "API key 4"),
        ("cli:root", "root, command line"),
        ("gone", "gone"),
    ],
)
def test_who_acted_is_said_in_words(actor: str, told: str) -> None:
    assert tell_actor(actor, users={"lin": "Lin Yue"}, keys={"3": "core banking"}, t=EN) == told


@pytest.mark.parametrize(
    ("detail", "told"),
    [({"drill": True}, "released the run: an exercise, 5 contacts"), ({}, "released the run: 5 contacts")],
)
def test_the_trail_says_that_what_was_released_was_an_exercise(detail: dict[str, bool], told: str) -> None:
    line = AuditLine(id=1, at=NOON, actor="lin", act="run.released", subject="run:1", detail={"contacts": 5, **detail})
    assert tell_act(line, EN) == told


# ── posts by hand ────────────────────────────────────────────────────────────────────────────────


async def _open_post(database: Database, settings: Settings) -> tuple[int, int]:
    run_id = await launch_alert(database)
    await drain(settings, database, lane=1)
    ((message_id,),) = await fetch(database, "SELECT id FROM notifier.messages WHERE state = 'to-post'")
    return run_id, message_id


async def test_a_post_is_published_by_link_and_confirmation_and_can_be_taken_back(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    run_id, message_id = await _open_post(database, settings)
    path, link = f"/posts/{run_id}/{message_id}", "https://mp.weixin.example/s/1"
    assert "1 waiting" in _plain((await visitor.get("/")).text)
    assert "Posts to publish by hand: 1" in (await visitor.get("/")).text
    assert "Mark as posted" in (await visitor.get("/posts")).text
    wrong = await visitor.get(path, params={"url": "javascript:alert(1)"})
    assert (wrong.status_code, "This is no address" in wrong.text) == (422, True)
    asked = _plain((await visitor.get(path, params={"url": link})).text)
    assert "The link leads to: mp.weixin.example" in asked
    token = {"form_token": await form_token(visitor)}
    done = await visitor.post(path, data=token | {"url": link})
    assert (done.status_code, done.headers["location"]) == (303, "/posts?done=posted")
    page = (await visitor.get("/posts?done=posted")).text
    assert (link in page, "No post waits for you" in page, "Lin · " in page) == (True, True, True)
    back = await visitor.post(f"{path}/undo", data=token)
    assert back.status_code == 303
    assert "Mark as posted" in (await visitor.get("/posts")).text
    assert (await visitor.get(path, params={"url": link})).status_code == 200


async def test_a_link_elsewhere_than_usual_is_remarked(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    run_id, message_id = await _open_post(database, settings)
    await execute(
        database,
        """
        UPDATE notifier.definitions SET spec = spec || '{"settings": {"open_url": "https://mp.weixin.example/"}}'
        WHERE kind = 'account' AND key = 'wechat'
        """,
    )
    path = f"/posts/{run_id}/{message_id}"
    assert "usually at" not in (await visitor.get(path, params={"url": "https://mp.weixin.example/s/1"})).text
    assert "usually at mp.weixin.example" in (await visitor.get(path, params={"url": "https://evil.example/"})).text
    assert "Open WeChat official account" in _plain((await visitor.get("/posts")).text)


async def test_the_post_of_a_stopped_run_says_not_to_publish_it(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    run_id, message_id = await _open_post(database, settings)
    token = {"form_token": await form_token(visitor)}
    await visitor.post(f"/runs/{run_id}/stop", data=token)
    page = (await visitor.get("/posts")).text
    assert ("do not publish this" in page, "Mark as posted" in page, "data-copy" in page) == (True, False, False)
    assert "Posts to publish by hand" not in (await visitor.get("/")).text
    data = token | {"url": "https://a.example/"}
    assert (await visitor.post(f"/posts/{run_id}/{message_id}", data=data)).status_code == 409


async def test_a_superseded_post_says_not_to_publish_it_and_asks_again(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    run_id, message_id = await _open_post(database, settings)
    both = {"zh-CN": "静安支行", "en": "Jing'an"}
    inputs = {"corrects": run_id, "kind": "all-clear", "earlier": both, "now": both}
    lin = await _person(database, "lin", Role.AUTHOR)
    async with database.transaction() as tx:
        draft = Draft(campaign_key="correction-and-all-clear", inputs=inputs)
        later = (await launch_campaign(tx, team_id=1, draft=draft, by=lin)).id
    assert "Superseded" not in (await visitor.get("/posts")).text  # nobody has released it
    await release_by_another(database, later)
    page = (await visitor.get("/posts")).text
    assert ("Superseded: do not publish" in page, f'href="/runs/{later}"' in page) == (True, True)
    assert "superseded, not to be published: 1" in (await visitor.get("/")).text
    asked = (await visitor.get(f"/posts/{run_id}/{message_id}", params={"url": "https://a.example/1"})).text
    assert ("Superseded" in asked, "published there all the same" in asked) == (True, True)


async def test_posts_over_the_api(visitor: httpx.AsyncClient, database: Database, settings: Settings) -> None:
    await _open_post(database, settings)
    headers = dict(await key_headers(database))
    (post,) = (await visitor.get("/api/v1/posts", headers=headers)).json()["items"]
    assert (post["account"], post["campaign"], post["followed_by"]) == ("wechat", "branch-closure-alert", None)
    path = f"/api/v1/posts/{post['id']}"
    assert (await visitor.post(f"{path}/posted", headers=headers, json={"link": "ftp://x"})).status_code == 422
    answer = await visitor.post(f"{path}/posted", headers=headers, json={"link": "https://a.example/1"})
    assert (answer.status_code, answer.json()["state"]) == (200, "accepted")
    assert (
        await visitor.post(f"{path}/posted", headers=headers, json={"link": "https://a.example/1"})
    ).status_code == 409
    assert (await visitor.post(f"{path}/not-posted", headers=headers)).json()["state"] == "to-post"
    assert (await visitor.post("/api/v1/posts/nonsense/not-posted", headers=headers)).status_code == 404


def test_the_host_of_a_link_is_told_without_www() -> None:
    assert (domain_of("https://www.weibo.example/1"), domain_of("")) == ("weibo.example", "")


# ── the calendar ─────────────────────────────────────────────────────────────────────────────────


def test_a_week_begins_on_monday() -> None:
    weeks = month_weeks(datetime(2026, 3, 1).date())  # noqa: DTZ001 - a day
    assert (weeks[0][0].isoformat(), weeks[-1][-1].isoformat(), len(weeks)) == ("2026-02-23", "2026-04-05", 6)
    assert [short for short, _ in weekday_names(EN)][:2] == ["Mon", "Tue"]
    assert next(wide for _, wide in weekday_names(ZH)) == "星期一"


def test_months_follow_each_other_over_the_year() -> None:
    december = datetime(2026, 12, 1).date()  # noqa: DTZ001
    assert (next_month(december).isoformat(), month_before(next_month(december))) == ("2027-01-01", december)


async def test_the_month_shows_runs_and_what_is_still_expected(visitor: httpx.AsyncClient, database: Database) -> None:
    await set_now(database, NOON)
    run_id = await launch_alert(database)
    page = (await visitor.get("/calendar?month=2026-03")).text
    assert "March 2026" in page
    assert f'class="event is-running" href="/runs/{run_id}"' in page
    assert 'class="event is-expected" href="/campaigns/measures-notice"' in page
    assert 'href="/calendar?month=2026-02"' in page
    assert page.count('aria-current="date"') == 1
    assert (await visitor.get("/calendar?month=2026-13")).status_code == 422
    assert "March 2026" in (await visitor.get("/calendar")).text


async def test_the_calendar_over_the_api(visitor: httpx.AsyncClient, database: Database) -> None:
    await set_now(database, NOON)
    run_id = await launch_alert(database)
    headers = dict(await key_headers(database))
    span = {"from": "2026-03-11T00:00:00+08:00", "to": "2026-03-19T00:00:00+08:00"}
    entries = (await visitor.get("/api/v1/calendar", headers=headers, params=span)).json()["entries"]
    assert [(one["campaign"], one["state"], one["run_id"], one["each_zone"]) for one in entries] == [
        ("branch-closure-alert", "running", run_id, False),
        ("financial-tips", "expected", None, True),
        ("measures-notice", "expected", None, True),
        ("ask-us", "expected", None, False),
    ]
    wrong = await visitor.get("/api/v1/calendar", headers=headers, params={"from": span["to"], "to": span["from"]})
    assert wrong.status_code == 422


async def test_a_run_is_rescheduled_and_cancelled_over_the_api(visitor: httpx.AsyncClient, database: Database) -> None:
    await set_now(database, NOON)
    run_id = await _submit(database, await _person(database, "lin", Role.AUTHOR))
    headers = dict(await key_headers(database))
    at = (NOON + timedelta(days=1)).isoformat()
    answer = await visitor.post(f"/api/v1/runs/{run_id}/reschedule", headers=headers, json={"at": at})
    assert (answer.status_code, answer.json()["nominal_at"]) == (200, "2026-03-12T04:00:00Z")
    assert (await visitor.post(f"/api/v1/runs/{run_id}/cancel", headers=headers)).json()["state"] == "cancelled"
    assert (await visitor.post(f"/api/v1/runs/{run_id}/cancel", headers=headers)).status_code == 409


async def test_a_run_is_launched_again_with_what_it_was_given(visitor: httpx.AsyncClient, database: Database) -> None:
    run_id = await launch_alert(database)
    page = (await visitor.get(f"/campaigns/branch-closure-alert?like={run_id}")).text
    assert 'value="徐汇支行"' in page or ">徐汇支行<" in page
    assert (await visitor.get("/campaigns/branch-closure-alert?like=1")).status_code == 404


async def test_the_api_tells_the_words_of_steps_and_choices(visitor: httpx.AsyncClient, database: Database) -> None:
    headers = dict(await key_headers(database))
    told = (await visitor.get("/api/v1/campaigns/correction-and-all-clear", headers=headers)).json()
    assert [step["title"]["en"] for step in told["steps"]] == ["Tell who got it", "Public post"]
    labels = next(one["choice_labels"] for one in told["inputs"] if one["name"] == "kind")
    assert labels["all-clear"] == {"zh-CN": "恢复", "en": "All-clear"}
