"""`/s/{token}`: one survey for one invited person. Looking never answers; sending answers once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from notifier.domain.answers import asked_questions, read_answers
from notifier.domain.errors import InputError
from notifier.domain.links import LinkKind
from notifier.domain.survey import Question, QuestionType, Survey
from notifier.feedback.record_answers import AlreadyAnswered, Closed, Given, Recorded, record_answers
from notifier.store import surveys as store
from notifier.store.surveys import Invitation
from notifier.web.catalogue import Catalogue
from notifier.web.public.face import Face, face_of, notice, page, read_bank, unknown_page
from notifier.web.public.visitor import is_machine, read_form, read_token

router = APIRouter()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Visit:
    """One look at one invitation."""

    invitation: Invitation
    survey: Survey
    face: Face

    @property
    def questions(self) -> tuple[Question, ...]:
        return asked_questions(self.survey, self.invitation.month)

    def say(self, text: object) -> str:
        """A text of the survey in the visitor's language."""
        return str(text.get(self.face.locale, self.face.default_locale)) if hasattr(text, "get") else str(text)


@router.api_route("/s/{token}", methods=["GET", "HEAD"])
async def show_survey(request: Request, token: str) -> Response:
    """The questions, with what the link says chosen beforehand; records no answer."""
    visit = await _open(request, token)
    if visit is None:
        return await unknown_page(request)
    if ended := _ended(request, visit):
        return ended
    if not is_machine(request):
        async with request.app.state.database.transaction() as tx:
            await store.note_opened(tx, visit.invitation.id)
    return _form_page(request, visit, _preselected(visit, request.query_params))


@router.post("/s/{token}")
async def answer_survey(request: Request, token: str) -> Response:
    """Record the answers, or show again what is missing with all that was written."""
    visit = await _open(request, token)
    if visit is None:
        return await unknown_page(request)
    if ended := _ended(request, visit):
        return ended
    form = await read_form(request)
    answers = {question.key: form[question.key] for question in visit.questions if question.key in form}
    if errors := _errors(visit, answers):
        return _form_page(request, visit, answers, errors=errors)
    simulated = request.app.state.settings.demo  # a demo has no customers: nothing in it may look like a real score
    outcome = await record_answers(
        request.app.state.database,
        survey=visit.survey,
        survey_id=visit.invitation.survey_id,
        invitation_id=visit.invitation.id,
        month=visit.invitation.month,
        given=Given(answers=answers, locale=visit.face.locale, simulated=simulated),
    )
    match outcome:
        case Recorded():
            text = visit.say(visit.survey.thanks) or visit.face.words["thanks_default"]
            return notice(request, visit.face, title=visit.face.words["thanks_title"], text=text)
        case AlreadyAnswered():
            return _already_page(request, visit)
        case Closed():
            return _closed_page(request, visit)


async def _open(request: Request, token: str) -> _Visit | None:
    numbers = read_token(request, LinkKind.SURVEY, token, 1)
    if numbers is None:
        return None
    catalogue: Catalogue = request.app.state.catalogue
    bank = await read_bank(request)
    async with request.app.state.database.transaction() as tx:
        invitation = await store.find_invitation(tx, numbers[0])
        if invitation is None:
            return None
        survey = await catalogue.survey_version(tx, invitation.survey_id)
    return _Visit(invitation=invitation, survey=survey, face=face_of(request, bank, locale=invitation.locale))


def _ended(request: Request, visit: _Visit) -> Response | None:
    if visit.invitation.is_answered:
        return _already_page(request, visit)
    return _closed_page(request, visit) if visit.invitation.is_closed else None


def _already_page(request: Request, visit: _Visit) -> Response:
    words = visit.face.words
    return notice(request, visit.face, title=words["already_title"], text=words["already"])


def _closed_page(request: Request, visit: _Visit) -> Response:
    words = visit.face.words
    return notice(request, visit.face, title=words["closed_title"], text=words["closed"], status=410, kind="info")


def _preselected(visit: _Visit, query: Mapping[str, str]) -> dict[str, str]:
    """`?rating=4` of a link in an e-mail; what is no possible answer is passed over."""
    chosen = {
        question.key: query[question.key]
        for question in visit.questions
        if question.key in query and question.type is not QuestionType.TEXT
    }
    errors = _errors(visit, chosen)
    return {key: value for key, value in chosen.items() if key not in errors}


def _errors(visit: _Visit, answers: Mapping[str, str]) -> dict[str, str]:
    """Question → what is wrong with its answer, in words; one for each, not only the first."""
    found = {}
    for question in visit.questions:
        alone = replace(visit.survey, questions=(question,))
        given = {question.key: answers.get(question.key)}
        try:
            read_answers(alone, given, month=visit.invitation.month)
        except InputError:
            found[question.key] = _error_text(question, answers.get(question.key, ""), visit.face.words)
    return found


def _error_text(question: Question, answer: str, words: Mapping[str, str]) -> str:
    if not answer.strip():
        return words["error_required"]
    match question.type:
        case QuestionType.RATING:
            return words["error_rating"].format(scale=question.scale)
        case QuestionType.CHOICE:
            return words["error_choice"]
        case QuestionType.TEXT:
            length = len(answer.replace("\r\n", "\n").strip())
            return words["error_text"].format(max=question.max_length, length=length)


def _form_page(
    request: Request, visit: _Visit, answers: Mapping[str, str], *, errors: Mapping[str, str] | None = None
) -> Response:
    return page(
        request,
        "survey.html",
        visit.face,
        status=422 if errors else 200,
        survey=visit.survey,
        questions=visit.questions,
        say=visit.say,
        answers=answers,
        errors=errors or {},
        action=f"?lang={visit.face.locale}",
    )
