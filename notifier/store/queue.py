"""The bell: arq jobs that say "there is work", never carry it. Redis gone = later, never lost."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from arq.connections import ArqRedis, RedisSettings
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from notifier.domain.errors import ServiceError
from notifier.domain.purpose import LANES
from notifier.logs import get_logger

HOUSE = "house"  # tick, callbacks, notes
IMPORTS = "imports"  # files of contacts: minutes of work, never before an emergency
JOBS = {f"drain-{lane}": f"lane-{lane}" for lane in LANES} | {
    "tick": HOUSE,
    "callbacks": HOUSE,
    "notes": HOUSE,
    "imports": IMPORTS,
}
_WAITING_AT_MOST = 8  # a bell that has not been heard need not be rung again
_FRESH_MS = 10_000  # an older one is being answered, or was by a worker that is dead: it counts no more
_FORGOTTEN_MS = 60_000
_TIMEOUT_S = 2.0
log = get_logger()


def queue_name(name: str) -> str:
    """The Redis key of a queue: "house" or "lane-1"…"""
    return f"notifier:{name}"


def encode_job(job: dict[str, Any]) -> bytes:
    """JSON: what can write to Redis must not be able to run code."""
    return json.dumps(job, default=str).encode()


class Bell:
    """Rings jobs; a ring that fails is logged and made up for by the next tick."""

    def __init__(self, redis: ArqRedis) -> None:
        self.redis = redis

    async def ring(self, job: str) -> bool:
        """Say that there is work for `job`, a key of `JOBS`; False where Redis did not hear it."""
        queue = queue_name(JOBS[job])
        try:
            if await self._waiting(queue) < _WAITING_AT_MOST:
                await self.redis.enqueue_job(job, _queue_name=queue)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("queue.ring_failed", job=job, error=type(error).__name__)
            return False
        return True

    async def take_turn(self, name: str, every_s: float) -> bool | None:
        """Whether it is ours to do this now: of all processes one may, once in this time. None where Redis is gone."""
        try:
            return bool(await self.redis.set(f"notifier:turn:{name}", 1, nx=True, px=round(every_s * 1000)))
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("queue.turn_not_taken", turn=name, error=type(error).__name__)
            return None

    async def _waiting(self, queue: str) -> int:
        """Bells rung lately. arq keeps a job in its queue until it ends, and that of a killed worker for ever."""
        now_ms = int(time.time() * 1000)  # what arq scores a job with when it is put there
        await self.redis.zremrangebyscore(queue, "-inf", now_ms - _FORGOTTEN_MS)
        return int(await self.redis.zcount(queue, now_ms - _FRESH_MS, "+inf"))


@asynccontextmanager
async def open_bell(url: str) -> AsyncIterator[Bell]:
    """A bell on `redis://…` or `unix://…`; does not connect until it rings."""
    redis = open_redis(url)
    try:
        yield Bell(redis)
    finally:
        await redis.aclose()


def open_redis(url: str) -> ArqRedis:
    """arq's client over a bounded pool with time-outs."""
    try:
        pool: ConnectionPool = ConnectionPool.from_url(
            url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, max_connections=20
        )
    except ValueError as error:
        raise ServiceError(f"REDIS_URL: {error}") from error
    redis = ArqRedis(pool, job_serializer=encode_job, job_deserializer=json.loads)
    redis.auto_close_connection_pool = True  # the pool is ours alone; arq would leave it open
    return redis


__all__ = ["HOUSE", "IMPORTS", "JOBS", "Bell", "RedisSettings", "encode_job", "open_bell", "open_redis", "queue_name"]
