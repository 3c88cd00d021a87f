"""The processes of `up` and `demo`: started, watched, started again after a crash, and all stopped together."""

import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

import httpx
from pydantic import SecretStr

from notifier.domain.errors import ServiceError
from notifier.logs import get_logger
from notifier.settings import Settings, variable_of

CHILD_FLAG = "--child"
"""Tells `web` and `worker` that they are one of ours: they end with us."""

_READY_S = 120.0
_GRACE_S = 45.0  # longer than a worker takes to finish what is on the wire
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_STEADY_S = 60.0
_LOG_BYTES = 20_000_000
_TAIL_BYTES = 4_000
_TAIL_LINES = 8
_PACKAGES = Path(__file__).resolve().parent.parent
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, never listened on

log = get_logger()


class Output(StrEnum):
    """Where children write."""

    FILES = "files"  # `logs/NAME.log` in the data folder
    STDERR = "stderr"  # our own standard error, for containers and terminals


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A process to keep running: `python -m notifier` with these arguments."""

    name: str
    arguments: tuple[str, ...]


def default_children(workers: int = 2) -> tuple[Child, ...]:
    """The web server, one worker for emergency and transactional messages, `workers` for all others."""
    return (
        Child(name="web", arguments=("web",)),
        Child(name="worker-urgent", arguments=("worker", "--lanes", "1,2")),
        *(Child(name=f"worker-{number}", arguments=("worker", "--lanes", "3,4")) for number in range(1, workers + 1)),
    )


@asynccontextmanager
async def running(
    settings: Settings, children: Sequence[Child], *, output: Output = Output.FILES
) -> AsyncIterator["Group"]:
    """The children, the web server among them ready, as long as the block does.

    `settings` name both servers. A child that ends is started again, after a pause that grows. They are told to stop
    when the block ends and killed if they do not; they also stop where we are killed. `ServiceError` where the web
    server does not start.
    """
    if any(child.name == "web" for child in children):
        refuse_taken_port(settings)
    group = Group(settings, output)
    try:
        group.start(children)
        await group.wait_ready()
        yield group
    finally:
        await group.stop()


def refuse_taken_port(settings: Settings) -> None:
    """`ServiceError` where somebody else listens already, in words a newcomer can act on."""
    family = socket.AF_INET6 if ":" in settings.web_host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.web_host, settings.web_port))
        except OSError as error:
            raise ServiceError(
                f"cannot listen on {settings.web_host} port {settings.web_port}: {error.strerror}. "
                f"Stop what uses it, or choose another with --port or {variable_of('web_port')}"
            ) from error


def web_url(settings: Settings) -> str:
    """Where this machine reaches the web server."""
    host = _ANYWHERE.get(settings.web_host, settings.web_host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.web_port}"


def environment_of(settings: Settings) -> dict[str, str]:
    """Our environment with these settings in it, as a child reads them back."""
    environment = dict(os.environ)
    for name in Settings.model_fields:
        text = _spell(getattr(settings, name))
        environment.pop(variable_of(name), None)
        if text:
            environment[variable_of(name)] = text
    return environment


def _spell(value: object) -> str:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case bool():
            return str(value).lower()
        case dict():
            return json.dumps({key: _spell(item) for key, item in value.items()}) if value else ""
    return "" if value is None else str(value)


def end_with_parent() -> None:
    """For a child: be told to stop when the parent is gone, however it went."""
    threading.Thread(target=_wait_for_the_end, name="parent-watch", daemon=True).start()


def _wait_for_the_end() -> None:
    # The parent holds the other end of our standard input and writes nothing: what can be read is its end.
    with suppress(OSError):
        os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


class _Kept:
    """A child and its process of the moment."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.process: asyncio.subprocess.Process | None = None
        self.ends = 0
        self.task: asyncio.Task[None] | None = None


class Group:
    """The running children."""

    def __init__(self, settings: Settings, output: Output) -> None:
        self._settings, self._output = settings, output
        self._kept: list[_Kept] = []
        self._stdin, self._lifeline = os.pipe()

    @property
    def web_url(self) -> str:
        """Where this machine reaches the web server."""
        return web_url(self._settings)

    def log_file(self, name: str) -> Path:
        """What a child wrote, where children write to files."""
        return self._settings.data_dir / "logs" / f"{name}.log"

    def pids(self) -> dict[str, int]:
        """Name → process id of the children running now."""
        return {one.child.name: one.process.pid for one in self._kept if _is_running(one.process)}  # type: ignore[union-attr]

    def start(self, children: Sequence[Child]) -> None:
        """Start and keep each of them."""
        for child in children:
            one = _Kept(child)
            one.task = asyncio.create_task(self._keep(one), name=f"keep {child.name}")
            self._kept.append(one)

    async def wait_ready(self) -> None:
        """Until the web server says so; `ServiceError` where it ends first or takes too long."""
        web = next((one for one in self._kept if one.child.name == "web"), None)
        if web is None:
            return
        deadline = time.monotonic() + _READY_S
        async with httpx.AsyncClient(base_url=self.web_url, timeout=5, trust_env=False) as client:
            while not await _is_ready(client):
                if web.ends or (web.task and web.task.done()):
                    raise ServiceError(f"the web server did not start.{self._last_words('web')}")
                if time.monotonic() > deadline:
                    raise ServiceError(f"the web server is not ready after {_READY_S:.0f} s.{self._last_words('web')}")
                await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """Tell all to stop, wait, kill what does not."""
        tasks = [one.task for one in self._kept if one.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        alive = [one for one in self._kept if _is_running(one.process)]
        for one in alive:
            _signal(one, signal.SIGTERM)
        os.close(self._lifeline)
        os.close(self._stdin)
        if not alive:
            return
        waits = {asyncio.create_task(one.process.wait()): one for one in alive if one.process}
        _, late = await asyncio.wait(waits, timeout=_GRACE_S)
        for wait in late:
            log.warning("processes.child_killed", child=waits[wait].child.name, after_s=_GRACE_S)
            _signal(waits[wait], signal.SIGKILL)
        await asyncio.gather(*waits)

    async def _keep(self, one: _Kept) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            one.process = await self._spawn(one.child)
            code = await one.process.wait()
            one.ends += 1
            pause = _FIRST_PAUSE_S if time.monotonic() - began > _STEADY_S else pause
            log.warning("processes.child_ended", child=one.child.name, exit_code=code, again_in_s=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _spawn(self, child: Child) -> asyncio.subprocess.Process:
        # -P: a folder called `notifier` where we were started must not be taken for the package.
        command = [sys.executable, "-P", "-m", "notifier", *child.arguments, CHILD_FLAG]
        environment = environment_of(self._settings) | {"PYTHONPATH": str(_PACKAGES)}
        with self._open_output(child.name) as output:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=self._stdin,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,  # a Ctrl-C in the terminal is for us alone
            )

    def _open_output(self, name: str) -> IO[bytes]:
        if self._output is Output.STDERR:
            return os.fdopen(os.dup(2), "ab", buffering=0)
        path = self.log_file(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path.open("ab")

    def _last_words(self, name: str) -> str:
        if self._output is Output.STDERR or not self.log_file(name).exists():
            return ""
        lines = self.log_file(name).read_bytes()[-_TAIL_BYTES:].decode(errors="replace").splitlines()[-_TAIL_LINES:]
        return f" {self.log_file(name)} ends with:\n" + "\n".join(lines)


def _is_running(process: asyncio.subprocess.Process | None) -> bool:
    return process is not None and process.returncode is None


def _signal(one: _Kept, sign: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        if one.process:
            one.process.send_signal(sign)


async def _is_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).is_success
    except httpx.HTTPError:
        return False
