"""One story in a real browser: log in, launch, watch, read, answer, look at the score."""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Response,
    WebError,
    async_playwright,
    expect,
)

from notifier.domain.contact import Contact
from notifier.domain.keys import derive_keys
from notifier.domain.purpose import LANES
from notifier.planning.plan import plan_due
from notifier.settings import Settings
from notifier.store import clock
from notifier.store.contacts import upsert_contact
from notifier.store.database import Database
from notifier.store.sandbox import read_body
from tests.builders import drain, fetch
from tests.web.rooms import PASSWORD, add_user, apply_pack, running_app

CHROMIUM = Path("/usr/bin/chromium")
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESK, PHONE = 1440, 360
LOCALES = ("zh-CN", "en")
PATIENT_MS = 20_000

pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists() and "CI" not in os.environ, reason="wants Chromium, which is not on this machine"
)


class Watched:
    """A browser window whose every complaint is kept."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.context, self.address = context, address
        self.complaints: list[str] = []
        context.on("console", self._hear)
        context.on("weberror", self._see_broken)
        context.on("response", self._see_answer)

    def _hear(self, said: ConsoleMessage) -> None:
        if said.type in {"error", "warning"}:
            self.complaints.append(said.text)

    def _see_broken(self, broken: WebError) -> None:
        self.complaints.append(str(broken.error))

    def _see_answer(self, answer: Response) -> None:
        if answer.status >= 400:
            self.complaints.append(f"{answer.status} {answer.url}")

    async def speak(self, locale: str) -> None:
        """Read in this language from now on."""
        await self.context.add_cookies([{"name": "notifier_language", "value": locale, "url": self.address}])

    async def check(self, page: Page) -> None:
        """The page fits its window, and nothing complained."""
        wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{page.url} scrolls sideways by {wide} px"
        assert self.complaints == [], page.url


@asynccontextmanager
async def serving(settings: Settings, database: Database) -> AsyncIterator[tuple[FastAPI, str]]:
    """The application on a port of its own, over real HTTP."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        own = settings.model_copy(update={"public_url": address, "demo": True})
        async with running_app(own, database) as app:
            config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, timeout_graceful_shutdown=2)
            server = uvicorn.Server(config)
            running = asyncio.create_task(server.serve(sockets=[listening]))
            try:
                yield app, address
            finally:
                server.should_exit = True
                await running


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        try:
            yield browser
        finally:
            await browser.close()


async def _people(database: Database, settings: Settings) -> None:
    """Twelve customers of one branch, half of them Chinese readers; it is ten in the morning in Shanghai."""
    today = datetime.now(UTC).astimezone(ZoneInfo("Asia/Shanghai"))
    morning = today.replace(hour=10, minute=0, second=0) + timedelta(days=1)
    async with database.transaction() as tx:
        await clock.set_shift(tx, morning - today)
        await clock.make_partitions(tx)
        for number in range(12):
            contact = Contact(
                external_id=f"c{number}",
                name=f"Contact {number}",
                locale=LOCALES[number % 2],
                email=f"c{number}@example.com",
                phone=f"+1212555{100 + number:04}",
                attributes={"branch": "静安支行"},
            )
            await upsert_contact(tx, 1, contact, derive_keys(settings.secret).addresses)


async def _send_all(settings: Settings, database: Database) -> None:
    await plan_due(database)
    for lane in LANES:
        await drain(settings, database, lane)


async def _log_in(page: Page, address: str) -> None:
    await page.goto(f"{address}/runs")
    await page.fill("#login", "lin")
    await page.fill("#password", PASSWORD)
    await page.click('form[action="/login"] button')
    await page.wait_for_url(f"{address}/runs")


async def _launch(page: Page, address: str, campaign: str, *, example: bool = False) -> int:
    await page.goto(f"{address}/campaigns/{campaign}")
    if example:
        await page.click('a[href$="?example=1"]')
    await page.click('form[action$="/launch"] button.primary')
    await page.wait_for_url(re.compile(r"/runs/\d+$"))
    return int(page.url.rpartition("/")[2])


async def _message(database: Database, run_id: int, channel: str) -> int:
    ((number,),) = await fetch(
        database,
        """
        SELECT min(m.id) FROM notifier.messages m JOIN notifier.contacts c ON c.id = m.contact_id
        WHERE m.run_id = $1 AND m.channel = $2 AND c.external_id = 'c0'
        """,
        run_id,
        channel,
    )
    return int(number)


async def _survey_link(database: Database) -> str:
    bodies = await fetch(database, "SELECT body FROM notifier.sandbox_items ORDER BY id DESC LIMIT 1")
    found = re.search(r"http://127\.0\.0\.1:\d+/s/[\w.-]+", read_body(bodies[0][0])["text"])
    assert found
    return found[0]


@pytest.mark.parametrize(("width", "locale"), [(DESK, "zh-CN"), (PHONE, "en")])
async def test_from_login_to_score(database: Database, settings: Settings, width: int, locale: str) -> None:
    await apply_pack(database)
    await _people(database, settings)
    await add_user(database, locale=locale)
    async with serving(settings, database) as (app, address), chromium() as browser:
        own: Settings = app.state.settings
        context = await browser.new_context(viewport={"width": width, "height": 800}, locale=locale)
        context.set_default_timeout(PATIENT_MS)
        window, page = Watched(context, address), await context.new_page()

        await _log_in(page, address)
        run_id = await _launch(page, address, "branch-closure-alert", example=True)
        await page.evaluate("window.sameDocument = true")
        await _send_all(own, database)
        live = page.locator('[sse-swap="messages"]')
        await expect(live.locator('a[href^="/messages/"]').first).to_be_visible(timeout=PATIENT_MS)
        await expect(page.locator('[sse-swap="progress"] .fill-accepted').first).to_be_attached(timeout=PATIENT_MS)
        assert await page.evaluate("window.sameDocument"), "the page was loaded again instead of told"
        await window.check(page)

        await page.goto(f"{address}/messages/{run_id}/{await _message(database, run_id, 'sms')}")
        await expect(page.locator(".bubble")).to_contain_text("静安支行")
        await window.check(page)
        await page.goto(f"{address}/messages/{run_id}/{await _message(database, run_id, 'email')}")
        await expect(page.frame_locator("iframe.mail").locator("body")).to_contain_text("静安支行")
        await window.check(page)

        await _launch(page, address, "monthly-satisfaction")
        await _send_all(own, database)
        await page.goto(await _survey_link(database))
        await page.locator('input[name="rating"][value="5"]').check(force=True)
        await window.check(page)
        await page.click('button[type="submit"]')
        await expect(page.locator("#form")).to_have_count(0)
        await window.check(page)

        await page.goto(f"{address}/surveys/monthly-satisfaction")
        await expect(page.locator(".badge.is-simulated")).to_be_visible()
        await expect(page.locator(".facts.across dd").last).to_have_text("1")
        await window.check(page)
        await _look_everywhere(window, page, run_id)


async def _look_everywhere(window: Watched, page: Page, run_id: int) -> None:
    """Every page, at this width, in both languages."""
    paths = ("/", "/campaigns", "/campaigns/lecture", "/runs", f"/runs/{run_id}", "/surveys", "/posts")
    for locale in LOCALES:
        await window.speak(locale)
        for path in (*paths, "/sandbox/phone", "/sandbox/mailbox", "/sandbox/wall"):
            await page.goto(window.address + path, wait_until="load")
            await expect(page.locator("html")).to_have_attribute("lang", locale)
            await window.check(page)
