"""Pages: what every one of them has, and how a template becomes an answer."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from notifier.domain.person import ADMINISTERING, AUDITING, RESUMING
from notifier.domain.stop import Scope, Stop
from notifier.domain.template import Bank
from notifier.domain.text import Localized
from notifier.store.database import Database, Tx
from notifier.store.stops import list_in_force
from notifier.web.access.sessions import Visitor
from notifier.web.catalogue import DEFAULT_TEAM, NO_BANK, Catalogue
from notifier.web.console.catalogues import LOCALES
from notifier.web.console.navigation import is_within, navigation
from notifier.web.console.words import Words, pick_locale
from notifier.web.security import asset_url

LANGUAGE_COOKIE = "notifier_language"
_SANDBOX = "sandbox"
_PAGES = Path(__file__).parent.parent / "pages" / "console"
STATES = (
    "delivered",
    "accepted",
    "sending",
    "queued",
    "to-post",
    "uncertain",
    "bounced",
    "failed",
    "expired",
    "refused",
    "cancelled",
)


def _make_environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_PAGES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(asset=asset_url, locales=tuple(LOCALES), states=STATES)
    environment.globals.update(navigation=navigation, is_within=is_within)
    environment.filters["pretty"] = lambda value: json.dumps(value, ensure_ascii=False, indent=2, default=str)
    return environment


_ENVIRONMENT = _make_environment()


@dataclass(slots=True)
class Page:
    """A page being made: who looks at it, in which language, over which transaction."""

    request: Request
    tx: Tx
    visitor: Visitor | None
    bank: Bank
    words: Words
    catalogue: Catalogue
    has_sandbox: bool = False
    stopped: Sequence[tuple[Stop, str]] = ()

    @property
    def team_id(self) -> int:
        """The team whose things are shown."""
        return self.visitor.user.team_id if self.visitor else DEFAULT_TEAM

    @property
    def locale(self) -> str:
        """The language it is read in."""
        return self.words.locale

    def say(self, text: Localized) -> str:
        """A definition's text in the reader's language."""
        return text.get(self.locale, self.bank.default_locale)

    def render(self, template: str, **values: object) -> str:
        """A template or a part of one as text."""
        return _render(
            self.request,
            template,
            self.words,
            self.bank,
            {"visitor": self.visitor, "has_sandbox": self.has_sandbox, "stopped": self.stopped, **values},
        )

    def show(self, template: str, status: int = 200, **values: object) -> HTMLResponse:
        """The finished page."""
        return HTMLResponse(self.render(template, **values), status)


@asynccontextmanager
async def open_page(request: Request, visitor: Visitor | None = None) -> AsyncIterator[Page]:
    """A page over one transaction, in the language of the one who looks."""
    database: Database = request.app.state.database
    catalogue: Catalogue = request.app.state.catalogue
    async with database.transaction() as tx:
        team_id = visitor.user.team_id if visitor else DEFAULT_TEAM
        bank = await catalogue.bank(tx, team_id)
        accounts = await catalogue.accounts(tx, team_id) if visitor else []
        page = Page(
            request=request,
            tx=tx,
            visitor=visitor,
            bank=bank,
            words=Words(_locale(request, visitor), ZoneInfo(bank.zone)),
            catalogue=catalogue,
            has_sandbox=any(account.provider == _SANDBOX for account in accounts),
        )
        if visitor:
            page.stopped = await _find_stopped(page)
        yield page


async def _find_stopped(page: Page) -> list[tuple[Stop, str]]:
    """The stops in force, each with the title of its campaign."""
    found = await list_in_force(page.tx, page.team_id)
    of_campaigns = any(stop.extent.scope is Scope.CAMPAIGN for stop in found)
    campaigns = await page.catalogue.campaigns(page.tx, page.team_id) if of_campaigns else []
    titles = {campaign.key: page.say(campaign.title) for _, campaign in campaigns}
    return [(stop, titles.get(stop.extent.which, "")) for stop in found]


def _locale(request: Request, visitor: Visitor | None) -> str:
    chosen = request.cookies.get(LANGUAGE_COOKIE) or (visitor.user.locale if visitor else "")
    return pick_locale(chosen=chosen, accepted=request.headers.get("accept-language", ""))


def _render(request: Request, template: str, words: Words, bank: Bank, values: dict[str, Any]) -> str:
    def say(text: Localized) -> str:
        return text.get(words.locale, bank.default_locale)

    visitor: Visitor | None = values.get("visitor")
    given = {
        "t": words,
        "say": say,
        "bank": bank,
        "locale": words.locale,
        "form_token": visitor.form_token if visitor else "",
        "path": request.url.path,
        "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "done": request.query_params.get("done", ""),
        "stopped": (),
        "is_demo": request.app.state.settings.demo,
    }
    return _ENVIRONMENT.get_template(template).render({**given, **_permits(visitor), **values})


def _permits(visitor: Visitor | None) -> dict[str, bool]:
    return {
        "may_act": bool(visitor and visitor.may_act),
        "may_release": bool(visitor and visitor.may_release),
        "may_resume": bool(visitor and visitor.person.may(RESUMING)),
        "may_audit": bool(visitor and visitor.person.may(AUDITING)),
        "may_administer": bool(visitor and visitor.person.may(ADMINISTERING)),
    }


async def show_error(request: Request, status: int, detail: str) -> HTMLResponse:
    """A page that says what went wrong and where to go on; needs no database."""
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    words = Words(_locale(request, visitor), ZoneInfo(NO_BANK.zone))
    values = {
        "visitor": visitor,
        "has_sandbox": False,
        "status": status,
        "phrase": HTTPStatus(status).phrase,
        "detail": words.problem(detail) if status != 404 else "",
    }
    return HTMLResponse(_render(request, "error.html", words, NO_BANK, values), status)
