"""The emergency page: few clicks from the button to sent, the same in an exercise, and nothing by merely looking."""

import asyncio
import csv
import io
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI

from notifier.domain.contact import ContactKind
from notifier.planning.plan import plan_due
from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import add_contact, drain, execute, fetch, kept, set_now
from tests.web.hands import Hands
from tests.web.rooms import add_user, apply_pack, browser, form_token, log_in, running_app

CLOSURE = "/emergency/branch-closure-alert"
FIELDS = {
    "input.branch": "静安支行",
    "input.reopens.zh-CN": "待定，另行通知",
    "input.reopens.en": "not known yet",
    "input.cash_at.zh-CN": "我行其他网点和自助设备",
    "input.cash_at.en": "any other branch or ATM of ours",
}
EXERCISE = {**FIELDS, "drill": "1"}


@dataclass(slots=True)
class House:
    """An author and an approver over the starter pack, three customers and an employee."""

    app: FastAPI
    database: Database
    settings: Settings
    author: httpx.AsyncClient
    approver: httpx.AsyncClient

    async def submit(self, fields: dict[str, str] = FIELDS) -> str:
        """The path of a run that waits for its release."""
        held = {"form_token": await form_token(self.author), "input.closes_at": "2030-06-12T15:00", **fields}
        answer = await self.author.post(CLOSURE, data=held)
        assert answer.status_code == 303, answer.text[-2000:]
        return str(answer.headers["location"])

    async def release(self, path: str) -> httpx.Response:
        """The approver presses the button of the page."""
        hands = Hands(self.approver)
        await hands.open(path)
        return await self.approver.post(f"{path}/release", data=hands.form("Release now").fields)

    async def send(self) -> None:
        """What the workers do."""
        await plan_due(self.database)
        await drain(self.settings, self.database, 1)


@pytest.fixture
async def house(database: Database, settings: Settings) -> AsyncIterator[House]:
    """Everybody logged in, reading English."""
    await set_now(database)
    await apply_pack(database)
    for number, branch in (("1", "静安支行"), ("2", "静安支行"), ("3", "徐汇支行")):
        await add_contact(database, settings, f"c{number}", phone=f"+1212555010{number}", attributes={"branch": branch})
    await add_contact(database, settings, "c4", email="", name="=HYPERLINK(1)", attributes={"branch": "静安支行"})
    await add_contact(database, settings, "e1", phone="+12125550109", kind=ContactKind.EMPLOYEE)
    await add_user(database, "lin", "author")
    await add_user(database, "chen", "approver")
    async with running_app(settings, database) as app, browser(app) as author, browser(app) as approver:
        await log_in(author, "lin")
        await log_in(approver, "chen")
        yield House(app, database, settings, author, approver)


async def _runs(database: Database) -> list[tuple[str, bool]]:
    return await fetch(database, "SELECT state, drill FROM notifier.runs ORDER BY id")


async def test_from_the_button_to_released_in_ten_clicks(house: House) -> None:
    author, approver = Hands(house.author), Hands(house.approver)
    await author.open("/")
    await author.click("Emergency")
    await author.press("Submit for release", **FIELDS)
    assert author.path.startswith("/emergency/runs/")
    assert "Waits for a colleague" in author.text
    await approver.open("/")
    await approver.click("Look and release")
    assert approver.path == author.path
    assert "2 of 3 contacts will be reached" in approver.text
    await approver.press("Release now")
    assert "On the way" in approver.text
    # A suggestion is one click for both languages of a field.
    assert author.clicks - 2 + approver.clicks <= 7
    assert await _runs(house.database) == [("scheduled", False)]


async def test_one_emergency_alone_opens_its_form_and_shows_at_most_four_fields(house: House) -> None:
    page = (await house.author.get("/emergency")).text
    assert f'action="{CLOSURE}"' in page
    assert len(re.findall(r'<div class="field"', page)) == 4
    assert "Jing&#39;an branch · 静安支行 (3 customers)" in page
    assert "All customers (4)" in page
    assert re.search(r'name="input.closes_at"[^>]* value="2030-06-12T12:\d\d"', page)


async def test_the_branch_is_called_in_both_languages_without_typing_it(house: House) -> None:
    path = await house.submit()
    ((inputs,),) = await fetch(house.database, "SELECT inputs FROM notifier.runs")
    assert inputs["branch_name"] == {"zh-CN": "静安支行", "en": "Jing'an branch"}
    assert "Jing&#39;an branch closed from" in (await house.approver.get(path)).text


async def test_the_preview_follows_what_is_typed_and_writes_nothing(house: House) -> None:
    held = {"form_token": await form_token(house.author), "input.closes_at": "2030-06-12T15:00", **FIELDS}
    part = await house.author.post(f"{CLOSURE}/preview", data=held, headers={"hx-request": "true"})
    assert part.status_code == 200
    assert "<html" not in part.text
    assert "我行其他网点和自助设备" in part.text
    assert re.search(r"<b[^>]*>2</b> <span>of 3 contacts", part.text)
    assert part.text.count("<iframe") == 2
    whole = await house.author.post(f"{CLOSURE}/preview", data=held)
    assert "<html" in whole.text
    assert 'value="any other branch or ATM of ours"' in whole.text
    assert await _runs(house.database) == []


async def test_the_mail_of_the_preview_can_be_framed_and_runs_nothing(house: House) -> None:
    held = {"form_token": await form_token(house.author), "input.closes_at": "2030-06-12T15:00", **EXERCISE}
    part = (await house.author.post(f"{CLOSURE}/preview", data=held, headers={"hx-request": "true"})).text
    frames = [url.replace("&amp;", "&") for url in re.findall(r'<iframe class="mail" src="([^"]+)"', part)]
    mails = [await house.author.get(url) for url in frames]
    assert [mail.status_code for mail in mails] == [200, 200]
    assert {"[EXERCISE]" in mail.text for mail in mails} == {True, False}
    assert all("sandbox" in mail.headers["content-security-policy"] for mail in mails)
    assert "form_token" not in "".join(frames)


async def test_an_exercise_looks_the_same_and_is_stamped_everywhere(house: House) -> None:
    real, drill = Hands(house.author), Hands(house.author)
    await real.open(CLOSURE)
    await drill.open(f"{CLOSURE}?drill=1")
    assert set(drill.form("Submit for release").fields) - {"drill"} == set(real.form("Submit for release").fields)
    path = await house.submit(EXERCISE)
    page = (await house.approver.get(path)).text
    assert "【演练】" in page
    assert "[EXERCISE]" in page
    assert "Release now" in page
    assert await _runs(house.database) == [("submitted", True)]
    assert (await house.release(path)).status_code == 303
    await house.send()
    assert {to for to, _ in await kept(house.database)} == {"e1@example.com", "+12125550109"}
    live = (await house.approver.get(path)).text
    assert live.count("Exercise") >= 2


async def test_the_author_does_not_release_but_may_break_the_glass_with_a_reason(house: House) -> None:
    path = await house.submit()
    hands = Hands(house.author)
    await hands.open(path)
    assert "Release now" not in hands.text
    fields = hands.form("Release it alone").fields
    assert (await house.author.post(f"{path}/release", data={**fields, "break_glass": ""})).status_code == 403
    short = await house.author.post(f"{path}/release", data={**fields, "break_glass": "fire"})
    assert (short.status_code, "at least 5" in short.text) == (422, True)
    assert await _runs(house.database) == [("submitted", False)]
    alone = {**fields, "break_glass": "fire in the hall, nobody answers"}
    assert (await house.author.post(f"{path}/release", data=alone)).status_code == 303
    assert "fire in the hall" in (await house.approver.get(path)).text


async def test_a_second_click_releases_once_and_leads_to_the_run(house: House) -> None:
    path = await house.submit()
    hands = Hands(house.approver)
    await hands.open(path)
    seen = hands.form("Release now").fields
    for _ in range(2):
        answer = await house.approver.post(f"{path}/release", data=seen)
        assert (answer.status_code, answer.headers["location"]) == (303, path)
    assert await fetch(house.database, "SELECT count(*) FROM notifier.releases") == [(1,)]


async def test_any_other_run_has_its_own_page_and_is_not_let_out_here(house: House) -> None:
    path = await house.submit()
    await execute(house.database, "UPDATE notifier.runs SET purpose = 'service'")
    answer = await house.approver.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{path.removeprefix('/emergency')}/review")
    held = {"form_token": await form_token(house.approver), "hash": "00"}
    for act in ("release", "stop"):
        assert (await house.approver.post(f"{path}/{act}", data=held)).status_code == 404
    assert await _runs(house.database) == [("submitted", False)]


async def test_an_author_lets_an_exercise_out_without_breaking_glass(house: House) -> None:
    path = await house.submit(EXERCISE)
    hands = Hands(house.author)
    await hands.open(path)
    assert "Release it alone" not in hands.text
    await hands.press("Release now")
    assert await _runs(house.database) == [("scheduled", True)]


async def test_the_correction_of_an_old_emergency_offers_no_glass(house: House) -> None:
    path = await house.submit()
    await house.release(path)
    await house.send()
    author = Hands(house.author)
    await author.open(path)
    await author.click("All-clear")
    await author.press("Submit for release", **{"input.now.zh-CN": "照常营业", "input.now.en": "Open as usual"})
    assert "Release it alone" in author.text
    await execute(house.database, "UPDATE notifier.runs SET frozen_at = frozen_at - interval '8 days'")
    await author.open(author.path)
    assert "Waits for a colleague" in author.text
    assert "Release it alone" not in author.text


async def test_what_changed_since_it_was_seen_is_not_released(house: House) -> None:
    path = await house.submit()
    hands = Hands(house.approver)
    await hands.open(path)
    seen = hands.form("Release now").fields
    run = path.rpartition("/")[2]
    changed = {
        "form_token": await form_token(house.author),
        "run": run,
        "input.closes_at": "2030-06-12T16:00",
        **FIELDS,
    }
    assert (await house.author.post(CLOSURE, data=changed)).headers["location"] == path
    refused = await house.approver.post(f"{path}/release", data=seen)
    assert refused.status_code == 409
    assert await _runs(house.database) == [("submitted", False)]
    assert (await house.release(path)).status_code == 303


async def test_a_double_click_submits_once(house: House) -> None:
    held = {"form_token": await form_token(house.author), "input.closes_at": "2030-06-12T15:00", "form_key": "k" * 20}
    answers = await asyncio.gather(*(house.author.post(CLOSURE, data={**held, **FIELDS}) for _ in range(3)))
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert len(await _runs(house.database)) == 1


async def test_a_field_in_one_language_alone_is_told_at_its_place(house: House) -> None:
    held = {"form_token": await form_token(house.author), "input.closes_at": "2030-06-12T15:00", **FIELDS}
    page = await house.author.post(CLOSURE, data={**held, "input.reopens.en": ""})
    assert page.status_code == 422
    assert 'class="field wrong"' in page.text
    assert 'value="待定，另行通知"' in page.text
    assert await _runs(house.database) == []


async def test_live_numbers_and_the_list_for_calling(house: House) -> None:
    path = await house.submit()
    await house.release(path)
    await house.send()
    await execute(
        house.database, "UPDATE notifier.messages SET state = 'delivered' WHERE channel = 'sms' AND state = 'accepted'"
    )
    hands = Hands(house.approver)
    await hands.open(path)
    assert re.search(r"Reached delivered[^0-9]+2 .*Not reached 1 ", hands.text)
    assert "c4" in hands.html
    file = await house.approver.get(f"{path}/not-reached.csv")
    rows = list(csv.reader(io.StringIO(file.text.removeprefix("\ufeff"))))
    assert [row[0] for row in rows[1:]] == ["c4"]
    assert rows[1][1] == "'=HYPERLINK(1)"
    assert "no-address" not in rows[1][5]


async def test_the_stream_tells_people_and_ends_with_the_run(house: House) -> None:
    path = await house.submit()
    await house.release(path)
    await house.send()
    await execute(house.database, "UPDATE notifier.runs SET state = 'ended'")
    answer = await asyncio.wait_for(house.approver.get(f"{path}/events"), 10)
    assert {"event: people", "event: lost", "event: ended"} <= set(answer.text.splitlines())


@pytest.mark.parametrize("kind", ["correction", "all-clear"])
async def test_a_follow_up_is_prefilled_and_goes_to_exactly_those_who_got_it(house: House, kind: str) -> None:
    path = await house.submit()
    await house.release(path)
    await house.send()
    author = Hands(house.author)
    await author.open(path)
    await author.click("Correction" if kind == "correction" else "All-clear")
    assert "2 of 2 contacts will be reached" in author.text
    form = author.form("Submit for release")
    assert (form.fields["input.corrects"], form.fields["input.kind"]) == (path.rpartition("/")[2], kind)
    assert re.fullmatch(r"静安支行\d+月\d+日通知", form.fields["input.earlier.zh-CN"])
    await author.press("Submit for release", **{"input.now.zh-CN": "照常营业", "input.now.en": "Open as usual"})
    assert (await house.release(author.path)).status_code == 303
    await house.send()
    told = await fetch(
        house.database,
        """
        SELECT DISTINCT c.external_id FROM notifier.messages m JOIN notifier.contacts c ON c.id = m.contact_id
        WHERE m.run_id = $1 ORDER BY 1
        """,
        int(author.path.rpartition("/")[2]),
    )
    assert told == [("c1",), ("c2",)]


async def test_the_follow_up_of_an_exercise_is_one(house: House) -> None:
    path = await house.submit(EXERCISE)
    await house.release(path)
    await house.send()
    author = Hands(house.author)
    await author.open(path)
    await author.click("All-clear")
    await author.press("Submit for release", **{"input.now.zh-CN": "照常营业", "input.now.en": "Open as usual"})
    assert await _runs(house.database) == [("running", True), ("submitted", True)]


async def test_stop_asks_and_stops(house: House) -> None:
    path = await house.submit()
    await house.release(path)
    hands = Hands(house.author)
    await hands.open(path)
    await hands.press("Stop it now")
    assert "Stopped: nothing more of it leaves." in hands.text
    await house.send()
    assert await kept(house.database) == []


async def test_a_scanner_that_opens_every_address_changes_nothing(house: House) -> None:
    path = await house.submit()
    before = await fetch(house.database, "SELECT id, state, inputs FROM notifier.runs")
    audited = await fetch(house.database, "SELECT count(*) FROM notifier.audit")
    held = "&".join(f"{name}={value}" for name, value in {**FIELDS, "input.closes_at": "2030-06-12T15:00"}.items())
    for address in (
        "/emergency",
        f"{CLOSURE}?{held}&drill=1",
        f"{CLOSURE}/mail?{held}&step=warn&locale=en",
        f"{CLOSURE}/preview?{held}",
        f"{path}",
        f"{path}/release",
        f"{path}/stop",
        f"{path}/mail?step=warn&locale=en",
        f"{CLOSURE}?run={path.rpartition('/')[2]}",
    ):
        assert (await house.approver.get(address)).status_code in {200, 405}, address
    assert await fetch(house.database, "SELECT id, state, inputs FROM notifier.runs") == before
    assert await fetch(house.database, "SELECT count(*) FROM notifier.audit") == audited


async def test_only_what_is_prepared_for_it_opens_as_an_emergency(house: House) -> None:
    assert (await house.author.get("/emergency/financial-tips")).status_code == 404
    assert (await house.author.get("/emergency/correction-and-all-clear")).status_code == 404
    assert (await house.author.get("/emergency/runs/1")).status_code == 404
    assert (await house.author.get(f"{CLOSURE}?run=1")).status_code == 404


async def test_a_viewer_looks_and_submits_nothing(house: House) -> None:
    path = await house.submit()
    await add_user(house.database, "yu", "viewer")
    async with browser(house.app) as client:
        await log_in(client, "yu")
        for address in ("/emergency", path):
            page = await client.get(address)
            assert page.status_code == 200
            assert "Submit for release" not in page.text
            assert "Release" not in re.sub(r"Releasing needs|To be released|releases it", "", page.text)
        token = await form_token(client)
        assert (await client.post(CLOSURE, data={"form_token": token, **FIELDS})).status_code == 403
        assert (await client.post(f"{path}/release", data={"form_token": token})).status_code == 403


async def test_the_page_reads_chinese(house: House) -> None:
    async with browser(house.app, **{"accept-language": "zh-CN"}) as client:
        await add_user(house.database, "wang", "author", "zh-CN")
        await log_in(client, "wang")
        page = (await client.get("/emergency")).text
    assert page.index('lang="zh-CN"') < page.index('lang="en"')
    assert "提交放行" in page
