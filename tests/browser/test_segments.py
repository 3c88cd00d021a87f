"""A segment built by clicks: rows come and go, the count follows, and it is saved."""

import os
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from notifier.settings import Settings
from notifier.store.database import Database
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
from tests.builders import fetch
from tests.web.rooms import add_user, apply_pack

pytestmark = needs_chromium


async def _photograph(page: Page, name: str) -> None:
    """Where somebody wants to look: `PICTURES` names a folder."""
    if folder := os.environ.get("PICTURES", ""):
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.mark.parametrize(("width", "locale", "scheme"), [(DESK, "zh-CN", "light"), (PHONE, "en", "dark")])
async def test_a_segment_by_clicks(
    database: Database, settings: Settings, width: int, locale: str, scheme: str
) -> None:
    await apply_pack(database)
    await people(database, settings)
    await add_user(database)
    async with serving(settings, database) as (_, address), chromium() as browser:
        context = await browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENT_MS)
        window, page = Watched(context, address), await context.new_page()
        await window.speak(locale)
        await log_in(page, address, to="/segments")
        await window.check(page)
        await _photograph(page, f"segments-{locale}-{width}-{scheme}")
        await page.click('a[href="/segments/new"]')
        await expect(page.locator("#count .big")).to_contain_text("12")
        await page.click('button[value="add-row:0"]')
        await page.select_option('[name="g0.r1.subject"]', "branch")
        await expect(page.locator('datalist[id="values-g0.r1"] option')).to_have_count(1)
        await page.fill('[name="g0.r1.value"]', "外滩支行")
        await expect(page.locator("#count .big")).to_contain_text("0")
        await page.fill('[name="g0.r1.value"]', "静安支行")
        await expect(page.locator("#count .big")).to_contain_text("12")
        await page.click('button[value="add-row:0"]')
        await page.select_option('[name="g0.r2.what"]', "locale")
        await page.select_option('select[name="g0.r2.value"]', "en")
        await expect(page.locator("#count .big")).to_contain_text("6")
        await page.select_option('[name="g0.r2.not"]', "1")
        await page.click('button[value="add-group"]')
        await page.select_option('[name="g1.r0.what"]', "received")
        await page.fill('[name="g1.r0.days"]', "30")
        await page.select_option('[name="g1.r0.not"]', "1")
        await expect(page.locator("#count .big")).to_contain_text("6")
        await window.check(page)
        await _photograph(page, f"segment-new-{locale}-{width}-{scheme}")
        await page.fill("#key", "quiet-jingan")
        await page.fill("#title-zh-CN", "静安支行近期未打扰客户")
        await page.fill("#title-en", "Jing'an, not written to lately")
        await page.click("#segment-form button.primary")
        await page.wait_for_url(address + "/segments/quiet-jingan?done=saved")
        await window.check(page)
        await _photograph(page, f"segment-{locale}-{width}-{scheme}")
        for path in ("/segments/shanghai-customers", "/proof-readers", "/segments"):
            await page.goto(address + path)
            await page.wait_for_load_state("networkidle")
            await window.check(page)
            await _photograph(page, f"{path.strip('/').replace('/', '-')}-{locale}-{width}-{scheme}")
    ((rule,),) = await fetch(
        database, "SELECT spec -> 'audience' FROM notifier.definitions WHERE key = 'quiet-jingan' AND version = 1"
    )
    assert rule == {
        "all": [
            {"kind": "customer"},
            {"attribute": "branch", "is": "静安支行"},
            {"not": {"attribute": "locale", "is": "en"}},
            {"not": {"received": {"within": "30d"}}},
        ]
    }
