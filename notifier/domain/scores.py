"""The satisfaction score: how many are satisfied, and how sure that is."""

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

from notifier.domain.errors import InputError

TOP_BOXES: dict[int, int] = {3: 1, 4: 2, 5: 2, 6: 2, 7: 2, 10: 3}
"""Scale → how many of its best levels count as satisfied: 4 and 5 of 5, but only 3 of 3."""

Z_TWO_SIDED = NormalDist().inv_cdf(0.975)  # 95 % between both ends of an interval
Z_ONE_SIDED = NormalDist().inv_cdf(0.95)  # 95 % on one side of a bound


class Verdict(StrEnum):
    """What may be said about a score and its target."""

    MET = "met"  # the share of all would be at or above the target, 95 % sure
    NOT_MET = "not-met"  # it would be below, 95 % sure
    TOO_CLOSE_TO_SAY = "too-close-to-say"  # the answers prove neither


@dataclass(frozen=True, slots=True, kw_only=True)
class Csat:
    """One satisfaction score with all that is needed to judge it; percentages are unrounded, 0..100."""

    definition: str
    method: str
    scale: int
    satisfied_from: int  # the lowest rating that counts as satisfied
    counts: tuple[int, ...]  # answers of 1, of 2, … of `scale`
    satisfied: int
    n: int  # valid answers; skips are none
    value_pct: float | None  # None without answers
    low_pct: float  # two-sided 95 % interval; 0..100 without answers
    high_pct: float
    verdict_bound_pct: float  # one-sided 95 % lower bound: "met" if it reaches the target
    verdict_upper_pct: float  # one-sided 95 % upper bound: "not met" if it stays below the target
    target_pct: float
    verdict: Verdict
    answers_needed: int | None  # more answers at this share until a verdict; None: it stands, or none would do


def csat(counts: Mapping[int, int], scale: int = 5, *, target_pct: float = 85.0) -> Csat:
    """The score of `counts`: rating → how many gave it; skips must not be in it.

    `InputError` for a scale without a rule in `TOP_BOXES`, a rating off the scale, a negative count.
    """
    levels = _levels(counts, scale)
    if not 0 <= target_pct <= 100:
        raise InputError("target", f"{target_pct:g} is not a percentage", "Write a number from 0 to 100.")
    satisfied, n = sum(levels[-TOP_BOXES[scale] :]), sum(levels)
    low, high = wilson(satisfied, n, z=Z_TWO_SIDED)
    lower, upper = wilson(satisfied, n, z=Z_ONE_SIDED)
    verdict = _verdict(n, lower=lower, upper=upper, target=target_pct / 100)
    return Csat(
        definition=_definition(scale),
        method=f"csat top-{TOP_BOXES[scale]} of {scale}, wilson",
        scale=scale,
        satisfied_from=satisfied_from(scale),
        counts=levels,
        satisfied=satisfied,
        n=n,
        value_pct=100 * satisfied / n if n else None,
        low_pct=100 * low,
        high_pct=100 * high,
        verdict_bound_pct=100 * lower,
        verdict_upper_pct=100 * upper,
        target_pct=target_pct,
        verdict=verdict,
        answers_needed=_answers_needed(satisfied, n, target_pct / 100) if verdict is Verdict.TOO_CLOSE_TO_SAY else None,
    )


def satisfied_from(scale: int) -> int:
    """The lowest rating that counts as satisfied; `InputError` for a scale without a rule."""
    if scale not in TOP_BOXES:
        known = ", ".join(map(str, TOP_BOXES))
        raise InputError("scale", f"no rule says who is satisfied on a scale of {scale}", f"Use one of {known}.")
    return scale - TOP_BOXES[scale] + 1


def wilson(successes: float, n: float, *, z: float) -> tuple[float, float]:
    """Wilson score bounds of a share, both in 0..1, without continuity correction.

    Exactly 0 where none, exactly 1 where all succeeded; 0 and 1 where n is 0. Source: E. B. Wilson,
    "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), 209–212.
    """
    if not n:
        return 0.0, 1.0
    share, pull = successes / n, z * z / n
    centre = (share + pull / 2) / (1 + pull)
    half = math.sqrt(pull * (share * (1 - share) + pull / 4)) / (1 + pull)
    low = max(0.0, centre - half) if successes > 0 else 0.0
    high = min(1.0, centre + half) if successes < n else 1.0
    return low, high


def _levels(counts: Mapping[int, int], scale: int) -> tuple[int, ...]:
    satisfied_from(scale)
    for rating, count in counts.items():
        if not 1 <= rating <= scale:
            raise InputError("counts", f"a rating of {rating} is not on the scale 1 to {scale}")
        if count < 0:
            raise InputError("counts", f"{count} answers of {rating} cannot be")
    return tuple(counts.get(rating, 0) for rating in range(1, scale + 1))


def _definition(scale: int) -> str:
    best = [str(rating) for rating in range(satisfied_from(scale), scale + 1)]
    listed = f"{', '.join(best[:-1])} or {best[-1]}" if len(best) > 1 else best[0]
    return f"share of the answers of {listed} on a scale of 1 to {scale}; skipped questions do not count"


def _verdict(n: int, *, lower: float, upper: float, target: float) -> Verdict:
    if n and lower >= target:
        return Verdict.MET
    if n and upper < target:
        return Verdict.NOT_MET
    return Verdict.TOO_CLOSE_TO_SAY


def _answers_needed(satisfied: int, n: int, target: float) -> int | None:
    """A one-sided bound passes the target once n > z² t (1 - t) / (share - t)²; never, on the target itself."""
    if not n or math.isclose(satisfied / n, target, rel_tol=1e-9):
        return None
    gap = satisfied / n - target
    total = math.floor(Z_ONE_SIDED**2 * target * (1 - target) / gap**2) + 1
    return max(1, total - n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """How likely `n` answers are to give a verdict, were `share_pct` of all satisfied; 0..1 each."""

    n: int
    share_pct: float
    met: float
    not_met: float

    @property
    def clear(self) -> float:
        """The chance of any verdict but "too close to say"."""
        return self.met + self.not_met


def chance_of_verdict(n: int, share_pct: float, *, target_pct: float) -> Chance:
    """Exact: the binomial probability of all counts whose one-sided 95 % Wilson bound gives a verdict, as in `csat`.

    This is the power of that test at the share; it takes the answers as drawn at random from all.
    """
    share, target = share_pct / 100, target_pct / 100
    least_met = _first(n, lambda count: wilson(count, n, z=Z_ONE_SIDED)[0] >= target)
    least_open = _first(n, lambda count: wilson(count, n, z=Z_ONE_SIDED)[1] >= target)
    if not n:
        return Chance(n=n, share_pct=share_pct, met=0.0, not_met=0.0)
    met = _binomial(n, share, range(least_met, n + 1))
    return Chance(n=n, share_pct=share_pct, met=met, not_met=_binomial(n, share, range(least_open)))


def _first(n: int, holds: Callable[[int], bool]) -> int:
    """The smallest count of 0..n from which on it holds; n + 1 where it never does."""
    return bisect_left(range(n + 1), True, key=holds)


def _binomial(n: int, share: float, counts: range) -> float:
    """The probability of these counts; what lies beyond 12 standard deviations adds nothing a double could hold."""
    if share in {0.0, 1.0}:
        return float(round(n * share) in counts)
    far = 12 * math.sqrt(n * share * (1 - share)) + 12
    near = range(max(counts.start, math.floor(n * share - far)), min(counts.stop, math.ceil(n * share + far)))
    whole, yes, no = math.lgamma(n + 1), math.log(share), math.log1p(-share)
    return min(
        1.0,
        math.fsum(math.exp(whole - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * yes + (n - k) * no) for k in near),
    )
