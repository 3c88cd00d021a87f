"""Real worker processes within milliseconds: a mother process imports everything once and forks them.

`python -m tests.faults.mother` reads one JSON line per worker, `{"environment": …, "lanes": …}`, and writes one when it
was born and one when it died.
"""

import asyncio
import ctypes
import json
import os
import select
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO

from notifier.processes import environment_of
from notifier.settings import Settings

_BORN_S = 60
_PR_SET_PDEATHSIG = 1
ALL_LANES = (1, 2, 3, 4)


class Born:
    """A worker; the part of `asyncio.subprocess.Process` that faults need."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.died = asyncio.Event()

    def send_signal(self, sign: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, sign)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    async def wait(self, within_s: float = 90) -> int:
        """Its exit code, negative for the signal that killed it."""
        await asyncio.wait_for(self.died.wait(), within_s)
        assert self.returncode is not None
        return self.returncode


class Mother:
    """The process that forks."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._children: dict[int, Born] = {}
        self._births: asyncio.Queue[Born] = asyncio.Queue()
        self.listening = asyncio.create_task(self._listen())

    @asynccontextmanager
    async def worker(self, settings: Settings, lanes: Sequence[int] = ALL_LANES) -> AsyncIterator[Born]:
        """A worker as long as the block lasts, if nobody kills it before."""
        born = await self.bear(settings, lanes)
        try:
            yield born
        finally:
            born.kill()
            await born.wait()

    async def bear(self, settings: Settings, lanes: Sequence[int] = ALL_LANES) -> Born:
        """A worker that lives until it is killed."""
        assert self._process.stdin is not None
        order = {"environment": environment_of(settings), "lanes": list(lanes)}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return await asyncio.wait_for(self._births.get(), _BORN_S)

    async def bury(self) -> None:
        """Kill whom a test that failed left behind: they would work, with its accounts, on what the next one plans."""
        for born in list(self._children.values()):
            born.kill()
            await born.wait()

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            told = json.loads(line)
            if "code" not in told:
                born = self._children[told["pid"]] = Born(told["pid"])
                self._births.put_nowait(born)
            else:
                dead = self._children.pop(told["pid"])
                dead.returncode = told["code"]
                dead.died.set()


@asynccontextmanager
async def open_mother(log: Path | None = None) -> AsyncIterator[Mother]:
    """One for all tests: her imports are what costs time. What workers say goes to `log`, else where we write."""
    with open(log or os.devnull, "ab") as opened:  # noqa: ASYNC230, PTH123 - once
        async with _mother_process(opened if log else None) as mother:
            yield mother


@asynccontextmanager
async def _mother_process(log: IO[bytes] | None) -> AsyncIterator[Mother]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.mother"),
        stderr=log,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    mother = Mother(process)
    try:
        yield mother
    finally:
        process.kill()
        await process.wait()
        await mother.listening


# ── the process itself ────────────────────────────────────────────────────────────────────────────


def _say(**told: int) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


def _run(environment: dict[str, str], lanes: list[int]) -> None:
    from notifier.logs import configure_logs
    from notifier.settings import load_settings
    from notifier.worker import run_worker

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(2, 1)
    os.environ.clear()
    os.environ.update(environment)
    settings = load_settings()
    configure_logs(form=settings.log_format, level=settings.log_level)
    asyncio.run(run_worker(settings, lanes))


def _bear(order: dict[str, object]) -> None:
    pid = os.fork()
    if pid:
        _say(pid=pid)
        return
    code = 1
    try:
        _run(**order)  # type: ignore[arg-type]
        code = 0
    finally:
        os._exit(code)


def _bury() -> None:
    with suppress(ChildProcessError):
        while (dead := os.waitpid(-1, os.WNOHANG))[0]:
            _say(pid=dead[0], code=os.waitstatus_to_exitcode(dead[1]))


def _mother() -> None:
    import notifier.worker

    del notifier
    orders = b""
    while True:
        _bury()
        if select.select([0], [], [], 0.02)[0]:
            read = os.read(0, 2**16)
            if not read:
                return
            *lines, orders = (orders + read).split(b"\n")
            for line in lines:
                _bear(json.loads(line))


if __name__ == "__main__":
    _mother()
