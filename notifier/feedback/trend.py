"""The score over time: month by month, each with its interval, against the same target."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date

from notifier.domain.scores import Csat, csat
from notifier.domain.survey import Survey
from notifier.store.database import Tx
from notifier.store.views.surveys import count_months


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthScore:
    """The score of the answers received in one month; `month` is its first day."""

    month: date
    csat: Csat


async def score_months(tx: Tx, survey: Survey, *, zone: str, team_id: int = 1, months: int = 12) -> list[MonthScore]:
    """The last `months` up to the newest answer, oldest first; a month without answers stands in between with n = 0.

    Months are those of the zone's calendar. Empty where the survey has no score or no answers.
    """
    if survey.score is None:
        return []
    question = survey.question(survey.score.question)
    counts: dict[date, dict[int, int]] = defaultdict(dict)
    for found in await count_months(tx, team_id, survey.key, survey.score.question, zone=zone):
        counts[found.month][found.rating] = found.count
    scale, target = (question.scale if question else 5), survey.score.target_pct
    return [
        MonthScore(month=month, csat=csat(counts.get(month, {}), scale, target_pct=target))
        for month in _months(sorted(counts))[-months:]
    ]


def _months(known: list[date]) -> list[date]:
    """Every first of a month from the first to the last of these."""
    found = known[:1]
    while found and found[-1] < known[-1]:
        found.append(next_month(found[-1]))
    return found


def next_month(month: date) -> date:
    """The first day of the month after."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)
