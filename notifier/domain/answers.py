"""What a response says, checked against the questions it was asked."""

import re
from collections.abc import Mapping

from notifier.domain.errors import InputError
from notifier.domain.survey import Question, QuestionType, Survey

# Control characters but for tab and new line, halves of surrogate pairs (no UTF-8, so no database takes them)
# and the marks that turn the direction of the text after them, with which one answer could disguise the next.
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SHOWN_OF_A_NAME = 40


def asked_questions(survey: Survey, month: int) -> tuple[Question, ...]:
    """The questions a run of this month (1..12) asks, in the survey's order."""
    return tuple(question for question in survey.questions if not question.months or month in question.months)


def read_answers(survey: Survey, given: Mapping[str, object], *, month: int) -> dict[str, int | str]:
    """Question key → rating, key of a choice, or text, in the survey's order; skipped questions are left out.

    `given` is a form's strings or a webhook's JSON, with nothing but answers in it; `month` is that of the run.
    `InputError` names the first question whose answer is missing, invalid, unknown or was not asked for:
    nothing a person wrote is dropped in silence. It never repeats what they wrote.
    """
    asked = {question.key: question for question in asked_questions(survey, month)}
    answers: dict[str, int | str] = {}
    for key, value in given.items():
        if key in asked:
            continue
        if survey.question(key) is None:
            raise InputError(_UNWANTED.sub("", str(key))[:_SHOWN_OF_A_NAME], "the survey has no such question")
        if not _is_skip(value):
            raise InputError(key, "this question was not asked this time", "Leave it out.")
    for question in asked.values():
        answer = _read(question, given.get(question.key))
        if answer is not None:
            answers[question.key] = answer
        elif question.required:
            raise InputError(question.key, "an answer is required")
    return answers


def _is_skip(value: object) -> bool:
    return value is None or (isinstance(value, str) and not _clean(value))


def _read(question: Question, value: object) -> int | str | None:
    if _is_skip(value):
        return None
    match question.type:
        case QuestionType.RATING:
            return _read_rating(question, value)
        case QuestionType.CHOICE:
            return _read_choice(question, value)
        case QuestionType.TEXT:
            return _read_text(question, value)


def _read_rating(question: Question, value: object) -> int:
    rating = _whole_number(value)
    if rating is None or not 1 <= rating <= question.scale:
        raise InputError(question.key, "not a rating", f"Give a whole number from 1 to {question.scale}.")
    return rating


def _whole_number(value: object) -> int | None:
    match value:
        case bool():
            return None
        case int():
            return value
        case float() if value.is_integer():  # JSON writers that know no whole numbers send 4.0
            return int(value)
        case str() if value.strip().isdecimal() and len(value.strip()) <= 3:  # full-width digits too: ４
            return int(value)
    return None


def _read_choice(question: Question, value: object) -> str:
    choice = value.strip() if isinstance(value, str) else None
    if choice is None or choice not in question.choices:
        raise InputError(question.key, "not one of the choices", f"Give one of: {', '.join(question.choices)}.")
    return choice


def _read_text(question: Question, value: object) -> str:
    if not isinstance(value, str):
        raise InputError(question.key, "not a text", "Give a string.")
    text = _clean(value)
    if len(text) > question.max_length:
        remedy = f"Give at most {question.max_length} characters."
        raise InputError(question.key, f"too long: {len(text)} characters", remedy)
    return text


def _clean(text: str) -> str:
    """Line ends as browsers count them against `maxlength`: one character each."""
    return _UNWANTED.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
