"""The worker: thin arq jobs, one queue per lane, and the clock's tick. It outlives Redis."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from arq.worker import Function, Worker, func
from redis.exceptions import RedisError
from structlog.contextvars import bind_contextvars, bound_contextvars

from notifier.delivery.callbacks import apply_callbacks
from notifier.delivery.drain import Sender
from notifier.delivery.look_up import LookUps
from notifier.delivery.notes import NoteSender
from notifier.delivery.settle import settle_doubts
from notifier.domain.keys import derive_keys
from notifier.domain.message import RunId
from notifier.domain.purpose import LANES
from notifier.logs import get_logger
from notifier.planning.account_alarms import alarm_paused_accounts
from notifier.planning.contact_import.work import read_waiting_imports
from notifier.planning.finish import end_finished_runs
from notifier.planning.notes import queue_proofs
from notifier.planning.pauses import pause_troubled_runs
from notifier.planning.plan import plan_due
from notifier.planning.recur import make_recurring_runs
from notifier.planning.watch import watch_for_troubles
from notifier.rendering.filters import warm_up_dates
from notifier.settings import Settings
from notifier.store import clock, imports, tallies
from notifier.store.database import Database, open_database
from notifier.store.due import list_due_jobs, list_urgent_runs
from notifier.store.notes import forget_old_notes
from notifier.store.queue import HOUSE, IMPORTS, Bell, encode_job, open_bell, open_redis, queue_name
from notifier.store.sandbox import trim_items
from notifier.store.workers import drop_worker, forget_dead_workers, note_worker

log = get_logger()
TICK_S = 1.0
ALIVE_S = 30.0
"""A worker that has not said for so long that it lives is stuck."""

# How long a ring may go unheard: it is polled for. What cannot wait is asked for most often; the others hear
# of their work once a second in any case.
_POLL_S = {"lane-1": 0.1, "lane-2": 0.1, HOUSE: 0.2, IMPORTS: 1.0}
_ORDINARY_POLL_S = 0.5
_BEAT_S = 5.0
_URGENT = {1, 2}
_WARMED_AT_MOST = 50
HOUSEKEEPING_S = 30.0
_JUDGE_EVERY_S = 5.0
_GRACE_S = 30
_RECONNECT_S = 1.0
_LOOK_EVERY_S = 5.0
_CALLBACKS = 1000
_ROUND_S = 1.0
_IMPORTING = {3, 4}  # a worker of urgent lanes alone has other things to do
_LONGEST_JOB_S = 600  # a drain ends by itself; cutting it off while a server is slow would leave doubts


class Work:
    """What the jobs do; each asks the rows first, so any job may run twice or not at all."""

    def __init__(self, settings: Settings, database: Database, bell: Bell, sender: Sender) -> None:
        self._settings, self._database, self._bell, self._sender = settings, database, bell, sender
        keys = derive_keys(settings.secret)
        self._links_key, self._addresses_key = keys.links, keys.addresses
        self._shall_end = False
        self._look_ups = LookUps(settings, database, sender.accounts, sender.library)
        self._notes = NoteSender(database, sender.accounts, public_url=settings.public_url, key=self._links_key)
        self._kept_house_at = self._judged_at = self._watched_at = 0.0
        self.name = sender.worker

    def stop_claiming(self) -> None:
        """Nothing new is begun; what is on the wire ends."""
        self._shall_end = True
        self._sender.stop_claiming()

    async def warm_up(self, lanes: Sequence[int]) -> None:
        """Read and compile what an urgent run needs before it is asked for: cold, it takes a quarter of a second."""
        async with self._database.transaction() as tx:
            run_ids = await list_urgent_runs(tx, sorted(_URGENT & set(lanes)), _WARMED_AT_MOST)
        for run_id in run_ids:
            materials = await self._sender.library.get(RunId(run_id))
            warm_up_dates(materials.bank.locales)

    async def say_alive(self, lanes: Sequence[int]) -> None:
        """For the figures and for those who share limits."""
        async with self._database.transaction() as tx:
            await note_worker(tx, self.name, lanes)

    async def leave(self) -> None:
        """Live no more, for those who count."""
        async with self._database.transaction() as tx:
            await drop_worker(tx, self.name)

    async def ring_for_due(self, lanes: Sequence[int], *also: str) -> None:
        """Ring for everything that is due, and for these."""
        for job in also:
            await self._bell.ring(job)
        async with self._database.transaction() as tx:
            due = await list_due_jobs(tx, lanes)
        for job in due:
            await self._bell.ring(job)

    async def drain(self, lane: int, *, budget_s: float = 5.0) -> None:
        """Send what is due in a lane; rings again where time ran out first."""
        drained = await self._sender.drain_lane(lane, budget_s=budget_s)
        if drained.sent:
            log.info("worker.lane_drained", lane=lane, sent=drained.sent, settled=drained.settled)
        if drained.more:
            await self._bell.ring(f"drain-{lane}")

    async def callbacks(self) -> None:
        """Apply stored callbacks until none is due."""
        while await apply_callbacks(
            self._database, providers=await self._sender.accounts.latest(), key=self._links_key, limit=_CALLBACKS
        ):
            pass

    async def notes(self) -> None:
        """Send what the house writes to itself."""
        await self._notes.drain()

    async def imports(self) -> None:
        """Read the files of contacts that wait."""
        await read_waiting_imports(
            self._database, address_hash_key=self._addresses_key, shall_end=lambda: self._shall_end
        )

    async def tick(self) -> None:
        """The clock: doubts, recurring runs, steps that are due, ends. The trouble of one does not stop the others."""
        if self._settings.recurring:
            await _on_its_own("recur", make_recurring_runs(self._database))
        await _on_its_own("plan", self._plan())  # before all that may take long: it may be an emergency
        await _on_its_own("keep_house", self._keep_house())
        await _on_its_own("settle", self._settle())
        await _on_its_own("pause", self._pause())
        await _on_its_own("alarms", self._alarms())
        await _on_its_own("watch", self._watch())
        await _on_its_own("proofs", self._proofs())
        await _on_its_own("finish", end_finished_runs(self._database))
        await _on_its_own("imports", self._call_for_imports())

    async def look_up(self) -> None:
        """Ask providers about messages in doubt, a few at a time."""
        await self._look_ups.ask()

    async def _settle(self) -> None:
        await settle_doubts(self._database, looked_up=await self._look_ups.channels())

    async def _plan(self) -> None:
        planned = await plan_due(self._database)
        for lane in LANES if planned.messages else ():
            await self._bell.ring(f"drain-{lane}")

    async def _pause(self) -> None:
        if time.monotonic() - self._judged_at < _JUDGE_EVERY_S:
            return
        self._judged_at = time.monotonic()
        if await pause_troubled_runs(self._database):
            await self._bell.ring("notes")

    async def _alarms(self) -> None:
        if await alarm_paused_accounts(self._database):
            await self._bell.ring("notes")

    async def _watch(self) -> None:
        if time.monotonic() - self._watched_at < HOUSEKEEPING_S:
            return
        self._watched_at = time.monotonic()
        if await watch_for_troubles(self._database):
            await self._bell.ring("notes")

    async def _proofs(self) -> None:
        if await queue_proofs(self._database):
            await self._bell.ring("notes")

    async def _call_for_imports(self) -> None:
        async with self._database.transaction() as tx:
            is_waiting = await imports.has_waiting(tx)
        if is_waiting:
            await self._bell.ring("imports")

    async def _keep_house(self) -> None:
        if time.monotonic() - self._kept_house_at < HOUSEKEEPING_S:
            return
        self._kept_house_at = time.monotonic()
        async with self._database.transaction() as tx:
            await clock.make_partitions(tx)
        async with self._database.transaction() as tx:
            await tallies.fold_tallies(tx)
        async with self._database.transaction() as tx:
            await trim_items(tx)
        async with self._database.transaction() as tx:
            await forget_old_notes(tx)
        async with self._database.transaction() as tx:
            await forget_dead_workers(tx)
        async with self._database.transaction() as tx:
            await clock.drop_old(tx)

    async def all_at_once(self, lanes: Sequence[int]) -> None:
        """One round of everything, for the time Redis is gone."""
        async with asyncio.TaskGroup() as group:
            rest = group.create_task(self._all_but_drains())
            for lane in lanes:
                group.create_task(self._drain_beside(rest, lane))

    async def _all_but_drains(self) -> None:
        await self.tick()
        await _on_its_own("callbacks", self.callbacks())
        await _on_its_own("notes", self.notes())

    async def _drain_beside(self, rest: asyncio.Task[None], lane: int) -> None:
        """Again and again, and once after the rest: an emergency waits for no other lane, nor for what is planned."""
        is_last = False
        while not is_last:
            is_last = rest.done() or self._shall_end
            await _on_its_own("drain", self.drain(lane, budget_s=_ROUND_S))
            await asyncio.wait({rest}, timeout=_ROUND_S)


async def _on_its_own(part: str, work: Awaitable[object]) -> None:
    try:
        await work
    except Exception as error:  # noqa: BLE001 - the process edge: log, go on with the next part
        log.error("worker.part_failed", part=part, **error_facts(error))


def error_facts(error: Exception) -> dict[str, str]:
    """What may be logged of an error: its own words may quote a row, and a row holds addresses."""
    return {"error": type(error).__name__, "sqlstate": str(getattr(error, "sqlstate", "") or "")}


@asynccontextmanager
async def open_work(settings: Settings) -> AsyncIterator[tuple[Work, Bell]]:
    """Everything a worker needs, opened and closed together."""
    async with (
        open_database(settings.database_url, max_connections=settings.database_pool_size) as database,
        open_bell(settings.redis_url) as bell,
    ):
        sender = Sender(settings, database, worker=f"{socket.gethostname()}:{os.getpid()}")
        try:
            yield Work(settings, database, bell, sender), bell
        finally:
            await sender.aclose()


async def run_worker(settings: Settings, lanes: Sequence[int] = LANES) -> None:
    """Work until SIGTERM or SIGINT: stop taking jobs, finish what is on the wire, exit."""
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    async with open_work(settings) as (work, bell):
        bind_contextvars(worker=work.name)
        log.info("worker.started", lanes=list(lanes))
        async with asyncio.TaskGroup() as group:
            for queue in (HOUSE, *map(_lane_queue, lanes), *((IMPORTS,) if _IMPORTING & set(lanes) else ())):
                group.create_task(_serve(settings, work, queue, stop))
            group.create_task(_keep_time(work, bell, lanes, stop))
            group.create_task(_keep_looking(work, stop))
            group.create_task(_on_its_own("warm_up", work.warm_up(lanes)))
            group.create_task(_say_alive(settings, work, lanes, stop))
            await stop.wait()
            work.stop_claiming()
        await _on_its_own("leave", work.leave())
        log.info("worker.stopped")


async def _keep_time(work: Work, bell: Bell, lanes: Sequence[int], stop: asyncio.Event) -> None:
    """Ring once a second for what is due, one of all workers for the tick; work without the bell where Redis is gone."""
    while not stop.is_set():
        match await bell.take_turn("tick", TICK_S * 0.9):
            case None:
                await _end_with_grace(work.all_at_once(lanes), stop)
            case is_ours:
                await _on_its_own("ring", work.ring_for_due(lanes, *(("tick",) if is_ours else ())))
        await _stopped_within(TICK_S, stop)


async def _say_alive(settings: Settings, work: Work, lanes: Sequence[int], stop: asyncio.Event) -> None:
    """Touch a file for this machine, where a loop that stands still is seen, and a row for all others."""
    file = alive_folder(settings) / work.name.replace(":", "-")
    try:
        while not stop.is_set():
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
            except OSError as error:
                log.warning("worker.sign_not_written", error=type(error).__name__)
            await _on_its_own("say_alive", work.say_alive(lanes))
            await _stopped_within(_BEAT_S, stop)
    finally:
        with suppress(OSError):
            file.unlink(missing_ok=True)


def alive_folder(settings: Settings) -> Path:
    """Where each worker of this machine keeps a file as old as its last sign of life."""
    return settings.data_dir / "workers"


def is_alive(settings: Settings) -> bool:
    """Whether a worker of this machine gave a sign of life lately."""
    host = f"{socket.gethostname()}-"
    with suppress(OSError):
        files = [file.stat() for file in alive_folder(settings).iterdir() if file.name.startswith(host)]
        return any(time.time() - file.st_mtime < ALIVE_S for file in files)
    return False


async def _keep_looking(work: Work, stop: asyncio.Event) -> None:
    """Beside the tick: a provider may take a minute to answer. Told to stop it does not wait for one."""
    while not stop.is_set():
        looking = asyncio.create_task(_on_its_own("look_up", work.look_up()))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({looking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await _cut(looking)
        await _cut(stopping)
        await _stopped_within(_LOOK_EVERY_S, stop)


async def _serve(settings: Settings, work: Work, queue: str, stop: asyncio.Event) -> None:
    """An arq worker on one queue, made anew whenever Redis went away."""
    while not stop.is_set():
        worker = _worker(settings, work, queue)
        serving = asyncio.create_task(worker.async_run())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await _cut(stopping)
        await _cut(serving)
        await _finish(worker)
        if not serving.cancelled() and (error := serving.exception()) is not None:
            if not isinstance(error, RedisError | OSError | TimeoutError):
                raise error
            log.warning("worker.redis_gone", queue=queue, error=type(error).__name__)
        await _stopped_within(_RECONNECT_S, stop)


async def _stopped_within(seconds: float, stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def _end_with_grace(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
    """Told to stop, it has as long as a job, then it is cut off."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    await _cut(stopping)
    await asyncio.wait({working}, timeout=_GRACE_S)
    await _cut(working)


async def _cut(task: asyncio.Task[Any]) -> None:
    """Cancel until it is done: redis-py swallows a cancellation that arrives during its I/O."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.2)


async def _finish(worker: Worker) -> None:
    """Let the jobs it runs come to their end, then cut them off. arq's own `close` cuts them off at once."""
    jobs = list(worker.tasks.values())
    if jobs:
        _, late = await asyncio.wait(jobs, timeout=_GRACE_S)
        for job in late:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
    with suppress(RedisError, OSError, TimeoutError):
        await worker.pool.aclose(close_connection_pool=True)


def _worker(settings: Settings, work: Work, queue: str) -> Worker:
    return Worker(
        functions=_functions(work, queue),
        redis_pool=open_redis(settings.redis_url),
        queue_name=queue_name(queue),
        poll_delay=_POLL_S.get(queue, _ORDINARY_POLL_S),
        max_jobs=2,
        job_timeout=_LONGEST_JOB_S,
        keep_result=0,
        max_tries=1,
        handle_signals=False,
        log_results=False,
        health_check_interval=3600,
        job_serializer=encode_job,
        job_deserializer=json.loads,
    )


def _functions(work: Work, queue: str) -> list[Function]:
    if queue == HOUSE:
        return [_job("tick", work.tick), _job("callbacks", work.callbacks), _job("notes", work.notes)]
    if queue == IMPORTS:
        return [_job("imports", work.imports)]
    lane = int(queue.removeprefix("lane-"))

    async def drain() -> None:
        await work.drain(lane)

    return [_job(f"drain-{lane}", drain)]


def _job(name: str, work: Any) -> Function:
    async def run(_ctx: dict[str, Any]) -> None:
        with bound_contextvars(job=name):
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - the process edge; arq would log its words
                log.error("worker.job_failed", **error_facts(error))

    return func(run, name=name)  # type: ignore[arg-type]


def _lane_queue(lane: int) -> str:
    return f"lane-{lane}"
