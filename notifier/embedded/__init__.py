"""PostgreSQL and Redis of the wheels, wherever `DATABASE_URL` and `REDIS_URL` are not set."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from notifier.domain.errors import ServiceError
from notifier.embedded.keeper import lock_or_leave
from notifier.embedded.places import Places, explaining_permissions, find_places, own_folder
from notifier.embedded.servers import DATABASE, last_lines
from notifier.logs import get_logger

if TYPE_CHECKING:  # the keeper imports this package too and need not wait for the settings' machinery
    from notifier.settings import Settings

_ATTACH_S = 120
_START_S = 660
_LEAVE_S = 90
_FREE_S = 70

log = get_logger("notifier.embedded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Addresses of the two servers, given or embedded."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)


@contextlib.asynccontextmanager
async def embedded_services(settings: "Settings", *, durable: bool = True) -> AsyncIterator[Services]:
    """The servers of the settings where set, else embedded ones, running as long as the block does.

    Processes with the same data folder share them; the last to leave stops them, also where it was killed. A server
    that crashes is restarted at the same address. `durable=False` is for tests: a power cut may lose data.
    Raises `ServiceError`.
    """
    wanted = [name for name, url in (("postgres", settings.database_url), ("redis", settings.redis_url)) if not url]
    if not wanted:
        yield Services(database_url=settings.database_url, redis_url=settings.redis_url)
        return
    places = await asyncio.to_thread(find_places, settings.data_dir)
    attachment = _Attachment(settings.data_dir, places, wanted, durable=durable)
    await attachment.open()
    log.info("embedded.attached", folder=str(places.home), user=places.user.name, servers=wanted)
    try:
        yield Services(
            database_url=settings.database_url or _database_url(places),
            redis_url=settings.redis_url or f"unix://{quote(str(places.redis_socket))}",
        )
    finally:
        await attachment.close()


async def reset(settings: "Settings") -> None:
    """Deletes the embedded servers' data; the secret key stays. Nothing happens where there is none.

    Waits for servers that are just stopping; raises `ServiceError` where another process still uses them.
    """
    if not settings.data_dir.exists():
        return
    places = await asyncio.to_thread(find_places, settings.data_dir)
    deadline = time.monotonic() + _FREE_S
    while (held := await asyncio.to_thread(lock_or_leave, places.lock)) is None:
        if time.monotonic() > deadline or await _is_answering(places):
            raise ServiceError(f"another notifier uses {settings.data_dir}. Stop it, then reset again")
        await asyncio.sleep(0.1)
    try:
        await asyncio.to_thread(_delete, places)
    finally:
        os.close(held)


class _Attachment:
    """Our connection to the keeper; renewed, with a new keeper, where that one was killed."""

    def __init__(self, data_dir: Path, places: Places, wanted: list[str], *, durable: bool) -> None:
        self._data_dir, self._places, self._wanted, self._durable = data_dir, places, wanted, durable
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._watch: asyncio.Task[None] | None = None

    async def open(self) -> None:
        try:
            await self._attach()
        except BaseException:
            self._hang_up()
            raise
        self._watch = asyncio.create_task(self._stay())

    async def close(self) -> None:
        """Returns when the servers are stopped, or at once where others still need them."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        with contextlib.suppress(OSError, TimeoutError):
            await self._ask({"leave": True}, _LEAVE_S)
        self._hang_up()

    async def _attach(self) -> None:
        deadline = time.monotonic() + _ATTACH_S
        while True:
            try:
                self._streams = await asyncio.open_unix_connection(str(self._places.control))
                reply = await self._ask({"want": self._wanted}, _START_S)
            except OSError:
                self._hang_up()
                if time.monotonic() > deadline:
                    raise ServiceError(f"the embedded servers do not answer. See {self._places.log}") from None
                await asyncio.to_thread(_start_keeper, self._data_dir, self._places, durable=self._durable)
                continue
            if "error" in reply:
                raise ServiceError(str(reply["error"]))
            return

    async def _stay(self) -> None:
        """The keeper never speaks unasked: what arrives is its end."""
        while True:
            if self._streams is not None:
                with contextlib.suppress(OSError):
                    await self._streams[0].read(1)
            self._hang_up()
            log.warning("embedded.keeper_lost", folder=str(self._places.home))
            try:
                await self._attach()
            except ServiceError as error:
                self._hang_up()
                log.error("embedded.restart_failed", reason=str(error))
                await asyncio.sleep(1)

    async def _ask(self, request: dict[str, object], patience_s: float) -> dict[str, object]:
        if self._streams is None:
            raise ConnectionResetError
        reader, writer = self._streams
        async with asyncio.timeout(patience_s):
            writer.write(json.dumps(request).encode() + b"\n")
            await writer.drain()
            line = await reader.readline()
        if not line:
            raise ConnectionResetError
        reply: dict[str, object] = json.loads(line)
        return reply

    def _hang_up(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _start_keeper(data_dir: Path, places: Places, *, durable: bool) -> None:
    """Starts a keeper; one that finds another at work ends at once and leaves it the work."""
    with explaining_permissions():
        own_folder(places.log, places.user, 0o700)
        output = (places.log / "keeper.log").open("ab")
    with output:
        command = [sys.executable, "-m", "notifier.embedded", str(data_dir), "durable" if durable else "fast"]
        started = subprocess.run(  # noqa: S603 - our own interpreter and module
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
            start_new_session=True,  # a Ctrl-C in the terminal is for us alone
            timeout=60,
            check=False,
        )
    if started.returncode != 0:
        raise ServiceError(f"the embedded servers' keeper did not start. {last_lines(places, 'keeper')}")
    deadline = time.monotonic() + 1
    while not places.control.exists() and time.monotonic() < deadline:
        time.sleep(0.02)


async def _is_answering(places: Places) -> bool:
    try:
        async with asyncio.timeout(5):
            _, writer = await asyncio.open_unix_connection(str(places.control))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _delete(places: Places) -> None:
    for folder in (places.run, places.postgres_data, places.home / "redis", places.log):
        if folder.exists():
            shutil.rmtree(folder)
    shutil.rmtree(places.home / "postgres.draft", ignore_errors=True)


def _database_url(places: Places) -> str:
    return f"postgresql+asyncpg://{DATABASE}@/{DATABASE}?host={quote(str(places.postgres_run))}"
