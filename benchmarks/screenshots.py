"""Photographs of every page of a running demo: both languages, light and dark, laptop and phone.

notifier demo &  python -m benchmarks.screenshots --out shots --only '/runs/*'
"""

import argparse
import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import product
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, BrowserContext, Page, StorageState, ViewportSize, async_playwright

from benchmarks.pages import Crawl, page_routes
from notifier.web.access.demo import DEMO_LOGINS
from notifier.web.console.catalogues import LOCALES
from notifier.web.console.routes import router
from notifier.web.console.show import LANGUAGE_COOKIE

CHROMIUM = "/usr/bin/chromium"
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
Scheme = Literal["light", "dark"]
SIZES: dict[str, ViewportSize] = {"1440": {"width": 1440, "height": 900}, "360": {"width": 360, "height": 740}}
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
_PATIENCE_MS = 20_000
_TALLEST_PX = 8_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Dress:
    """How a page is looked at."""

    locale: str
    scheme: Scheme
    size: str

    @property
    def name(self) -> str:
        """As the file's name says it."""
        return f"{self.locale}.{self.scheme}.{self.size}"


def dresses() -> Iterator[Dress]:
    """All eight."""
    for locale, scheme, size in product(LOCALES, SCHEMES, SIZES):
        yield Dress(locale=locale, scheme=scheme, size=size)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium, which asks nothing of the network."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        try:
            yield browser
        finally:
            await browser.close()


async def log_in(page: Page, url: str) -> None:
    """As the one of the demo who may see most."""
    login, password, *_ = next((known for known in DEMO_LOGINS if known[3] == "admin"), DEMO_LOGINS[-1])
    await page.goto(f"{url}/login")
    await page.fill("input[name=login]", login)
    await page.fill("input[name=password]", password)
    await page.click("button.primary")
    await page.wait_for_url(f"{url}/")


async def photograph(url: str, out: Path, only: Sequence[str], worn: Sequence[Dress]) -> int:
    """Every page in every dress; returns how many pictures were taken."""
    async with chromium() as browser:
        paths, state = await _find(browser, url, only)
        for dress in worn:
            for path in paths:
                context = await _dressed(browser, url, dress, None if path == "/login" else state)
                await _shoot(
                    context, url + path, out / f"{_name(path)}.{dress.name}.png", width=SIZES[dress.size]["width"]
                )
                await context.close()
    return len(paths) * len(worn)


async def _find(browser: Browser, url: str, only: Sequence[str]) -> tuple[list[str], StorageState]:
    context = await browser.new_context(viewport=SIZES["1440"])
    page = await context.new_page()
    await log_in(page, url)
    crawl = Crawl(url, page_routes(router))
    paths = ["/login", *await crawl.follow(page)]
    sys.stdout.write(f"{len(paths)} pages; no link leads to {', '.join(sorted(crawl.missed(paths))) or 'no route'}\n")
    state = await context.storage_state()
    await context.close()
    return [path for path in paths if not only or any(fnmatch(path, pattern) for pattern in only)], state


async def _dressed(browser: Browser, url: str, dress: Dress, state: StorageState | None) -> BrowserContext:
    context = await browser.new_context(
        viewport=SIZES[dress.size], color_scheme=dress.scheme, locale=dress.locale, storage_state=state
    )
    context.set_default_timeout(_PATIENCE_MS)
    await context.add_cookies([{"name": LANGUAGE_COOKIE, "value": dress.locale, "url": url}])
    return context


async def _shoot(context: BrowserContext, address: str, file: Path, *, width: int) -> None:
    page = await context.new_page()
    await page.goto(address, wait_until="load")
    # As tall a window as the page is: what stands below the fold of a frame would stay unpainted.
    tall: int = await page.evaluate("document.documentElement.scrollHeight")
    await page.set_viewport_size({"width": width, "height": min(tall, _TALLEST_PX)})
    await page.screenshot(path=file, full_page=True)


def _name(path: str) -> str:
    return re.sub(r"[^\w.-]+", "-", path).strip("-")[:80] or "overview"


def main() -> None:
    """Command line of `make screenshots`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="address of a running demo")
    parser.add_argument("--out", type=Path, default=Path("screenshots"), help="folder for the pictures")
    parser.add_argument("--only", action="append", default=[], help="pages that match, such as '/runs/*'")
    parser.add_argument("--dress", action="append", default=[], help="dresses that match, such as 'en.*.360'")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    worn = [one for one in dresses() if not given.dress or any(fnmatch(one.name, like) for like in given.dress)]
    taken = asyncio.run(photograph(given.url, given.out, given.only, worn))
    sys.stdout.write(f"{taken} pictures in {given.out}\n")


if __name__ == "__main__":
    main()
