"""Keeps the servers of one data folder: starts them, restarts them after a crash, stops them when nobody is left.

A process of its own, one per data folder. Who needs the servers holds a connection to it, so that the kernel
tells it when a user was killed; the servers in turn end when the keeper does. Talk is one JSON line each way:
`{"want": ["postgres"]}` → `{"ok": true}` or `{"error": "…"}`; `{"leave": true}` → `{"ok": true}` once the servers
are stopped, or at once where others still need them.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from notifier.domain.errors import NotifierError
from notifier.embedded.places import Places, explaining_permissions, find_places, prepare
from notifier.embedded.servers import Postgres, Redis, Server, last_lines

_START_S = 600  # crash recovery of a large database; a server that ends is noticed at once
_STOP_S = 60
_LONGEST_PAUSE_S = 5.0
_STEADY_S = 30


class _Ended(NotifierError):
    """A server ended instead of getting ready."""


class Watch:
    """One server, kept running."""

    def __init__(self, server: Server, places: Places) -> None:
        self._server, self._places = server, places
        self._process: subprocess.Popen[bytes] | None = None
        self._died = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def ensure_started(self) -> None:
        """Returns when the server answers; raises where it ends instead."""
        async with self._starting:
            if self._task is None:
                await self._start_patiently()
                await self._server.finish()
                self._task = asyncio.create_task(self._keep())

    def notice(self) -> None:
        """Called when some child process ended."""
        if self._process is not None and self._process.poll() is not None:
            self._died.set()

    async def stop(self) -> None:
        """Ends the server cleanly, by force after a minute."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._process is None:
            return
        for sign, patience_s in ((self._server.stop_signal, _STOP_S), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(sign)
            if await self._wait_for_end(patience_s):
                return

    async def _wait_for_end(self, patience_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while self._process is not None and self._process.poll() is None:
                    self._died.clear()
                    await self._died.wait()
                return True
        return False

    async def _start_patiently(self) -> None:
        # After everything was killed at once, children of the old server may hold its memory for a moment.
        for pause_s in (0.5, 2.0):
            try:
                return await self._start()
            except _Ended:
                await asyncio.sleep(pause_s)
        return await self._start()

    async def _start(self) -> None:
        self._died.clear()
        self._process = self._server.launch()
        deadline = time.monotonic() + _START_S
        while not await self._server.is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise _Ended(f"{self._server.name} did not start. {last_lines(self._places, self._server.name)}")
            await asyncio.sleep(0.05)

    async def _keep(self) -> None:
        pause_s = 0.1
        while True:
            started_at = time.monotonic()
            await self._died.wait()
            if time.monotonic() - started_at > _STEADY_S:
                pause_s = 0.1
            say(f"{self._server.name} ended unexpectedly, starting it again in {pause_s:.1f} s")
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            try:
                await self._start()
            except NotifierError as error:
                say(str(error))
                self._died.set()


class Keeper:
    """Counts who needs the servers."""

    def __init__(self, places: Places, *, durable: bool) -> None:
        self._watches = {
            "postgres": Watch(Postgres(places, durable=durable), places),
            "redis": Watch(Redis(places), places),
        }
        self._places = places
        self._users = 0
        self._had_users = False
        self._done = asyncio.Event()
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Serves until the last user has left or the process is told to end."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._notice)
        for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(sign, self._done.set)
        loop.call_later(30, self._give_up_waiting)
        self._places.control.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve, str(self._places.control))
        self._places.control.chmod(0o600)
        await self._done.wait()
        server.close()
        self._places.control.unlink(missing_ok=True)
        for watch in self._watches.values():
            await watch.stop()
        self._stopped.set()
        await asyncio.sleep(0.05)  # the last word to the one who waits for it

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._done.is_set():  # too late: the caller sees the end and starts the next keeper
            writer.close()
            return
        self._users += 1
        counted = self._had_users = True
        try:
            while line := await reader.readline():
                request = json.loads(line)
                if request.get("leave"):
                    counted = False
                    await self._leave()
                answer = await self._answer(request)
                if request.get("want") and self._done.is_set():
                    break
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError):
            pass  # a user that was killed, or is not ours
        finally:
            if counted:
                self._count_out()
            writer.close()

    async def _answer(self, request: dict[str, object]) -> dict[str, object]:
        wanted = request.get("want")
        try:
            for name in wanted if isinstance(wanted, list) else []:
                await self._watches[name].ensure_started()
        except (NotifierError, OSError, KeyError) as error:
            return {"error": str(error)}
        return {"ok": True}

    async def _leave(self) -> None:
        self._count_out()
        if self._users == 0:
            await self._stopped.wait()

    def _count_out(self) -> None:
        self._users -= 1
        if self._users == 0:
            self._done.set()

    def _give_up_waiting(self) -> None:
        if not self._had_users:
            self._done.set()

    def _notice(self) -> None:
        for watch in self._watches.values():
            watch.notice()


def lock_or_leave(path: Path) -> int | None:
    """The locked file's descriptor, None where another keeper has it."""
    with explaining_permissions():
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def say(text: str) -> None:
    """A line in the keeper's log."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n")
    sys.stderr.flush()


def main(arguments: list[str]) -> int:
    """`DATA_DIR durable|fast`: becomes the keeper in the background, or leaves the work to the one there is."""
    places = find_places(Path(arguments[0]))
    os.umask(0o077)
    if lock_or_leave(places.lock) is None:
        return 0  # two users started one each; the other serves both
    prepare(places)
    say(f"keeping {places.home}, servers run as {places.user.name}")
    if os.fork():
        os._exit(0)  # whoever started us need not wait for us
    asyncio.run(Keeper(places, durable=arguments[1] == "durable").run())
    say("stopped")
    return 0
