"""Surveys, read and written."""

from dataclasses import replace

from notifier.domain.notation.bank import write_localized
from notifier.domain.notation.node import KEY, Value
from notifier.domain.survey import Question, QuestionType, ScoreRule, Survey
from notifier.domain.text import Localized

REQUIRED = ("survey", "title", "intro", "thanks", "questions")
OPTIONAL = ("score",)
QUESTION_REQUIRED = ("type", "text")
QUESTION_COMMON = ("required", "months")
QUESTION_OWN: dict[QuestionType, tuple[str, ...]] = {
    QuestionType.RATING: ("scale", "low", "high"),
    QuestionType.CHOICE: ("choices",),
    QuestionType.TEXT: ("max",),
}
METHODS = ("csat",)
CSAT_SCALE = 5


def read_survey(root: Value) -> Survey:
    """`campaigns/surveys/KEY.yaml`."""
    root.fields(REQUIRED, OPTIONAL)
    questions = root.child("questions")
    found = tuple(_read_question(item) for item in questions.items(KEY))
    if questions.data == {}:
        questions.fail("the survey asks nothing", "Write at least one question")
    return Survey(
        key=root.child("survey").key(),
        title=root.child("title").localized(),
        intro=root.child("intro").localized(),
        thanks=root.child("thanks").localized(),
        questions=found,
        score=_read_score(root.child("score"), found) if root.child("score").given else None,
    )


def _read_question(value: Value) -> Question:
    kind = value.child("type").choice(QuestionType, QuestionType.TEXT)
    if value.child("type").data in set(QuestionType):
        _refuse_foreign_keys(value, kind)
    question = Question(
        key=str(value.trail[-1]),
        type=kind,
        text=value.child("text").localized(),
        required=value.child("required").flag(default=False),
        months=_read_months(value.child("months")),
    )
    if kind is QuestionType.RATING:
        scale = value.child("scale").whole(5, low=2, high=11)
        low, high = value.child("low").localized(), value.child("high").localized()
        return replace(question, scale=scale, low_label=low, high_label=high)
    if kind is QuestionType.CHOICE:
        return replace(question, choices=_read_choices(value))
    return replace(question, max_length=value.child("max").whole(2000, low=1, high=10_000))


def _refuse_foreign_keys(value: Value, kind: QuestionType) -> None:
    for item in value.items():
        for other, own in QUESTION_OWN.items():
            if other is not kind and item.trail[-1] in own:
                item.fail(f"{item.called} belongs to a {other} question, this one is {kind}", "Remove it", key=True)
    every = [name for own in QUESTION_OWN.values() for name in own]
    value.fields(QUESTION_REQUIRED, [*QUESTION_COMMON, *every])


def _read_months(value: Value) -> tuple[int, ...]:
    return tuple(item.whole(1, low=1, high=12) for item in value)


def _read_choices(value: Value) -> dict[str, Localized]:
    choices = value.child("choices")
    found = {str(item.trail[-1]): item.localized() for item in choices.items(KEY)}
    if len(found) < 2:
        (choices if choices.given else value).fail(
            "a choice question needs two choices or more", "Write `choices: {a: …, b: …}`"
        )
    return found


def _read_score(value: Value, questions: tuple[Question, ...]) -> ScoreRule:
    value.fields(["question"], ["method", "target"])
    rule = ScoreRule(
        question=value.child("question").key(),
        method=value.child("method").text("csat"),
        target_pct=value.child("target").number(85.0, low=0, high=100),
    )
    asked = next((question for question in questions if question.key == rule.question), None)
    ratings = ", ".join(question.key for question in questions if question.type is QuestionType.RATING)
    at = value.child("question")
    if rule.method not in METHODS:
        value.child("method").fail(f"there is no method `{rule.method}`", f"Possible are: {', '.join(METHODS)}")
    if rule.question and (asked is None or asked.type is not QuestionType.RATING):
        at.fail(f"`{rule.question}` is not a rating question of this survey", f"Ratings are: {ratings or 'none yet'}")
    elif asked is not None and asked.scale != CSAT_SCALE:
        at.fail(f"csat counts 4 and 5 of 5, `{rule.question}` has a scale of {asked.scale}", "Give it `scale: 5`")
    return rule


def write_survey(survey: Survey) -> dict[str, object]:
    """The notation that `read_survey` reads back as the same survey."""
    found: dict[str, object] = {
        "survey": survey.key,
        "title": write_localized(survey.title),
        "intro": write_localized(survey.intro),
        "thanks": write_localized(survey.thanks),
        "questions": {question.key: _write_question(question) for question in survey.questions},
    }
    if survey.score:
        score = survey.score
        found["score"] = {"question": score.question, "method": score.method, "target": score.target_pct}
    return found


def _write_question(question: Question) -> dict[str, object]:
    found: dict[str, object] = {"type": question.type.value, "text": write_localized(question.text)}
    if question.required:
        found["required"] = True
    if question.months:
        found["months"] = list(question.months)
    match question.type:
        case QuestionType.RATING:
            found["scale"] = question.scale
            labels = {"low": question.low_label, "high": question.high_label}
            found |= {name: write_localized(label) for name, label in labels.items() if label.texts}
        case QuestionType.CHOICE:
            found["choices"] = {key: write_localized(label) for key, label in question.choices.items()}
        case QuestionType.TEXT:
            found["max"] = question.max_length
    return found
