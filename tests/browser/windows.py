"""A server on real HTTP, a browser in front of it, and windows whose every complaint is kept."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Response, WebError, async_playwright

from benchmarks.screenshots import CHROMIUM, QUIET
from notifier.domain.contact import Contact
from notifier.domain.keys import derive_keys
from notifier.domain.purpose import LANES
from notifier.planning.plan import plan_due
from notifier.settings import Settings
from notifier.store import clock
from notifier.store.contacts import upsert_contact
from notifier.store.database import Database
from notifier.web.console.show import LANGUAGE_COOKIE
from tests.builders import drain
from tests.web.rooms import PASSWORD, running_app

DESK, PHONE = 1440, 360
LOCALES = ("zh-CN", "en")
PATIENT_MS = 20_000
needs_chromium = pytest.mark.skipif(
    not Path(CHROMIUM).exists() and "CI" not in os.environ, reason="wants Chromium, which is not on this machine"
)
_SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


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
        await self.context.add_cookies([{"name": LANGUAGE_COOKIE, "value": locale, "url": self.address}])

    def heard(self) -> list[str]:
        """What was complained about since the last time."""
        said, self.complaints = self.complaints, []
        return said

    async def check(self, page: Page) -> None:
        """The page fits its window, and nothing complained."""
        assert await sideways_px(page) <= 0, f"{page.url} scrolls sideways"
        assert self.complaints == [], page.url


async def sideways_px(page: Page) -> int:
    """By how much the page is wider than its window."""
    wide: int = await page.evaluate(_SIDEWAYS)
    return wide


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
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        try:
            yield browser
        finally:
            await browser.close()


async def people(database: Database, settings: Settings) -> None:
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


async def send_all(settings: Settings, database: Database) -> None:
    """Everything that is due leaves."""
    await plan_due(database)
    for lane in LANES:
        await drain(settings, database, lane)


async def log_in(page: Page, address: str, *, login: str = "lin", to: str = "/runs") -> None:
    """Through the form, to the page that was asked for."""
    await page.goto(address + to)
    await page.fill("#login", login)
    await page.fill("#password", PASSWORD)
    await page.click('form[action="/login"] button')
    await page.wait_for_url(address + to)
