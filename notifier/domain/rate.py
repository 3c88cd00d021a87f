"""Rate: how many messages may leave now by what an account, a sender or a group of domains takes in a second."""

import math
from dataclasses import dataclass, replace

ORDINARY_SHARE = 0.8
"""Of every rate, what ordinary lanes may use; the urgent lanes 1 and 2 may use all of it."""

BURST_S = 0.5  # so many seconds of a rate may be saved up
RAMP_S = 300.0  # from nothing back to the full rate
GATHER_S = 0.1  # what is less than this long's worth of tokens is not worth a claim
ONE_SLOWING_S = 2.0  # what was on the wire when it was slowed down says nothing new
SLOWEST = 0.05  # messages a second
FLOOR = 50.0  # what is thought to be carried a second where no rate is known and little was seen
RESERVE, RESERVE_SHARE = (
    5.0,
    0.2,
)  # for urgent lanes however slow the rest is: messages a second, share of the full rate
HALF, RESTART = 0.5, 0.1  # slowed down to: "too fast", of what leaves now; after a pause, of the full rate
BELIEF = 0.8  # of the best rate, kept each time the provider says "too fast"
SEEN_S = 5.0  # over how long the actual rate is measured
URGENT_LANES = frozenset({1, 2})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Tokens of one rate; all times on one clock, in seconds. The same is done in Redis by `store.rates`."""

    at: float
    all: float = 1.0
    ordinary: float = 1.0
    slowed_to: float | None = None  # None: not slowed down
    slowed_at: float = 0.0
    top: float = 0.0  # what it was slowed down from
    closed_until: float = 0.0
    seen: float = 0.0  # messages a second that left of late
    best: float = 0.0  # the most that was ever seen; a pause or a quiet week takes nothing from it


def rate_of(bucket: Bucket, per_second: float, now: float) -> float:
    """Messages a second now: `per_second` (0 = any), less while it recovers from a slowing."""
    if bucket.slowed_to is None:
        return per_second
    current = bucket.slowed_to + max(0.0, now - bucket.slowed_at) * bucket.top / RAMP_S
    if per_second:
        return min(current, per_second)
    return current if current < 2 * bucket.top else 0.0  # without a rate of its own: well past what it was


def urgent_rate_of(bucket: Bucket, per_second: float, now: float) -> float:
    """The same for urgent lanes, which a slowing leaves a reserve."""
    rate, full = rate_of(bucket, per_second, now), per_second or bucket.top
    return max(rate, min(full, max(RESERVE, full * RESERVE_SHARE))) if rate else 0.0


def refill(bucket: Bucket, per_second: float, now: float) -> Bucket:
    """The bucket as it stands now."""
    span, rate = max(now - bucket.at, 0.0), rate_of(bucket, per_second, now)
    urgent_rate = urgent_rate_of(bucket, per_second, now)
    ordinary_most, all_most = most(rate, urgent_rate)
    over = bucket.slowed_to is not None and rate == per_second
    seen = bucket.seen * math.exp(-span / SEEN_S)
    return replace(
        bucket,
        at=now,
        all=min(all_most, bucket.all + span * urgent_rate) if rate else 1.0,
        ordinary=min(ordinary_most, bucket.ordinary + span * rate * ORDINARY_SHARE) if rate else 1.0,
        slowed_to=None if over else bucket.slowed_to,
        seen=seen,
        best=max(bucket.best, seen),
    )


def most(rate: float, urgent_rate: float) -> tuple[float, float]:
    """The tokens that can be saved up: for ordinary lanes, and with what is kept for urgent ones."""
    ordinary = max(1.0, rate * ORDINARY_SHARE * BURST_S)
    return ordinary, ordinary + max(1.0, urgent_rate * (1 - ORDINARY_SHARE))


def free(bucket: Bucket, per_second: float, *, urgent: bool, want: int) -> int:
    """How many of `want` may leave; the bucket is refilled."""
    if bucket.closed_until > bucket.at:
        return 0
    if not rate_of(bucket, per_second, bucket.at):
        return want
    tokens = bucket.all if urgent else min(bucket.all, bucket.ordinary)
    return max(0, min(want, math.floor(tokens + 1e-9)))


def wait_s(bucket: Bucket, per_second: float, *, urgent: bool, want: int) -> float:
    """How long until it is worth asking again."""
    closed = max(0.0, bucket.closed_until - bucket.at)
    rate = rate_of(bucket, per_second, bucket.at)
    if closed or not rate:
        return closed
    refilled = urgent_rate_of(bucket, per_second, bucket.at) if urgent else rate * ORDINARY_SHARE
    tokens = bucket.all if urgent else min(bucket.all, bucket.ordinary)
    worth = max(1.0, min(want, rate * GATHER_S))
    return max(0.0, (worth - tokens) / refilled)


def take(bucket: Bucket, per_second: float, count: float, *, urgent: bool = False) -> Bucket:
    """So many leave; a negative count was not needed after all. More than there is makes a debt.

    What is urgent goes first as long as it lasts; ordinary lanes owe it no more than they could have saved up.
    """
    rate, urgent_rate = (one(bucket, per_second, bucket.at) for one in (rate_of, urgent_rate_of))
    ordinary_most, all_most = most(rate, urgent_rate)
    least = min(bucket.ordinary, -ordinary_most) if urgent else -math.inf
    return replace(
        bucket,
        all=min(all_most, bucket.all - count),
        ordinary=max(least, min(ordinary_most, bucket.ordinary - count)),
        seen=max(0.0, bucket.seen + count / SEEN_S),
    )


def slow(bucket: Bucket, per_second: float, *, factor: float, closed_s: float) -> Bucket:
    """Slowed down from now on, once for all that was on the wire; closed for as long as the provider asked."""
    closed_until = max(bucket.closed_until, bucket.at + closed_s)
    if bucket.slowed_to is not None and bucket.at - bucket.slowed_at < ONE_SLOWING_S:
        return replace(bucket, closed_until=closed_until)
    current, full = rate_of(bucket, per_second, bucket.at), per_second or max(bucket.best, FLOOR)
    after_pause = factor == RESTART
    goal = min(current or full, full * factor) if after_pause else (current or max(bucket.seen, FLOOR)) * factor
    return replace(
        bucket,
        all=min(bucket.all, 0.0),
        ordinary=min(bucket.ordinary, 0.0),
        slowed_to=max(goal, SLOWEST),
        slowed_at=max(bucket.at, closed_until),
        top=full,
        closed_until=closed_until,
        best=bucket.best if after_pause else max(bucket.seen, bucket.best * BELIEF),
    )
