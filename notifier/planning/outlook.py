"""Outlook: from the invitations of a survey to the answers expected, and the chance that they give a verdict."""

from dataclasses import dataclass

from notifier.domain.scores import Chance, chance_of_verdict, csat
from notifier.domain.survey import Survey
from notifier.store.database import Tx
from notifier.store.surveys import Window, count_answers, count_invitations
from notifier.store.views.review import last_asked_run

ASSUMED_PCT = 10.0
"""The response rate where nobody was asked before; pages call it an assumption."""
_LEAST = 30  # deliveries before their response rate, or answers before their share, say anything
_APART = 3.0  # points from the target, where no earlier score says what to expect


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyOutlook:
    """What may be expected of a survey's invitations; `chances` is empty where the survey has no score."""

    survey_key: str
    invitations: int
    response_pct: float  # responses / delivered
    is_assumed: bool
    asked_before: int  # deliveries the rate was measured on
    expected: int
    target_pct: float | None
    is_last_score: bool  # whether the chance is at the share of the last run; else at two around the target
    chances: tuple[Chance, ...]


async def look_out(tx: Tx, team_id: int, survey: Survey, *, invitations: int, run_id: int) -> SurveyOutlook:
    """As the survey went before; `invitations` are taken as delivered, and answers as drawn from all at random."""
    counts = await count_invitations(tx, team_id, survey.key, Window())
    is_assumed = counts.delivered < _LEAST or not counts.answered
    response_pct = ASSUMED_PCT if is_assumed else 100 * counts.answered / counts.delivered
    expected = round(invitations * response_pct / 100)
    share = await _last_share(tx, team_id, survey, run_id)
    target = survey.score.target_pct if survey.score else None
    return SurveyOutlook(
        survey_key=survey.key,
        invitations=invitations,
        response_pct=response_pct,
        is_assumed=is_assumed,
        asked_before=counts.delivered,
        expected=expected,
        target_pct=target,
        is_last_score=share is not None,
        chances=() if target is None else _chances(expected, share, target),
    )


def _chances(expected: int, share: float | None, target: float) -> tuple[Chance, ...]:
    shares = (share,) if share is not None else (min(100.0, target + _APART), max(0.0, target - _APART))
    return tuple(chance_of_verdict(expected, one, target_pct=target) for one in shares)


async def _last_share(tx: Tx, team_id: int, survey: Survey, run_id: int) -> float | None:
    """The score of the newest run that was answered enough."""
    if survey.score is None:
        return None
    last = await last_asked_run(tx, team_id, survey.key, other_than=run_id, least=_LEAST)
    question = survey.question(survey.score.question)
    if last is None or question is None:
        return None
    counts = await count_answers(tx, team_id, survey.key, question.key, Window(run_id=last))
    return csat(counts, question.scale, target_pct=survey.score.target_pct).value_pct
