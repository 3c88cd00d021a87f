"""Scores reproduce published figures, and a verdict is never bolder than its answers."""

import json
import math
from dataclasses import FrozenInstanceError
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from notifier.domain.errors import InputError
from notifier.domain.scores import (
    TOP_BOXES,
    Z_ONE_SIDED,
    Z_TWO_SIDED,
    Csat,
    Verdict,
    chance_of_verdict,
    csat,
    satisfied_from,
    wilson,
)

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "satisfaction.json"

counts_of_5 = st.fixed_dictionaries({rating: st.integers(0, 5000) for rating in range(1, 6)})


def score(satisfied: int, n: int, target_pct: float = 85.0) -> Csat:
    return csat({5: satisfied, 2: n - satisfied}, target_pct=target_pct)


# --- published figures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "n", "low", "high"),
    [
        (18, 20, 0.6989663548, 0.9721335188),  # R binom
        (4, 200, 0.0078044264, 0.0502870869),  # R binom
        (81, 263, 0.2552885199, 0.3662095770),  # Newcombe 1998, Table I
        (15, 148, 0.0623857894, 0.1604873803),  # Newcombe 1998, Table I
        (0, 20, 0.0, 0.1611251581),  # Newcombe 1998, Table I
        (1, 29, 0.0061127, 0.1717548),  # Newcombe 1998, Table I
        (73, 86, 0.7583643480, 0.9094787702),  # R prop.test
        (38, 38, 0.9081901318, 1.0),  # the edge must not pass 1
        (880, 1000, 0.8583909242, 0.8987007394),
    ],
)
def test_wilson_interval_reproduces_published_values(x: int, n: int, low: float, high: float) -> None:
    assert wilson(x, n, z=Z_TWO_SIDED) == pytest.approx((low, high), abs=1e-6)


def test_csat_of_300_answers_reproduces_the_reference() -> None:
    got = csat({1: 6, 2: 9, 3: 30, 4: 120, 5: 135})
    assert (got.satisfied, got.n, got.value_pct) == (255, 300, 85.0)
    assert (got.low_pct, got.high_pct) == pytest.approx((80.5182388855, 88.5967531288), abs=1e-6)
    assert got.verdict is Verdict.TOO_CLOSE_TO_SAY


@pytest.mark.parametrize(
    ("x", "n", "bound", "verdict"),
    [
        (255, 300, 0.8129694634, Verdict.TOO_CLOSE_TO_SAY),
        (264, 300, 0.845694, Verdict.TOO_CLOSE_TO_SAY),
        (265, 300, 0.8493647830, Verdict.TOO_CLOSE_TO_SAY),
        (267, 300, 0.856729, Verdict.MET),
        (870, 1000, 0.8515039926, Verdict.MET),
    ],
)
def test_verdict_bound_reproduces_the_reference(x: int, n: int, bound: float, verdict: Verdict) -> None:
    got = score(x, n)
    assert got.verdict_bound_pct == pytest.approx(100 * bound, abs=1e-4)
    assert got.verdict is verdict


@pytest.mark.skipif(not VECTORS.exists(), reason="the reference file does not travel with the checkout")
def test_every_reference_vector_is_reproduced() -> None:
    checked = [_check_vector(vector) for vector in json.loads(VECTORS.read_text("utf-8"))]
    assert sum(checked) >= 20


def _check_vector(vector: dict[str, dict[str, float]]) -> int:
    """How many figures of a vector were compared; 0 where it is about something else."""
    given_, wanted = vector["inputs"], vector["outputs"]
    if "x" not in given_ or isinstance(given_["x"], list):
        return 0
    x, n, compared = given_["x"], given_["n"], 0
    if "wilson_low" in wanted:
        expected = wanted["wilson_low"], wanted["wilson_high"]
        assert wilson(x, n, z=Z_TWO_SIDED) == pytest.approx(expected, abs=1e-6), vector["name"]
        compared += 2
    if "wilson_lower_95_one_sided" in wanted:
        got = score(int(x), int(n), 100 * given_["p0"])
        assert got.verdict_bound_pct / 100 == pytest.approx(wanted["wilson_lower_95_one_sided"], abs=1e-6)
        assert (got.verdict is Verdict.MET) == wanted["met_95"], vector["name"]
        compared += 2
    return compared


# --- who is satisfied ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scale", "lowest"), [(3, 3), (4, 3), (5, 4), (6, 5), (7, 6), (10, 8)])
def test_satisfied_are_the_top_boxes_of_the_scale(scale: int, lowest: int) -> None:
    assert satisfied_from(scale) == lowest
    got = csat(dict.fromkeys(range(1, scale + 1), 1), scale)
    assert got.satisfied == scale - lowest + 1 == TOP_BOXES[scale]
    assert got.satisfied_from == lowest


def test_every_level_is_kept_with_the_score() -> None:
    assert csat({5: 3, 2: 1}).counts == (0, 1, 0, 0, 3)


def test_skips_do_not_count() -> None:
    assert csat({1: 4, 2: 6, 3: 10, 4: 30, 5: 50}).value_pct == 80.0  # 64 % if 25 skips were in the base


@pytest.mark.parametrize(
    ("scale", "method", "definition"),
    [
        (3, "csat top-1 of 3, wilson", "of 3 on a scale of 1 to 3"),
        (5, "csat top-2 of 5, wilson", "of 4 or 5 on a scale of 1 to 5"),
        (10, "csat top-3 of 10, wilson", "of 8, 9 or 10 on a scale of 1 to 10"),
    ],
)
def test_a_score_carries_its_method_and_definition(scale: int, method: str, definition: str) -> None:
    got = csat({scale: 1}, scale)
    assert got.method == method
    assert definition in got.definition


def test_a_score_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        score(1, 1).value_pct = 100.0  # type: ignore[misc]


@pytest.mark.parametrize("scale", [0, 1, 2, 8, 9, 11, -5])
def test_a_scale_without_a_rule_is_refused(scale: int) -> None:
    with pytest.raises(InputError, match="scale"):
        csat({}, scale)


@pytest.mark.parametrize("counts", [{0: 1}, {6: 1}, {-1: 0}, {4: -1}])
def test_impossible_counts_are_refused(counts: dict[int, int]) -> None:
    with pytest.raises(InputError, match="counts"):
        csat(counts)


@pytest.mark.parametrize("target_pct", [-0.1, 100.1, math.nan])
def test_a_target_that_is_no_percentage_is_refused(target_pct: float) -> None:
    with pytest.raises(InputError, match="target"):
        csat({5: 1}, target_pct=target_pct)


# --- the verdict -----------------------------------------------------------------------------------------------------


def test_without_answers_nothing_is_known() -> None:
    got = csat({})
    assert got.value_pct is None
    assert (got.low_pct, got.high_pct) == (0.0, 100.0)
    assert (got.verdict_bound_pct, got.verdict_upper_pct) == (0.0, 100.0)
    assert got.verdict is Verdict.TOO_CLOSE_TO_SAY
    assert got.answers_needed is None


@pytest.mark.parametrize("target_pct", [0.0, 100.0])
def test_without_answers_even_an_extreme_target_has_no_verdict(target_pct: float) -> None:
    assert csat({}, target_pct=target_pct).verdict is Verdict.TOO_CLOSE_TO_SAY


@pytest.mark.parametrize("n", [1, 7, 300, 10**6])
def test_edges_are_exact(n: int) -> None:
    assert score(0, n).low_pct == score(0, n).verdict_bound_pct == 0.0
    assert score(n, n).high_pct == score(n, n).verdict_upper_pct == 100.0


def test_a_target_of_all_can_be_missed_but_never_proven() -> None:
    assert score(10**6, 10**6, 100).verdict is Verdict.TOO_CLOSE_TO_SAY
    assert score(10**6, 10**6, 100).answers_needed is None
    assert score(9, 10, 100).verdict is Verdict.NOT_MET


def test_fifteen_satisfied_of_fifteen_prove_nothing() -> None:
    assert score(15, 15).verdict is Verdict.TOO_CLOSE_TO_SAY
    assert score(16, 16).verdict is Verdict.MET


def test_a_share_on_the_target_never_becomes_a_verdict() -> None:
    assert score(255, 300).answers_needed is None
    assert score(850_000, 1_000_000).answers_needed is None
    assert score(873, 1000, 87.3).answers_needed is None


@pytest.mark.parametrize(("x", "n", "needed"), [(264, 300, 84), (265, 300, 11), (8, 8, 8), (266, 300, None)])
def test_answers_needed_are_counted_at_the_present_share(x: int, n: int, needed: int | None) -> None:
    assert score(x, n).answers_needed == needed


@given(counts_of_5, st.floats(0, 100))
def test_bounds_stand_in_order_around_the_value(counts: dict[int, int], target_pct: float) -> None:
    got = csat(counts, target_pct=target_pct)
    value = 50.0 if got.value_pct is None else got.value_pct
    inside = [got.low_pct, got.verdict_bound_pct, value, got.verdict_upper_pct, got.high_pct]
    assert all(a <= b + 1e-9 for a, b in pairwise(inside))
    assert inside[0] >= 0
    assert inside[-1] <= 100


@given(counts_of_5, st.floats(0, 100))
def test_verdict_says_what_the_bounds_say(counts: dict[int, int], target_pct: float) -> None:
    got = csat(counts, target_pct=target_pct)
    assume(got.n)
    if got.verdict is Verdict.MET:
        assert got.verdict_bound_pct >= target_pct - 1e-9
    elif got.verdict is Verdict.NOT_MET:
        assert got.verdict_upper_pct < target_pct + 1e-9
    else:
        assert got.verdict_bound_pct <= target_pct <= got.verdict_upper_pct + 1e-9


@given(st.integers(1, 2000), st.floats(0, 1), st.floats(0.02, 0.98))
def test_answers_needed_are_enough_and_not_one_too_many(n: int, share: float, between: float) -> None:
    satisfied = round(share * n)
    bounds = score(satisfied, n)
    target_pct = bounds.verdict_bound_pct + between * (bounds.verdict_upper_pct - bounds.verdict_bound_pct)
    needed = score(satisfied, n, target_pct).answers_needed
    assume(needed is not None and needed < 10**6)
    assert needed is not None

    def bounds_with(more: int) -> tuple[float, float]:
        return wilson(satisfied / n * (n + more), n + more, z=Z_ONE_SIDED)

    low, high = bounds_with(needed)
    assert low > target_pct / 100 - 1e-9 or high < target_pct / 100 + 1e-9
    low, high = bounds_with(needed - 1)
    assert low - 1e-9 <= target_pct / 100 <= high + 1e-9


@given(st.integers(0, 400), st.integers(1, 400))
def test_the_dissatisfied_mirror_the_satisfied(x: int, n: int) -> None:
    assume(x <= n)
    low, high = wilson(x, n, z=Z_TWO_SIDED)
    assert wilson(n - x, n, z=Z_TWO_SIDED) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@given(st.integers(1, 10**6))
def test_more_answers_at_the_same_share_never_widen_the_interval(n: int) -> None:
    wide, narrow = score(4 * n, 5 * n), score(8 * n, 10 * n)
    assert narrow.high_pct - narrow.low_pct < wide.high_pct - wide.low_pct


@pytest.mark.parametrize(("share", "n"), [(88, 864), (90, 304), (92, 150)])
def test_the_chance_of_a_verdict_is_about_the_power_that_is_published(share: float, n: int) -> None:
    # Published for the exact test, which is a little more careful than the bound of Wilson.
    assert 0.8 <= chance_of_verdict(n, share, target_pct=85).met < 0.86


@given(st.integers(1, 120), st.floats(0.02, 0.98), st.floats(5, 95))
def test_the_chance_of_a_verdict_counts_every_outcome(n: int, share: float, target_pct: float) -> None:
    sure = dict.fromkeys(Verdict, 0.0)
    for x in range(n + 1):
        sure[score(x, n, target_pct).verdict] += math.comb(n, x) * share**x * (1 - share) ** (n - x)
    found = chance_of_verdict(n, 100 * share, target_pct=target_pct)
    assert found.met == pytest.approx(sure[Verdict.MET], abs=1e-9)
    assert found.not_met == pytest.approx(sure[Verdict.NOT_MET], abs=1e-9)
    assert found.clear == pytest.approx(1 - sure[Verdict.TOO_CLOSE_TO_SAY], abs=1e-9)


def test_below_nineteen_answers_nothing_can_be_proven_met() -> None:
    assert chance_of_verdict(0, 90, target_pct=85).clear == 0
    assert chance_of_verdict(15, 100, target_pct=85).met == 0
    assert chance_of_verdict(20, 100, target_pct=85).met == 1
    assert chance_of_verdict(20, 0, target_pct=85).not_met == 1


def test_a_million_answers_are_reckoned_at_once() -> None:
    assert chance_of_verdict(10**6, 86, target_pct=85).met == pytest.approx(1)
    assert chance_of_verdict(10**6, 85, target_pct=85).clear == pytest.approx(0.1, abs=0.01)
