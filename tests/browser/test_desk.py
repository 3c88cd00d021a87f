"""The day's work in a real browser, by people who know nothing of YAML; each story wide in Chinese, narrow in English."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import pytest
from playwright.async_api import Browser, Page, expect

from notifier.domain.purpose import LANES
from notifier.planning.plan import plan_due
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.web.console.show import LANGUAGE_COOKIE
from notifier.worker import open_work
from tests.browser.windows import (
    DESK,
    PATIENT_MS,
    PHONE,
    Watched,
    chromium,
    log_in,
    needs_chromium,
    people,
    serving,
)
from tests.builders import fetch, launch
from tests.web.rooms import ALERT_INPUTS, add_user, apply_pack

ROWS = 9_043
ENOUGH_FOR_AN_EMERGENCY_S = 60
FEW_CLICKS = 9
pytestmark = [needs_chromium, pytest.mark.parametrize(("width", "locale"), [(DESK, "zh-CN"), (PHONE, "en")])]


@dataclass(slots=True)
class Person:
    """Somebody at the desk, whose clicks are counted."""

    page: Page
    window: Watched
    clicks: int = 0

    async def click(self, what: str) -> None:
        """On what is there, once it is there."""
        self.clicks += 1
        await self.page.locator(what).first.click()

    async def open(self, path: str) -> None:
        """As by a bookmark."""
        await self.page.goto(self.window.address + path)

    async def see(self, what: str, text: str | re.Pattern[str] = "") -> None:
        """It is there before patience ends, and says this."""
        found = self.page.locator(what).first
        await expect(found).to_be_visible(timeout=PATIENT_MS)
        if text:
            await expect(found).to_contain_text(text, timeout=PATIENT_MS)

    async def check(self) -> None:
        """The page fits and nothing complained."""
        await self.window.check(self.page)

    async def menu(self, path: str) -> None:
        """To a room by the navigation, which a phone hides behind a button."""
        if await self.page.locator(".menu-button").is_visible():
            await self.click(".menu-button")
        await self.click(f'#menu a[href="{path}"]')


@dataclass(slots=True)
class Desk:
    """A running desk with twelve customers."""

    settings: Settings
    address: str
    browser: Browser
    width: int
    locale: str

    async def enter(self, login: str, *, to: str = "/") -> Person:
        """Somebody logs in, in a browser of their own."""
        context = await self.browser.new_context(viewport={"width": self.width, "height": 800}, locale=self.locale)
        context.set_default_timeout(PATIENT_MS)
        await context.add_cookies([{"name": LANGUAGE_COOKIE, "value": self.locale, "url": self.address}])
        person = Person(await context.new_page(), Watched(context, self.address))
        await log_in(person.page, self.address, login=login, to=to)
        await expect(person.page.locator("html")).to_have_attribute("lang", self.locale)
        return person

    async def work(self) -> None:
        """One round of everything a worker does."""
        async with open_work(self.settings) as (work, _):
            await work.all_at_once(LANES)
            await work.imports()


@asynccontextmanager
async def open_desk(database: Database, settings: Settings, width: int, locale: str) -> AsyncIterator[Desk]:
    """The desk with an author and an approver."""
    await apply_pack(database)
    await people(database, settings)
    await add_user(database, "lin", role="author", locale=locale)
    await add_user(database, "chen", role="approver", locale=locale)
    async with serving(settings, database) as (app, address), chromium() as browser:
        own: Settings = app.state.settings
        yield Desk(own.model_copy(update={"recurring": False}), address, browser, width, locale)


async def _draft(lin: Person, campaign: str) -> int:
    """A draft with the example's inputs, at its review page."""
    await lin.menu("/campaigns")
    await lin.click(f'main a[href="/campaigns/{campaign}"]')
    await lin.click('a[href*="?example=1"]')
    await lin.click('form[action*="/draft"] button.primary')
    await lin.page.wait_for_url(re.compile(r"/runs/\d+/review"))
    found = re.search(r"/runs/(\d+)/review", lin.page.url)
    assert found
    return int(found[1])


async def test_first_login_to_first_test(database: Database, settings: Settings, width: int, locale: str) -> None:
    async with open_desk(database, settings, width, locale) as desk:
        lin = await desk.enter("lin")
        run_id = await _draft(lin, "measures-notice")
        await lin.check()
        await lin.click(f'form[action="/runs/{run_id}/test"] button')
        await lin.click('#tests a[href="/me"]')  # a test needs an address: the page says so and leads there
        await lin.page.fill('input[name="email"]', "lin@example.com")
        await lin.click('form[action="/me"] button.primary')
        await lin.see(".outcome")
        await lin.open(f"/runs/{run_id}/review")
        await lin.click(f'form[action="/runs/{run_id}/test"] button')
        await lin.see("#tests .notice.is-good")
        await desk.work()
        await lin.click('#tests a[href^="/sandbox/mailbox"]')  # the list brings itself up to date
        await lin.see(".inbox a[aria-current]", re.compile(r"【测试】|\[TEST\]"))
        await lin.check()
        assert await fetch(database, "SELECT count(*)::int FROM notifier.messages") == [(0,)], "a test counts nowhere"


async def test_author_submits_and_a_colleague_releases(
    database: Database, settings: Settings, width: int, locale: str
) -> None:
    async with open_desk(database, settings, width, locale) as desk:
        lin, chen = await desk.enter("lin"), await desk.enter("chen")
        run_id = await _draft(lin, "measures-notice")
        await lin.click(f'form[action="/runs/{run_id}/submit"] button')
        await lin.see(".outcome")
        await lin.see("#release .notice")
        await expect(lin.page.locator('form[action$="/release"]')).to_have_count(0)
        await lin.check()
        await chen.open("/")
        await chen.click(f'.needs a.button[href="/runs/{run_id}/review"]')
        await chen.check()
        await chen.click(f'form[action="/runs/{run_id}/release"] button')
        await desk.work()
        await chen.open(f"/runs/{run_id}")
        await chen.check()
        released = await fetch(
            database, "SELECT u.login FROM notifier.releases r JOIN notifier.users u ON u.id = r.user_id"
        )
        assert released == [("chen",)]
        assert (await fetch(database, "SELECT state FROM notifier.runs WHERE id = $1", run_id))[0][0] != "submitted"


async def test_branch_closed_from_button_to_sent(
    database: Database, settings: Settings, width: int, locale: str
) -> None:
    async with open_desk(database, settings, width, locale) as desk:
        lin, chen = await desk.enter("lin"), await desk.enter("chen")
        began, lin.clicks = perf_counter(), 0
        await lin.click("a.emergency")
        await lin.page.select_option("#input-branch", "静安支行")
        lin.clicks += 1
        await lin.click('[data-fill="reopens"]')
        await lin.click('[data-fill="cash_at"]')
        await lin.click(".emergency-form button.grand")
        await lin.page.wait_for_url(re.compile(r"/emergency/runs/\d+"))
        run_id = int(re.split(r"[/?#]", lin.page.url.partition("/emergency/runs/")[2])[0])
        await chen.open("/")
        await chen.click(f'.needs a.button[href="/emergency/runs/{run_id}"]')
        await chen.click(f'form[action="/emergency/runs/{run_id}/release"] button.grand')
        await desk.work()
        await chen.see(".people-live", "12")
        took_s = perf_counter() - began
        assert lin.clicks + chen.clicks <= FEW_CLICKS
        assert took_s < ENOUGH_FOR_AN_EMERGENCY_S
        sent = await fetch(
            database, "SELECT count(DISTINCT recipient)::int FROM notifier.sandbox_items WHERE channel = 'sms'"
        )
        assert sent == [(12,)]
        await lin.check()
        await chen.check()


async def test_import_of_a_customer_file(
    database: Database, settings: Settings, tmp_path: Path, width: int, locale: str
) -> None:
    file = tmp_path / "customers.csv"
    lines = (f"N{n},客户 {n},n{n}@example.com,+1201555{n % 10_000:04}" for n in range(ROWS))
    file.write_text("\n".join(["客户编号,姓名,邮箱,手机号", *lines]), encoding="utf-8")
    async with open_desk(database, settings, width, locale) as desk:
        lin = await desk.enter("lin")
        await lin.menu("/contacts")
        await lin.click('main a[href="/contacts/import"]')
        await lin.page.set_input_files("#file", file)
        await lin.click("form[data-upload] button.primary")
        await lin.see("main .head", "9,043")
        await lin.check()
        await lin.click("#preview button.primary")
        await lin.see("#import")
        await desk.work()
        await lin.see("#import .notice.is-good")
        await lin.see("#import .facts", "9,043")
        await lin.check()
    counted = await fetch(database, "SELECT count(*)::int FROM notifier.contacts WHERE external_id LIKE 'N%'")
    assert counted == [(ROWS,)]


async def test_stop_and_go_on(database: Database, settings: Settings, width: int, locale: str) -> None:
    async with open_desk(database, settings, width, locale) as desk:
        run_id = (await launch(database, "branch-closure-alert", inputs=ALERT_INPUTS)).id
        await plan_due(database)
        lin = await desk.enter("lin", to=f"/runs/{run_id}")
        await lin.click(f'form[action="/runs/{run_id}/stop"] button')
        await lin.see(".outcome")
        await lin.check()
        await desk.work()
        assert await fetch(database, "SELECT count(*)::int FROM notifier.sandbox_items") == [(0,)]
        await lin.click(f'.outcome form[action="/runs/{run_id}/resume"] button')
        await desk.work()
        await lin.open(f"/runs/{run_id}")
        await lin.see(".sums .good", "25")  # twelve by SMS and e-mail, and one post
        await lin.check()
