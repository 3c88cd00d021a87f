"""Nobody is shut out: axe finds nothing serious on any page, in either language, light or dark, wide or narrow."""

import re
from dataclasses import dataclass, field

from playwright.async_api import Page

from benchmarks.pages import Crawl, page_routes
from notifier.domain.person import Person
from notifier.domain.stop import Extent, Scope
from notifier.planning.draft import Draft
from notifier.planning.launch import launch_campaign
from notifier.planning.stops import stop_above
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.sandbox import read_body
from notifier.web.console.routes import router
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
from tests.builders import fetch, launch
from tests.web.rooms import ALERT_INPUTS, ROOT, add_user, apply_pack

pytestmark = needs_chromium
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
_NO_PAGE = re.compile(r"(\.csv|/(mail|mail/\{name\}|events|yaml|export|size|samples|tests|imports))$")
"""Files, frames, streams, parts of pages and redirects."""
_WITHOUT_A_LINK = {"/login", "/posts/{run_id}/{message_id}", "/contacts/imports/{import_id}"}
"""What one comes to by an act: the door, a post marked as published, a file sent."""
_RUN = """async rules => (await axe.run(document, {
    iframes: false, preload: false, resultTypes: ['violations'],
    ...(rules ? {runOnly: {type: 'rule', values: rules}} : {})
})).violations.filter(one => ['serious', 'critical'].includes(one.impact)).flatMap(
    one => one.nodes.map(node => `${one.id}: ${node.target.join(' ')}: ${node.failureSummary.split('\\n')[1].trim()}`))"""


@dataclass(slots=True)
class Look:
    """What was seen, page by page."""

    window: Watched
    page: Page
    axe: str
    found: list[str] = field(default_factory=list)

    async def at(self, path: str, *, dark: bool = True) -> None:
        """Wide and light, then dark, then narrow."""
        await self.page.emulate_media(color_scheme="light", reduced_motion="reduce")
        await self._resize(DESK)
        await self.page.goto(self.window.address + path, wait_until="load")
        await self.page.evaluate(self.axe)
        await self._judge(path, "wide light")
        await self._fits(path)
        if dark:
            await self.page.emulate_media(color_scheme="dark", reduced_motion="reduce")
            await self._judge(path, "wide dark", "color-contrast")
        await self._resize(PHONE)
        await self._judge(path, "narrow")
        await self._fits(path)
        self.found += [f"{path}: {said}" for said in self.window.heard()]

    async def again(self, path: str, *, dark: bool = True) -> None:
        """In another language: narrow and dark, and whether the longer words fit a wide window too."""
        await self.page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
        await self._resize(PHONE)
        await self.page.goto(self.window.address + path, wait_until="load")
        await self.page.evaluate(self.axe)
        await self._judge(path, "narrow, in another language")
        await self._fits(path)
        await self._resize(DESK)
        await self._fits(path)
        self.found += [f"{path}: {said}" for said in self.window.heard()]

    async def _fits(self, path: str) -> None:
        if wide := await sideways_px(self.page):
            self.found.append(f"{path}: scrolls sideways by {wide} px")

    async def _judge(self, path: str, dress: str, *rules: str) -> None:
        violations: list[str] = await self.page.evaluate(_RUN, list(rules) or None)
        self.found += [f"{path} ({dress}): {one}" for one in violations]

    async def _resize(self, width: int) -> None:
        await self.page.set_viewport_size({"width": width, "height": 800})


async def _furnish(database: Database, settings: Settings) -> list[str]:
    """Something to see in every room: runs that went out, one with answers, one to release; returns where to begin."""
    sent = await launch(database, "branch-closure-alert", inputs=ALERT_INPUTS)
    await launch(database, "monthly-satisfaction")
    await send_all(settings, database)
    async with database.transaction() as tx:
        draft = Draft(campaign_key="branch-closure-alert", inputs=ALERT_INPUTS)
        asked = await launch_campaign(tx, team_id=1, draft=draft, by=Person(name="lin"))
        post = Extent(scope=Scope.CHANNEL, which="social")
        stop = await stop_above(tx, 1, post, reason="wrong picture", by=Person(name="lin"))
    emergency = "/emergency/branch-closure-alert"
    runs = [f"/runs/{asked.id}", f"/emergency/runs/{sent.id}", f"/runs/{sent.id}"]
    return ["/", f"/stops/{stop.id}", "/stops/ask?scope=everything", emergency, *runs]


async def _public_links(database: Database, address: str) -> list[str]:
    """One link of each kind that customers got."""
    bodies = await fetch(database, "SELECT body FROM notifier.sandbox_items ORDER BY id")
    text = " ".join(str(read_body(body)) for (body,) in bodies)
    links = {found[1]: found[0] for found in re.finditer(rf"{re.escape(address)}(/[spu]/)[\w.-]+", text)}
    return [link.removeprefix(address) for link in links.values()]


def _axe() -> str:
    assert AXE.is_file(), f"{AXE} is missing: rm -f .venv/.installed && make setup"
    return AXE.read_text()


async def test_nobody_is_shut_out_of_any_page(database: Database, settings: Settings) -> None:
    await apply_pack(database)
    await people(database, settings)
    await add_user(database, "ada", role="admin")
    async with serving(settings, database) as (app, address), chromium() as browser:
        own: Settings = app.state.settings
        starts = await _furnish(database, own)
        context = await browser.new_context(viewport={"width": DESK, "height": 800})
        context.set_default_timeout(PATIENT_MS)
        page = await context.new_page()
        look = Look(Watched(context, address), page, _axe())
        await look.at("/login")
        await log_in(page, address, login="ada", to="/")
        crawl = Crawl(address, page_routes(router))
        rooms = await crawl.follow(page, *starts)
        missed = {route for route in crawl.missed(rooms) if not _NO_PAGE.search(route)}
        assert missed <= _WITHOUT_A_LINK, "pages no link leads to"
        public = await _public_links(database, address)
        assert len(public) == 3, public
        first, second = LOCALES
        await look.window.speak(first)
        for path in rooms:
            await look.at(path)
        for path in public:
            await look.at(f"{path}?lang={first}", dark=False)
        await look.window.speak(second)
        for path in rooms:
            await look.again(path)
        for path in public:
            await look.again(f"{path}?lang={second}", dark=False)
        assert look.found == [], "\n".join(look.found)
