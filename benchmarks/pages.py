"""Every page of the console, found by following links: one address for each route, with ids that exist."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fastapi.routing import APIRoute, APIRouter
from playwright.async_api import APIRequestContext, Page
from starlette.routing import Match

_LINKS = """all => all.filter(one => !one.hasAttribute('download') && one.origin === location.origin)
    .map(one => one.pathname + one.search)"""


def page_routes(router: APIRouter) -> list[APIRoute]:
    """What answers a GET, in the order in which it is asked; routers within the router too."""
    found: list[APIRoute] = []
    for route in router.routes:
        if isinstance(within := getattr(route, "original_router", None), APIRouter):
            found += page_routes(within)
        elif isinstance(route, APIRoute) and "GET" in (route.methods or ()):
            found.append(route)
    return found


@dataclass(slots=True)
class Crawl:
    """Follows every link once per kind of page; a kind is a route with the names of its query."""

    url: str
    routes: list[APIRoute]
    found: dict[tuple[str, ...], str] = field(default_factory=dict)

    async def follow(self, page: Page, *starts: str) -> list[str]:
        """The addresses of all pages that can be reached, the starts first."""
        waiting = [start for start in starts or ("/",) if self._note(start)]
        for path in waiting:
            await page.goto(self.url + path, wait_until="load")
            for link in await page.eval_on_selector_all("a[href]", _LINKS):
                if self._note(link) and await self._is_page(page.context.request, link):
                    waiting.append(link)
        return waiting

    def missed(self, pages: Iterable[str]) -> set[str]:
        """The routes nobody came to."""
        seen = {self._kind(path)[0] for path in pages}
        return {route.path for route in self.routes} - seen

    def _note(self, link: str) -> bool:
        kind = self._kind(link)
        if not kind or kind in self.found:
            return False
        self.found[kind] = link
        return True

    def _kind(self, link: str) -> tuple[str, ...]:
        parts = urlsplit(link)
        scope = {"type": "http", "method": "GET", "path": parts.path, "root_path": ""}
        for route in self.routes:
            if route.matches(scope)[0] is Match.FULL:
                return (route.path, *_query_names(parts.query))
        return ()

    async def _is_page(self, request: APIRequestContext, link: str) -> bool:
        answer = await request.get(self.url + link)
        return answer.ok and "text/html" in answer.headers.get("content-type", "")


def _query_names(query: str) -> Iterator[str]:
    return iter(sorted({pair.partition("=")[0] for pair in query.split("&") if pair}))
