"""A small app with the public doors, for tests of pages and hooks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from notifier.providers.base import Provider
from notifier.store.database import Database
from notifier.web import hooks
from notifier.web.catalogue import Catalogue
from notifier.web.public.router import router as public
from tests.feedback.rows import LINKS

PUBLIC_URL = "https://notify.riverside-bank.example"
PERSON = {"user-agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1"}


@dataclass
class Bell:
    """Remembers what it was told."""

    rung: list[str] = field(default_factory=list)

    async def ring(self, job: str) -> bool:
        self.rung.append(job)
        return True


@dataclass
class Accounts:
    """Accounts opened by the test."""

    opened: Mapping[str, Provider]

    async def latest(self) -> Mapping[str, Provider]:
        return self.opened


@dataclass
class Doors:
    """The client of a person's browser, and the bell behind the doors."""

    client: httpx.AsyncClient
    bell: Bell


def open_doors(
    database: Database,
    *,
    accounts: Mapping[str, Provider] | None = None,
    sources: Mapping[str, str] | None = None,
    demo: bool = False,
) -> Doors:
    """An app with nothing but the public face and the hooks."""
    app, bell = FastAPI(), Bell()
    app.include_router(hooks.router)
    app.include_router(public)
    app.state.database = database
    app.state.keys = SimpleNamespace(links=LINKS, addresses=b"a" * 32)
    app.state.settings = SimpleNamespace(
        public_url=PUBLIC_URL,
        demo=demo,
        survey_sources={name: SecretStr(secret) for name, secret in (sources or {}).items()},
    )
    app.state.catalogue = Catalogue()
    app.state.bell, app.state.accounts = bell, Accounts(accounts or {})
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://elsewhere.example.com", headers=PERSON
    )
    return Doors(client=client, bell=bell)
