"""A running application over the starter pack, and browsers that log in to it."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from fastapi import FastAPI

from notifier.domain.contact import Contact
from notifier.domain.links import derive_key
from notifier.domain.person import Person
from notifier.planning.apply import apply_definitions
from notifier.planning.definitions.folder import load_definitions
from notifier.planning.draft import Draft
from notifier.planning.launch import launch_campaign
from notifier.planning.plan import plan_due
from notifier.settings import Settings
from notifier.store.contacts import upsert_contact
from notifier.store.database import Database
from notifier.store.queue import open_bell
from notifier.web.access.keys import create_api_key
from notifier.web.access.passwords import create_user
from notifier.web.app import create_app
from tests.builders import released

ROOT = Path(__file__).parents[2]
PASSWORD = "a long enough password"
ALERT = "/campaigns/branch-closure-alert"
ALERT_INPUTS = {
    "branch": "all",
    "branch_name": {"zh-CN": "静安支行", "en": "Jing'an branch"},
    "closes_at": "2026-03-12T15:00",
    "reopens": {"zh-CN": "3月13日9:00", "en": "March 13 at 9:00 AM"},
    "cash_at": {"zh-CN": "徐汇支行", "en": "Xuhui branch"},
}


@asynccontextmanager
async def running_app(settings: Settings, database: Database) -> AsyncIterator[FastAPI]:
    """The whole application over open services."""
    async with open_bell(settings.redis_url) as bell:
        yield create_app(settings, database, bell)


@asynccontextmanager
async def browser(app: FastAPI, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client that keeps cookies and does not follow redirects; English unless told otherwise."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    base = app.state.settings.public_url
    async with httpx.AsyncClient(
        transport=transport, base_url=base, headers={"accept-language": "en", **headers}
    ) as client:
        yield client


async def add_user(database: Database, login: str = "lin", role: str = "author", locale: str = "en") -> None:
    """Somebody with `PASSWORD`."""
    async with database.transaction() as tx:
        await create_user(tx, login=login, password=PASSWORD, name=login.title(), by="test", role=role, locale=locale)


async def log_in(client: httpx.AsyncClient, login: str = "lin") -> httpx.Response:
    """Send the login form."""
    return await client.post("/login", data={"login": login, "password": PASSWORD})


async def form_token(client: httpx.AsyncClient, path: str = "/") -> str:
    """The token of the forms on a page."""
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', (await client.get(path)).text)
    assert found
    return found[1]


async def apply_pack(database: Database) -> None:
    """The starter pack's definitions."""
    await apply_definitions(database, load_definitions(ROOT))


async def add_contacts(database: Database, settings: Settings, count: int = 3) -> None:
    """Customers c0, c1, … with address and number."""
    key = derive_key(settings.secret, "addresses")
    async with database.transaction() as tx:
        for number in range(count):
            contact = Contact(
                external_id=f"c{number}",
                name=f"Contact {number}",
                locale="en",
                email=f"c{number}@example.com",
                phone=f"+1212555{100 + number:04}",
            )
            await upsert_contact(tx, 1, contact, key)


async def key_headers(database: Database, *scopes: str, login: str = "") -> Mapping[str, str]:
    """Headers of a caller with a new key, of a system or of the user with this login."""
    async with database.transaction() as tx:
        token = await create_api_key(
            tx, name="core banking", scopes=scopes or ("read", "write", "send"), by="test", login=login
        )
    return {"authorization": f"Bearer {token}"}


async def launch_alert(database: Database, campaign: str = "branch-closure-alert") -> int:
    """The number of a run that is planned."""
    async with database.transaction() as tx:
        draft = Draft(campaign_key=campaign, inputs=ALERT_INPUTS)
        run = await released(tx, await launch_campaign(tx, team_id=1, draft=draft, by=Person(name="lin")))
    await plan_due(database)
    return run.id


async def alert_fields(client: httpx.AsyncClient) -> dict[str, str]:
    """The launch form, filled in."""
    fields = {"form_token": await form_token(client)}
    for name, value in ALERT_INPUTS.items():
        if isinstance(value, dict):
            fields |= {f"input.{name}.{locale}": text for locale, text in value.items()}
        else:
            fields[f"input.{name}"] = str(value)
    return fields
