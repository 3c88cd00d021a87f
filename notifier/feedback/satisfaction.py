"""How satisfied those asked are: the score, what they would improve, what they say."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from notifier.domain.errors import InputError
from notifier.domain.scores import Csat, csat
from notifier.domain.survey import QuestionType, Survey
from notifier.store import surveys as store
from notifier.store.database import Tx
from notifier.store.surveys import ChoiceCount, Comment, InvitationCounts, Window

EVER = Window()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The answers to one choice question, the most frequent first; choices nobody made come last with 0."""

    question: str
    counts: tuple[ChoiceCount, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Satisfaction:
    """All a result page shows of one survey."""

    survey_key: str
    csat: Csat | None  # None where the survey has no score
    ratings: dict[str, Csat]  # the other rating questions with a rule for their scale, against the same target
    rankings: tuple[Ranking, ...]
    comments: tuple[Comment, ...] = field(repr=False)
    invitations: InvitationCounts
    responses: int  # also those without an invitation
    simulated: int  # how many of the responses a simulation gave

    @property
    def is_simulated(self) -> bool:
        """Whether anything in the numbers is simulated."""
        return self.simulated > 0

    @property
    def response_rate_pct(self) -> float | None:
        """Answered / delivered; None before anything is delivered."""
        counts = self.invitations
        return 100 * counts.answered / counts.delivered if counts.delivered else None


async def satisfaction(
    tx: Tx, survey: Survey, *, window: Window = EVER, team_id: int = 1, comments: int = 50
) -> Satisfaction:
    """The survey's result over the responses of `window`; skipped questions do not count."""
    scored = survey.score.question if survey.score else ""
    responses, simulated = await store.count_responses(tx, team_id, survey.key, window)
    ratings = {
        key: score
        for key in _keys(survey, QuestionType.RATING)
        if (score := await _score(tx, survey, key, window, team_id)) is not None
    }
    texts = _keys(survey, QuestionType.TEXT)
    return Satisfaction(
        survey_key=survey.key,
        csat=ratings.pop(scored, None),
        ratings=ratings,
        rankings=tuple([await _rank(tx, survey, key, window, team_id) for key in _keys(survey, QuestionType.CHOICE)]),
        comments=tuple(
            await store.list_comments(tx, team_id, survey.key, tuple(texts), window, score=scored, limit=comments)
        ),
        invitations=await store.count_invitations(tx, team_id, survey.key, window),
        responses=responses,
        simulated=simulated,
    )


def _keys(survey: Survey, kind: QuestionType) -> Sequence[str]:
    return [question.key for question in survey.questions if question.type is kind]


async def _score(tx: Tx, survey: Survey, key: str, window: Window, team_id: int) -> Csat | None:
    question = survey.question(key)
    scale, target = (question.scale if question else 5), (survey.score.target_pct if survey.score else 85.0)
    counts = await store.count_answers(tx, team_id, survey.key, key, window)
    try:
        return csat(counts, scale, target_pct=target)
    except InputError:
        if survey.score and survey.score.question == key:
            raise
        return None  # no rule for this scale, and nobody asked for one


async def _rank(tx: Tx, survey: Survey, key: str, window: Window, team_id: int) -> Ranking:
    found = await store.rank_choices(tx, team_id, survey.key, key, window)
    question = survey.question(key)
    chosen = {count.choice for count in found}
    never = [ChoiceCount(choice=name, count=0) for name in (question.choices if question else ()) if name not in chosen]
    return Ranking(question=key, counts=(*found, *never))
