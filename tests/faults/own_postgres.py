"""A PostgreSQL of one's own, to be stopped, killed and started again."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from notifier.embedded.places import Places, find_places, prepare
from notifier.embedded.servers import DATABASE, Postgres

_READY_S = 120


class OwnPostgres:
    """Starts and ends as told; what was committed outlives it."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._server = Postgres(places, durable=False)  # a killed process loses no page: the kernel has it
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql+asyncpg://{DATABASE}@/{DATABASE}?host={quote(str(places.postgres_run))}"

    async def start(self) -> None:
        """Start it and wait until it answers; again where what is left of a killed one is in its way."""
        for _ in range(int(_READY_S / 0.1)):
            if self._process is None or self._process.poll() is not None:
                self._process = self._server.launch()
            if await self._server.is_ready():
                return
            await asyncio.sleep(0.1)
        raise AssertionError("PostgreSQL does not start")

    async def create(self) -> None:
        """The first start."""
        await self.start()
        await self._server.finish()

    async def stop(self, how: signal.Signals) -> None:
        """SIGINT: in order; SIGQUIT: at once; SIGKILL: without a word."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, how)
        await asyncio.to_thread(self._process.wait)


@asynccontextmanager
async def own_postgres() -> AsyncIterator[OwnPostgres]:
    """Empty, without a schema."""
    folder = _folder()
    places = find_places(folder / "data")
    prepare(places)
    server = OwnPostgres(places)
    try:
        await server.create()
        yield server
    finally:
        await server.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(places.run, ignore_errors=True)


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="notifier-faults-"))
    folder.chmod(0o711)  # root's servers run as somebody else
    return folder
