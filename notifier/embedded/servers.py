"""What is particular to each server: how it is created, started, asked whether it is ready, and stopped."""

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Protocol

import asyncpg

from notifier.domain.errors import ServiceError
from notifier.embedded.binaries import find_postgres, find_redis
from notifier.embedded.places import Places, give

DATABASE = "notifier"
_MAJOR = "18"
_PR_SET_PDEATHSIG = 1
_LOG_BYTES = 10_000_000

_POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "512MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    "synchronous_commit": "on",
    "jit": "off",
    "max_wal_size": "6GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "wal_buffers": "64MB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    # Details and statements of an error quote values of rows: addresses, names.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}
_DURABLE = {"fsync": "on", "full_page_writes": "on"}


class Server(Protocol):
    """One of the two, as the keeper sees it."""

    name: str
    stop_signal: signal.Signals

    def launch(self) -> "subprocess.Popen[bytes]":
        """Creates what is missing and starts the program; does not wait until it is ready."""

    async def is_ready(self) -> bool:
        """Whether it answers now."""

    async def finish(self) -> None:
        """What remains to do once it answers for the first time."""


class Postgres:
    """PostgreSQL 18 of the wheel."""

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": rolls back, writes a checkpoint, ends

    def __init__(self, places: Places, *, durable: bool) -> None:
        self._places, self._durable = places, durable

    def launch(self) -> "subprocess.Popen[bytes]":
        """Creates the data folder the first time, clears what a killed server left, starts."""
        bin_dir = find_postgres(self._places.user)
        data = self._places.postgres_data
        if not (data / "PG_VERSION").exists():
            self._create(bin_dir)
        self._check_version()
        self._write_access_rules()
        self._clear_remains()
        settings = _POSTGRES_SETTINGS | (_DURABLE if self._durable else _NOT_DURABLE)
        settings["unix_socket_directories"] = f'"{self._places.postgres_run}"'
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(bin_dir / "postgres"), "-D", str(data), *options]
        return spawn(command, self._places, self.name, death_signal=self.stop_signal)

    async def is_ready(self) -> bool:
        """Whether it accepts connections; during recovery it does not."""
        try:
            connection = await self._connect("postgres")
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False
        await connection.close()
        return True

    async def finish(self) -> None:
        """Creates the database the first time."""
        connection = await self._connect("postgres")
        try:
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()

    async def _connect(self, database: str) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(
            host=str(self._places.postgres_run), port=5432, user=DATABASE, database=database, ssl=False, timeout=5
        )

    def _create(self, bin_dir: Path) -> None:
        # Made beside its place and moved there when complete: a kill half-way leaves nothing that looks finished.
        draft = self._places.postgres_data.with_name("postgres.draft")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(self._places.postgres_data, ignore_errors=True)
        draft.mkdir(mode=0o700)
        give(draft, self._places.user)
        options = ["--username", DATABASE, "--encoding", "UTF8", "--no-locale", "--auth", "peer", "--no-instructions"]
        speed = [] if self._durable else ["--no-sync"]
        command = [str(bin_dir / "initdb"), "-D", str(draft), *options, *speed]
        process = spawn(command, self._places, "initdb", death_signal=signal.SIGKILL)
        if process.wait(timeout=300) != 0:
            raise ServiceError(f"PostgreSQL could not create its data folder. {last_lines(self._places, 'initdb')}")
        draft.rename(self._places.postgres_data)

    def _check_version(self) -> None:
        data = self._places.postgres_data
        found = (data / "PG_VERSION").read_text().strip()
        if found != _MAJOR:
            raise ServiceError(
                f"{data} was written by PostgreSQL {found}, this is {_MAJOR}. "
                "Move the data with pg_dump and pg_restore, or start over with --reset"
            )

    def _write_access_rules(self) -> None:
        data = self._places.postgres_data
        (data / "pg_hba.conf").write_text(f"local all {DATABASE} peer map=notifier\n")
        names = sorted({"root", self._places.user.name})
        (data / "pg_ident.conf").write_text("".join(f'notifier "{name}" {DATABASE}\n' for name in names))

    def _clear_remains(self) -> None:
        """Removes the marks of a killed server: its process id may belong to somebody else by now."""
        mark = self._places.postgres_data / "postmaster.pid"
        if not mark.exists():
            return
        with contextlib.suppress(ValueError, IndexError):
            _end(int(mark.read_text().split()[0]), self._places.postgres_data)
        mark.unlink(missing_ok=True)
        for remains in self._places.postgres_run.glob(".s.PGSQL.*"):
            remains.unlink(missing_ok=True)


class Redis:
    """Redis of the path or of the wheel; keeps nothing on disk, it is only the bell and the counters."""

    name = "redis"
    stop_signal = signal.SIGTERM

    def __init__(self, places: Places) -> None:
        self._places = places

    def launch(self) -> "subprocess.Popen[bytes]":
        """Starts on a socket of its own, without a port."""
        socket = str(self._places.redis_socket)
        options = {"port": "0", "unixsocket": socket, "unixsocketperm": "700", "save": "", "appendonly": "no"}
        options |= {"daemonize": "no", "dir": str(self._places.home / "redis"), "loglevel": "warning"}
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        command = [str(find_redis(self._places.user)), *arguments]
        return spawn(command, self._places, self.name, death_signal=self.stop_signal)

    async def is_ready(self) -> bool:
        """Whether it answers PING."""
        try:
            async with asyncio.timeout(5):
                reader, writer = await asyncio.open_unix_connection(str(self._places.redis_socket))
                writer.write(b"PING\r\n")
                reply = await reader.readline()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError):
            return False
        return reply == b"+PONG\r\n"

    async def finish(self) -> None:
        """Nothing: it starts empty."""


def spawn(
    command: Sequence[str], places: Places, log: str, *, death_signal: signal.Signals
) -> "subprocess.Popen[bytes]":
    """Starts a program as the server's user; the kernel sends it `death_signal` when this process dies."""
    user = places.user
    try:
        with _open_log(places.log / f"{log}.log") as output:
            return subprocess.Popen(  # noqa: S603 - our own programs and arguments
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                start_new_session=True,
                preexec_fn=_die_with_parent(death_signal),  # noqa: PLW1509 - one thread only
                umask=0o077,
                user=user.uid if user.switch else None,
                group=user.gid if user.switch else None,
                extra_groups=[] if user.switch else None,
            )
    except OSError as error:
        raise ServiceError(
            f"{command[0]} could not be started as user {user.name}: {error.strerror}. "
            "Run notifier as a normal user, or set DATABASE_URL and REDIS_URL"
        ) from error


def last_lines(places: Places, log: str) -> str:
    """The end of a server's log, for the error a person reads."""
    path = places.log / f"{log}.log"
    lines = path.read_text(errors="replace").splitlines()[-3:] if path.exists() else []
    return f"Its log {path} ends: " + " / ".join(lines)


def _open_log(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_suffix(".old"))
    return path.open("ab")


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None, use_errno=True).prctl, os.getpid()

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return arrange


def _end(pid: int, data: Path) -> None:
    """Ends a server left over on this data, recognised by its working folder; anybody else is left alone."""
    for sign, patience_s in ((signal.SIGINT, 30), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
        deadline = time.monotonic() + patience_s
        if not _works_in(pid, data):
            return
        with contextlib.suppress(OSError):
            os.kill(pid, sign)
        while _works_in(pid, data) and time.monotonic() < deadline:
            time.sleep(0.05)


def _works_in(pid: int, data: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == data
    except OSError:
        return False
