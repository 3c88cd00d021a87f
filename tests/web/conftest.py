"""Somebody at the console."""

from collections.abc import AsyncIterator

import httpx
import pytest

from notifier.settings import Settings
from notifier.store.database import Database
from tests.web.rooms import add_contacts, add_user, apply_pack, browser, log_in, running_app


@pytest.fixture
async def visitor(database: Database, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A logged-in author over the starter pack and three contacts."""
    await apply_pack(database)
    await add_contacts(database, settings)
    await add_user(database)
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client)
        yield client
