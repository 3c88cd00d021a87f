"""Rates in Redis: the script does what the rule says, for all workers together, by Redis's own clock."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import asdict
from typing import cast

import pytest
from redis.asyncio import Redis

from notifier.domain.rate import HALF, ORDINARY_SHARE, RESTART, Bucket, free, refill, slow, take, wait_s
from notifier.store.queue import open_redis
from notifier.store.rates import Ask, Rates


@pytest.fixture
async def rates(redis_url: str) -> AsyncIterator[tuple[Rates, Rates]]:
    """As two workers have them."""
    first, second = open_redis(redis_url), open_redis(redis_url)
    yield Rates(first), Rates(second)
    await first.flushall()
    await first.aclose()
    await second.aclose()


async def _send(rates: Rates, seconds: float, *, urgent: bool = False, per_second: float = 200) -> int:
    sent, ends = 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        (grant,) = await rates.take([Ask(bucket="b", per_second=per_second, want=64)], urgent=urgent)
        sent += grant.granted
        await asyncio.sleep(max(0.01, min(grant.wait_s, 0.1)))
    return sent


async def test_two_workers_share_a_rate(rates: tuple[Rates, Rates]) -> None:
    begun = time.monotonic()
    sent = sum(await asyncio.gather(*(_send(one, 1.5) for one in rates)))
    took = time.monotonic() - begun
    assert sent <= took * 200 * ORDINARY_SHARE + 2
    assert sent > 1.0 * 200 * ORDINARY_SHARE * 0.8


async def test_what_is_urgent_finds_room_while_ordinary_lanes_rush(rates: tuple[Rates, Rates]) -> None:
    ordinary, urgent = rates
    rush = asyncio.create_task(_send(ordinary, 1.5))
    await asyncio.sleep(1.0)
    for _ in range(5):
        (grant,) = await urgent.take([Ask(bucket="b", per_second=200, want=2)], urgent=True)
        assert grant.granted == 2
        await asyncio.sleep(0.05)
    await rush


async def test_asks_taken_together_are_granted_alike(rates: tuple[Rates, Rates]) -> None:
    asks = [Ask(bucket="account", per_second=0, want=10), Ask(bucket="sender", per_second=1, want=10)]
    (grant,) = await rates[0].take(asks, urgent=True)
    assert grant.granted == 1
    first, second = await rates[0].take(
        [Ask(bucket="x", per_second=1, want=5), Ask(bucket="y", per_second=0, want=5, together=1)], urgent=False
    )
    assert (first.granted, second.granted) == (1, 5)
    assert first.wait_s > 0.5


async def test_a_slowing_is_for_all_counts_once_and_closes_as_told(rates: tuple[Rates, Rates]) -> None:
    here, there = rates
    assert await here.slow("b", 100, factor=HALF, closed_s=0) == (True, 50.0)
    assert await there.slow("b", 100, factor=HALF, closed_s=60) == (False, 50.0)
    (grant,) = await there.take([Ask(bucket="b", per_second=100, want=1)], urgent=True)
    assert (grant.granted, 55 < grant.wait_s <= 60) == (0, True)


async def test_what_was_granted_and_not_needed_comes_back(rates: tuple[Rates, Rates]) -> None:
    (first,) = await rates[0].take([Ask(bucket="b", per_second=0.05, want=1)], urgent=True)
    (second,) = await rates[0].take([Ask(bucket="b", per_second=0.05, want=1)], urgent=True)
    (third,) = await rates[0].take([Ask(bucket="b", per_second=0.05, want=1, used=-1)], urgent=True)
    assert (first.granted, second.granted, third.granted) == (1, 0, 1)


@pytest.mark.parametrize("per_second", [0.0, 2.0, 100.0])
async def test_the_script_does_what_the_rule_says(redis_url: str, per_second: float) -> None:
    redis = open_redis(redis_url)
    rates, key = Rates(redis), "notifier:rate:b"
    here: Bucket | None = None
    draw = random.Random(7)
    try:
        for step in range(120):
            factor = {20: HALF, 45: RESTART, 46: HALF, 80: HALF}.get(step)
            urgent, used, want = draw.random() < 0.6, draw.choice([0.0, 0.0, 3.0, -2.0]), draw.choice([1, 8, 64])
            if factor:
                await rates.slow("b", per_second, factor=factor, closed_s=0.05 if step == 80 else 0)
            else:
                ask = Ask(bucket="b", per_second=per_second, want=want, used=used)
                (grant,) = await rates.take([ask], urgent=urgent)
            there = await _read(redis, key)
            here = refill(here or Bucket(at=there.at), per_second, there.at)
            if factor:
                here = slow(here, per_second, factor=factor, closed_s=0.05 if step == 80 else 0)
            else:
                here = take(here, per_second, used, urgent=urgent)
                assert grant.granted == free(here, per_second, urgent=urgent, want=want)
                here = take(here, per_second, grant.granted, urgent=urgent)
                wait = wait_s(here, per_second, urgent=urgent, want=want)
                assert grant.wait_s == pytest.approx(wait, abs=0.002)
            assert _numbers(there) == pytest.approx(_numbers(here), rel=1e-6, abs=1e-4), step
            here = there  # what is rounded does not add up
            if step > 75:
                await asyncio.sleep(2.1 if step == 79 else 0.005)
    finally:
        await redis.flushall()
        await redis.aclose()


async def _read(redis: Redis, key: str) -> Bucket:
    found = {
        name.decode(): float(text)
        for name, text in (await cast("Awaitable[dict[bytes, bytes]]", redis.hgetall(key))).items()
    }
    names = {"slow": "slowed_to", "closed": "closed_until"}
    return Bucket(**{names.get(name, name): number for name, number in found.items()})


def _numbers(bucket: Bucket) -> Mapping[str, float]:
    return {name: -1.0 if number is None else number for name, number in asdict(bucket).items()}
