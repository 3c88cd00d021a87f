"""Commands that run: the demo, everything at once, one web server, one worker; and the migration."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
import uvloop

from notifier.cli.door import TEAM, open_services, read_service_settings, read_settings, run
from notifier.cli.show import FAILED, INTERRUPTED, note, say
from notifier.domain.errors import InputError, ServiceError
from notifier.domain.purpose import LANES
from notifier.embedded import embedded_services
from notifier.processes import (
    CHILD_FLAG,
    Output,
    default_children,
    end_with_parent,
    refuse_taken_port,
    running,
)
from notifier.settings import Settings, starter_dir, variable_of
from notifier.store.database import migrate, open_database
from notifier.store.definitions import list_latest
from notifier.store.views.users import list_users

_RUN = "Run"
Port = Annotated[
    int | None, typer.Option(min=1, max=65535, help="Port of the web server, instead of NOTIFIER_WEB_PORT.")
]
Host = Annotated[str | None, typer.Option(help="Address to listen on, instead of NOTIFIER_WEB_HOST.")]
AsChild = Annotated[bool, typer.Option(CHILD_FLAG, hidden=True)]


def demo(  # noqa: PLR0917 - one for each option
    once: Annotated[
        bool, typer.Option("--once", help="Play the whole story to its end, print a summary, exit.")
    ] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Forget the data of earlier demos first.")] = False,
    contacts: Annotated[
        Path | None,
        typer.Option(help="A CSV or XLSX file of contacts instead of made-up ones.", exists=True, dir_okay=False),
    ] = None,
    synthesize_addresses: Annotated[
        bool, typer.Option("--synthesize-addresses", help="Make up addresses, names and consent the file lacks.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The summary of --once as JSON.")] = False,
    port: Port = None,
) -> None:
    """Show the product on sample campaigns and made-up customers; nothing leaves this machine.

    It plays the starter pack, or NOTIFIER_DEFINITIONS_DIR where all its accounts are sandbox or manual, and keeps its
    data apart from those of `up`, in `.notifier/demo`.

    - `notifier demo` starts everything and prints the address and logins; Ctrl-C stops it, the data stays

    - `notifier demo --reset` starts over

    - `notifier demo --once --reset --json` plays all campaigns through, with the clock moved, and exits 0
    """
    from notifier.demo import DemoOptions, run_demo

    options = DemoOptions(
        once=once, reset=reset, contacts=contacts, synthesize_addresses=synthesize_addresses, as_json=as_json
    )
    settings = read_settings(**demo_folders(), web_port=port)
    try:
        code = run(run_demo(settings, options))
    except (KeyboardInterrupt, asyncio.CancelledError):
        note("Stopped. `notifier demo` goes on where it was, `notifier demo --reset` starts over.")
        code = INTERRUPTED if once else 0
    raise typer.Exit(code)


def demo_folders() -> dict[str, object]:
    """Folders of the demo's own: neither the definitions of the current folder nor the data of `up`."""
    data_dir = os.environ.get(variable_of("data_dir")) or str(Settings.model_fields["data_dir"].default)
    definitions = os.environ.get(variable_of("definitions_dir")) or starter_dir()
    return {"data_dir": Path(data_dir) / "demo", "definitions_dir": Path(definitions)}


def up(
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Worker processes for service and marketing messages.")
    ] = 2,
    host: Host = None,
    port: Port = None,
) -> None:
    """Run everything on this machine: servers where none are named, migration, web server and workers.

    Emergency and transactional messages have a worker process of their own. Ctrl-C or SIGTERM stops all of it, after
    what is on the wire has been finished; a process that crashes is started again.

    - `notifier up` is a complete installation, with PostgreSQL and Redis of its own in `.notifier`

    - `DATABASE_URL=… REDIS_URL=… notifier up --workers 4` uses servers you run
    """
    run(_up(read_service_settings(web_host=host, web_port=port), workers))


async def _up(settings: Settings, workers: int) -> None:
    stop = _stop_on_signals()
    async with embedded_services(settings) as services:
        ready = settings.model_copy(update={"database_url": services.database_url, "redis_url": services.redis_url})
        await migrate(ready.database_url)
        async with running(ready, default_children(workers), output=Output.STDERR) as group:
            say(f"Notifier runs at {group.web_url} (Ctrl-C stops it)")
            for hint in await _hints(ready):
                note(hint)
            await stop.wait()
            note("Stopping …")


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    return stop


async def _hints(settings: Settings) -> list[str]:
    async with open_database(settings.database_url, max_connections=2) as database, database.transaction() as tx:
        hints = []
        if not await list_latest(tx, TEAM, "bank"):
            hints.append(
                "No campaigns yet: `notifier init DIR` copies the starter pack out, `notifier apply DIR` takes it."
            )
        if not await list_users(tx, TEAM):
            hints.append("Nobody can log in yet: `notifier user add LOGIN --role admin`.")
        return hints


def web(host: Host = None, port: Port = None, child: AsChild = False) -> None:
    """Run one web server: console, API, callbacks and the pages customers see.

    Any number may run over the same PostgreSQL and Redis. `GET /healthz` says it lives, `GET /readyz` that it may
    get requests, `GET /metrics` how it goes (with NOTIFIER_METRICS_TOKEN).
    """
    _begin(child)
    settings = read_service_settings(web_host=host, web_port=port)
    refuse_taken_port(settings)
    if not run(_web(settings), loop=_fast_loop()):
        raise typer.Exit(FAILED)


async def _web(settings: Settings) -> bool:
    import uvicorn

    from notifier.web.app import open_app

    class Server(uvicorn.Server):
        """Says that it leaves before it stops to listen; told a second time, it goes at once."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            is_first, app.state.is_leaving = not app.state.is_leaving, True
            if is_first and settings.leave_after_s:
                loop.call_soon_threadsafe(loop.call_later, settings.leave_after_s, super().handle_exit, sig, frame)
            else:
                super().handle_exit(sig, frame)

    loop = asyncio.get_running_loop()
    async with open_services(settings) as ready:
        app = open_app(ready)
        config = uvicorn.Config(
            app,
            host=ready.web_host,
            port=ready.web_port,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            proxy_headers=bool(ready.proxy_ips),
            forwarded_allow_ips=ready.proxy_ips or None,
            timeout_graceful_shutdown=5,  # pages that listen for progress never end by themselves
        )
        server = Server(config)
        loop.remove_signal_handler(signal.SIGTERM)
        for sign in (signal.SIGINT, signal.SIGTERM):
            # uvicorn raises a signal again for whoever had it before; a stop that was asked for is no failure.
            signal.signal(sign, lambda *_: None)
        await server.serve()
        return server.started


def worker(
    lanes: Annotated[
        str, typer.Option(help="Which messages to send: 1 emergency, 2 transactional, 3 service, 4 marketing.")
    ] = ",".join(map(str, LANES)),
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether a worker of this machine lives; 1 where none does.")
    ] = False,
    child: AsChild = False,
) -> None:
    """Run one worker: it plans, sends, hears callbacks, and keeps the clock.

    Any number may run over the same PostgreSQL and Redis. Keep a process for what cannot wait:

    - `notifier worker --lanes 1,2`

    - `notifier worker --lanes 3,4`
    """
    wanted = read_lanes(lanes)
    if check:
        _check_worker(read_settings())
        return
    _begin(child)
    run(_worker(read_service_settings(), wanted), loop=_fast_loop())


def _check_worker(settings: Settings) -> None:
    from notifier.worker import ALIVE_S, is_alive

    if not is_alive(settings):
        raise ServiceError(f"no worker of this machine gave a sign of life within {ALIVE_S:.0f} s")
    say("alive")


async def _worker(settings: Settings, lanes: tuple[int, ...]) -> None:
    from notifier.worker import run_worker

    async with open_services(settings) as ready:
        await run_worker(ready, lanes)


def read_lanes(text: str) -> tuple[int, ...]:
    """`1,2` as numbers in order; `InputError` for anything else."""
    parts = {part.strip() for part in text.split(",")}
    if not parts <= {str(lane) for lane in LANES}:
        raise InputError("--lanes", f"`{text}` names no lanes", f"Give some of {','.join(map(str, LANES))}")
    return tuple(sorted(map(int, parts)))


def migrate_schema() -> None:
    """Bring the database to this version's schema; harmless where it is.

    Run it once before a new version starts. Old processes may go on running meanwhile.
    """
    run(_migrate(read_settings()))
    say("The schema is up to date.")


async def _migrate(settings: Settings) -> None:
    async with embedded_services(settings) as services:
        await migrate(services.database_url)


def _begin(child: bool) -> None:
    if child:
        end_with_parent()


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    return uvloop.new_event_loop


def add_commands(app: typer.Typer) -> None:
    """Put this module's commands under `app`."""
    app.command(rich_help_panel=_RUN)(demo)
    app.command(rich_help_panel=_RUN)(up)
    app.command(rich_help_panel=_RUN)(web)
    app.command(rich_help_panel=_RUN)(worker)
    app.command("migrate", rich_help_panel=_RUN)(migrate_schema)
