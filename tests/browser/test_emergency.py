"""A branch closes: from the red button to sent, in a real browser, in both languages, in under a minute of clicks."""

import os
import time
from pathlib import Path

import pytest
from playwright.async_api import Page

from notifier.domain.contact import ContactKind
from notifier.settings import Settings
from notifier.store.database import Database
from tests.browser.windows import (
    DESK,
    LOCALES,
    PATIENT_MS,
    PHONE,
    Watched,
    chromium,
    log_in,
    needs_chromium,
    people,
    send_all,
    serving,
    sideways_px,
)
from tests.builders import add_contact, fetch, kept
from tests.web.rooms import add_user, apply_pack

pytestmark = needs_chromium
_A_MINUTE_S = 60.0


class _Clicks:
    """Counts what a hand does, and keeps pictures where they are asked for."""

    def __init__(self, page: Page, name: str) -> None:
        self.page, self.name, self.count = page, name, 0
        self._folder = os.environ.get("NOTIFIER_SHOTS", "")

    async def on(self, selector: str) -> None:
        """One click."""
        self.count += 1
        await self.page.click(selector)

    async def choose(self, selector: str, value: str) -> None:
        """Two: open the list, take one."""
        self.count += 2
        await self.page.select_option(selector, value)

    async def look(self, what: str) -> None:
        """Wide and narrow, light and dark; nothing scrolls sideways."""
        for width, scheme in ((DESK, "light"), (PHONE, "dark")):
            await self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            await self.page.set_viewport_size({"width": width, "height": 900})
            assert await sideways_px(self.page) <= 0, f"{what} scrolls sideways at {width}"
            if self._folder:
                await self.page.wait_for_timeout(400)
                path = Path(self._folder) / f"{what}.{self.name}.{width}.png"
                await self.page.screenshot(path=path, full_page=True)
        await self.page.set_viewport_size({"width": DESK, "height": 900})
        await self.page.emulate_media(color_scheme="light")


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("drill", [False, True], ids=["real", "exercise"])
async def test_from_the_button_to_sent(database: Database, settings: Settings, locale: str, drill: bool) -> None:
    await apply_pack(database)
    await people(database, settings)
    for number in range(3):
        await add_contact(
            database, settings, f"e{number}", phone=f"+1212555019{number}", kind=ContactKind.EMPLOYEE, name="Employee"
        )
    await add_user(database, "lin", "author", locale)
    await add_user(database, "chen", "approver", locale)
    async with serving(settings, database) as (_app, address), chromium() as browser:
        author = Watched(await browser.new_context(), address)
        approver = Watched(await browser.new_context(), address)
        for window in (author, approver):
            await window.speak(locale)
            window.context.set_default_timeout(PATIENT_MS)
        mine, theirs = await author.context.new_page(), await approver.context.new_page()
        await log_in(mine, address, login="lin", to="/")
        await log_in(theirs, address, login="chen", to="/")
        author.heard()
        approver.heard()
        hand, other = _Clicks(mine, f"{locale}{'.drill' if drill else ''}"), _Clicks(theirs, locale)
        started = time.monotonic()

        await hand.on('a[href="/emergency"]')
        if drill:
            await hand.on('input[name="drill"]')
        await hand.choose("#input-branch", "静安支行")
        await hand.on('[data-fill="reopens"] >> nth=0')
        await hand.on('[data-fill="cash_at"] >> nth=0')
        reached = "3" if drill else "12"
        await mine.wait_for_function(
            "wanted => document.querySelector('#outlook .figure')?.textContent === wanted", arg=reached
        )
        mail = mine.frame_locator("iframe.mail >> nth=0")
        assert await mail.locator("h1").is_visible()
        assert await mail.locator("div[role=note]").count() == int(drill)
        await hand.look("form")
        await hand.on("button.solid")
        await mine.wait_for_url("**/emergency/runs/*")
        await hand.look("waits")

        await theirs.goto(mine.url)
        await other.look("release")
        await other.on("form[action$='/release'] button.solid")
        await theirs.wait_for_selector(".big-numbers")
        await send_all(settings, database)
        await theirs.wait_for_function(
            "wanted => document.querySelectorAll('.big-numbers dd')[1].textContent === wanted", arg=reached
        )
        took_s = time.monotonic() - started
        await other.look("live")

        assert hand.count + other.count <= 9
        assert took_s < _A_MINUTE_S
        wanted = {f"e{number}@example.com" for number in range(3)} if drill else set()
        mails = {to for to, _ in await kept(database) if "@" in to}
        assert mails == (wanted or {f"c{number}@example.com" for number in range(12)})
        assert await fetch(database, "SELECT DISTINCT drill FROM notifier.runs") == [(drill,)]
        assert author.heard() == []
        assert approver.heard() == []
