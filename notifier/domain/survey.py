"""A survey, its questions, and what a response may say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from notifier.domain.text import Localized


class QuestionType(StrEnum):
    """How a question is answered."""

    RATING = "rating"  # whole number 1..scale
    CHOICE = "choice"  # one of the choices' keys
    TEXT = "text"  # free text


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question; `choices` maps key → label in the order shown."""

    key: str
    type: QuestionType
    text: Localized
    required: bool = False
    scale: int = 5
    low_label: Localized = field(default_factory=lambda: Localized({}))
    high_label: Localized = field(default_factory=lambda: Localized({}))
    choices: Mapping[str, Localized] = field(default_factory=dict)
    max_length: int = 2000
    months: tuple[int, ...] = ()  # asked only in runs of these months; empty = always


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRule:
    """Which question makes the score, and the target it is held against."""

    question: str
    method: str = "csat"
    target_pct: float = 85.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """`campaigns/surveys/KEY.yaml`; a response belongs to the version it answered."""

    key: str
    title: Localized
    intro: Localized
    thanks: Localized
    questions: tuple[Question, ...]
    score: ScoreRule | None = None

    def question(self, key: str) -> Question | None:
        """The question with this key."""
        return next((question for question in self.questions if question.key == key), None)
