"""The bell: it rings, it does not pile up, and it says when nobody hears."""

import json
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


async def test_a_ring_without_redis_is_false_and_no_error(tmp_path: Path) -> None:
    async with open_bell(f"unix://{tmp_path}/none.sock") as bell:
        assert not await bell.ring("tick")
