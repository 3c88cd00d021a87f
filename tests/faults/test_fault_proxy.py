"""The fault proxy does what the other fault tests rely on."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from benchmarks.fault_proxy import FaultProxy, fault_proxy
from tests.faults.scene import eventually


class _Echo:
    """Answers each `\\n`-ended piece with itself; keeps what it read."""

    def __init__(self) -> None:
        self.read = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.CancelledError):
            while data := await reader.read(2**16):
                self.read += data
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def _proxied(round_trip_s: float = 0.0) -> AsyncIterator[tuple[FaultProxy, _Echo]]:
    echo = _Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    async with server, fault_proxy(server.sockets[0].getsockname()[1], round_trip_s=round_trip_s) as proxy:
        yield proxy, echo
        proxy.reset()


@asynccontextmanager
async def _call(proxy: FaultProxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_every_byte_arrives_in_order_both_ways() -> None:
    sent = b"".join(b"%07d\n" % number for number in range(100_000))
    async with _proxied(0.002) as (proxy, _), _call(proxy) as (reader, writer):
        reading = asyncio.create_task(reader.readexactly(len(sent)))
        for start in range(0, len(sent), 997):
            writer.write(sent[start : start + 997])
        assert await asyncio.wait_for(reading, 60) == sent


async def test_a_long_way_delays_each_piece_once_and_not_behind_the_other() -> None:
    async with _proxied(0.2) as (proxy, _), _call(proxy) as (reader, writer):
        begun = time.monotonic()
        for _ in range(20):
            writer.write(b"piece\n")
            await asyncio.sleep(0.001)
        await reader.readexactly(6 * 20)
        assert 0.2 <= time.monotonic() - begun < 0.2 * 19  # one after another would take twenty round trips


async def test_a_reset_is_an_error_at_the_client_at_once() -> None:
    async with _proxied() as (proxy, _), _call(proxy) as (reader, writer):
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 30)
        assert proxy.done["reset"] == 1


async def test_a_stall_holds_all_back_and_then_delivers_it() -> None:
    async with _proxied() as (proxy, echo), _call(proxy) as (reader, writer):
        proxy.stall()
        writer.write(b"held")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.3)
        assert echo.read == b""
        proxy.flow()
        assert await asyncio.wait_for(reader.readexactly(4), 30) == b"held"


async def test_a_refused_connection_is_refused_and_taken_again_later() -> None:
    async with _proxied() as (proxy, _):
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        await proxy.accept()
        async with _call(proxy) as (reader, writer):
            writer.write(b"x")
            assert await asyncio.wait_for(reader.readexactly(1), 30) == b"x"


async def test_a_cut_lets_so_many_bytes_through_and_no_more() -> None:
    async with _proxied() as (proxy, echo):
        proxy.cut_after = 5
        async with _call(proxy) as (reader, writer):
            writer.write(b"123456789")
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 30)
            await eventually(lambda: echo.read == b"12345")
            assert proxy.done["cut"] == 1


async def test_a_lost_reply_was_sent_and_is_not_heard() -> None:
    async with _proxied() as (proxy, echo):
        proxy.lose_replies(1)
        async with _call(proxy) as (reader, writer):
            writer.write(b"before\r\n")
            assert await asyncio.wait_for(reader.readexactly(8), 30) == b"before\r\n"
            writer.write(b"body\r\n.")  # the mark may come in two pieces
            await reader.readexactly(7)
            writer.write(b"\r\nMAIL FROM")
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 30)
            assert (
                echo.read == b"before\r\nbody\r\n.\r\n"
            )  # what follows the dot belongs to the connection that is gone
            assert (proxy.done["lost"], proxy.losses_left) == (1, 0)


async def test_a_lost_reply_may_leave_silence() -> None:
    async with _proxied() as (proxy, echo):
        proxy.lose_replies(1, cut=False)
        async with _call(proxy) as (reader, writer):
            writer.write(b"body\r\n.\r\n")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.3)
            await eventually(lambda: echo.read == b"body\r\n.\r\n")
            assert proxy.done["lost"] == 1
