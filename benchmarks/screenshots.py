"""Photographs of every page of a running demo: both languages, light and dark, laptop and phone.

notifier demo &  python -m benchmarks.screenshots --out shots
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from notifier.web.access.demo import DEMO_LOGINS

CHROMIUM = "/usr/bin/chromium"
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SIZES: dict[str, ViewportSize] = {"1440": {"width": 1440, "height": 900}, "360": {"width": 360, "height": 740}}
_PAGES = ("/", "/campaigns", "/runs", "/surveys", "/posts", "/sandbox/phone", "/sandbox/mailbox", "/sandbox/wall")
_KINDS = ("/campaigns/", "/runs/", "/surveys/", "/messages/")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium, which asks nothing of the network."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(_QUIET))
        try:
            yield browser
        finally:
            await browser.close()


async def log_in(page: Page, url: str) -> None:
    """As the demo's author."""
    login, password, *_ = DEMO_LOGINS[0]
    await page.goto(f"{url}/login")
    await page.fill("input[name=login]", login)
    await page.fill("input[name=password]", password)
    await page.click("button.primary")
    await page.wait_for_url(f"{url}/")


async def photograph(url: str, out: Path) -> int:
    """Every page in every dress; returns how many pictures were taken."""
    taken = 0
    async with chromium() as browser:
        for size, viewport in SIZES.items():
            for locale in ("zh-CN", "en"):
                for scheme in ("light", "dark"):
                    context = await browser.new_context(viewport=viewport, color_scheme=scheme)
                    page = await context.new_page()
                    await log_in(page, url)
                    await page.click(f"button[name=locale][value={locale}]")
                    for path in await _paths(page, url):
                        await page.goto(url + path, wait_until="load")
                        name = path.strip("/").replace("/", "-") or "overview"
                        await page.screenshot(path=out / f"{name}.{locale}.{scheme}.{size}.png", full_page=True)
                        taken += 1
                    await context.close()
    return taken


async def _paths(page: Page, url: str) -> list[str]:
    """The fixed pages and the first of each kind that they link to."""
    found = list(_PAGES)
    for path in (*_PAGES, "/runs"):
        await page.goto(url + path)
        links = await page.eval_on_selector_all("a[href]", "all => all.map(one => one.getAttribute('href'))")
        for kind in _KINDS:
            first = next((urlsplit(link).path for link in links if link.startswith(kind)), "")
            if first and not any(known.startswith(kind) for known in found):
                found.append(first)
    return found


def main() -> None:
    """Command line of `make screenshots`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="address of a running demo")
    parser.add_argument("--out", type=Path, default=Path("screenshots"), help="folder for the pictures")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    taken = asyncio.run(photograph(given.url, given.out))
    sys.stdout.write(f"{taken} pictures in {given.out}\n")


if __name__ == "__main__":
    main()
