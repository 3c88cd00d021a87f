"""Rate: no more than so many a second, a share kept for what is urgent, slower when told, back again slowly."""

from dataclasses import replace

import pytest

from notifier.domain.rate import (
    HALF,
    ORDINARY_SHARE,
    RAMP_S,
    RESTART,
    Bucket,
    free,
    rate_of,
    refill,
    slow,
    take,
    wait_s,
)


def _run(per_second: float, seconds: float, *, urgent: bool = False, bucket: Bucket | None = None) -> int:
    """How many leave when as many as possible are asked for every 20 ms."""
    bucket, sent = bucket or Bucket(at=0.0), 0
    start = bucket.at
    for step in range(round(seconds / 0.02) + 1):
        bucket = refill(bucket, per_second, start + step * 0.02)
        granted = free(bucket, per_second, urgent=urgent, want=64)
        bucket, sent = take(bucket, granted), sent + granted
    return sent


@pytest.mark.parametrize("per_second", [0.2, 1, 10, 200, 3_000])
def test_ordinary_lanes_use_their_share_and_urgent_ones_all(per_second: float) -> None:
    seconds = 60.0
    assert _run(per_second, seconds) == pytest.approx(seconds * min(per_second * ORDINARY_SHARE, 3200), rel=0.05, abs=2)
    urgent = _run(per_second, seconds, urgent=True)
    assert urgent == pytest.approx(seconds * min(per_second, 3200), rel=0.05, abs=2)


def test_after_an_ordinary_rush_an_urgent_message_goes_at_once() -> None:
    for per_second in (1.0, 5.0, 100.0):
        bucket = Bucket(at=0.0)
        for step in range(500):
            bucket = refill(bucket, per_second, step * 0.02)
            bucket = take(bucket, free(bucket, per_second, urgent=False, want=64))
        bucket = refill(bucket, per_second, 500 * 0.02 + 1.0)
        bucket = take(bucket, free(bucket, per_second, urgent=False, want=64))
        assert free(bucket, per_second, urgent=True, want=1) == 1


def test_without_a_rate_everything_may_leave() -> None:
    assert free(refill(Bucket(at=0.0), 0.0, 5.0), 0.0, urgent=False, want=64) == 64


def test_a_slowing_halves_once_and_recovers_step_by_step() -> None:
    bucket = slow(refill(Bucket(at=0.0), 100.0, 10.0), 100.0, factor=HALF, closed_s=0)
    assert rate_of(bucket, 100.0, 10.0) == 50
    again = slow(replace(bucket, at=10.5), 100.0, factor=HALF, closed_s=0)
    assert rate_of(again, 100.0, 10.5) == rate_of(bucket, 100.0, 10.5)  # was on the wire already
    later = slow(refill(bucket, 100.0, 13.0), 100.0, factor=HALF, closed_s=0)
    assert rate_of(later, 100.0, 13.0) == pytest.approx(25.5)
    rates = [rate_of(later, 100.0, 13.0 + second) for second in range(0, 301, 30)]
    assert rates == sorted(rates)
    assert rates[-1] == 100
    assert refill(later, 100.0, 13.0 + RAMP_S).slowed_to is None


def test_what_has_no_rate_is_slowed_from_what_was_seen_and_is_free_again() -> None:
    bucket = Bucket(at=0.0)
    for step in range(500):
        bucket = take(refill(bucket, 0.0, step * 0.1), 30)
    bucket = slow(refill(bucket, 0.0, 50.0), 0.0, factor=HALF, closed_s=0)
    assert rate_of(bucket, 0.0, 50.0) == pytest.approx(150, rel=0.1)
    assert free(bucket, 0.0, urgent=False, want=64) == 0  # at once
    assert rate_of(bucket, 0.0, 50.0 + 2 * RAMP_S) == 0.0


def test_retry_after_is_obeyed_by_everybody() -> None:
    bucket = slow(refill(Bucket(at=0.0), 100.0, 10.0), 100.0, factor=HALF, closed_s=30)
    for urgent in (True, False):
        waiting = refill(bucket, 100.0, 39.9)
        assert free(waiting, 100.0, urgent=urgent, want=1) == 0
        assert wait_s(waiting, 100.0, urgent=urgent, want=1) == pytest.approx(0.1)
        assert free(refill(bucket, 100.0, 41.0), 100.0, urgent=urgent, want=1) == 1


def test_after_a_pause_the_backlog_comes_in_no_storm() -> None:
    bucket = slow(refill(Bucket(at=0.0), 100.0, 10.0), 100.0, factor=RESTART, closed_s=0)
    first, last = _run(100.0, 10, bucket=bucket), _run(100.0, 300, bucket=bucket)
    assert 50 < first < 120
    assert last < 300 * 100 * 0.6


def test_a_debt_is_paid_before_anything_leaves() -> None:
    bucket = take(refill(Bucket(at=0.0), 10.0, 10.0), 30)
    assert free(bucket, 10.0, urgent=True, want=1) == 0
    assert 1 < wait_s(bucket, 10.0, urgent=True, want=1) < 4
