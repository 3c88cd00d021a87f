"""Real worker processes and a Redis of one's own, to be stopped and killed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from redis.exceptions import RedisError

from notifier.embedded.binaries import find_redis
from notifier.embedded.places import find_places
from notifier.processes import environment_of
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.queue import open_redis
from tests.builders import fetch

_RUN = """
import asyncio
from notifier.logs import configure_logs
from notifier.settings import load_settings
from notifier.worker import run_worker

settings = load_settings()
configure_logs(form=settings.log_format, level=settings.log_level)
asyncio.run(run_worker(settings, {lanes}))
"""


@asynccontextmanager
async def worker(
    settings: Settings,
    lanes: tuple[int, ...] = (1, 2, 3, 4),
    *,
    extra: Mapping[str, str] | None = None,
    stderr: int | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker in a process of its own, `extra` in its environment; killed at the end if it still lives."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _RUN.format(lanes=lanes),
        env=environment_of(settings) | dict(extra or {}),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=stderr,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class OwnRedis:
    """A redis-server on a socket in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self.socket = folder / "r.sock"
        self.url = f"unix://{self.socket}"

    async def start(self) -> None:
        """Start it, empty; returns when it answers."""
        program = await asyncio.to_thread(lambda: find_redis(find_places(self._folder).user))
        self._process = await asyncio.create_subprocess_exec(
            str(program),
            *("--port", "0", "--unixsocket", str(self.socket), "--save", "", "--dir", str(self._folder)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        redis = open_redis(self.url)
        for _ in range(200):
            try:
                await redis.ping()
                break
            except (RedisError, OSError):
                await asyncio.sleep(0.05)
        await redis.aclose()

    async def kill(self) -> None:
        """Gone, without a word."""
        if self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, signal.SIGKILL)
            await self._process.wait()


@asynccontextmanager
async def own_redis(folder: Path) -> AsyncIterator[OwnRedis]:
    """A Redis nobody else uses."""
    redis = OwnRedis(folder)
    await redis.start()
    try:
        yield redis
    finally:
        await redis.kill()


async def until(database: Database, sql: str, wanted: object, *, within_s: float = 30) -> None:
    """Wait until the only value of the only row is this."""
    found: object = None
    for _ in range(int(within_s / 0.05)):
        found = (await fetch(database, sql))[0][0]
        if found == wanted:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{sql} gives {found!r}, not {wanted!r}")
