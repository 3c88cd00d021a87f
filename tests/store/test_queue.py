"""The bell: it rings, it does not pile up, and it says when nobody hears."""

import json
import time
from pathlib import Path

from notifier.store.database import Database
from notifier.store.queue import JOBS, open_bell, open_redis, queue_name


async def test_a_ring_puts_one_json_job_into_its_queue(database: Database, redis_url: str) -> None:
    del database  # its fixture empties Redis
    async with open_bell(redis_url) as bell:
        assert await bell.ring("drain-1")
    redis = open_redis(redis_url)
    (job,) = await redis.zrange(queue_name("lane-1"), 0, -1)
    body = await redis.get(f"arq:job:{job.decode()}")
    await redis.aclose()
    assert body is not None
    assert json.loads(body)["f"] == "drain-1"


async def test_rings_nobody_answers_do_not_pile_up(database: Database, redis_url: str) -> None:
    del database
    async with open_bell(redis_url) as bell:
        for _ in range(50):
            assert await bell.ring("tick")
        assert await bell.redis.zcard(queue_name(JOBS["tick"])) == 8


async def test_jobs_that_killed_workers_left_behind_silence_no_bell(database: Database, redis_url: str) -> None:
    del database
    queue = queue_name(JOBS["drain-1"])
    now_ms = time.time() * 1000
    async with open_bell(redis_url) as bell:
        await bell.redis.zadd(queue, {f"dead-{number}": now_ms - 11_000 for number in range(8)})
        await bell.redis.zadd(queue, {f"long-dead-{number}": now_ms - 61_000 for number in range(8)})
        assert await bell.ring("drain-1")
        assert await bell.redis.zcard(queue) == 9
        assert await bell.redis.zcount(queue, now_ms - 1_000, "+inf") == 1


async def test_a_ring_without_redis_is_false_and_no_error(tmp_path: Path) -> None:
    async with open_bell(f"unix://{tmp_path}/none.sock") as bell:
        assert not await bell.ring("tick")


async def test_of_all_processes_one_takes_the_turn_and_none_knows_without_redis(
    database: Database, redis_url: str, tmp_path: Path
) -> None:
    del database
    async with open_bell(redis_url) as one, open_bell(redis_url) as other:
        assert [await bell.take_turn("tick", 60) for bell in (one, other, one)] == [True, False, False]
        assert await other.take_turn("another", 60)
    async with open_bell(f"unix://{tmp_path}/none.sock") as bell:
        assert await bell.take_turn("tick", 60) is None
