"""One story in a real browser: log in, launch, watch, read, answer, look at the score."""

import re

import pytest
from playwright.async_api import Page, expect

from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.sandbox import read_body
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
)
from tests.builders import fetch, release_by_another
from tests.web.rooms import add_user, apply_pack

pytestmark = needs_chromium


async def _launch(page: Page, database: Database, address: str, campaign: str, *, example: bool = False) -> int:
    """Draft and submit it in the browser; a second person releases it elsewhere."""
    await page.goto(f"{address}/campaigns/{campaign}")
    if example:
        await page.click('a[href*="?example=1"]')
    await page.click('form[action*="/draft"] button.primary')
    await page.wait_for_url(re.compile(r"/runs/\d+/review"))
    run_id = int(page.url.split("/")[-2])
    await page.click(f'form[action="/runs/{run_id}/submit"] button')
    await page.wait_for_url(re.compile("done=submitted"))
    await release_by_another(database, run_id)
    await page.goto(f"{address}/runs/{run_id}")
    return run_id


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
    await people(database, settings)
    await add_user(database, locale=locale)
    async with serving(settings, database) as (app, address), chromium() as browser:
        own: Settings = app.state.settings
        context = await browser.new_context(viewport={"width": width, "height": 800}, locale=locale)
        context.set_default_timeout(PATIENT_MS)
        window, page = Watched(context, address), await context.new_page()

        await log_in(page, address)
        run_id = await _launch(page, database, address, "branch-closure-alert", example=True)
        await page.evaluate("window.sameDocument = true")
        await send_all(own, database)
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

        await _launch(page, database, address, "monthly-satisfaction")
        await send_all(own, database)
        await page.goto(await _survey_link(database))
        await page.locator('input[name="rating"][value="5"]').check(force=True)
        await window.check(page)
        await page.click('button[type="submit"]')
        await expect(page.locator("#form")).to_have_count(0)
        await window.check(page)

        await page.goto(f"{address}/surveys/monthly-satisfaction")
        await expect(page.locator(".badge.is-simulated").first).to_be_visible()
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
