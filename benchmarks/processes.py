"""What other processes take: processor seconds and memory, from /proc."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.house import House

_TICKS = os.sysconf("SC_CLK_TCK")
_LOOK_S = 0.2


@dataclass(slots=True)
class Usage:
    """What the processes of a block took."""

    cpu_s: float = 0.0
    peak_bytes: int = 0  # of the largest one, memory shared with others not counted


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of processes that are still there."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


@asynccontextmanager
async def watched(house: House) -> AsyncIterator[Usage]:
    """Processor time and peak memory of PostgreSQL's processes during the block."""
    usage, before = Usage(), cpu_seconds(await _server_pids(house))
    task = asyncio.create_task(_look(house, usage))
    try:
        yield usage
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        usage.cpu_s = cpu_seconds(await _server_pids(house)) - before


async def _look(house: House, usage: Usage) -> None:
    while True:
        usage.peak_bytes = max(usage.peak_bytes, *(_own_bytes(pid) for pid in await _server_pids(house)))
        await asyncio.sleep(_LOOK_S)


async def _server_pids(house: House) -> list[int]:
    async with house.database.transaction() as tx:
        return [row["pid"] for row in await tx.fetch("SELECT pid FROM pg_stat_activity")]


def _own_bytes(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0
