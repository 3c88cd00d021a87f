"""Debian's `smtp-sink` and `smtp-source`: a server that swallows mail, and what the machine can do at most."""

import asyncio
import os
import re
import shutil
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

MISSING = "skipped: install Debian's postfix"
# Debian keeps them where the path of a plain user does not lead; `BENCH_POSTFIX` names another folder.
_PATH = os.pathsep.join((os.environ.get("BENCH_POSTFIX", "/usr/sbin"), os.environ.get("PATH", "")))
_BACKLOG = "512"
_SOURCE_HEAD = 150  # bytes of head lines that smtp-source puts before the payload it is told to send
_COUNT = re.compile(rb"mesg=(\d+)")
_ADDED = re.compile(rb"(?:(?:X-[\w-]+|Received): [^\n]*\n(?:[ \t][^\n]*\n)*)+")


def is_installed() -> bool:
    """Whether both programs are here."""
    return all(shutil.which(name, path=_PATH) for name in ("smtp-sink", "smtp-source"))


class Sink:
    """A running smtp-sink."""

    def __init__(self, pid: int, counters: Path) -> None:
        self.pid, self._counters = pid, counters

    def messages(self) -> int:
        """How many messages it counted."""
        found = _COUNT.findall(self._counters.read_bytes())
        return int(found[-1]) if found else 0


@asynccontextmanager
async def sink(port: int, folder: Path, *options: str) -> AsyncIterator[Sink]:
    """smtp-sink on a port of this machine as long as the block does."""
    program = shutil.which("smtp-sink", path=_PATH) or ""
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    counters = folder / "counters"
    with counters.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            program, *user, *options, f"127.0.0.1:{port}", _BACKLOG, stdout=output, cwd=folder
        )
    try:
        await _wait_for(port)
        yield Sink(process.pid, counters)
    finally:
        process.terminate()
        await process.wait()


async def source_per_s(port: int, *, messages: int, size: int, keep_connections: bool) -> float:
    """Messages per second of smtp-source over 8 connections; its usual way is a connection per message."""
    program = shutil.which("smtp-source", path=_PATH) or ""
    options = ["-d"] if keep_connections else []
    options += [
        "-s",
        "8",
        "-m",
        str(messages),
        "-l",
        str(size),
        "-f",
        "notices@example.com",
        "-t",
        "client@example.com",
    ]
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(program, *options, f"127.0.0.1:{port}")
    if await process.wait() != 0:
        raise RuntimeError("smtp-source failed, see above")
    return messages / (time.monotonic() - began)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def dumped_size(folder: Path) -> int:
    """The mean size on the wire of messages dumped by the sink, without the head lines it adds itself."""
    sizes = [_wire_size(path.read_bytes()) for path in folder.iterdir()]
    return round(sum(sizes) / len(sizes))


def _wire_size(dump: bytes) -> int:
    text = _ADDED.sub(b"", dump, count=1)
    return len(text) + text.count(b"\n") - text.count(b"\r\n")


async def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise RuntimeError("smtp-sink did not start, see above")
