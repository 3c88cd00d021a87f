"""The web server: every door on HTTP in one application."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from notifier.delivery.accounts import Accounts
from notifier.delivery.compose import Composer
from notifier.delivery.materials import Library
from notifier.domain.keys import derive_keys
from notifier.planning.emergency.desk import EmergencyDesk
from notifier.settings import Settings
from notifier.store.attempts import Attempts
from notifier.store.database import Database, open_database
from notifier.store.queue import Bell, open_bell
from notifier.web.api.routes import router as api
from notifier.web.catalogue import Catalogue
from notifier.web.console.routes import router as console
from notifier.web.console.streams import Streams
from notifier.web.errors import LastResort, add_error_handlers
from notifier.web.hooks import router as hooks
from notifier.web.public.router import router as public
from notifier.web.security import BodyCap, SecurityHeaders
from notifier.web.service import router as service
from notifier.web.uploads import FORM_BYTES

_API_WORDS = """Send a campaign, or one message of it, and read what became of each message and what people answered.

Authenticate with `Authorization: Bearer nk_…`. Errors are `application/problem+json`. Lists are paged: follow
`next_cursor` until it is null. Whatever sends wants an `Idempotency-Key`: the same key with the same body is
answered as the first time and sends nothing twice."""
_LONGEST_BODY = 1_048_576
_LONGEST_FORM = {"/login": 65_536, "/language": 65_536}
"""What nobody has to log in for, in bytes."""


def create_app(settings: Settings, database: Database, bell: Bell) -> FastAPI:
    """The application over open services."""
    app = _bare_app(settings)
    _put_services(app, settings, database, bell)
    return app


def open_app(settings: Settings) -> FastAPI:
    """The same for a server: opens its services with its lifespan and closes them again."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            database = await stack.enter_async_context(
                open_database(settings.database_url, max_connections=settings.database_pool_size)
            )
            bell = await stack.enter_async_context(open_bell(settings.redis_url))
            _put_services(app, settings, database, bell)
            stack.push_async_callback(app.state.accounts.aclose)
            yield

    app = _bare_app(settings)
    app.router.lifespan_context = lifespan
    return app


def _bare_app(settings: Settings) -> FastAPI:
    app = FastAPI(
        title="Notifier",
        version="1",
        description=_API_WORDS,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    longest_file = settings.import_max_mb * 2**20 + FORM_BYTES
    by_path = {**_LONGEST_FORM, "/contacts/import": longest_file, "/api/v1/imports": longest_file}
    app.add_middleware(BodyCap, limit_bytes=_LONGEST_BODY, by_path=by_path)
    app.add_middleware(LastResort)
    app.add_middleware(SecurityHeaders, is_https=settings.public_url.startswith("https://"))
    add_error_handlers(app)
    app.include_router(service)
    app.include_router(api)
    app.include_router(public, include_in_schema=False)
    app.include_router(hooks, include_in_schema=False)
    app.include_router(console, include_in_schema=False)
    return app


def _put_services(app: FastAPI, settings: Settings, database: Database, bell: Bell) -> None:
    app.state.settings = settings
    app.state.is_leaving = False
    app.state.database = database
    app.state.bell = bell
    app.state.keys = derive_keys(settings.secret)
    app.state.accounts = Accounts(settings, database)
    app.state.attempts = Attempts(bell.redis)
    app.state.catalogue = Catalogue()
    app.state.streams = Streams()
    app.state.emergency = EmergencyDesk()
    app.state.library = Library(database)
    app.state.composer = Composer(settings.public_url, app.state.keys.links)
