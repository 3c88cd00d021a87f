"""How often somebody tried: counted in Redis, and in this process where Redis is gone."""

import time
from dataclasses import dataclass, field

from redis.asyncio import Redis
from redis.exceptions import RedisError

_KEPT_AT_MOST = 10_000
_TAKE_BACK = "if tonumber(redis.call('get', KEYS[1]) or '0') > 0 then redis.call('decr', KEYS[1]) end"


@dataclass(slots=True)
class Attempts:
    """A counter per name that forgets after a while."""

    redis: Redis
    _here: dict[str, tuple[int, float]] = field(default_factory=dict)

    async def count(self, name: str, *, within_s: int) -> int:
        """Add one and return how many there were within the last `within_s` seconds."""
        try:
            key = f"notifier:attempts:{name}"
            async with self.redis.pipeline(transaction=True) as pipe:
                pipe.set(key, 0, ex=within_s, nx=True)
                pipe.incr(key)
                answers = await pipe.execute()
            return int(answers[1])
        except (RedisError, OSError, TimeoutError):
            return self._count_here(name, within_s)

    async def forget(self, name: str) -> None:
        """Start again from zero."""
        self._here.pop(name, None)
        try:
            await self.redis.delete(f"notifier:attempts:{name}")
        except (RedisError, OSError, TimeoutError):
            return

    async def take_back(self, name: str) -> None:
        """Count one less: this one was none."""
        if name in self._here:
            count, ends = self._here[name]
            self._here[name] = (max(0, count - 1), ends)
        try:
            # A counter that ran out meanwhile must not come back without an end.
            await self.redis.register_script(_TAKE_BACK)(keys=[f"notifier:attempts:{name}"])
        except (RedisError, OSError, TimeoutError):
            return

    async def is_reachable(self) -> bool:
        """Whether Redis answers."""
        try:
            return bool(await self.redis.ping())
        except (RedisError, OSError, TimeoutError):
            return False

    def _count_here(self, name: str, within_s: int) -> int:
        moment = time.monotonic()
        if len(self._here) >= _KEPT_AT_MOST:
            self._here.clear()
        count, ends = self._here.get(name, (0, 0.0))
        count, ends = (count + 1, ends) if ends > moment else (1, moment + within_s)
        self._here[name] = (count, ends)
        return count
