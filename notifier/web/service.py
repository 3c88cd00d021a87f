"""What machines ask: does it live, may it get requests, how does it go; and the console's files."""

from asyncpg import PostgresError
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from notifier.domain.errors import NotFound, ServiceError
from notifier.store.database import TRANSIENT, Database
from notifier.store.views.schema import is_migrated
from notifier.web.metrics import CONTENT_TYPE, Figures, may_scrape, read_figures, render
from notifier.web.problems import Problem
from notifier.web.security import serve_asset

router = APIRouter(include_in_schema=False)
_GONE: tuple[type[Exception], ...] = (*TRANSIENT, PostgresError, ServiceError)


@router.get("/healthz")
async def say_alive() -> Response:
    """The process lives; nothing else is asked, for a restart mends nothing else."""
    return PlainTextResponse("ok")


@router.get("/readyz")
async def say_ready(request: Request) -> Response:
    """Whether requests may come here. Without Redis they may: it only makes things quicker."""
    schema = await _schema(request.app.state.database)
    state = {
        "database": "down" if schema is None else "ok",
        "schema": {None: "unknown", False: "old", True: "ok"}[schema],
        "redis": "ok" if await request.app.state.attempts.is_reachable() else "down",
        "process": "leaving" if request.app.state.is_leaving else "ok",
    }
    return JSONResponse(state, 200 if schema and not request.app.state.is_leaving else 503)


@router.get("/metrics")
async def give_metrics(request: Request) -> Response:
    """Prometheus's text format, for who shows the token; 404 where no token is set."""
    token = request.app.state.settings.metrics_token.get_secret_value()
    if not token:
        raise Problem(404, "there are no figures here: no token is set")
    if not may_scrape(request.headers.get("authorization", ""), token):
        raise Problem(401, "wants `Authorization: Bearer` and the token", headers={"www-authenticate": "Bearer"})
    redis = await request.app.state.attempts.is_reachable()
    return Response(render(await _figures(request.app.state.database), redis=redis), media_type=CONTENT_TYPE)


@router.get("/assets/{path:path}")
async def get_asset(path: str, v: str = "") -> Response:
    """A file of the console."""
    found = serve_asset(path, v)
    if found is None:
        raise NotFound("there is no such file")
    return found


async def _schema(database: Database) -> bool | None:
    try:
        async with database.transaction() as tx:
            return await is_migrated(tx)
    except _GONE:
        return None


async def _figures(database: Database) -> Figures | None:
    try:
        async with database.transaction() as tx:
            return await read_figures(tx)
    except TRANSIENT:
        return None
