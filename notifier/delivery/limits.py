"""Limits: what may leave now, asked before anything is claimed; all workers share it through Redis.

Where Redis is gone each worker takes its share: the rate divided by the workers that live.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace

from redis.exceptions import RedisError

from notifier.domain import rate
from notifier.domain.account import Account
from notifier.domain.rate import Bucket
from notifier.logs import get_logger
from notifier.store.database import Database
from notifier.store.queue import open_redis
from notifier.store.rates import Ask, Grant, Rates
from notifier.store.workers import count_workers

log = get_logger()
_GONE = (RedisError, OSError, TimeoutError)
_GONE_FOR_S = 5.0  # a Redis that does not answer is not asked by every batch
_COUNTED_S = 5.0


class Limits:
    """The buckets of a process; closed by a door."""

    def __init__(self, redis_url: str, database: Database) -> None:
        self._redis = open_redis(redis_url)
        self._rates, self._database = Rates(self._redis), database
        self._gone_until = 0.0
        self._here: dict[str, Bucket] = {}
        self._workers, self._counted_at = 1, -_COUNTED_S

    async def aclose(self) -> None:
        """Leave Redis."""
        await self._redis.aclose()

    async def take(self, asks: Sequence[Ask], *, urgent: bool) -> list[Grant]:
        """One grant for each number of `together`."""
        if not asks:
            return []
        if time.monotonic() >= self._gone_until:
            try:
                return await self._rates.take(asks, urgent=urgent)
            except _GONE as error:
                self._lose(error)
        share = 1 / await self._live_workers()
        return self._take_here([replace(ask, per_second=ask.per_second * share) for ask in asks], urgent=urgent)

    async def slow(self, bucket: str, per_second: float, *, factor: float, closed_s: float = 0) -> None:
        """Slow a bucket down, for all workers at once."""
        try:
            is_news, now_s = await self._rates.slow(bucket, per_second, factor=factor, closed_s=closed_s)
        except _GONE as error:
            self._lose(error)
            is_news, now_s = True, 0.0
        mine, moment = per_second / await self._live_workers(), time.monotonic()
        here = rate.refill(self._here.get(bucket, Bucket(at=moment)), mine, moment)
        self._here[bucket] = rate.slow(here, mine, factor=factor, closed_s=closed_s)
        if is_news:
            log.warning("delivery.slowed_down", bucket=bucket, per_second=now_s, closed_s=closed_s)

    def _take_here(self, asks: Sequence[Ask], *, urgent: bool) -> list[Grant]:
        now = time.monotonic()
        sets: dict[int, list[tuple[Ask, Bucket]]] = {}
        for ask in asks:
            bucket = rate.refill(self._here.get(ask.bucket, Bucket(at=now)), ask.per_second, now)
            sets.setdefault(ask.together, []).append((ask, rate.take(bucket, ask.per_second, ask.used, urgent=urgent)))
        return [self._grant(sets[number], urgent=urgent) for number in sorted(sets)]

    def _grant(self, asked: Sequence[tuple[Ask, Bucket]], *, urgent: bool) -> Grant:
        granted = min(rate.free(bucket, ask.per_second, urgent=urgent, want=ask.want) for ask, bucket in asked)
        waits = []
        for ask, bucket in asked:
            self._here[ask.bucket] = after = rate.take(bucket, ask.per_second, granted, urgent=urgent)
            waits.append(rate.wait_s(after, ask.per_second, urgent=urgent, want=ask.want))
        return Grant(granted=granted, wait_s=max(waits))

    def _lose(self, error: Exception) -> None:
        if time.monotonic() >= self._gone_until:
            log.warning("delivery.limits_without_redis", error=type(error).__name__)
        self._gone_until = time.monotonic() + _GONE_FOR_S

    async def _live_workers(self) -> int:
        if time.monotonic() - self._counted_at > _COUNTED_S:
            async with self._database.transaction() as tx:
                self._workers = max(1, await count_workers(tx))
            self._counted_at = time.monotonic()
        return self._workers


def account_bucket(team_id: int, account: Account) -> str:
    """What an account sends."""
    return f"account:{team_id}:{account.key}"


def sender_bucket(team_id: int, account: Account, sender: str) -> str:
    """What is sent as one sender, over all accounts; Redis need not know who it is."""
    return f"sender:{team_id}:{account.channel}:{hashlib.sha256(sender.encode()).hexdigest()[:16]}"


def group_bucket(team_id: int, account: Account, group: str) -> str:
    """What an account sends to a group of domains."""
    return f"group:{team_id}:{account.key}:{group}"
