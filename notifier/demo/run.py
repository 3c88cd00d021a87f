"""Run the demo: prepare the house, start web and workers, live or in one go to the end."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from notifier.delivery.settle import RECONCILE_FOR
from notifier.demo.customers import LIVE_PACE, STORY_PACE, TRUE_SATISFACTION, Customers
from notifier.demo.guard import mark_prepared, refuse_foreign_data, refuse_unsafe_settings
from notifier.demo.options import DemoOptions
from notifier.demo.posts import publish_posts
from notifier.demo.prepare import prepare, read_definitions
from notifier.demo.story import at_once, by_calendar, launch_story, release_submitted
from notifier.demo.summary import Summary, show_summary, summarize
from notifier.domain.errors import ServiceError
from notifier.embedded import embedded_services, reset
from notifier.processes import default_children, running
from notifier.settings import Settings, variable_of
from notifier.store import clock
from notifier.store.database import Database, migrate, open_database
from notifier.store.progress import OpenWork, find_open_work, list_runs_to_end, next_moment
from notifier.store.queue import JOBS, Bell, open_bell
from notifier.store.runs import Run
from notifier.store.sandbox import next_report_at
from notifier.web.access.demo import DEMO_LOGINS

_POLL_S = 0.05
_STUCK_S = 180.0
_LIVE_PAUSE_S = 1.0
_LEFT_TO_VISITOR = "financial-tips"  # the approver of the live demo has something to release
_ROUNDS_AT_MOST = 20_000


async def run_demo(settings: Settings, options: DemoOptions) -> int:
    """The demo as told; returns the exit code.

    `ServiceError` where a server does not start, or where it could reach real customers: see `notifier.demo.guard`.
    """
    refuse_unsafe_settings(settings, options)
    definitions = await read_definitions(settings.definitions)
    if options.reset:
        await reset(settings)
    demo = settings.model_copy(update={"demo": True, "recurring": settings.recurring and not options.once})
    async with embedded_services(demo) as services:
        await _claim(services.database_url)
        demo = demo.model_copy(update={"database_url": services.database_url, "redis_url": services.redis_url})
        async with open_database(demo.database_url) as database, open_bell(demo.redis_url) as bell:
            say = Console(stderr=True).print
            is_fresh = await prepare(demo, database, definitions, options, say)
            async with running(demo, default_children(workers=1)) as group:
                pace = STORY_PACE if options.once else LIVE_PACE
                customers = Customers(demo, database, group.web_url, pace)
                try:
                    if options.once:
                        return await _to_the_end(database, bell, customers, options)
                    await _live(database, bell, customers, demo, is_fresh=is_fresh)
                finally:
                    await customers.aclose()
    return 0


async def _claim(database_url: str) -> None:
    """Make the database the demo's; one in real use is refused before anything in it changes."""
    async with open_database(database_url, max_connections=2) as database:
        async with database.transaction() as tx:
            await refuse_foreign_data(tx)
        await migrate(database_url)
        async with database.transaction() as tx:
            await mark_prepared(tx)


async def _to_the_end(database: Database, bell: Bell, customers: Customers, options: DemoOptions) -> int:
    started = time.monotonic()
    async with database.transaction() as tx:
        launched = await launch_story(tx, by_calendar)
    with _progress(options) as tell:
        await _play_out(database, bell, customers, tell)
    async with database.transaction() as tx:
        summary = await summarize(tx, launched, time.monotonic() - started)
    _print(summary, options)
    for problem in summary.problems():
        print(f"error: {problem}", file=sys.stderr)  # noqa: T201 - the demo's own output
    return 1 if summary.problems() else 0


async def _play_out(database: Database, bell: Bell, customers: Customers, tell: Callable[[str], None]) -> None:
    """Let workers and customers do what is due, then move the clock to the next thing, until there is none."""
    for _ in range(_ROUNDS_AT_MOST):
        async with database.transaction() as tx:
            await release_submitted(tx)
        await _until_idle(database, customers, tell)
        async with database.transaction() as tx:
            await publish_posts(tx)
        moment = await _next_moment(database, customers)
        if moment is None:
            return
        async with database.transaction() as tx:
            await clock.advance_to(tx, moment)
        for job in JOBS:
            await bell.ring(job)
    raise ServiceError("the demo does not come to an end: something falls due again and again")


async def _until_idle(database: Database, customers: Customers, tell: Callable[[str], None]) -> None:
    seen: OpenWork | None = None
    since = time.monotonic()
    while True:
        done = await customers.play()
        async with database.transaction() as tx:
            work, now = await find_open_work(tx), await clock.now(tx)
        if work.is_idle and not done:
            return
        if work != seen or done:
            seen, since = work, time.monotonic()
            tell(f"{now:%Y-%m-%d %H:%M} UTC, {customers.reported:,} messages reported, {customers.answered:,} answers")
        elif time.monotonic() - since > _STUCK_S:
            raise ServiceError(f"nothing moved for {_STUCK_S:.0f} seconds, still open: {work}")
        if not done:
            await asyncio.sleep(_POLL_S)


async def _next_moment(database: Database, customers: Customers) -> datetime | None:
    async with database.transaction() as tx:
        moments = [await next_moment(tx, RECONCILE_FOR), await next_report_at(tx), customers.next_visit_at]
        ends = await list_runs_to_end(tx)
        now = await clock.now(tx)
    if ends:
        return now
    known = [moment for moment in moments if moment is not None]
    return max(min(known), now) if known else None


async def _live(database: Database, bell: Bell, customers: Customers, settings: Settings, *, is_fresh: bool) -> None:
    """Play the customers at the pace of the real clock until Ctrl-C."""
    launched: Sequence[Run] = ()
    if is_fresh:
        async with database.transaction() as tx:
            launched = await launch_story(tx, at_once, left_to_visitor=_LEFT_TO_VISITOR)
    await bell.ring("tick")
    print(_welcome(settings, launched), flush=True)  # noqa: T201
    while True:
        if not await customers.play():
            await asyncio.sleep(_LIVE_PAUSE_S)


def _welcome(settings: Settings, launched: Sequence[Run]) -> str:
    logins = "\n".join(f"  {login:<10} {password}    {name}" for login, password, name, _ in DEMO_LOGINS)
    news = f"\n{len(launched)} campaigns were launched; " if launched else "\nThe data of the last demo is kept; "
    return f"""
Notifier is running at {settings.public_url}
Log in with one of (user, password):
{logins}
{news}the customers are simulated ({TRUE_SATISFACTION:.0%} of them are satisfied in truth).
Commands in another terminal reach its data with {variable_of("data_dir")}={settings.data_dir}, for instance
  {variable_of("data_dir")}={settings.data_dir} notifier campaign status
Ctrl-C stops everything."""


@contextmanager
def _progress(options: DemoOptions) -> Iterator[Callable[[str], None]]:
    """A line that says how far the demo is; silent where nobody looks."""
    silent = options.as_json or not sys.stderr.isatty()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=silent, transient=True) as shown:
        task = shown.add_task("starting", total=None)
        yield lambda text: shown.update(task, description=text)


def _print(summary: Summary, options: DemoOptions) -> None:
    if options.as_json:
        print(json.dumps(summary.as_json(), ensure_ascii=False, indent=2))  # noqa: T201
        return
    show_summary(summary)
