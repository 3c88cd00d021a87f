"""Rates in Redis: what all workers together may send now, one script for a whole batch, by Redis's own clock."""

from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from notifier.domain.rate import (
    BELIEF,
    BURST_S,
    FLOOR,
    GATHER_S,
    ONE_SLOWING_S,
    ORDINARY_SHARE,
    RAMP_S,
    RESERVE,
    RESERVE_SHARE,
    RESTART,
    SEEN_S,
    SLOWEST,
)

_KEPT_MS = 7 * 86_400_000  # what an account once carried outlasts its pause


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is wanted of a bucket. Asks with the same `together` are granted alike: the least of them counts."""

    bucket: str
    per_second: float  # 0 = as fast as it goes
    want: int = 0
    used: float = 0  # left besides; negative: was granted and not needed
    together: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """How many may leave; where that is fewer than wanted, when it is worth asking again."""

    granted: int
    wait_s: float


# The same as `notifier.domain.rate`, kept in a hash per bucket.
_BUCKET = f"""
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local function num(text) return tonumber(text or '') end
local function rate_of(b, rate)
    if not b.slow then return rate end
    local current = b.slow + math.max(0, now - b.slowed_at) * b.top / {RAMP_S}
    if rate > 0 then return math.min(current, rate) end
    if current < 2 * b.top then return current end
    return 0
end
local function most(b)
    local ordinary = math.max(1, b.rate * {ORDINARY_SHARE} * {BURST_S})
    return ordinary, ordinary + math.max(1, b.urgent * {1 - ORDINARY_SHARE:.3f})
end
local function load(key, rate)
    local f = redis.call('HMGET', key, 'at', 'all', 'ordinary', 'slow', 'slowed_at', 'top', 'closed', 'seen', 'best')
    local b = {{at = num(f[1]) or now, all = num(f[2]) or 1, ordinary = num(f[3]) or 1, slow = num(f[4]),
        slowed_at = num(f[5]) or 0, top = num(f[6]) or 0, closed = num(f[7]) or 0, seen = num(f[8]) or 0,
        best = num(f[9]) or 0}}
    local span = math.max(now - b.at, 0)
    b.rate, b.urgent = rate_of(b, rate), 0
    if b.rate > 0 then
        local full = rate > 0 and rate or b.top
        b.urgent = math.max(b.rate, math.min(full, math.max({RESERVE}, full * {RESERVE_SHARE})))
        local ordinary, all = most(b)
        b.all = math.min(all, b.all + span * b.urgent)
        b.ordinary = math.min(ordinary, b.ordinary + span * b.rate * {ORDINARY_SHARE})
    else
        b.all, b.ordinary = 1, 1
    end
    if b.slow and b.rate == rate then b.slow = nil end
    b.seen = b.seen * math.exp(-span / {SEEN_S})
    b.best = math.max(b.best, b.seen)
    return b
end
local function take(b, count, urgent)
    local ordinary, all = most(b)
    local least = urgent and math.min(b.ordinary, -ordinary) or -math.huge
    b.all = math.min(all, b.all - count)
    b.ordinary = math.max(least, math.min(ordinary, b.ordinary - count))
    b.seen = math.max(0, b.seen + count / {SEEN_S})
end
local function save(key, b)
    redis.call('HSET', key, 'at', string.format('%.6f', now), 'all', b.all, 'ordinary', b.ordinary, 'top', b.top,
        'slowed_at', string.format('%.6f', b.slowed_at), 'closed', string.format('%.6f', b.closed), 'seen', b.seen,
        'best', b.best)
    if b.slow then redis.call('HSET', key, 'slow', b.slow) else redis.call('HDEL', key, 'slow') end
    redis.call('PEXPIRE', key, {_KEPT_MS})
end
"""
_TAKE = (
    _BUCKET
    + f"""
local urgent = ARGV[1] == '1'
local buckets, granted, waits = {{}}, {{}}, {{}}
for k, key in ipairs(KEYS) do
    local rate, want, used, set = num(ARGV[4*k-2]), num(ARGV[4*k-1]), num(ARGV[4*k]), num(ARGV[4*k+1])
    local b = load(key, rate)
    b.set = set
    take(b, used, urgent)
    local tokens = urgent and b.all or math.min(b.all, b.ordinary)
    local free, wait = want, 0
    if b.closed > now then
        free, wait = 0, b.closed - now
    elseif b.rate > 0 then
        free = math.max(0, math.min(want, math.floor(tokens + 1e-9)))
        local worth = math.max(1, math.min(want, b.rate * {GATHER_S}))
        wait = math.max(0, (worth - tokens + free) / (urgent and b.urgent or b.rate * {ORDINARY_SHARE}))
    end
    granted[set] = math.min(granted[set] or free, free)
    waits[set] = math.max(waits[set] or 0, wait)
    buckets[k] = b
end
local answers = {{}}
for k, key in ipairs(KEYS) do
    local b = buckets[k]
    local count = granted[b.set]
    take(b, count, urgent)
    save(key, b)
    answers[2 * b.set + 1], answers[2 * b.set + 2] = count, math.ceil(waits[b.set] * 1000)
end
return answers
"""
)
_SLOW = (
    _BUCKET
    + f"""
local rate, factor, closed = num(ARGV[1]), num(ARGV[2]), num(ARGV[3])
local b = load(KEYS[1], rate)
b.closed = math.max(b.closed, now + closed)
local told = not b.slow or now - b.slowed_at >= {ONE_SLOWING_S}
if told then
    local current, full = b.rate > 0 and b.rate, rate > 0 and rate or math.max(b.best, {FLOOR})
    local goal
    if factor == {RESTART} then
        goal = math.min(current or full, full * factor)
    else
        goal = (current or math.max(b.seen, {FLOOR})) * factor
        b.best = math.max(b.seen, b.best * {BELIEF})
    end
    b.top, b.slow, b.slowed_at = full, math.max(goal, {SLOWEST}), math.max(now, b.closed)
    b.all, b.ordinary = math.min(b.all, 0), math.min(b.ordinary, 0)
end
save(KEYS[1], b)
return {{told and 1 or 0, math.ceil((b.slow or 0) * 1000)}}
"""
)


class Rates:
    """The buckets all workers share; every call raises what redis-py raises where Redis is gone."""

    def __init__(self, redis: Redis) -> None:
        self._take = redis.register_script(_TAKE)
        self._slow = redis.register_script(_SLOW)

    async def take(self, asks: Sequence[Ask], *, urgent: bool) -> list[Grant]:
        """One grant for each number of `together`, which count up from 0."""
        args: list[str | float] = ["1" if urgent else "0"]
        for ask in asks:
            args += [ask.per_second, ask.want, ask.used, ask.together]
        found = await self._take(keys=[_key(ask.bucket) for ask in asks], args=args)
        return [
            Grant(granted=int(found[at]), wait_s=int(found[at + 1]) / 1000 if len(found) > at + 1 else 0)
            for at in range(0, len(found), 2)
        ]

    async def slow(self, bucket: str, per_second: float, *, factor: float, closed_s: float) -> tuple[bool, float]:
        """Slow a bucket down for all; whether this was news, and the rate it goes on with."""
        told, rate = await self._slow(keys=[_key(bucket)], args=[per_second, factor, closed_s])
        return bool(told), int(rate) / 1000


def _key(bucket: str) -> str:
    return f"notifier:rate:{bucket}"
