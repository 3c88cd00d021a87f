"""Rate: no more than so many a second, a share kept for what is urgent, slower when told, back again slowly."""

from dataclasses import replace

import pytest

from notifier.domain.rate import (
    FLOOR,
    HALF,
    ORDINARY_SHARE,
    RAMP_S,
    RESERVE,
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
        bucket, sent = take(bucket, per_second, granted, urgent=urgent), sent + granted
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
            bucket = take(bucket, per_second, free(bucket, per_second, urgent=False, want=64))
        bucket = refill(bucket, per_second, 500 * 0.02 + 1.0)
        bucket = take(bucket, per_second, free(bucket, per_second, urgent=False, want=64))
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
        bucket = take(refill(bucket, 0.0, step * 0.1), 0.0, 30)
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
    bucket = take(refill(Bucket(at=0.0), 10.0, 10.0), 10.0, 30)
    assert free(bucket, 10.0, urgent=True, want=1) == 0
    assert 1 < wait_s(bucket, 10.0, urgent=True, want=1) < 4


def _carried(per_second: float, *, until: float = 50.0) -> Bucket:
    """An account without a rate of its own that carried so much."""
    bucket = Bucket(at=0.0)
    for step in range(round(until * 10)):
        bucket = take(refill(bucket, 0.0, step * 0.1), 0.0, per_second / 10)
    return refill(bucket, 0.0, until)


def test_what_has_no_rate_goes_on_after_a_pause_with_what_it_once_carried() -> None:
    for pause_s in (15.0, 3_000.0):
        bucket = refill(_carried(3_000), 0.0, 50.0 + pause_s)
        bucket = slow(bucket, 0.0, factor=RESTART, closed_s=0)
        assert rate_of(bucket, 0.0, bucket.at) == pytest.approx(300, rel=0.1)
        assert rate_of(bucket, 0.0, bucket.at + RAMP_S) == pytest.approx(3_300, rel=0.1)


def test_a_quiet_account_that_is_told_too_fast_now_and_then_does_not_fall_silent() -> None:
    bucket = refill(Bucket(at=0.0, seen=0.2), 0.0, 0.0)
    for minute in range(0, 60, 3):
        bucket = slow(refill(bucket, 0.0, minute * 60.0), 0.0, factor=HALF, closed_s=0)
        assert rate_of(bucket, 0.0, bucket.at) >= FLOOR * HALF


def test_a_provider_that_says_it_again_and_again_is_believed() -> None:
    bucket = _carried(3_000)
    for second in range(0, 60, 2):
        bucket = slow(refill(bucket, 0.0, 50.0 + second), 0.0, factor=HALF, closed_s=0)
    assert rate_of(bucket, 0.0, bucket.at) < 5


def test_an_account_that_comes_and_goes_is_not_slowed_to_nothing() -> None:
    bucket = Bucket(at=0.0)
    for second in range(0, 300, 15):
        bucket = slow(refill(bucket, 100.0, float(second)), 100.0, factor=RESTART, closed_s=0)
    assert rate_of(bucket, 100.0, bucket.at) == pytest.approx(10)


@pytest.mark.parametrize(("per_second", "reserve"), [(0.0, 10.0), (100.0, 20.0), (10.0, 5.0), (2.0, 2.0)])
def test_what_is_urgent_keeps_a_reserve_however_slow_the_rest_is(per_second: float, reserve: float) -> None:
    bucket = Bucket(at=0.0)
    for second in range(0, 60, 3):
        bucket = slow(refill(bucket, per_second, float(second)), per_second, factor=HALF, closed_s=0)
    assert reserve >= min(RESERVE, per_second or RESERVE)
    assert _run(per_second, 20, urgent=True, bucket=bucket) >= 20 * reserve * 0.9
    assert _run(per_second, 20, bucket=bucket) <= 20 * max(3.0, per_second * 0.1)


def test_after_an_urgent_rush_ordinary_lanes_wait_a_moment_and_not_for_minutes() -> None:
    bucket = Bucket(at=0.0)
    for step in range(6_000):
        bucket = refill(bucket, 100.0, step * 0.1)
        bucket = take(bucket, 100.0, free(bucket, 100.0, urgent=True, want=64), urgent=True)
        assert step < 20 or free(bucket, 100.0, urgent=False, want=64) == 0  # what is urgent goes first all the time
    assert wait_s(bucket, 100.0, urgent=False, want=64) < 2
    assert free(refill(bucket, 100.0, bucket.at + 2.0), 100.0, urgent=False, want=10) == 10


def test_while_it_is_closed_nothing_is_taken_away() -> None:
    bucket = slow(refill(Bucket(at=0.0), 100.0, 1.0), 100.0, factor=HALF, closed_s=600)
    for second in range(2, 600, 10):
        bucket = refill(bucket, 100.0, float(second))
        assert bucket.all >= 0
        assert rate_of(bucket, 100.0, bucket.at) == 50


def test_what_comes_back_unused_is_no_more_than_can_be_saved_up() -> None:
    bucket = refill(Bucket(at=0.0), 100.0, 10.0)
    bucket = refill(take(bucket, 100.0, 40), 100.0, 20.0)
    assert free(take(bucket, 100.0, -40), 100.0, urgent=False, want=64) == 40
