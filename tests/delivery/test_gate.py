"""The gate: an account's connections, one of them for what is urgent."""

import asyncio

import pytest

from notifier.delivery.gate import Gate


async def _enter(gate: Gate, lane: int, entered: list[int], leave: asyncio.Event) -> None:
    async with gate.passing(lane):
        entered.append(lane)
        await leave.wait()


@pytest.mark.parametrize(("slots", "ordinary"), [(1, 1), (2, 1), (8, 7)])
async def test_ordinary_lanes_leave_one_connection_free(slots: int, ordinary: int) -> None:
    gate, entered, leave = Gate(slots), list[int](), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for lane in [3, 4] * slots:
            group.create_task(_enter(gate, lane, entered, leave))
        await asyncio.sleep(0.01)
        assert len(entered) == ordinary == gate.share(3)
        group.create_task(_enter(gate, 1, entered, leave))
        await asyncio.sleep(0.01)
        assert (1 in entered) == (slots > 1)
        leave.set()
    assert gate.share(1) == slots


async def test_all_lanes_together_never_pass_more_than_the_connections() -> None:
    gate, entered, leave = Gate(3), list[int](), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for lane in (1, 2, 3, 4) * 3:
            group.create_task(_enter(gate, lane, entered, leave))
        await asyncio.sleep(0.01)
        assert len(entered) == 3
        leave.set()


async def test_with_one_connection_the_urgent_waits_for_one_message_only() -> None:
    gate, entered, leave = Gate(1), list[int](), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(_enter(gate, 4, entered, leave))
        await asyncio.sleep(0.01)
        group.create_task(_enter(gate, 1, entered, leave))
        await asyncio.sleep(0.01)
        leave.set()
    assert entered == [4, 1, 4, 4, 4, 4]
