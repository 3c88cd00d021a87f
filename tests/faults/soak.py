"""The soak: a whole installation under random faults for as long as asked, then both books are compared.

`python -m tests.faults.soak --minutes 10 [--seed N] [--workers 3]`. The seed is printed: it gives the same faults in the
same order, though never at the same instants.
"""

import argparse
import asyncio
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from benchmarks.fault_proxy import FaultProxy, fault_proxy
from notifier.domain.person import Person
from notifier.planning.single import send_one
from notifier.settings import Settings, load_settings
from notifier.store.database import TRANSIENT, Database, migrate, open_database
from notifier.store.paused_accounts import try_now
from notifier.store.queue import open_redis
from tests.builders import fetch, launch, release_singles
from tests.faults.mother import Born, Mother, open_mother
from tests.faults.own_postgres import OwnPostgres, own_postgres
from tests.faults.scene import (
    EMERGENCY,
    MARKETING,
    SERVICE,
    TRANSACTIONAL,
    assert_ledger_agrees,
    count_states,
    end_leases,
    set_scene,
    settle_all,
    watched_moves,
)
from tests.peers.recorder import Recorder, recorder
from tests.worker.processes import OwnRedis, own_redis

_AWAY: tuple[type[Exception], ...] = (*TRANSIENT, asyncpg.PostgresError)
_PEOPLE = 400
_RUN_EVERY_S = 4.0
_SINGLE_EVERY_S = 0.2
_FAULT_EVERY_S = (1.0, 4.0)
_PROGRESS_S = 10.0
_MOST_WORKER_MB = 400
_LONGEST_LAG_S = 180.0
_QUICK = ", timeout_s: 5, final_timeout_s: 3, connect_timeout_s: 5"


@dataclass
class Soak:
    """One soak and what happened in it."""

    settings: Settings
    database: Database
    mother: Mother
    book: Recorder
    proxy: FaultProxy
    redis: OwnRedis
    postgres: OwnPostgres
    chance: random.Random
    workers: list[Born] = field(default_factory=list)
    dead: list[int] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    singles: int = 0
    most_worker_mb: float = 0.0
    longest_lag_s: float = 0.0

    async def work(self, seconds: float, workers: int) -> None:
        """Everything at once for so long; then wait until all is settled and compare the books."""
        for _ in range(workers):
            self.workers.append(await self.mother.bear(self.settings))
        ends = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            group.create_task(self._launch(ends))
            group.create_task(self._ask(ends))
            group.create_task(self._break(ends))
            group.create_task(self._tell(ends))
        self.found = await self._finish()

    async def _launch(self, ends: float) -> None:
        while time.monotonic() < ends:
            await self._try(self._launch_one)
            await asyncio.sleep(_RUN_EVERY_S)

    async def _launch_one(self) -> None:
        """As much as the machine carries: a backlog that only grows would say nothing of the lag."""
        if (await fetch(self.database, _QUEUED))[0][0] < 2 * _PEOPLE:
            await launch(self.database, self.chance.choice([SERVICE, MARKETING]))
            self.runs += 1

    async def _ask(self, ends: float) -> None:
        while time.monotonic() < ends:
            self.singles += await self._try(self._ask_one)
            await asyncio.sleep(_SINGLE_EVERY_S)

    async def _ask_one(self) -> None:
        async with self.database.transaction() as tx:
            await send_one(
                tx,
                team_id=1,
                campaign_key=self.chance.choice([EMERGENCY, TRANSACTIONAL]),
                external_id=f"c{self.chance.randint(1, _PEOPLE)}",
                inputs={},
                by=Person(name="soak"),
            )

    async def _try(self, work: Callable[[], Awaitable[object]]) -> bool:
        """What another system does: it is told 503 while PostgreSQL is away."""
        try:
            await work()
        except _AWAY:
            return False
        return True

    async def _break(self, ends: float) -> None:
        """One fault after another."""
        kinds = [
            self._kill_worker,
            self._kill_worker,
            self._terminate_worker,
            self._pause_worker,
            self._kill_redis,
            self._flush_redis,
            self._restart_postgres,
            self._lose_replies,
            self._reset,
            self._refuse,
            self._stall,
            self._refuse_some,
        ]
        order = [*kinds]
        self.chance.shuffle(order)
        while time.monotonic() < ends:
            await asyncio.sleep(self.chance.uniform(*_FAULT_EVERY_S))
            kind = order.pop() if order else self.chance.choice(kinds)  # each at least once, if there is time
            await kind()
            self.faults[kind.__name__.strip("_")] += 1
            await self._try(self._mend)

    async def _mend(self) -> None:
        """A person says that the mail server is well again; else the soak would mostly wait for the next probe."""
        async with self.database.transaction() as tx:
            await try_now(tx, 1, "email", by="soak")

    async def _kill_worker(self) -> None:
        await self._replace(signal.SIGKILL)

    async def _terminate_worker(self) -> None:
        await self._replace(signal.SIGTERM)

    async def _replace(self, how: signal.Signals) -> None:
        old = self.workers.pop(self.chance.randrange(len(self.workers)))
        old.send_signal(how)
        self.workers.append(await self.mother.bear(self.settings))
        await old.wait()
        self.dead.append(old.pid)
        await self._try(lambda: end_leases(self.database, self.dead))

    async def _pause_worker(self) -> None:
        """Asleep for a moment, its lease taken away now and then."""
        one = self.chance.choice(self.workers)
        one.send_signal(signal.SIGSTOP)
        if self.chance.random() < 0.5:
            await self._try(lambda: end_leases(self.database, [one.pid]))
        await asyncio.sleep(self.chance.uniform(0.2, 2))
        one.send_signal(signal.SIGCONT)

    async def _kill_redis(self) -> None:
        await self.redis.kill()
        await asyncio.sleep(self.chance.uniform(0, 3))
        await self.redis.start()

    async def _flush_redis(self) -> None:
        client = open_redis(self.redis.url)
        await client.flushall()
        await client.aclose()

    async def _restart_postgres(self) -> None:
        await self.postgres.stop(self.chance.choice([signal.SIGINT, signal.SIGQUIT, signal.SIGKILL]))
        await asyncio.sleep(self.chance.uniform(0, 2))
        await self.postgres.start()

    async def _lose_replies(self) -> None:
        self.proxy.lose_replies(self.chance.randint(1, 10), cut=self.chance.random() < 0.7)

    async def _reset(self) -> None:
        self.proxy.reset()

    async def _refuse(self) -> None:
        self.proxy.refuse()
        await asyncio.sleep(self.chance.uniform(0.2, 1))
        await self.proxy.accept()

    async def _stall(self) -> None:
        self.proxy.stall()
        await asyncio.sleep(self.chance.uniform(0.2, 2))
        self.proxy.flow()

    async def _refuse_some(self) -> None:
        await self.book.tell(refuse_pct=20, leave_after=20)
        await asyncio.sleep(self.chance.uniform(0.5, 2))
        await self.book.tell(refuse_pct=0, leave_after=0)

    async def _tell(self, ends: float) -> None:
        """What it did so far, and how much it needs."""
        while (left := ends - time.monotonic()) > 0:
            await asyncio.sleep(min(_PROGRESS_S, left))
            self.most_worker_mb = max([self.most_worker_mb, *(_memory_mb(one.pid) for one in self.workers)])
            with suppress(*_AWAY):
                ((lag,),) = await fetch(self.database, _LAG)
                self.longest_lag_s = max(self.longest_lag_s, lag)
                _say(
                    f"{left:4.0f} s left: {self.runs} runs, {self.singles} singles, {self.book.count()} taken, "
                    f"{sum(self.faults.values())} faults, oldest due {lag:.0f} s, workers {self.most_worker_mb:.0f} MB"
                )

    async def _finish(self) -> Counter[str]:
        """The faults are over: workers drain and end, others settle what is left, and both books are compared."""
        self.proxy.lose_replies(0)
        assert all(one.returncode is None for one in self.workers), "a worker ended by itself"
        for old in self.workers:
            old.terminate()
        for old in self.workers:
            assert await old.wait() == 0
        await end_leases(self.database)
        async with self.mother.worker(self.settings), self.mother.worker(self.settings):
            await settle_all(self.database, within_s=180)
        found = await assert_ledger_agrees(self.book, self.database, self.settings)
        _say(f"ended {dict(found)}, states {dict(await count_states(self.database))}, faults {dict(self.faults)}")
        assert self.most_worker_mb < _MOST_WORKER_MB, f"a worker took {self.most_worker_mb:.0f} MB"
        assert self.longest_lag_s < _LONGEST_LAG_S, f"something was due for {self.longest_lag_s:.0f} s"
        return found


_QUEUED = "SELECT count(*)::int FROM notifier.messages WHERE state = 'queued'"
_LAG = """
SELECT coalesce(extract(epoch FROM max((SELECT notifier.now()) - m.due_at)), 0)::float8
FROM notifier.messages m JOIN notifier.runs r ON r.id = m.run_id
WHERE m.state = 'queued' AND r.state = 'running' AND m.due_at <= (SELECT notifier.now())
"""


def _memory_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return pages * resource.getpagesize() / 2**20


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


@asynccontextmanager
async def open_soak(folder: Path, seed: int) -> AsyncIterator[Soak]:
    """Servers, recorder, proxy, contacts and campaigns of its own; what workers say goes to `workers.log` there."""
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(own_postgres())
        redis = await stack.enter_async_context(own_redis(folder / "redis"))
        book = await stack.enter_async_context(recorder(folder / "book"))
        proxy = await stack.enter_async_context(fault_proxy(book.ports["email"], round_trip_s=0.005))
        mother = await stack.enter_async_context(open_mother(folder / "workers.log"))
        await migrate(postgres.url)
        database = await stack.enter_async_context(open_database(postgres.url))
        settings = load_settings(
            database_url=postgres.url,
            redis_url=redis.url,
            data_dir=folder / "data",
            public_url="https://notify.riverside-bank.example",
            secret_key=f"soak-{seed}".ljust(40, "-"),
            log_level="warning",
        )
        await set_scene(database, settings, folder / "definitions", people=_PEOPLE, port=proxy.port, more=_QUICK)
        await release_singles(database, EMERGENCY, TRANSACTIONAL)
        await stack.enter_async_context(watched_moves(database))
        yield Soak(settings, database, mother, book, proxy, redis, postgres, random.Random(seed))


async def soak(*, minutes: float, seed: int, workers: int = 3) -> Soak:
    """One whole soak; `AssertionError` where anything does not hold."""
    with tempfile.TemporaryDirectory(prefix="notifier-soak-") as name:
        async with open_soak(Path(name), seed) as one:
            _say(f"soak of {minutes} minutes, seed {seed}, {workers} workers")
            await one.work(minutes * 60, workers)
            return one


def _main() -> None:
    wants = argparse.ArgumentParser(description=__doc__)
    wants.add_argument("--minutes", type=float, default=10)
    wants.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    wants.add_argument("--workers", type=int, default=3)
    given = wants.parse_args()
    asyncio.run(soak(minutes=given.minutes, seed=given.seed, workers=given.workers))
    _say("clean: nothing lost, nothing doubled but what was in doubt")


if __name__ == "__main__":
    _main()
